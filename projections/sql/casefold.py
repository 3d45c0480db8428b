"""`folded`, the function by which a PostgreSQL server folds case as Python does.

1. It is made of Python's own table; characters whose case was told later than Unicode 14 may be
   missing there, or be there and unknown here, as another version of Python made it.
2. Every name in it is qualified: no setting of a session or a role says what it calls. A setting of
   its own would do the same, and cost time in each call.
3. `as_made_here` takes the function for ours only where it folds every other character as Python
   does here.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache

# Whose case Unicode 16 and 17 told; the oldest Python that runs this program knows Unicode 14.
_CASED_LATER = frozenset(
    map(
        chr,
        (
            0x1C89, 0xA7CB, 0xA7CC, 0xA7CE, 0xA7D2, 0xA7D4, 0xA7DA, 0xA7DC,
            *range(0x10D50, 0x10D66), *range(0x16EA0, 0x16EB9),
        ),
    )
)  # fmt: skip
_TRANSLATED = re.compile(r"translate\(text_, '([^']*)', '([^']*)'\)")
_REPLACED = re.compile(r"replace\(text_, '([^']*)', '([^']*)'\)")


@lru_cache(maxsize=1)
def folded_statement() -> str:
    """Return the statement that creates `folded`: `str.casefold` in the database."""
    return _statement(_case_table())


def as_made_here(body: str) -> str:
    """Return the body that this program gives `folded`, where a found one folds alike.

    Any other body is returned as it is.
    """
    own = folded_statement().split("$$")[1]
    if body == own:
        return own
    found = _table_of(body)
    if found is None or body != _statement(found).split("$$")[1]:
        return body
    known = _case_table()
    differing = {it for it in found.keys() | known.keys() if found.get(it) != known.get(it)}
    is_alike = all(it in _CASED_LATER and _is_unknown(it, found, known) for it in differing)
    return own if is_alike else body


def _is_unknown(it: str, found: Mapping[str, str], known: Mapping[str, str]) -> bool:
    """Return whether one of two tables has no case for a character, for want of a newer Unicode."""
    return it not in found or (it not in known and unicodedata.category(it) == "Cn")


def _case_table() -> dict[str, str]:
    """Return the characters beyond ASCII that Python folds, in order, and what to."""
    everything = (chr(code) for code in range(0x80, sys.maxunicode + 1))
    return {
        it: it.casefold()
        for it in everything
        if not "\ud800" <= it <= "\udfff" and it.casefold() != it
    }


def _table_of(body: str) -> dict[str, str] | None:
    """Return the table in the body of a function; None where there is none."""
    translated = _TRANSLATED.search(body)
    if translated is None or len(translated[1]) != len(translated[2]):
        return None
    pairs = [*zip(translated[1], translated[2], strict=True), *_REPLACED.findall(body)]
    if any(len(character) != 1 for character, _ in pairs):
        return None
    return dict(sorted(pairs))


def _statement(table: Mapping[str, str]) -> str:
    """Return the statement for a sorted table.

    Most texts are ASCII or hold nothing to fold, and return early; only the others are slow.
    """
    single = [it for it in table if len(table[it]) == 1]
    several = [it for it in table if len(table[it]) > 1]
    steps = [f"    text_ := pg_catalog.replace(text_, '{it}', '{table[it]}');\n" for it in several]
    return (
        "CREATE OR REPLACE FUNCTION folded(text_ text) RETURNS text\n"
        "LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$\n"
        "BEGIN\n"
        '    text_ := pg_catalog.lower(text_ COLLATE pg_catalog."C");\n'
        f"    IF text_ OPERATOR(pg_catalog.!~) '[{_ranges(table)}]' THEN RETURN text_; END IF;\n"
        f"    text_ := pg_catalog.translate(text_, '{''.join(single)}',"
        f" '{''.join(table[it] for it in single)}');\n"
        f"    IF text_ OPERATOR(pg_catalog.!~) '[{_ranges(several)}]' THEN RETURN text_; END IF;\n"
        + "".join(steps)
        + "    RETURN text_;\nEND $$"
    )


def _ranges(characters: Iterable[str]) -> str:
    """Return sorted characters as the inside of a bracket in a pattern."""
    return "".join(
        f"\\U{begin:08x}-\\U{end:08x}" if end > begin else f"\\U{begin:08x}"
        for begin, end in _runs(map(ord, characters))
    )


def _runs(numbers: Iterable[int]) -> Iterator[tuple[int, int]]:
    begin = end = -1
    for number in numbers:
        if number == end + 1:
            end = number
            continue
        if begin >= 0:
            yield begin, end
        begin = end = number
    if begin >= 0:
        yield begin, end
