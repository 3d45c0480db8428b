"""The rank of a name for a typed search text; for rows that a database found by substring.

`search_rank` uses the first of these kinds of match that holds:

1. the name is the text;
2. it is the text but for case, accents and white space around it;
3. it begins with the text;
4. the text begins a word of the name;
5. every word of the text is a word of the name, in any order;
6. every word of the text begins a word of the name;
7. the text occurs somewhere in the name;
8. every word of the text occurs somewhere in the name, separators not counted.

Within a kind, a name ranks higher if the text covers more of it. Unlike in similarity, typos do not
match, numbers are plain text, and names are compared in full length.
"""

from __future__ import annotations

from collections.abc import Callable

from ledger.model.canonical import nfc
from projections.names.normalise import fold, split_words

_KINDS = 8


def search_rank(query: str, name: str) -> float | None:
    """Return the rank of `name` for `query`: higher is better, None is no match.

    A name that contains `query`, whatever the case, always matches: every row found by
    substring has a rank. A blank query matches nothing.
    """
    if not query.strip():
        return None
    kind = _kind(query, name)
    if kind is None:
        return None
    covered = min(len(query.strip()) / max(len(name), 1), 1.0)
    # Coverage orders names within a kind and must not lift one into the next.
    return (_KINDS - kind) + covered / 2


def _kind(query: str, name: str) -> int | None:
    """Return the place of the first kind of match that holds, from 0, or None."""
    text, whole = fold(query).strip(), fold(name).strip()
    words, parts = split_words(text), split_words(whole)
    joined = "".join(parts)
    # A text of marks alone folds to the empty text, which occurs in every name.
    kinds: tuple[Callable[[], bool], ...] = (
        lambda: nfc(query) == nfc(name),
        lambda: text == whole,
        lambda: bool(text) and whole.startswith(text),
        lambda: bool(text) and _begins_word(text, whole),
        lambda: bool(words) and set(words) <= set(parts),
        lambda: bool(words) and all(any(p.startswith(w) for p in parts) for w in words),
        lambda: (bool(text) and text in whole) or query in name,
        lambda: bool(words) and all(word in joined for word in words),
    )
    return next((place for place, holds in enumerate(kinds) if holds()), None)


def _begins_word(text: str, whole: str) -> bool:
    place = whole.find(text, 1)
    while place > 0:
        if not whole[place - 1].isalnum():
            return True
        place = whole.find(text, place + 1)
    return False
