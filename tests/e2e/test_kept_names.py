"""The names of a large registry are kept in a file that processes share, and that may be lost."""

from __future__ import annotations

import pytest

import ledger as ln
from ledger.engine import similar_names
from ledger.places.instance import current
from ledger.upkeep.erasure import erase
from projections.names.index import NameIndex
from projections.names.saved import SavedNames

WORDS = ("liver", "kidney", "spleen", "marrow", "cortex", "retina", "tendon", "plasma", "thymus")
FEW = len(WORDS) // 2


@pytest.fixture
def shop(monkeypatch, here):
    """A ledger in which a registry of five names is large."""
    del here
    ln.settings.verbosity = "error"
    monkeypatch.setattr(similar_names, "_IN_MEMORY", FEW)
    ln.save([ln.ULabel(f"{word} tissue") for word in WORDS])


def again() -> None:
    """Forget what this process knows, as the next one does."""
    current()._searches.clear()


def similar(name: str) -> set[str]:
    return {hit.name for hit in current().name_search("ulabel").similar(name, limit=9).hits}


def kept():
    return current().cache_folder / "names" / "ulabel.names"


class Put:
    """The names that indexes took in one by one."""

    def __init__(self, monkeypatch) -> None:
        self.names: list[str] = []
        put = NameIndex.put

        def noted(index, uid, name):
            self.names.append(name)
            put(index, uid, name)

        monkeypatch.setattr(NameIndex, "put", noted)


@pytest.fixture
def put(monkeypatch):
    return Put(monkeypatch)


@pytest.fixture
def made(monkeypatch):
    """How often names were put into columns."""
    calls = []
    of = SavedNames.of
    monkeypatch.setattr(SavedNames, "of", lambda names: calls.append(1) or of(names))
    return calls


@pytest.mark.usefixtures("shop")
def test_a_later_process_takes_in_only_what_came_since(put, made):
    assert similar("liver tisue") == {"liver tissue"}
    assert (len(made), kept().exists()) == (1, True)
    ln.ULabel("carpal bone").save()
    again()
    put.names.clear()
    assert similar("carpal bones") == {"carpal bone"}
    assert similar("liver tisue") == {"liver tissue"}
    # The last name of the file is read again, as it may have changed.
    assert put.names == ["thymus tissue", "carpal bone"]
    assert len(made) == 1


@pytest.mark.usefixtures("shop")
def test_a_small_registry_has_no_file(monkeypatch, put):
    monkeypatch.setattr(similar_names, "_IN_MEMORY", 100)
    assert similar("liver tisue") == {"liver tissue"}
    assert len(put.names) == len(WORDS)
    assert not kept().exists()


@pytest.mark.usefixtures("shop")
def test_a_change_of_the_last_name_is_no_other_history(made):
    assert similar("thymus tisue") == {"thymus tissue"}
    label = ln.ULabel.get(name="thymus tissue")
    label.description = "small"
    label.save()
    assert similar("thymus tisue") == {"thymus tissue"}
    again()
    assert similar("thymus tisue") == {"thymus tissue"}
    label.name = "pineal gland"
    label.save()
    assert similar("thymus tisue") == set()
    again()
    assert similar("pineal glands") == {"pineal gland"}
    assert len(made) == 1


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("step", range(7))
def test_a_damaged_file_is_made_anew(made, step):
    assert similar("liver tisue") == {"liver tissue"}
    whole = kept().read_bytes()
    place = len(whole) * step // 7
    damaged = [
        whole[:place],
        whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :],
        whole[:place] + b"12345678" + whole[place:],
        whole[:place] + bytes(len(whole) - place),
    ]
    for number, data in enumerate(damaged, start=2):
        kept().unlink()
        kept().write_bytes(data)
        again()
        assert similar("liver tisue") == {"liver tissue"}
        assert len(made) == number
        assert SavedNames.read(memoryview(kept().read_bytes())) is not None


@pytest.mark.usefixtures("shop")
@pytest.mark.parametrize("other", ["rules", "registry", "a folder", "nothing"])
def test_a_file_of_something_else_is_made_anew(made, other, monkeypatch):
    assert similar("liver tisue") == {"liver tissue"}
    if other == "rules":
        monkeypatch.setattr("projections.names.saved._RULES", 99)
    elif other == "registry":
        names = SavedNames.of([("u", "liver tissues")])
        about = {"registry": "transform", "position": "1", "leaf": ""}
        kept().write_bytes(names.written(about))
    else:
        kept().unlink()
        if other == "a folder":
            kept().mkdir()
    again()
    assert similar("liver tisue") == {"liver tissue"}
    assert len(made) > 1


@pytest.mark.usefixtures("shop")
def test_names_that_were_lost_with_their_log_are_not_found():
    assert similar("liver tisue") == {"liver tissue"}
    data = kept().read_bytes()
    names, about = SavedNames.read(memoryview(data))
    about["leaf"] = "00" * 32
    kept().write_bytes(SavedNames.of([*names.records(), ("lost", "liver tissues")]).written(about))
    again()
    assert similar("liver tisue") == {"liver tissue"}


@pytest.mark.usefixtures("shop")
def test_an_erased_name_leaves_the_file():
    assert similar("liver tisue") == {"liver tissue"}
    assert b"liver" in kept().read_bytes()
    of_another_user = kept().read_bytes()
    label = ln.ULabel.get(name="liver tissue")
    erase(label, reason="asked for")
    assert not kept().exists()
    # Another user's file is mended by the next process that reads it.
    kept().parent.mkdir()
    kept().write_bytes(of_another_user)
    again()
    assert similar("liver tisue") == set()
    assert b"liver" not in kept().read_bytes()


@pytest.mark.usefixtures("shop")
def test_a_folder_that_cannot_be_written_costs_only_time(made, monkeypatch):
    def refused(*_args, **_kwargs):
        raise ln.errors.StorageError("the disk refused")

    monkeypatch.setattr("ledger.files.write_durably", refused)
    assert similar("liver tisue") == {"liver tissue"}
    assert similar("kidney tisue") == {"kidney tissue"}
    assert len(made) == 1
    assert not kept().exists()


@pytest.mark.usefixtures("shop")
def test_names_of_an_open_batch_are_not_kept():
    assert similar("liver tisue") == {"liver tissue"}
    before = kept().read_bytes()
    try:
        with ln.batch():
            ln.save([ln.ULabel(f"{word} sample") for word in WORDS])
            assert similar("liver samples") == {"liver sample"}
            assert kept().read_bytes() == before
            raise RuntimeError  # noqa: TRY301 (the failure is the point)
    except RuntimeError:
        pass
    assert similar("liver samples") == set()
    again()
    assert similar("liver samples") == set()


def test_a_new_name_reads_no_row_of_the_names_before_it(monkeypatch, here):
    del here
    ln.settings.verbosity = "warning"
    monkeypatch.setattr(similar_names, "_IN_MEMORY", FEW)
    ln.save([ln.ULabel(f"{word} tissue") for word in WORDS])
    similar("liver tisue")
    again()
    rows = []
    changed = type(current().name_search("ulabel"))._take_all
    monkeypatch.setattr(
        type(current().name_search("ulabel")),
        "_take_all",
        lambda index, new: (rows.extend(new), changed(index, new)),
    )
    ln.ULabel("carpal bone").save()
    assert [row["name"] for row in rows] == ["thymus tissue"]
