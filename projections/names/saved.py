"""Names of one registry in columns that many processes read from one file: compact, and unchanging.

1. A row stands for all names with one sequence of letters. Rows are sorted by their number of
   letters, and the names of a row by their numbers.
2. Each row has a signature (`signatures`). A row that differs from a query in more bits than the
   letters may differ in edits is not similar, and is not looked at. No similar name is missed by
   that.
3. Only the rows that are left are compared letter by letter, `MOST_COMPARED` of them at most: those
   with the nearest signatures. Beyond this bound lesser hits may be missed: among anagrams, and in
   a registry of a million long names that all begin alike.
4. A file is a stream of Arrow, followed by a directory of its columns and a seal over all bytes. A
   file with another seal, of other rules, or of another Unicode is refused as a whole.

Only this module uses numpy and pyarrow here, and loads them when a registry is large.
"""

from __future__ import annotations

import json
import unicodedata
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from projections.names.normalise import NameKey, name_key
from projections.names.rule import (
    MOST_EDITS,
    are_among,
    letter_bound,
    needs_equal_numbers,
    numbers_agree,
    selections,
)
from projections.names.signatures import (
    BITS,
    BLOCK,
    ENDS,
    LONGEST,
    counts_of,
    signatures,
    telling_bits,
)

MOST_COMPARED = 16_384
"""Rows that a search compares letter by letter."""

_RULES = 1  # raised by hand when keys, signatures or columns change
_SEAL = 24  # bytes

Entry = tuple[str, str, NameKey]
"""A record: its uid, its name, and the key of the name."""


class SavedRow:
    """The names with one sequence of letters that are not `gone`, as an index asks for them."""

    def __init__(self, names: SavedNames, row: int, letters: str, resorted: str) -> None:
        self._names = names
        self._row = row
        self.key = NameKey(
            compact=letters, resorted=resorted, letters=letters, resorted_letters=resorted,
            numbers=(),
        )  # fmt: skip

    @property
    def size(self) -> int:
        """Number of its names."""
        begins, ends = self._names.bounds(self._row)
        return ends - begins - len(self._names.gone_of(self._row))

    def count_of(self, numbers: tuple[str, ...]) -> int:
        """Return how many of its names have exactly these numbers."""
        return len(self._with(numbers))

    def agreeing(self, query: NameKey) -> list[Entry]:
        """Return the names whose numbers agree with the query's, in any order."""
        asked = query.numbers
        begins, ends = self._names.bounds(self._row)
        if needs_equal_numbers(query, self.key):
            places = self._with(asked)
        elif ends - begins < 1 << len(asked):
            places = self._where(lambda numbers: numbers_agree(numbers, asked))
        else:
            # A long series is not scanned: each selection of the query's numbers is looked up.
            places = [place for few in selections(asked) for place in self._with(few)]
            count = len(asked)
            if self._names.most_numbers(self._row) > count:
                places += self._where(lambda it: len(it) > count and are_among(asked, it))
        return [self._names.entry(place, self.key) for place in places]

    def _where(self, holds: Any) -> list[int]:
        names = self._names
        gone = names.gone_of(self._row)
        return [
            place
            for place in range(*names.bounds(self._row))
            if holds(names.numbers(place)) and place not in gone
        ]

    def _with(self, numbers: tuple[str, ...]) -> list[int]:
        names = self._names
        begins, ends = names.bounds(self._row)
        asked = _packed(numbers)
        first = _first(names.packed, asked, begins, ends)
        gone = names.gone_of(self._row)
        found = []
        while first < ends and names.packed(first) == asked:
            if first not in gone:
                found.append(first)
            first += 1
        return found


