from __future__ import annotations

import pytest

from ledger.tracking import imports
from ledger.tracking.environment import Installed
from ledger.tracking.imports import ImportedPackage, imported_modules, imported_names


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Say what is installed: name to version and list of files."""

    def install(**distributions):
        found = {}
        for name, (version, files) in distributions.items():
            info = tmp_path / "site" / f"{name}.dist-info"
            info.mkdir(parents=True)
            (info / "RECORD").write_text("".join(f"{file},sha256=x,1\n" for file in files))
            found[name.replace("_", "-")] = Installed(version, str(info))
        monkeypatch.setattr(imports, "installed_distributions", lambda: found)
        return found

    return install


def package(module, distribution=None, version=None):
    return ImportedPackage(module=module, distribution=distribution, version=version)


def test_version_is_that_of_the_distribution_of_the_same_name(installed):
    installed(scikit_thing=("1.0", []))
    assert imported_modules("import scikit_thing.linear as x") == (
        package("scikit_thing", "scikit-thing", "1.0"),
    )


def test_module_of_another_name_is_found_by_its_files(installed):
    installed(
        pyyaml=("6.0", ["yaml/__init__.py"]), six=("1.0", ["six.py"]), xyaml=("1", ["xyaml/a.py"])
    )
    assert imported_modules("from yaml import load\nimport six") == (
        package("six", "six", "1.0"),
        package("yaml", "pyyaml", "6.0"),
    )


def test_namespace_is_resolved_by_the_longest_name(installed):
    installed(
        cloud_a=("1.0", ["cloud/api/a/__init__.py"]),
        cloud_b=("2.0", ["cloud/api/b.py"]),
        cloud_c=("3.0", ["cloud/api/c.py"]),
    )
    assert imported_modules("from cloud.api import a, b") == (
        package("cloud", "cloud-a", "1.0"),
        package("cloud", "cloud-b", "2.0"),
    )


def test_top_level_names_serve_where_there_is_no_list_of_files(installed):
    found = installed(legacy=("1.0", []))
    (imports.Path(found["legacy"].info) / "RECORD").unlink()
    (imports.Path(found["legacy"].info) / "top_level.txt").write_text("old\r\nolder\r\n")
    assert imported_modules("import old") == (package("old", "legacy", "1.0"),)


def test_module_beside_the_source_is_local(installed, tmp_path):
    installed(helpers=("1.0", []), tools=("1.0", []))
    (tmp_path / "helpers.py").touch()
    (tmp_path / "tools").mkdir()
    assert imported_modules("import helpers, tools", folder=tmp_path) == (
        package("helpers"),
        package("tools"),
    )


def test_unknown_module_has_no_distribution(installed):
    installed(a=("1", []))
    assert imported_modules("import nowhere") == (package("nowhere"),)


def test_standard_library_and_relative_imports_are_left_out(installed):
    installed(a=("1", []))
    text = (
        "import os.path, json\nfrom . import x\nfrom .y import z\nfrom __future__ import annotate"
    )
    assert imported_modules(text) == ()


def test_imports_inside_functions_and_branches_count():
    text = "def f():\n    if 1:\n        import a.b\n    else:\n        from c import d\n"
    assert imported_names(text) == {"a.b", "c", "c.d"}


def test_code_that_is_no_python_is_read_line_by_line():
    text = (
        "%matplotlib inline\nimport a.b as c, d # why\n!pip install e\n  from f.g import (h,\n i)\n"
    )
    assert imported_names(text) == {"a.b", "d", "f.g"}


@pytest.mark.parametrize("text", ["", "\0", "(" * 5_000, "import", "x = '\\d'"])
def test_any_text_is_endured(text):
    assert imported_names(text) == set()


def test_no_text_imports_nothing():
    assert imported_modules(None) == ()


def test_imports_of_this_test_run_have_their_versions():
    [found] = imported_modules("import pytest")
    assert found == package("pytest", "pytest", pytest.__version__)
