"""What the rows of an erased record hold no more: the same that folding its residues leaves out.

1. Rows keep their validity, their uids and what is kept by `FieldSpec.is_kept`.
2. Every other text becomes one mark, numbers become 0, structures empty; what is missing stays so.
3. Keys lead to an erased artifact at no time: those rows go.
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from ledger.model.schema import REGISTRIES

Kind = Literal["text", "integer", "json"]


class Redaction(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the rows of one record in one table, whenever they were valid.

    Attributes:
        table: The table; its rows are found by their `uid`.
        columns: Columns whose values are replaced, and their kinds.
        removes: Whether the rows go instead.
    """

    table: str
    columns: tuple[tuple[str, Kind], ...] = ()
    removes: bool = False


def redactions(registry: str) -> list[Redaction]:
    """Return what happens to the rows of a record of a registry when it is erased."""
    columns: list[tuple[str, Kind]] = []
    for field in REGISTRIES[registry].fields:
        if field.is_kept or field.is_virtual:
            continue
        if field.kind in {"boolean", "time"}:
            raise AssertionError(f"{registry}.{field.name}: say that it is kept")
        columns.append((field.name, field.kind))  # type: ignore[arg-type]
    found = [Redaction(table=registry, columns=tuple(columns))]
    found += [
        Redaction(table=table, columns=(("reason", "text"),)) for table in ("retraction", "merger")
    ]
    if REGISTRIES[registry].has_keys:
        found.append(Redaction(table="artifact_key", removes=True))
    return found


def redacted(value: Any, kind: Kind, mark: str) -> Any:
    """Return what stands in the place of a value."""
    if value is None:
        return None
    match kind:
        case "text":
            return mark
        case "integer":
            return 0
        case "json":
            return "[]" if value.startswith("[") else "{}"
