"""A table that becomes an artifact only if it is valid for a registry."""

from __future__ import annotations

from typing import Any

from ledger.errors import InvalidValueError


def table_of(schema: Any, frame: object) -> tuple[dict[str, Any], str, dict[str, Any]]:
    """Return the features, schema and columns of a table that was checked against a registry.

    Raises:
        InvalidTableError: The table has faults.
        InvalidValueError: The schema is no class of a registry.
    """
    from ledger.registries.table_check import columns_named  # noqa: PLC0415 (loads pyarrow)

    kind = getattr(schema, "_kind", schema)
    if not hasattr(kind, "check") or not hasattr(kind, "_definition"):
        raise InvalidValueError(f"from_df(schema=): expected a class of ln.Record, got {schema!r}")
    kind.check(frame).require()
    return {}, kind.registry, columns_named(kind._definition(), frame)
