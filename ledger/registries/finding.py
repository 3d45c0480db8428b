"""The record that a person means: by uid, key, name, or by what lies at a path or URL now.

The first of these that applies decides:

1. A whole uid, in whichever registry; then a whole alias, which names another tool.
2. A text written as a place (`./x`, `../x`, `/x`, `~/x`, `https://…`), or a `Path`: the artifact
   with the content that is there now, whatever it is called. If no artifact has this content, the
   transform whose key is this path.
3. A key or a name. What is in the trash is meant only if nothing else is called so.
4. The name of a file or folder in the working directory: as 2.
5. The beginning of a uid; that of a family means its latest version.

Versions of one family count as one record, their latest. Where several records are called so, none
of them is chosen.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any, Literal

from ledger.errors import InvalidValueError, MultipleResultsError, NotFoundError, printable
from ledger.input_files import named_path
from ledger.model.canonical import nfc
from ledger.model.schema import REGISTRIES
from ledger.past.points import resolve
from ledger.places import instance
from ledger.places.kinds import record_class
from ledger.places.source import Source, row_of
from ledger.registries import all_registries
from ledger.registries.aliases import aliased, reads_as_alias
from ledger.registries.base import Record
from ledger.registries.local_content import LocalContent
from ledger.registries.lookups import Q
from ledger.registries.query import NAMES, QuerySet
from ledger.registries.registry import Registry

_CANDIDATES = 5  # named in a message
_NEAREST = 3
_PLACES = ("./", "../", "~/", "/")
_OF_PLACES = {"artifact", "transform", "run"}  # of what lies at places; others have names alone

Which = Literal["any", "trashed", "ever"]


def find(what: str | os.PathLike[str], *, registry: str | None = None, as_of: Any = None) -> Record:
    """Return the record that a text means: a uid or its beginning, a key, a name, a path, a URL.

    `find("./report.csv")` looks for the content that is in this file now: it answers who made it.

    Args:
        what: The text; one that begins with `./`, `/` or `~/`, or a `Path`, is a place.
        registry: Only in this registry: "artifact", "collection", "run", "transform", "ulabel".
        as_of: A point in the past; as it was then.

    Raises:
        NotFoundError: Nothing is called so; the message names the nearest.
        MultipleResultsError: Several records are called so; the message names them.
        MissingFileError: There is nothing at the path or URL.
    """
    ledger = instance.current()
    at = None if as_of is None else resolve(ledger, as_of).position
    source = Source(ledger, at)
    if registry is not None and registry not in REGISTRIES and registry not in source.names:
        raise NotFoundError(f"registry '{registry}': there are {', '.join(source.names)}")
    return found(source, what, registry=registry)


def found(
    source: Source,
    what: object,
    *,
    registry: str | None = None,
    among: Iterable[str] | None = None,
    which: Which = "any",
) -> Record:
    """Return the record that `what` means, by the rules of this module.

    Args:
        source: Ledger and position to ask.
        what: A text or a path.
        registry: The only registry to look in.
        among: The registries to look in, where there are several but not all.
        which: "trashed" for a record in the trash if one is called so; "ever" for withdrawn
            and erased records, too.

    Raises:
        NotFoundError: Nothing is called so.
        MultipleResultsError: Several records are called so.
    """
    text: object = os.fspath(what) if isinstance(what, os.PathLike) else what
    if not isinstance(text, str) or not text.strip():
        raise InvalidValueError(
            f"expected a uid or its beginning, a key, a name, a path or a URL, got {what!r}"
        )
    registries = tuple(among or (source.names if registry is None else (registry,)))
    is_path = isinstance(what, os.PathLike)
    if not is_path and (elsewhere := _of_alias(source, text, registries)):
        return elsewhere
    is_place = is_path or "://" in text or text.startswith(_PLACES)
    if is_place and not _OF_PLACES.isdisjoint(registries):
        return _at_place(source, text, registries, which)
    return _by_name(source, text, registries, which)


def _by_name(source: Source, text: str, registries: tuple[str, ...], which: Which) -> Record:
    """Return the record with this uid, key, name, or beginning of a uid."""
    for each in registries:
        if (row := row_of(source, each, nfc(text))) is not None:
            known: Record = record_class(each)._from_row(row, source)
            return known
    trashed = which == "trashed"
    candidates = _called(source, text, registries, trashed=trashed) or _called(
        source, text, registries, trashed=not trashed
    )
    if not candidates and registries == ("run",):
        candidates = _runs_of(source, text)
    if candidates:
        return _only(text, candidates)
    if "artifact" in registries and os.path.lexists(text):
        return _at_place(source, text, registries, which)
    return _beginning(source, text, registries, which)


def _of_alias(source: Source, text: str, registries: Iterable[str]) -> Record | None:
    """Return the record that a whole alias means; None where it means none of these registries."""
    for registry, uid in aliased(source, text) if reads_as_alias(text) else ():
        if registry in registries and (row := row_of(source, registry, uid)) is not None:
            known: Record = record_class(registry)._from_row(row, source)
            return known
    return None


def _beginning(source: Source, text: str, registries: tuple[str, ...], which: Which) -> Record:
    """Return the record whose uid begins with a text.

    Raises:
        NotFoundError: There is none; the message names the nearest.
        MultipleResultsError: There are several.
    """
    try:
        return _with_beginning(source, text, registries, which)
    except NotFoundError as error:
        if type(error) is not NotFoundError:  # erased, for example: that says enough
            raise
        near = ", ".join(_nearest(source, text, registries))
        titles = " or ".join(source.spec(each).title for each in registries)
        among = "" if registries == tuple(source.names) else f" of {titles} records"
        raise NotFoundError(
            f"'{text}': no uid, key or name{among}, nor a file here"
            + (f"; nearest: {near}" if near else "; 'metaledger search' looks for words"),
            name=text,
        ) from error


def _with_beginning(source: Source, text: str, registries: tuple[str, ...], which: Which) -> Record:
    if len(registries) == 1:
        one: Record = Registry(record_class(registries[0]), source).get(text)
        return one
    get = all_registries.get_ever if which == "ever" else all_registries.get
    record = get(source, text)
    if record.registry not in registries:
        raise NotFoundError(f"'{text}': {_described(record)}", name=text)
    return record


def _query(source: Source, registry: str) -> QuerySet[Any]:
    return Registry(record_class(registry), source).filter()


def _called(source: Source, text: str, registries: Iterable[str], *, trashed: bool) -> list[Record]:
    """Return the records with this key or name, in the trash or out of it."""
    records: dict[tuple[str, str], Record] = {}
    for registry in registries:
        query = _query(source, registry)
        if trashed:
            query = query.filter(is_trashed=True)
        for field in NAMES:
            if source.spec(registry).field(field) is None:
                continue
            for record in _with_field(query, field, text):
                records[registry, record.uid] = record
    return list(records.values())


def _with_field(query: QuerySet[Any], field: str, text: str) -> list[Record]:
    """Return the records with this value of a field, and of each family only the latest."""
    try:
        return [query.get(**{field: text})]
    except MultipleResultsError:
        records = query.filter(**{field: text}).all()
    except NotFoundError:
        return []
    spec = query._spec
    if not spec.is_versioned:
        return records
    return list({record.uid[: spec.uid_length]: record for record in records}.values())


def _runs_of(source: Source, text: str) -> list[Record]:
    """Return the runs of the script with this key or name, the latest first."""
    of_script = Q(transform__key=text) | Q(transform__name=text)
    return _query(source, "run").filter(of_script).reverse().all()


def _only(text: str, candidates: list[Record]) -> Record:
    """Return the one candidate.

    Raises:
        MultipleResultsError: There are several; the message names them.
    """
    if len(candidates) == 1:
        return candidates[0]
    shown = ", ".join(_described(record) for record in candidates[:_CANDIDATES])
    more = len(candidates) - _CANDIDATES
    raise MultipleResultsError(
        f"'{text}': {len(candidates):,} records are called so: {shown}"
        f"{f' and {more:,} more' if more > 0 else ''}; give the uid of the one that you mean",
        name=text,
    )


def _described(record: Record) -> str:
    row = record._row
    name = row.get("key") or row.get("name")
    return f"{record.spec.title} {record.uid}{f' ({printable(name)})' if name else ''}"


def _at_place(source: Source, text: str, registries: tuple[str, ...], which: Which) -> Record:
    """Return the artifact with the content that is at a path or URL now; else the script there.

    Raises:
        MissingFileError: There is nothing.
        NotFoundError: No artifact has this content.
    """
    key = _key_of(source, text)
    if "artifact" in registries:
        content = LocalContent.at(source.ledger, text).hashed
        query = _query(source, "artifact").filter(hash=content.hash, hash_type=content.hash_type)
        for each in (query, query.with_trash()):
            records = [record for record in each if record.digest == content.digest]
            if records:
                return _only(text, records)
    if "transform" in registries:
        scripts = _called(source, key, ["transform"], trashed=False)
        if scripts:
            return _only(text, scripts)
    if "artifact" not in registries:
        return _by_name(source, key, registries, which)
    other = _called(source, key, ["artifact"], trashed=False)
    hint = f"; under this key there is {_described(other[0])}, with other content" if other else ""
    raise NotFoundError(
        f"{text}: no artifact has the content that is there now{hint}", path=text, key=key
    )


def _key_of(source: Source, text: str) -> str:
    """Return the key that what lies at a place would have: its path below the ledger's folder."""
    if "://" in text:
        return text
    path = named_path(text)
    root = Path(source.ledger.place.root)
    below = os.path.relpath(os.path.realpath(path), os.path.realpath(root))
    return path.name if below.startswith("..") else Path(below).as_posix()


def _nearest(source: Source, text: str, registries: Iterable[str]) -> list[str]:
    """Return what is called nearly so, described; uids that begin nearly so come last."""
    hits = all_registries.search(source, text, registries=registries, limit=_NEAREST)
    near = [_described(record) for records in hits.values() for record in records]
    for registry in registries:
        near += source.ask(partial(_mistyped, source, registry, text))
    return list(dict.fromkeys(near))[:_NEAREST]


def _mistyped(source: Source, registry: str, text: str, _: Any) -> list[str]:
    """Return the records of a registry whose uid begins with the same three digits."""
    if len(text) < _NEAREST:
        return []
    query = _query(source, registry).with_trash().filter(uid__startswith=text[:_NEAREST])
    return [_described(record) for record in query[:_NEAREST]]
