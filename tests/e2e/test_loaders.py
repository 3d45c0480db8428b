"""Loaders: a suffix says how content is read; people and packages say it for more of them."""

from __future__ import annotations

import gzip
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

import ledger as ln
from ledger.errors import InvalidValueError, MissingDependencyError, UnreadableContentError
from ledger.registries.loader_table import Loaders
from tests.support.door import artifact, file

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loaders of a process that has registered none, and has not looked for packages."""
    monkeypatch.setattr(ln.loaders, "_given", {})
    vars(ln.loaders).pop("_entry_points", None)


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Install a package with entry points for loaders, and a module of this text."""

    def install(name: str, points: dict[str, str], text: str = "") -> None:
        root = tmp_path / name
        info = root / f"{name}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        lines = "".join(f"{suffix} = {value}\n" for suffix, value in points.items())
        (info / "entry_points.txt").write_text(f"[metaledger.loaders]\n{lines}")
        (root / f"{name}.py").write_text(text)
        monkeypatch.syspath_prepend(str(root))

    before = set(sys.modules)
    yield install
    for name in set(sys.modules) - before:
        if name.startswith("brings_"):
            del sys.modules[name]
    vars(ln.loaders).pop("_entry_points", None)


READS = "def read(path): return 'read', path.read_text()\n"


def test_a_registered_function_loads_content_of_its_suffix():
    seen = []
    assert ln.loaders.register(".OBO", seen.append) == seen.append

    @ln.loaders.register(".pair")
    def both(path):
        return path.name, path.read_text()

    assert artifact("terms.obo").load() is None
    assert [path.read_text() for path in seen] == ["terms.obo"]
    assert both(file("a.pair")) == ("a.pair", "a.pair")
    assert artifact("a.pair").load()[1] == "a.pair"
    assert artifact("b.PAIR").load()[1] == "b.PAIR"


def test_a_registered_function_replaces_what_is_built_in_but_not_where_a_table_is_asked_for():
    table = artifact("t.csv", "a\n1\n")
    assert table.load().shape == (1, 1)
    ln.loaders.register(".csv", lambda path: path.read_text())
    assert table.load() == "a\n1\n"
    assert table.load(as_="arrow").num_rows == 1
    ln.loaders.register(".csv", lambda _: "the last one")
    assert table.load() == "the last one"


def test_a_folder_is_given_to_its_loader_by_its_path():
    file("big.store/part", "1")
    made = ln.Artifact("big.store").save()
    ln.loaders.register(".store", lambda path: sorted(it.name for it in path.iterdir()))
    assert made.load() == ["part"]


def test_an_array_of_numpy_is_read_and_objects_in_it_are_not():
    np.save("a.npy", np.arange(6).reshape(2, 3))
    assert ln.Artifact("a.npy").save().load().tolist() == [[0, 1, 2], [3, 4, 5]]
    np.save("evil.npy", np.array([object]), allow_pickle=True)
    with pytest.raises(UnreadableContentError, match="pickle"):
        ln.Artifact("evil.npy").save().load()


def test_a_suffix_without_a_loader_is_told_once(capfd):
    packed = gzip.compress(b"cells", mtime=0)
    made = [artifact("a.xyz"), artifact("a.abc"), artifact("plain"), artifact("page.txt")]
    file("set.parts/one", "1")
    file("folder/one", "2")
    folders = [ln.Artifact("set.parts").save(), ln.Artifact("folder").save()]
    Path("c.h5ad.gz").write_bytes(packed)
    made.append(ln.Artifact("c.h5ad.gz").save())
    capfd.readouterr()
    found = [it.load() for _ in range(2) for it in made]
    assert found[:5] == [b"a.xyz", b"a.abc", b"plain", "page.txt", b"cells"]
    assert all(Path(it.load()).is_dir() for it in folders)
    lines = [it for it in capfd.readouterr().err.splitlines() if "no loader" in it]
    assert len(lines) == 5
    assert "'.xyz', this is its bytes; ln.loaders.register('.xyz', function)" in lines[0]
    assert "content without a suffix" in lines[2]
    assert "'.h5ad.gz'" in lines[3]
    assert "'.parts', this is the path of the folder" in lines[4]