class SavedNames:
    """The names; records may be marked as gone, and nothing else changes.

    Attributes:
        number_gone: Number of records that are marked as gone.
    """

    def __init__(self, columns: Mapping[str, Any]) -> None:
        import numpy as np  # noqa: PLC0415 (costs 100 ms)

        self._np = np
        self._columns = columns
        self._uids: _Texts = columns["uid"]
        self._names: _Texts = columns["name"]
        self._numbers: _Texts = columns["numbers"]
        self._letters: _Texts = columns["letters"]
        self._resorted: _Texts = columns["resorted"]
        self._by_uid = columns["by_uid"]
        self._first, self._second = columns["first"], columns["second"]
        self._starts, self._most = columns["starts"], columns["most_numbers"]
        self._of_length = columns["of_length"]
        self._kinds, self._times = columns["bit_letters"], columns["bit_times"]
        self._gone: dict[int, set[int]] = {}
        self.number_gone = 0

    def __len__(self) -> int:
        return len(self._by_uid) - self.number_gone

    # --- making and keeping -----------------------------------------------------------------------

    @classmethod
    def of(cls, names: Iterable[tuple[str, str]]) -> SavedNames:
        """Return the names of records, given as uid and name, each uid once."""
        import numpy as np  # noqa: PLC0415 (costs 100 ms)

        entries = []
        for uid, name in names:
            key = name_key(name)
            # A blank name counts as a name but resembles nothing: its row is never near.
            length = len(key.letters) if key.compact else LONGEST
            resorted = "" if key.resorted_letters == key.letters else key.resorted_letters
            packed = _packed(key.numbers)
            entries.append((length, key.letters, resorted, packed, _bytes(uid), _bytes(name)))
        entries.sort()
        starts, lengths, letters, resorted_letters, most = [0], [], [], [], []
        for (length, text, resorted), row in groupby(entries, lambda it: it[:3]):
            held = [_unpacked(it[3]) for it in row]
            starts.append(starts[-1] + len(held))
            lengths.append(length)
            letters.append(text)
            resorted_letters.append(resorted)
            most.append(min(255, max(map(len, held))))
        of_length = np.searchsorted(
            np.array(lengths, np.int32), np.arange(LONGEST + 2, dtype=np.int32)
        ).astype(np.int32)
        halves, kinds, times = [], [], []
        begins = 0
        for end in ENDS:
            part = letters[begins : int(of_length[end + 1])]
            begins += len(part)
            counts = counts_of(part)
            bits = telling_bits(counts)
            halves.append(signatures(counts, *bits))
            kinds.append(bits[0])
            times.append(bits[1])
        both = np.concatenate(halves)
        uids = [it[4] for it in entries]
        columns = {
            "uid": uids,
            "name": [it[5] for it in entries],
            "numbers": [it[3] for it in entries],
            "by_uid": np.array(sorted(range(len(uids)), key=uids.__getitem__), np.int32),
            "letters": [_bytes(it) for it in letters],
            "resorted": [_bytes(it) for it in resorted_letters],
            "first": np.ascontiguousarray(both[:, 0]),
            "second": np.ascontiguousarray(both[:, 1]),
            "bit_letters": np.concatenate(kinds),
            "bit_times": np.concatenate(times),
            "starts": np.array(starts, np.int32),
            "most_numbers": np.array(most, np.uint8),
            "of_length": of_length,
        }
        return cls(
            {name: _Texts.of(it) if isinstance(it, list) else it for name, it in columns.items()}
        )

    def written(self, about: Mapping[str, str]) -> bytes:
        """Return the bytes of a file, with some words about it."""
        import pyarrow as pa  # noqa: PLC0415 (only a writer needs it)

        arrays = {
            name: it.to_arrow() if isinstance(it, _Texts) else pa.array(it)
            for name, it in self._columns.items()
        }
        whole = [pa.LargeListArray.from_arrays([0, len(it)], it) for it in arrays.values()]
        batch = pa.record_batch(whole, names=list(arrays))
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, batch.schema) as stream:
            stream.write_batch(batch)
        body = sink.getvalue()
        # Where each column lies, so that a reader needs no Arrow, which takes longer to load.
        with pa.ipc.open_stream(body) as stream:
            batch = stream.read_next_batch()
        places = {
            name: [
                (0, 0) if buffer is None else (buffer.address - body.address, buffer.size)
                for buffer in batch.column(name).values.buffers()[1:]
            ]
            for name in arrays
        }
        kinds = {
            name: None if isinstance(it, _Texts) else str(it.dtype)
            for name, it in self._columns.items()
        }
        directory = json.dumps([_environment(), dict(about), kinds, places]).encode()
        directory += b" " * (-(len(directory) + body.size) % 8)
        data: bytes = bytes(memoryview(body)) + directory
        return data + _sealed(data, len(directory))

    @classmethod
    def read(cls, data: memoryview) -> tuple[SavedNames, dict[str, str]] | None:
        """Return the names in the bytes of a file, read where they lie, and the words about it.

        None if the file is damaged, or of other rules.
        """
        import numpy as np  # noqa: PLC0415 (costs 100 ms)

        end = len(data) - _SEAL
        if end < 0 or end % 8:
            return None
        size = int.from_bytes(data[-8:], "little")
        if _sealed(data[:end], size) != data[end:]:
            return None
        environment, about, kinds, places = json.loads(bytes(data[end - size : end]))
        if environment != _environment():
            return None

        def numbers(kind: str, place: tuple[int, int]) -> Any:
            return np.frombuffer(data[place[0] : sum(place)], kind)

        return cls(
            {
                name: _Texts(
                    numbers("int64", places[name][0]), data[(at := places[name][1])[0] :][: at[1]]
                )
                if kind is None
                else numbers(kind, places[name][0])
                for name, kind in kinds.items()
            }
        ), about

    # --- records ----------------------------------------------------------------------------------

    def name_of(self, uid: str) -> str | None:
        """Return the name of a record, gone or not; None if there is no such record."""
        place = self._place(uid)
        return None if place is None else _text(self._names[place])

    def is_there(self, uid: str) -> bool:
        """Return whether a record is here and not gone."""
        place = self._place(uid)
        return place is not None and place not in self.gone_of(self._row_of(place))

    def let_go(self, uid: str) -> None:
        """Mark a record as gone; nothing happens if it is unknown or gone already."""
        place = self._place(uid)
        if place is None:
            return
        gone = self._gone.setdefault(self._row_of(place), set())
        self.number_gone += place not in gone
        gone.add(place)

    def records(self) -> Iterator[tuple[str, str]]:
        """Yield uid and name of each record that is not gone."""
        gone = {place for places in self._gone.values() for place in places}
        for place in range(len(self._by_uid)):
            if place not in gone:
                yield _text(self._uids[place]), _text(self._names[place])

    def _place(self, uid: str) -> int | None:
        asked, by_uid, uids = _bytes(uid), self._by_uid, self._uids
        rank = _first(lambda it: uids[by_uid[it]], asked, 0, len(by_uid))
        if rank < len(by_uid) and uids[by_uid[rank]] == asked:
            return int(by_uid[rank])
        return None

    def _row_of(self, place: int) -> int:
        return int(self._np.searchsorted(self._starts, place, side="right")) - 1

    # --- for rows ---------------------------------------------------------------------------------

    def bounds(self, row: int) -> tuple[int, int]:
        """Return the place of the first name of a row, and that after its last."""
        return int(self._starts[row]), int(self._starts[row + 1])

    def gone_of(self, row: int) -> set[int] | frozenset[int]:
        """Return the places of the names of a row that are gone."""
        return self._gone.get(row, frozenset())

    def packed(self, place: int) -> bytes:
        """Return the numbers of a name as one text."""
        return self._numbers[place]

    def numbers(self, place: int) -> tuple[str, ...]:
        """Return the numbers of a name, sorted."""
        return _unpacked(self._numbers[place])

    def most_numbers(self, row: int) -> int:
        """Return the largest number of numbers in the names of a row."""
        return int(self._most[row])

    def entry(self, place: int, letters: NameKey) -> Entry:
        """Return the name at a place, whose letters are known."""
        name = _text(self._names[place])
        key = name_key(name) if self._numbers[place] else letters
        return _text(self._uids[place]), name, key

    # --- asking -----------------------------------------------------------------------------------

    def near(self, query: NameKey, cutoff: float) -> list[SavedRow]:
        """Return the rows whose letters are within the bound of the query's."""
        from rapidfuzz import process  # noqa: PLC0415  (only a search needs it)
        from rapidfuzz.distance import Indel  # noqa: PLC0415

        rows = self._alike(query, cutoff)
        if not len(rows):
            return []
        letters = self._letters.all_at(rows)
        resorted = [
            other or text for other, text in zip(self._resorted.all_at(rows), letters, strict=True)
        ]
        bounds = [letter_bound(query, len(it), cutoff) for it in letters]
        near: set[int] = set()
        for text, choices in ((query.letters, letters), (query.resorted_letters, resorted)):
            found = process.extract(
                text, choices, scorer=Indel.distance, score_cutoff=max(bounds), limit=None
            )
            near.update(at for _, edits, at in found if edits <= bounds[at])
        return [SavedRow(self, int(rows[at]), letters[at], resorted[at]) for at in sorted(near)]

    def _alike(self, query: NameKey, cutoff: float) -> Any:
        """Return the rows whose signatures are near the query's: all that may be similar."""
        np = self._np
        counts = counts_of([query.letters])
        found, distances = [], []
        for begins, ends, bound, kind in self._windows(query, cutoff):
            bits = slice(kind * BITS, (kind + 1) * BITS)
            ((first, second),) = signatures(counts, self._kinds[bits], self._times[bits])
            for start in range(begins, ends, BLOCK):
                part = slice(start, min(ends, start + BLOCK))
                differing = np.bitwise_count(self._first[part] ^ first)
                differing += np.bitwise_count(self._second[part] ^ second)
                near = np.flatnonzero(differing <= bound)
                if len(near):
                    found.append(near + start)
                    distances.append(differing[near])
        if not found:
            return ()
        rows = np.concatenate(found)
        if len(rows) > MOST_COMPARED:
            nearest = np.argsort(np.concatenate(distances), kind="stable")[:MOST_COMPARED]
            rows = np.sort(rows[nearest])
        return rows

    def _windows(self, query: NameKey, cutoff: float) -> Iterator[tuple[int, int, int, int]]:
        """Yield ranges of rows whose lengths are within the bound, that bound, and their bits."""
        own = len(query.letters)
        lengths = [
            (length, bound, bisect_left(ENDS, length))
            for length in range(max(0, own - MOST_EDITS), own + MOST_EDITS + 1)
            if abs(length - own) <= (bound := letter_bound(query, length, cutoff))
        ]
        for (bound, kind), group in groupby(lengths, lambda it: it[1:]):
            members = [length for length, _, _ in group]
            begins, ends = self._of_length[members[0]], self._of_length[members[-1] + 1]
            yield int(begins), int(ends), bound, kind


