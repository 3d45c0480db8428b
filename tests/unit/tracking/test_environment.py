from __future__ import annotations

import hashlib
import importlib.metadata
import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from ledger.tracking import environment
from ledger.tracking.environment import (
    Environment,
    capture_environment,
    environment_hash,
    environment_text,
    installed_distributions,
    normalise_name,
    site_folders,
)

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def site(tmp_path, monkeypatch):
    """An empty site folder, the only one that this interpreter has on its path."""
    folder = tmp_path / "first" / "site-packages"
    folder.mkdir(parents=True)
    others = [entry for entry in sys.path if os.path.realpath(entry) not in site_folders()]
    monkeypatch.setattr(sys, "path", [str(folder), *others])
    environment._read.cache_clear()
    return folder


def add(folder, info, *, metadata="METADATA", text="Metadata-Version: 2.1\n"):
    path = folder / info
    path.mkdir(parents=True)
    (path / metadata).write_text(text)
    return path


def found():
    return dict(capture_environment().distributions)


def test_this_environment_agrees_with_importlib_metadata():
    expected = {}
    for distribution in importlib.metadata.distributions(path=list(site_folders())):
        if distribution.name:
            expected.setdefault(normalise_name(distribution.name), distribution.version)
    assert expected
    assert found() == expected


def test_python_and_platform_are_those_of_the_interpreter():
    here = capture_environment()
    assert here.python_version.startswith(f"{sys.version_info.major}.{sys.version_info.minor}.")
    assert here.implementation.lower() == sys.implementation.name
    assert here.platform


def test_name_and_version_come_from_the_folder_name(site):
    add(site, "Foo_Bar.baz-1.2.3+cu118.dist-info", text="Name: other\nVersion: 9\n")
    assert found() == {"foo-bar-baz": "1.2.3+cu118"}


@pytest.mark.parametrize("info", ["my-pkg-1.0.dist-info", "pkg-1_0.dist-info", "pkg.dist-info"])
def test_metadata_decides_where_the_folder_name_is_not_well_formed(site, info):
    add(site, info, text="Metadata-Version: 2.1\nName: My.Pkg\nVersion: 1.0\n")
    assert found() == {"my-pkg": "1.0"}


def test_folder_without_metadata_is_no_distribution(site):
    (site / "gone-1.0.dist-info").mkdir()
    add(site, "empty.dist-info", text="")
    add(site, "~ip-1.0.dist-info", text="Name: ~ip\nVersion: 1.0\n")
    assert found() == {}


def test_egg_info_counts_as_folder_and_as_file(site):
    add(site, "one-1.0-py3.11.egg-info", metadata="PKG-INFO")
    (site / "two-2.0.egg-info").write_text("Name: two\nVersion: 2.0\n")
    add(site, "three.egg-info", metadata="PKG-INFO", text="Name: three\nVersion: 3.0\n")
    assert found() == {"one": "1.0", "two": "2.0", "three": "3.0"}


def test_egg_link_is_followed(site, tmp_path):
    add(tmp_path / "src", "mine.egg-info", metadata="PKG-INFO", text="Name: mine\nVersion: 0.1\n")
    (site / "mine.egg-link").write_text(f"{tmp_path / 'src'}\n.")
    (site / "lost.egg-link").write_text(f"{tmp_path / 'lost'}\n.")
    assert found() == {"mine": "0.1"}


def test_egg_counts_only_where_it_is_on_the_path(site):
    add(site, "old-1.0-py3.11.egg", metadata="PKG-INFO")
    assert found() == {}
    sys.path.append(str(site / "old-1.0-py3.11.egg"))
    assert found() == {"old": "1.0"}


def test_first_folder_on_the_path_wins(site, tmp_path):
    second = tmp_path / "second" / "dist-packages"
    add(site, "pkg-1.0.dist-info")
    add(second, "pkg-2.0.dist-info")
    sys.path.append(str(second))
    assert found() == {"pkg": "1.0"}
    sys.path.insert(0, str(second))
    assert found() == {"pkg": "2.0"}


@pytest.mark.parametrize("order", [("1.10", "1.9"), ("1.9", "1.10")])
def test_twins_in_one_folder_resolve_alike_in_any_order(site, order):
    for version in order:
        add(site, f"pkg-{version}.dist-info")
    add(site, "pkg-3.0.egg-info", metadata="PKG-INFO")
    assert found() == {"pkg": "1.10"}


@pytest.mark.usefixtures("site")
def test_nothing_beside_the_script_or_in_the_working_folder_counts(tmp_path, monkeypatch):
    add(tmp_path, "beside-1.0.dist-info")
    add(tmp_path / "vendor", "vendored-1.0.dist-info")
    monkeypatch.chdir(tmp_path)
    sys.path[:0] = ["", str(tmp_path), str(tmp_path / "vendor"), "vendor"]
    assert found() == {}


@pytest.mark.usefixtures("site")
def test_working_folder_does_not_count_by_being_named_like_a_site_folder(tmp_path, monkeypatch):
    here = tmp_path / "here" / "site-packages"
    add(here, "beside-1.0.dist-info")
    sys.path.insert(0, str(here))
    assert found() == {"beside": "1.0"}
    monkeypatch.chdir(here)
    assert found() == {}


def test_environment_is_the_same_from_any_folder_and_script(tmp_path):
    program = (
        "from ledger.tracking.environment import *\n"
        "print(environment_hash(capture_environment()))\n"
    )
    hashes = set()
    for name in ("a", "b"):
        folder = tmp_path / name
        add(folder, f"{name}-1.0.dist-info")
        (folder / "script.py").write_text(program)
        for start in ("script.py", str(folder / "script.py")):
            done = subprocess.run(
                [sys.executable, start],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(REPOSITORY)},
                capture_output=True,
                text=True,
                check=True,
            )
            hashes.add(done.stdout.strip())
    assert len(hashes) == 1
    assert hashes.pop().startswith("sha256:")


def test_entries_of_the_path_that_are_no_text_are_passed_over(site):
    add(site, "pkg-1.0.dist-info")
    sys.path += [site.parent, None]
    assert found() == {"pkg": "1.0"}


def test_installing_something_meanwhile_is_noticed(site):
    assert found() == {}
    add(site, "late-1.0.dist-info")
    os.utime(site, ns=(1, 1))
    assert found() == {"late": "1.0"}


@pytest.mark.usefixtures("site")
def test_an_unchanged_folder_is_read_once():
    first, second = installed_distributions(), installed_distributions()
    assert first == second
    assert environment._read.cache_info().hits == 1


def test_text_is_a_heading_and_a_line_per_distribution():
    here = Environment(
        python_version="3.11.7",
        implementation="CPython",
        platform="linux-x86_64",
        distributions=(("a", "1"), ("b-c", "2.0")),
    )
    assert environment_text(here) == "# python 3.11.7 CPython linux-x86_64\na==1\nb-c==2.0\n"
    expected = hashlib.sha256(environment_text(here).encode()).hexdigest()
    assert environment_hash(here) == f"sha256:{expected}"


@pytest.mark.parametrize(
    "change",
    [
        {"python_version": "3.11.8"},
        {"implementation": "PyPy"},
        {"platform": "linux-aarch64"},
        {"distributions": (("a", "2"),)},
        {"distributions": ()},
    ],
)
def test_each_part_moves_the_hash(change):
    here = Environment(
        python_version="3.11.7",
        implementation="CPython",
        platform="linux-x86_64",
        distributions=(("a", "1"),),
    )
    assert environment_hash(msgspec.structs.replace(here, **change)) != environment_hash(here)