def test_a_package_brings_a_loader_for_a_suffix_that_nothing_else_reads(package):
    package("brings_obo", {".obo": "brings_obo:read", "csv": "brings_obo:read"}, READS)
    assert artifact("terms.obo").load() == ("read", "terms.obo")
    assert artifact("t.csv", "a\n1\n").load().shape == (1, 1)
    assert "brings_obo" in sys.modules
    ln.loaders.register(".obo", lambda _: "mine")
    assert ln.Artifact.filter(suffix=".obo").one().load() == "mine"


def test_a_package_serves_where_the_one_that_is_known_is_not_installed(package):
    cells = artifact("cells.h5ad")
    with pytest.raises(MissingDependencyError, match=r"metaledger\[anndata\]"):
        cells.load()
    package("brings_cells", {".h5ad": "brings_cells:read"}, READS)
    vars(ln.loaders).pop("_entry_points", None)
    assert cells.load() == ("read", "cells.h5ad")


def test_two_packages_for_one_suffix_are_an_error_until_one_is_chosen(package):
    package("brings_one", {".obo": "brings_one:read"}, READS)
    package("brings_two", {"obo": "brings_two:read"}, READS)
    terms = artifact("terms.obo")
    with pytest.raises(InvalidValueError, match="brings_one:read, brings_two:read"):
        terms.load()
    ln.loaders.register(".obo", lambda _: "chosen")
    assert terms.load() == "chosen"


@pytest.mark.parametrize(
    ("text", "error", "word"),
    [
        ("import no_such_package", MissingDependencyError, "no_such_package"),
        ("", MissingDependencyError, "AttributeError"),
        ("1 / 0", MissingDependencyError, "ZeroDivisionError"),
        ("read = 3", InvalidValueError, "expected a function"),
    ],
)
def test_an_entry_point_that_leads_nowhere_is_one_error(package, text, error, word):
    package("brings_nothing", {".obo": "brings_nothing:read"}, text)
    terms = artifact("terms.obo")
    with pytest.raises(error, match=word) as caught:
        terms.load()
    assert "brings_nothing:read" in str(caught.value)
    assert terms.cache().read_text() == "terms.obo"


def fails(error: Exception) -> Callable[[Path], None]:
    def load(_: Path) -> None:
        raise error

    return load


@pytest.mark.parametrize(
    ("raised", "error", "words"),
    [
        (ValueError("line 3"), UnreadableContentError, r"artifact \w+ \(terms\).*line 3"),
        (ImportError("No module named 'obo'"), MissingDependencyError, r"\(terms\).*'obo'"),
        (InvalidValueError("as it is"), InvalidValueError, "^as it is$"),
    ],
)
def test_what_a_loader_raises_names_the_artifact(raised, error, words):
    ln.loaders.register(".obo", fails(raised))
    made = ln.Artifact(file("terms.obo"), key="terms").save()
    with pytest.raises(error, match=words):
        made.load()


@pytest.mark.parametrize("suffix", ["obo", "", ".", ". obo", ".a/b", "..obo", None, 7, b".obo"])
def test_what_is_no_suffix_is_refused(suffix):
    with pytest.raises(InvalidValueError, match="expected a suffix"):
        ln.loaders.register(suffix, len)


def test_what_is_no_function_is_refused():
    with pytest.raises(InvalidValueError, match="expected a function"):
        ln.loaders.register(".obo", "read_obo")
    assert repr(ln.loaders) == "<Loaders: none registered>"


def test_no_package_is_imported_before_content_of_its_suffix_is_loaded():
    known = ("anndata", "zarr", "xarray", "fcsparser", "pandas", "numpy")
    script = (
        "import sys, ledger as ln\n"
        "ln.loaders.register('.obo', len)\n"
        f"sys.exit(any(name in sys.modules for name in {known}))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
    assert isinstance(ln.loaders, Loaders)
