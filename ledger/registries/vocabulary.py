"""Names as a vocabulary: which are known, which mean the same, which lie below others.

1. A name is known if a live record bears it exactly.
2. A synonym, and a name in other letter case, means a record; both can be standardized.
3. Parents form no circle: whatever lies above a record is never below it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any

import msgspec

from ledger.errors import InvalidValueError
from ledger.model.canonical import nfc
from ledger.model.schema import LIVE, RegistrySpec
from ledger.model.ways import way
from ledger.places.source import Source
from ledger.registries.lookups import conditions
from projections.select import Select, Test

MOST_BELOW = 1_000_000  # records that are followed from one
_SIMILAR = 3


class Inspection(msgspec.Struct, frozen=True, kw_only=True):
    """Names sorted by what they are.

    Attributes:
        validated: Names that records bear.
        synonyms: Other texts that mean a record, and the name of that.
        similar: Texts that mean none, and the names that they resemble.
        unknown: All other texts.
    """

    validated: list[str]
    synonyms: dict[str, str]
    similar: dict[str, list[str]]
    unknown: list[str]


class _Known:
    """The live names of a registry, and what else means them."""

    def __init__(self, registry: str, at: int | None, models: Any) -> None:
        if at is None:
            rows = [it for it in models.changed_names(registry, after=0) if it["is_live"]]
        else:
            rows = models.find(registry, at=at, state=LIVE)
        names = {row["uid"]: row["name"] for row in rows if row["name"] is not None}
        self.by_uid: dict[str, str] = names
        self.names = set(names.values())
        self.others: dict[str, str] = {}
        folded: dict[str, set[str]] = {}
        for name in names.values():
            folded.setdefault(name.casefold(), set()).add(name)
        # Two names that differ in case alone: such a text may mean either.
        self.folded = {text: min(it) for text, it in folded.items() if len(it) == 1}
        for row in models.find("value", at=at, field=f"{registry}.synonyms"):
            if row["subject"] in names:
                self.others[row["t"]] = names[row["subject"]]
                self.folded.setdefault(row["t"].casefold(), names[row["subject"]])

    def meaning(self, text: str) -> str | None:
        """Return the name that a text means; None if it means none."""
        if text in self.names:
            return text
        return self.others.get(text) or self.folded.get(text.casefold())


def known(registry: str, source: Source) -> _Known:
    """Return the live names of a registry, and what else means them, at a position."""
    found: _Known = source.ask(partial(_Known, registry, source.at))
    return found


def _similar(vocabulary: _Known, registry: str, source: Source) -> Callable[[str], list[str]]:
    """Return the question for the names that a text resembles, at the position of the source."""
    if source.at is None:
        search = source.ledger.name_search(registry)
        return lambda text: [hit.name for hit in search.similar(text, limit=_SIMILAR).hits]
    from projections.names.index import NameIndex  # noqa: PLC0415 (loads rapidfuzz)

    index = NameIndex()
    for uid, name in vocabulary.by_uid.items():
        index.put(uid, name)
    return lambda text: [hit.name for hit in index.similar(text, limit=_SIMILAR).hits]


def _texts(verb: str, values: Iterable[object]) -> list[str]:
    if isinstance(values, str) or not isinstance(values, Iterable):
        raise InvalidValueError(f"{verb}: expected a list of names, got {values!r}")
    found = list(values)
    for value in found:
        if not isinstance(value, str):
            raise InvalidValueError(
                f"{verb}: expected names as text, got {type(value).__name__} {value!r}"
            )
    return [nfc(str(value)) for value in found]


def validate(registry: str, source: Source, values: Iterable[object]) -> list[bool]:
    """Return of each text whether a live record bears it as its name."""
    names = known(registry, source).names
    return [text in names for text in _texts("validate", values)]


def standardize(registry: str, source: Source, values: Iterable[object]) -> list[str]:
    """Return each text, in the place of synonyms and of other letter case the name they mean."""
    names = known(registry, source)
    return [names.meaning(text) or text for text in _texts("standardize", values)]


def inspect(registry: str, source: Source, values: Iterable[object]) -> Inspection:
    """Return each different text, sorted by what it is."""
    vocabulary = known(registry, source)
    similar = _similar(vocabulary, registry, source)
    found = Inspection(validated=[], synonyms={}, similar={}, unknown=[])
    for text in dict.fromkeys(_texts("inspect", values)):
        meant = vocabulary.meaning(text)
        if meant == text:
            found.validated.append(text)
        elif meant is not None:
            found.synonyms[text] = meant
        elif names := similar(text):
            found.similar[text] = names
        else:
            found.unknown.append(text)
    return found


# --- hierarchies ----------------------------------------------------------------------------------


def followed(source: Source, registry: str, uids: Sequence[str], *, onward: bool) -> list[str]:
    """Return the uids above some records, or (not `onward`) below them."""
    links = source.ask(partial(_reached, registry, list(uids), onward, source.at))
    far = "target" if onward else "source"
    return list(dict.fromkeys(link[far] for link in links))


def _reached(registry: str, uids: list[str], onward: bool, at: int | None, models: Any) -> Any:  # noqa: FBT001
    return models.reach([f"{registry}.parents"], uids, onward=onward, at=at, limit=MOST_BELOW)


_WAYS = {"ancestors": False, "descendants": True}


def expanded(source: Source, spec: RegistrySpec, lookups: dict[str, object]) -> dict[str, object]:
    """Return lookups with those that follow a hierarchy replaced by the uids that they lead to.

    `tissue__within="organ"` means that record or one below it; `ancestors__name="organ"` the
    records below those; `descendants__name="lobe"` the records above.
    """
    found: dict[str, object] = {}
    for lookup, value in lookups.items():
        parts = lookup.split("__")
        place = next((n for n, part in enumerate(parts) if part in {*_WAYS, "within"}), None)
        if place is None or spec.field(parts[0]) is not None:
            found[lookup] = value
            continue
        target = way(spec, tuple(parts[:place])).end
        if target.relation("parents") is None:
            found[lookup] = value  # the name is unknown there
            continue
        rest = parts[place + 1 :]
        if parts[place] == "within" and not rest:
            roots = _meant(source, target, [], value)
            uids = [*roots, *followed(source, target.name, roots, onward=False)]
        else:
            roots = _meant(source, target, rest, value)
            uids = followed(source, target.name, roots, onward=_WAYS.get(parts[place], False))
        found["__".join((*parts[:place], "uid", "in"))] = list(dict.fromkeys(uids))
    return found


def _meant(source: Source, target: RegistrySpec, rest: list[str], value: object) -> list[str]:
    """Return the uids of the records that a value means: by a lookup, as names, or themselves."""
    if rest:
        where = conditions(target, (), {"__".join(rest): value})
    else:
        items = value if isinstance(value, list | tuple | set) else [value]
        names = [item for item in items if isinstance(item, str)]
        uids = [
            str(getattr(item, "uid", ""))
            for item in items
            if getattr(item, "registry", None) == target.name
        ]
        if len(names) + len(uids) < len(items):
            raise InvalidValueError(f"within: expected a {target.title} or its name, got {value!r}")
        if not names:
            return uids
        where = Test(("name",), "in", tuple(names))
    select = Select(registry=target.name, where=where, at=source.at, catalogue=source.catalogue)
    return [row["uid"] for row in source.ask(lambda models: models.select(select))]
