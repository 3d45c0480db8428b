"""Names in columns: what lies in their file, what a search looks at, and when they are loaded."""

from __future__ import annotations

import random
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest

from projections.names import saved as columns
from projections.names.index import NameIndex
from projections.names.normalise import name_key
from projections.names.saved import SavedNames
from projections.names.signatures import counts_of, signatures, telling_bits

NAMES = {f"u{number}": f"sample {number:03} of liver" for number in range(40)}


def kept(names: dict[str, str]) -> SavedNames:
    """The names, written and read again."""
    found = SavedNames.read(memoryview(SavedNames.of(names.items()).written({"of": "this test"})))
    assert found is not None
    assert found[1] == {"of": "this test"}
    return found[0]


def test_names_are_what_they_were_after_they_were_written():
    names = NAMES | {"odd": "\ud800 🧬", "blank": " ", "empty": "", "numbers": "007 12"}
    assert dict(kept(names).records()) == names
    assert dict(kept({}).records()) == {}
    for name in [*names.values(), "sampel 7 of liver"]:
        of_memory = NameIndex()
        for uid, text in names.items():
            of_memory.put(uid, text)
        assert NameIndex(kept(names)).similar(name) == of_memory.similar(name)


def test_a_file_is_a_stream_of_arrow():
    data = SavedNames.of(NAMES.items()).written({})
    with pa.ipc.open_stream(data) as stream:
        (row,) = stream.read_all().select(["uid", "name"]).to_pylist()
    found = {uid.decode(): name.decode() for uid, name in zip(row["uid"], row["name"], strict=True)}
    assert found == NAMES


@pytest.mark.parametrize("alphabet", ["ab", "abcdefghijklmnopqrstuvwxyz", "细胞型肝脏", "aé🧬b"])
def test_signatures_differ_in_no_more_bits_than_texts_in_edits(alphabet):
    chance = random.Random(6)  # noqa: S311 (no secret)
    for length in (3, 15, 60, 200):
        before = ["".join(chance.choices(alphabet, k=length)) for _ in range(300)]
        after = []
        for text in before:
            place = chance.randrange(length)
            more = text[:place] + chance.choice(alphabet) + text[place:]
            after.append(chance.choice((more, text[:place] + text[place + 1 :])))
        bits = telling_bits(counts_of(before))
        one, other = (signatures(counts_of(texts), *bits) for texts in (before, after))
        assert np.bitwise_count(one ^ other).sum(axis=1).max() <= 1


def test_few_names_are_compared_letter_by_letter():
    chance = random.Random(6)  # noqa: S311 (no secret)
    names = {
        f"u{number}": "".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=12))
        for number in range(20_000)
    }
    saved = SavedNames.of(names.items())
    looked_at = [len(saved._alike(name_key(names[f"u{number}"]), 82.0)) for number in range(50)]
    assert min(looked_at) >= 1
    assert sum(looked_at) / 50 < 20_000 / 500


def test_a_search_among_names_of_an_enemy_is_bounded(monkeypatch):
    monkeypatch.setattr(columns, "MOST_COMPARED", 10)
    chance = random.Random(6)  # noqa: S311 (no secret)
    anagrams = {f"u{number}": "".join(chance.sample("abcdefghijkl", 12)) for number in range(500)}
    saved = SavedNames.of({**anagrams, "other": "abcdefghijkx"}.items())
    assert len(saved._alike(name_key("abcdefghijkl"), 82.0)) == 10
    assert NameIndex(saved).similar("abcdefghijkl").more == 0


def test_a_new_name_loads_neither_numpy_nor_arrow_in_a_small_registry():
    code = (
        "import sys\n"
        "from ledger.engine import similar_names\n"
        "from projections.names.index import NameIndex\n"
        "index = NameIndex()\n"
        "index.put('u', 'liver tissue')\n"
        "assert index.similar('liver tisue').hits\n"
        "print(sorted({'numpy', 'pyarrow'} & {*sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
