"""The question for the typed values of some records."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from projections.sql.dialect import Dialect, Fragment, column, every, quoted, valid
from projections.store import Row

VALUE_COLUMNS = ("subject", "field", "place", "i", "r", "t", "x")


def values_statement(dialect: Dialect, uids: Sequence[str], *, at: int | None) -> Fragment:
    """Return the question for the valid values of some records, of which there is at least one."""
    where = every([dialect.is_in(column("t", "subject"), uids), valid(dialect, "t", at)])
    shown = ", ".join(column("t", name) for name in VALUE_COLUMNS)
    return Fragment(
        f"SELECT {shown} FROM {quoted('value')} AS t WHERE {where.text} "
        f"ORDER BY {column('t', 'subject')}, {column('t', 'field')}, {column('t', 'place')}",
        where.params,
    )


def as_values(found: Iterable[Iterable[Any]], prefix: str | None) -> list[Row]:
    """Return the rows that answer, of fields whose name begins so."""
    rows = [dict(zip(VALUE_COLUMNS, values, strict=True)) for values in found]
    return rows if prefix is None else [row for row in rows if row["field"].startswith(prefix)]
