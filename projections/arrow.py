"""Rows of a registry as an Arrow table, and from there as pandas and polars frames."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ledger.errors import MissingDependencyError
from ledger.model.schema import REGISTRIES
from projections.store import Row

_HIDDEN = {"storage", "storage_key", "in_place", "environment_blob", "source"}


def shown_columns(registry: str) -> dict[str, str]:
    """Return name and kind of the columns that a table of a registry shows, in order."""
    spec = REGISTRIES[registry]
    columns = {"uid": "text"}
    columns |= {field.name: field.kind for field in spec.fields if field.name not in _HIDDEN}
    columns |= {relation.name: "text" for relation in spec.relations if not relation.is_many}
    columns |= {"created_at": "time", "created_by": "text", "updated_at": "time"}
    return columns


def to_arrow(registry: str, rows: Sequence[Row]) -> Any:
    """Return rows as a `pyarrow.Table`; times are UTC, to the microsecond; JSON is text."""
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "json": pa.string(),
    }
    columns = shown_columns(registry)
    arrays = [
        pa.array([row.get(name) for row in rows], types[kind]) for name, kind in columns.items()
    ]
    return pa.Table.from_arrays(arrays, names=list(columns))


def rows_to_arrow(columns: Sequence[str], rows: Sequence[Row]) -> Any:
    """Return rows as a `pyarrow.Table`: `position` as number, `…_at` as moments, else text."""
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    arrays = []
    for name in columns:
        values = [row[name] for row in rows]
        if name == "position":
            arrays.append(pa.array(values, pa.int64()))
        elif name.endswith("_at"):
            arrays.append(pa.array(values, pa.timestamp("us", tz="UTC")))
        else:
            texts = [None if value is None else str(value) for value in values]
            arrays.append(pa.array(texts, pa.string()))
    return pa.Table.from_arrays(arrays, names=list(columns))


def to_pandas(table: Any) -> Any:
    """Return an Arrow table as a pandas `DataFrame`.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: F401, PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "df() needs pandas, which is not installed; "
            "pip install 'metaledger[pandas]', or use to_arrow()"
        ) from error
    return table.to_pandas()


def to_polars(table: Any) -> Any:
    """Return an Arrow table as a polars `DataFrame`.

    Raises:
        MissingDependencyError: polars is not installed.
    """
    try:
        import polars as pl  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "to_polars() needs polars, which is not installed; "
            "pip install 'metaledger[polars]', or use to_arrow()"
        ) from error
    return pl.from_arrow(table)
