"""Single steps of saving and asking, for comparing two commits: `pytest benchmarks`.

What `run.py` shows as one figure a record is taken apart here; pytest-benchmark keeps the results
and compares them (`--benchmark-autosave`, `--benchmark-compare`).
"""

from __future__ import annotations

import itertools

import pytest

import ledger as ln
from benchmarks.workload import label_names
from ledger.model.ids import derive, uid

IDENTITY = ["intent", "save", ["ulabel", "a name of usual length"], {"description": "text"}, 1]
NAMES = 1_000


@pytest.fixture
def ledger(tmp_path):
    """A ledger with a thousand labels."""
    ln.init("storage", root=tmp_path)
    ledger = ln.connect(tmp_path)
    verbosity, search = ln.settings.verbosity, ln.settings.creation.search_names
    ln.settings.verbosity = "error"
    ln.settings.creation.search_names = False
    ln.save([ln.ULabel(name=name) for name in label_names(NAMES)])
    yield ledger
    ln.settings.verbosity, ln.settings.creation.search_names = verbosity, search
    ln.close()


@pytest.fixture
def new_names():
    """Names that no label of the ledger bears, without end."""
    return (f"new name {number}" for number in itertools.count())


def test_command_id(benchmark):
    assert len(benchmark(derive, IDENTITY)) == 32


def test_uid(benchmark):
    assert len(benchmark(uid, IDENTITY, 12)) == 12


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("how", ["one", "batch"])
def test_new_label(benchmark, new_names, how):
    def save():
        return ln.ULabel(name=next(new_names)).save()

    if how == "one":
        assert benchmark(save).is_saved
        return
    with ln.batch():
        assert benchmark(save).is_saved


@pytest.mark.usefixtures("ledger")
def test_existing_label(benchmark):
    names = itertools.cycle(label_names(NAMES))
    head = ln.head()
    assert benchmark(lambda: ln.ULabel(name=next(names)).save()).is_saved
    assert ln.head() == head


@pytest.mark.usefixtures("ledger")
def test_get_by_uid(benchmark):
    wanted = ln.ULabel.filter().first().uid
    assert benchmark(ln.ULabel.get, wanted).uid == wanted


@pytest.mark.usefixtures("ledger")
def test_filter_by_name(benchmark):
    name = label_names(NAMES)[-1]
    assert benchmark(lambda: ln.ULabel.filter(name=name).one()).name == name


def test_similar_names(benchmark, ledger):
    search = ledger.name_search("ulabel")
    search.similar("warm up", limit=5)
    near = label_names(NAMES)[0] + "s"
    assert benchmark(search.similar, near, limit=5).hits
