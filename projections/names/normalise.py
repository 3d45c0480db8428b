"""The parts of a name that a search for similar names compares; identity never uses them.

The rules, in the order they are applied:

1. A name is folded: case, width, ligatures and accents go. Marks that are letters of their
   script (Hebrew points, Indic vowel signs, kana voicing) stay. Cyrillic and Greek letters that
   look like Latin ones become these.
2. Only the first 256 folded characters count, which bounds the cost of a comparison.
3. Tokens are runs of letters and runs of decimal digits; everything else only separates.
4. A run of digits is a number: leading zeros go, and digits of any script become ASCII ones.
5. A name without a single token (signs, emoji) is compared by its stripped text instead.

Every string is acceptable, lone surrogates and control characters included.
"""

from __future__ import annotations

import re
import unicodedata

import msgspec

KEY_LENGTH = 256
"""Folded characters of a name that are compared; identity has no such limit."""

_TOKEN = re.compile(r"[^\W\d_]+|\d+")

# Combining classes of the marks written above, below and through a letter.
_FIRST_ACCENT = 201
_LAST_ACCENT = 240


class NameKey(msgspec.Struct, frozen=True, kw_only=True):
    """The compared parts of a name; names with equal keys read the same."""

    compact: str
    """The tokens in their order, joined."""
    resorted: str
    """The tokens sorted, joined: the same for every order of words."""
    letters: str
    """The letter tokens in their order, joined."""
    resorted_letters: str
    """The letter tokens sorted, joined; as long as `letters`."""
    numbers: tuple[str, ...]
    """The numbers, sorted, each as often as it occurs."""


# Each is alike at least as a capital or as a small letter.
_LETTERS = "авсеіјкмнорѕтухԛԝαβεζηικμνορτυχ"
_LOOK_ALIKES = str.maketrans(_LETTERS, "abceijkmhopstyxqwabezhikmnoptyx")


def look_alike(name: str, other: str) -> str | None:
    """Return the first letter in either name that only looks like the one in the other.

    None where the names are equal, or read differently.
    """
    if len(name) != len(other) or fold(name) != fold(other):
        return None
    for pair in zip(name, other, strict=True):
        for letter, counterpart in (pair, pair[::-1]):
            if letter.casefold() != counterpart.casefold() and letter.casefold() in _LETTERS:
                return letter
    return None


def fold(text: str) -> str:
    """Return `text` without case, compatibility forms and accents; look-alike letters are Latin."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKC", text).casefold())
    kept = [c for c in decomposed if not _FIRST_ACCENT <= unicodedata.combining(c) <= _LAST_ACCENT]
    return unicodedata.normalize("NFC", "".join(kept)).translate(_LOOK_ALIKES)


def split_words(folded: str) -> list[str]:
    """Return the letter runs and digit runs of a folded text, as they are written."""
    return _TOKEN.findall(folded)


def name_key(name: str) -> NameKey:
    """Return the key under which `name` is compared; all parts are empty for a blank name."""
    folded = fold(name)[:KEY_LENGTH]
    tokens = split_words(folded)
    if not tokens:
        return _wordless_key(folded.strip())
    words: list[str] = []
    numbers: list[str] = []
    for place, token in enumerate(tokens):
        if token[0].isdecimal():
            tokens[place] = str(int(token))
            numbers.append(tokens[place])
        else:
            words.append(token)
    compact = "".join(tokens)
    resorted = _shared("".join(sorted(tokens)), compact)
    if not numbers:
        return NameKey(
            compact=compact,
            resorted=resorted,
            letters=compact,
            resorted_letters=resorted,
            numbers=(),
        )
    letters = "".join(words)
    return NameKey(
        compact=compact,
        resorted=resorted,
        letters=letters,
        resorted_letters=_shared("".join(sorted(words)), letters),
        numbers=tuple(sorted(numbers)),
    )


def _wordless_key(signs: str) -> NameKey:
    return NameKey(compact=signs, resorted=signs, letters=signs, resorted_letters=signs, numbers=())


# Equal parts of a key are one object, which saves a third of the memory of an index.
def _shared(text: str, known: str) -> str:
    return known if text == known else text
