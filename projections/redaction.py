"""What the rows of an erased record hold no more: the same that folding its kept parts leaves out.

1. Rows keep their validity, their uids and what is kept by `FieldSpec.is_kept`.
2. Every other value becomes the `FieldSpec.blank` of its field; what was missing stays so.
3. Keys and names lead to an erased record at no time, and nothing is found by values inside its
   fields: those rows go.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import msgspec

from ledger.model.schema import MARK, REGISTRIES, erased_text


class Redaction(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to the rows of one record in one table, whenever they were valid.

    Attributes:
        table: The table; its rows are found by their `uid`.
        values: What stands in the place of each column's value, where there is one.
        removes: Whether the rows go instead.
        column: The column that holds the record's uid.
        prefix: Only rows whose field begins so, and is not its `parents`; and not those that a
            merger opened, or its undoing, as those events say it still.
    """

    table: str
    values: dict[str, Any] = {}
    removes: bool = False
    column: str = "uid"
    prefix: str | None = None

    def concerns(self, row: dict[str, Any], uid: str, mergers: Container[int] = ()) -> bool:
        """Return whether a row is one of them, given the positions of mergers and undoings."""
        return row[self.column] == uid and (
            self.prefix is None
            or (
                row["field"].startswith(self.prefix)
                and row["field"] != f"{self.prefix}parents"
                and row["from_position"] not in mergers
            )
        )


def redactions(registry: str, uid: str) -> list[Redaction]:
    """Return what happens to the rows of a record when it is erased."""
    found = [
        Redaction(table=REGISTRIES[registry].table, values=blanks(registry, uid)),
        Redaction(table="retraction", values={"reason": erased_text(uid)}),
        Redaction(table="merger", values={"reason": None}),
    ]
    if REGISTRIES[registry].has_keys:
        found.append(Redaction(table="artifact_key", removes=True))
    if REGISTRIES[registry].has_names:
        found.append(Redaction(table="borne_name", removes=True))
    found.append(Redaction(table="alias", removes=True))
    if any(field.is_looked_into for field in REGISTRIES[registry].fields):
        found.append(Redaction(table="inside", removes=True))
    found.append(Redaction(table="value", removes=True, column="subject"))
    prefix = f"{registry}." if REGISTRIES[registry].is_defined else f"{registry}.features."
    found.append(Redaction(table="link", removes=True, column="source", prefix=prefix))
    return found


def blanks(registry: str, uid: str) -> dict[str, Any]:
    """Return what stands in the place of each value that an erased record does not keep."""
    return {
        field.name: erased_text(uid) if field.blank == MARK else field.blank
        for field in REGISTRIES[registry].fields
        if not field.is_kept and not field.is_virtual
    }


def redacted(row: dict[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """Return a row, or a part of one, with blanks in the place of the values that are there."""
    gone = {name for name in values.keys() & row.keys() if row[name] is not None}
    return row | {name: values[name] for name in gone}
