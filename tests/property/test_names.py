"""The index finds what comparing every pair finds, whatever the names are."""

from __future__ import annotations

import unicodedata
from collections import Counter
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from projections.names.index import NameIndex
from projections.names.normalise import NameKey, fold, name_key
from projections.names.saved import SavedNames
from projections.names.search import search_rank

ALPHABETS = (
    "ab",
    "abcde 12",
    "aAbB -_.0",
    "0123 ",
    "iIİ\u0131I\u0307 k\u212a",
    "éèe\u0301\u0327ñß",
    "细胞型肝脏 3",
    "\uff41\uff42ab\uff11 1",
    "🧬🦠👩\u200d🔬❤\ufe0f a",
    "かが\u3099가\u1100\u1161",
    "कि\u093e\u094d १1",
    "اب\u064b ٣3",
    "+-!% ",
    "\ud800\udfff ab",
    "\x00\t\n a1",
)


def texts(alphabet: str) -> st.SearchStrategy[str]:
    return st.text(alphabet, max_size=14)


@st.composite
def registries(draw: st.DrawFn) -> tuple[list[str], str]:
    """Draw names that are near one another, and one more to ask about."""
    alphabet = draw(st.sampled_from(ALPHABETS))
    words = draw(st.lists(st.text(alphabet, max_size=6), min_size=1, max_size=4))
    tails = st.one_of(st.just(""), st.sampled_from(("1", "02", "3 1", "120")), texts(alphabet))
    names = []
    for _ in range(draw(st.integers(1, 12))):
        order = draw(st.permutations(words)) if draw(st.booleans()) else words
        name = draw(st.sampled_from((" ", "", "-"))).join([*order, draw(tails)])
        place = draw(st.integers(0, len(name)))
        names.append(name[:place] + name[place + draw(st.integers(0, 2)) :])
    return names[1:], names[0]


def common(one: str, other: str) -> int:
    """Return the length of the longest common subsequence, the slow way."""
    row = [0] * (len(other) + 1)
    for a in one:
        corner = 0
        for place, b in enumerate(other, 1):
            above = row[place]
            row[place] = corner + 1 if a == b else max(above, row[place - 1])
            corner = above
    return row[-1]


def distance(one: str, other: str) -> int:
    return len(one) + len(other) - 2 * common(one, other)


def score(query: NameKey, other: NameKey) -> Fraction:
    """Return the higher one of the two scores, without rounding."""
    return max(
        Fraction(200 * common(one, two), len(one) + len(two))
        for one, two in ((query.compact, other.compact), (query.resorted, other.resorted))
    )


def is_similar(query: NameKey, other: NameKey, cutoff: int) -> bool:
    """Apply the rule as it is written, to one pair."""
    if not (query.compact and other.compact):
        return False
    asked, held = Counter(query.numbers), Counter(other.numbers)
    if query.letters and other.letters:
        if not (asked <= held or held <= asked):
            return False
    elif asked != held:
        return False
    least = 2 if sum(len(number) for number in query.numbers) >= 3 else 1
    share = max(18, 100 - cutoff) * (len(query.letters) + len(other.letters)) // 100
    letters = min(
        distance(query.letters, other.letters),
        distance(query.resorted_letters, other.resorted_letters),
    )
    if letters > min(16, max(least, share)):
        return False
    return score(query, other) >= cutoff


def is_serial(query: NameKey, other: NameKey) -> bool:
    return (
        bool(query.letters)
        and query.numbers != other.numbers
        and (query.letters == other.letters or query.resorted_letters == other.resorted_letters)
    )


def assert_answers_as_brute_force(
    index: NameIndex, names: dict[str, str], query: str, cutoff: int
) -> None:
    key = name_key(query)
    exact = unicodedata.normalize("NFC", query)
    similar = {uid: name for uid, name in names.items() if is_similar(key, name_key(name), cutoff)}
    expected = {
        (uid, name) for uid, name in similar.items() if unicodedata.normalize("NFC", name) != exact
    }
    series = sum(
        uid not in similar and is_serial(key, name_key(name)) for uid, name in names.items()
    )
    every = index.similar(query, limit=1_000, cutoff=cutoff)
    assert {(hit.uid, hit.name) for hit in every.hits} == expected
    assert (every.more, every.series) == (0, series)
    for hit in every.hits:
        assert abs(hit.score - score(key, name_key(hit.name))) < 1e-9
    assert list(every.hits) == sorted(every.hits, key=lambda h: (-h.score, h.name, h.uid))
    few = index.similar(query, limit=2, cutoff=cutoff)
    assert few.hits == every.hits[:2]
    assert few.more == max(0, len(expected) - 2)


@given(registries(), st.sampled_from((82, 85, 60, 100)))
def test_index_finds_exactly_what_brute_force_finds(
    registry: tuple[list[str], str], cutoff: int
) -> None:
    listed, query = registry
    names = {f"u{place}": name for place, name in enumerate(listed)}
    index = NameIndex()
    for uid, name in names.items():
        index.put(uid, name)
    assert_answers_as_brute_force(index, names, query, cutoff)


@given(registries(), st.sampled_from((82, 85, 60, 100)), st.integers(0, 12), st.data())
def test_saved_names_are_found_as_those_in_memory(
    registry: tuple[list[str], str], cutoff: int, many: int, data: st.DataObject
) -> None:
    listed, query = registry
    names = {f"u{place}": name for place, name in enumerate(listed)}
    saved = SavedNames.of([*names.items()][:many])
    index = NameIndex(saved)
    for uid, name in [*names.items()][many:]:
        index.put(uid, name)
    for uid in data.draw(st.lists(st.sampled_from([*names]))) if names else ():
        if data.draw(st.booleans()):
            index.discard(uid)
            names.pop(uid, None)
        else:
            names[uid] = data.draw(st.sampled_from(listed))
            index.put(uid, names[uid])
    assert len(index) == len(names)
    assert dict(index.records()) == names
    assert_answers_as_brute_force(index, names, query, cutoff)


@given(
    st.lists(
        st.tuples(
            st.sampled_from("uvwxyz"),
            st.sampled_from(("aaaa", "aaab", "aaba", "aa ba", "ba aa", "aaab 1", "1", "", None)),
        ),
        max_size=40,
    ),
    st.sampled_from(("aaab", "aa ab", "ab aa 1", "1")),
)
def test_history_of_an_index_leaves_no_trace(
    steps: list[tuple[str, str | None]], query: str
) -> None:
    index = NameIndex()
    names: dict[str, str] = {}
    for uid, name in steps:
        if name is None:
            index.discard(uid)
            names.pop(uid, None)
        else:
            index.put(uid, name)
            names[uid] = name
    assert len(index) == len(names)
    assert_answers_as_brute_force(index, names, query, 60)


@given(st.text())
def test_any_text_can_be_put_asked_for_and_discarded(name: str) -> None:
    index = NameIndex()
    index.put("u", name)
    assert index.similar(name).hits == ()
    index.similar(name + "x")
    index.discard("u")
    assert len(index) == 0


@given(st.sampled_from(ALPHABETS).flatmap(texts))
def test_equally_composed_names_have_one_key(name: str) -> None:
    assert name_key(unicodedata.normalize("NFD", name)) == name_key(name)
    assert fold(unicodedata.normalize("NFC", name)) == fold(name)


@given(st.sampled_from(ALPHABETS).flatmap(lambda a: st.tuples(texts(a), texts(a), texts(a))))
def test_name_found_by_substring_is_always_ranked(parts: tuple[str, str, str]) -> None:
    before, query, after = parts
    assert (search_rank(query, before + query + after) is None) == (not query.strip())