class _Texts:
    """Texts in one block of bytes, read where they lie."""

    def __init__(self, offsets: Any, data: memoryview) -> None:
        self._offsets = offsets
        self._data = data

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> _Texts:
        import numpy as np  # noqa: PLC0415

        ends = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        return cls(ends, memoryview(b"".join(texts)))

    def __getitem__(self, place: int) -> bytes:
        return bytes(self._data[self._offsets[place] : self._offsets[place + 1]])

    def all_at(self, places: Any) -> list[str]:
        """Return the texts at some places."""
        data = self._data
        begins, ends = self._offsets[places].tolist(), self._offsets[places + 1].tolist()
        return [
            str(data[start:end], "utf-8", "surrogatepass")
            for start, end in zip(begins, ends, strict=True)
        ]

    def to_arrow(self) -> Any:
        """Return the texts as an Arrow array."""
        import pyarrow as pa  # noqa: PLC0415

        buffers = [None, pa.py_buffer(self._offsets), pa.py_buffer(self._data)]
        return pa.LargeBinaryArray.from_buffers(pa.large_binary(), len(self._offsets) - 1, buffers)


def _sealed(body: Any, size: int) -> bytes:
    """Return the seal of a file: two sums over its bytes, and the size of its directory."""
    import numpy as np  # noqa: PLC0415

    words = np.frombuffer(body, np.uint64)
    sums = (int(np.add.reduce(words)), int(np.bitwise_xor.reduce(words)) ^ len(body), size)
    return b"".join(it.to_bytes(8, "little") for it in sums)


def _environment() -> dict[str, str]:
    return {"rules": str(_RULES), "unicode": unicodedata.unidata_version}


def _first(key: Any, asked: bytes, begins: int, ends: int) -> int:
    """Return the first place from which on keys are not less than `asked`."""
    while begins < ends:
        middle = (begins + ends) // 2
        if key(middle) < asked:
            begins = middle + 1
        else:
            ends = middle
    return begins


def _packed(numbers: tuple[str, ...]) -> bytes:
    return " ".join(numbers).encode()


def _unpacked(packed: bytes) -> tuple[str, ...]:
    return tuple(packed.decode().split())


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
