"""Rows of a registry as an Arrow table, and from there as pandas and polars frames."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from ledger.errors import MissingDependencyError
from ledger.model.definitions import Field
from ledger.model.parameters import json_ready, plain_fields
from ledger.model.schema import REGISTRIES, FieldSpec, RegistrySpec
from ledger.model.values import untagged
from projections.store import Row

_LIMIT, _EXACT = 2**63, 2**53  # integers that a column of integers, of floats, holds exactly
_HIDDEN = {
    "storage", "storage_key", "in_place", "environment_blob", "source", "is_declared", "claimed",
    "whereabouts",
}  # fmt: skip


def shown_columns(registry: str, spec: RegistrySpec | None = None) -> dict[str, str]:
    """Return name and kind of the columns that a table of a registry shows, in order."""
    spec = REGISTRIES[registry] if spec is None else spec
    columns = {"id": "integer", "uid": "text"}
    columns |= {field.name: field.kind for field in spec.fields if field.name not in _HIDDEN}
    columns |= {relation.name: "text" for relation in spec.relations if not relation.is_many}
    columns |= {"created_at": "time", "created_by": "text", "updated_at": "time"}
    return columns


def to_arrow(registry: str, rows: Sequence[Row], spec: RegistrySpec | None = None) -> Any:
    """Return rows as a `pyarrow.Table`; times are UTC, to the microsecond; JSON is text.

    A field that questions look into also gives a column for each value inside, such as
    `params.model.rate`, of the kind that all its values have; values of several kinds are text.
    """
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    types = _types()
    spec = REGISTRIES[registry] if spec is None else spec
    columns = shown_columns(registry, spec)
    found: dict[str, Any] = {}
    inner: dict[str, Any] = {}
    for name, kind in columns.items():
        field = spec.field(name)
        values = [row.get(name if field is None else field.column) for row in rows]
        if field is not None and field.values is not None:
            found[name] = typed_array(field, values)
            continue
        if field is None and any(isinstance(value, list) for value in values):
            found[name] = pa.array(values, pa.list_(pa.string()))
            continue
        if kind == "json":
            plain = [None if it is None else plain_fields(msgspec.json.decode(it)) for it in values]
            values = [None if it is None else _json_text(it) for it in plain]
            if field is not None and field.is_looked_into:
                inner |= _columns_inside(name, plain)
        found[name] = pa.array(values, types[kind])
    found |= {name: pa.array(*it) for name, it in inner.items() if name not in found}
    return pa.Table.from_arrays(list(found.values()), names=list(found))


def _types() -> dict[str, Any]:
    """Return the Arrow type of each kind of field; `texts` are a list of texts."""
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    return {
        "text": pa.string(),
        "integer": pa.int64(),
        "boolean": pa.bool_(),
        "time": pa.timestamp("us", tz="UTC"),
        "json": pa.string(),
        "real": pa.float64(),
        "date": pa.date32(),
        "texts": pa.list_(pa.string()),
    }


def table_of(columns: Mapping[str, tuple[str, Sequence[Any]]], *, ready: Mapping[str, Any]) -> Any:
    """Return a `pyarrow.Table` of columns, each with its kind and its values, in their order.

    Args:
        columns: Kind and values by name; times are microseconds.
        ready: Arrow arrays that stand in the place of the column of their name.
    """
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    types = _types()
    arrays = [
        ready[name] if name in ready else pa.array(values, types[kind])
        for name, (kind, values) in columns.items()
    ]
    return pa.Table.from_arrays(arrays, names=list(columns))


def joined(tables: Sequence[Any]) -> Any:
    """Return Arrow tables of the same columns as one, without copying."""
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    return pa.concat_tables(tables)


def typed_array(field: FieldSpec, values: Sequence[Any]) -> Any:
    """Return the values of a typed field, in the form of events, as an Arrow array."""
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    types = _types()
    plain = [untagged(value) for value in values]
    if field.kind == "json":
        plain = [None if value is None else _json_text(value) for value in plain]
    one = types[field.kind]
    if field.is_list:
        return pa.array([value or [] for value in plain], pa.list_(one))
    return pa.array(plain, one)


def schema_of(fields: Sequence[Field], *, is_named: bool) -> Any:
    """Return the `pyarrow.Schema` of typed fields; a reference is the name of a record."""
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    kinds = {
        "int": pa.int64(),
        "float": pa.float64(),
        "bool": pa.bool_(),
        "date": pa.date32(),
        "datetime": pa.timestamp("us", tz="UTC"),
    }
    found = [pa.field("name", pa.string(), nullable=False)] if is_named else []
    for it in fields:
        one = kinds.get(it.type.kind, pa.string())
        unit = None if it.unit is None else {"unit": it.unit}
        kind = pa.list_(one) if it.type.is_list else one
        found.append(pa.field(it.name, kind, nullable=not it.is_required, metadata=unit))
    return pa.schema(found)


def with_column(table: Any, name: str, values: Sequence[Any], feature: FieldSpec | None) -> Any:
    """Return an Arrow table with one more column: of a typed field, or of names of records."""
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    if feature is not None:
        return table.append_column(name, typed_array(feature, values))
    is_list = any(isinstance(value, list) for value in values)
    kind = pa.list_(pa.string()) if is_list else pa.string()
    return table.append_column(name, pa.array(values, kind))


def _columns_inside(field: str, fields: Sequence[Any]) -> dict[str, tuple[list[Any], Any]]:
    """Return values and type of a column for each value inside any of these mappings."""
    found: dict[str, list[Any]] = {}
    for place, values in enumerate(fields):
        for name, value in _leaves(field, values):
            found.setdefault(name, [None] * len(fields))[place] = value
    return {name: _of_one_type(values) for name, values in found.items()}


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(f"{name}.{key}", item)
    elif value is not None:
        yield name, value


def _of_one_type(values: list[Any]) -> tuple[list[Any], Any]:
    """Return values of one Arrow type, and that type: their own, or text."""
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return values, pa.bool_()
    if kinds == {str}:
        return values, pa.string()
    if kinds == {int} and all(value is None or -_LIMIT <= value < _LIMIT for value in values):
        return values, pa.int64()
    if kinds <= {int, float} and all(value is None or _is_float(value) for value in values):
        return [None if value is None else float(value) for value in values], pa.float64()
    return [it if it is None or isinstance(it, str) else _json_text(it) for it in values], (
        pa.string()
    )


def _is_float(value: int | float) -> bool:  # noqa: PYI041 (the two are told apart)
    return isinstance(value, float) or abs(value) <= _EXACT


def _json_text(value: Any) -> str:
    return json.dumps(json_ready(value), ensure_ascii=False)


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
    """Return an Arrow table as a pandas `DataFrame`; text that is missing is None.

    Raises:
        MissingDependencyError: pandas is not installed.
    """
    try:
        import pandas as pd  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "df() needs pandas, which is not installed; "
            "pip install 'metaledger[pandas]', or use to_arrow()"
        ) from error
    # Otherwise a missing number makes all numbers of its column floats, and a missing text is nan.
    frame = table.to_pandas(integer_object_nulls=True)
    for field in table.schema:
        if str(field.type) == "string":
            values = table.column(field.name).to_numpy()
            frame[field.name] = pd.Series(values, index=frame.index, dtype=object)
    return frame


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
