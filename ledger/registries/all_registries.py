"""Questions to all registries at once: which record has this uid, and where a text occurs."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from ledger.errors import MultipleResultsError, NotFoundError, RecordErasedError
from ledger.model.schema import REGISTRIES
from ledger.places.kinds import record_class
from ledger.places.source import Source
from ledger.registries.base import Record
from ledger.registries.registry import Registry
from projections.select import Select, Test

if TYPE_CHECKING:
    from projections.store import ReadModels

_NEAR = 3  # digits that a mistyped uid shares with the right one; also how many such uids are named
_NAMED = 5


def get(source: Source, uid: str) -> Record:
    """Return the record with this uid, or unique beginning of a uid, in whichever registry it is.

    The beginning that all versions of one family share means the latest of them.

    Raises:
        NotFoundError: There is none; the message names the nearest.
        MultipleResultsError: Several uids begin with it.
        RecordErasedError: The record was erased.
    """
    several: list[str] = []
    found: list[Record] = []
    erased: RecordErasedError | None = None
    for registry in source.names:
        try:
            found.append(Registry(record_class(registry), source).get(uid))
        except MultipleResultsError:
            several += _beginning(source, registry, uid, _NAMED)
        except RecordErasedError as error:
            erased = error
        except NotFoundError:
            continue
    if erased is not None:
        raise erased
    exact = [record for record in found if record.uid == uid]
    if len(exact) == 1 or (len(found) == 1 and not several):
        return (exact or found)[0]
    several += [_called(record.registry, record.uid) for record in found]
    if several:
        raise MultipleResultsError(
            f"uid '{uid}': several records begin so: {', '.join(several[:_NAMED])}; "
            "give more digits",
            uid=uid,
        )
    near = [
        called
        for registry in source.names
        if len(uid) >= _NEAR
        for called in _beginning(source, registry, uid[:_NEAR], _NEAR)
    ]
    hint = f"nearest: {', '.join(near[:_NEAR])}" if near else "search for a name instead"
    raise NotFoundError(f"uid '{uid}': no record of any registry has it; {hint}", uid=uid)


def get_ever(source: Source, uid: str) -> Record:
    """Return the record with this uid, even if it was withdrawn or erased, for its history.

    A record that was merged into another one is that record itself here, and not the survivor.

    Raises:
        NotFoundError: There never was one; the message names the nearest.
        MultipleResultsError: Several uids begin with it.
    """
    for registry in source.names:
        for row in source.ask(partial(_rows, registry, uid, source.at)):
            found: Record = record_class(registry)._from_row(row, source)
            if uid == row["uid"]:
                return found
    return get(source, uid)


def _rows(registry: str, uid: str, at: int | None, models: ReadModels) -> list[dict[str, Any]]:
    return models.find(registry, at=at, uid=uid)


def search(
    source: Source, text: str, *, registries: Iterable[str] | None = None, limit: int = 20
) -> dict[str, list[Record]]:
    """Return the best matches of a text in each registry that has any, the best first."""
    found = {
        registry: Registry(record_class(registry), source).search(text, limit=limit).all()
        for registry in (source.names if registries is None else registries)
    }
    return {registry: records for registry, records in found.items() if records}


def beginning_with(
    source: Source, prefix: str, *, registry: str | None = None, limit: int = 20
) -> list[tuple[str, str]]:
    """Return registry and uid of the records whose uid begins with `prefix`, for completion."""
    return [
        (each, uid)
        for each in (source.names if registry is None else (registry,))
        for uid in _uids(source, each, prefix, limit)
    ][:limit]


def _beginning(source: Source, registry: str, prefix: str, limit: int) -> list[str]:
    return [_called(registry, uid) for uid in _uids(source, registry, prefix, limit)]


def _uids(source: Source, registry: str, prefix: str, limit: int) -> list[str]:
    select = Select(
        registry=registry,
        where=Test(("uid",), "startswith", prefix),
        at=source.at,
        trash="with",
        limit=limit,
        catalogue=source.catalogue_with(registry),
    )
    return [str(row["uid"]) for row in source.ask(lambda models: models.select(select))]


def _called(registry: str, uid: str) -> str:
    return f"{REGISTRIES[registry].title} {uid}"
