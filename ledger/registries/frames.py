"""Tables in memory as files of Parquet: equal tables give equal bytes.

1. The frame of any library becomes one Arrow table without chunks; its metadata stay, so that a
   frame comes back as it was, index and dtypes included.
2. Options of the file are fixed here: the same table gives the same bytes with the same pyarrow.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger.errors import InvalidValueError, MissingDependencyError

_ROWS = 1_048_576  # of a row group


def is_frame(value: object) -> bool:
    """Return whether a value is a table of pandas, polars or pyarrow; loads none of them."""
    kind = type(value)
    library = kind.__module__.partition(".")[0]
    return (library, kind.__name__) in {
        ("pandas", "DataFrame"),
        ("polars", "DataFrame"),
        ("polars", "LazyFrame"),
        ("pyarrow", "Table"),
        ("pyarrow", "RecordBatch"),
    }


def write_parquet(frame: object, path: Path) -> None:
    """Write a table to a free path as Parquet.

    Raises:
        InvalidValueError: It is no table of pandas, polars or pyarrow, or Parquet cannot hold it.
        MissingDependencyError: The installed pandas or polars cannot give an Arrow table.
    """
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)
    from pyarrow import parquet  # noqa: PLC0415

    if not is_frame(frame):
        raise InvalidValueError(
            "from_df: expected a table of pandas, polars or pyarrow, got "
            f"{type(frame).__module__}.{type(frame).__qualname__}"
        )
    try:
        table = _arrow(frame, pa).combine_chunks()
        parquet.write_table(
            table, path, row_group_size=_ROWS, compression="zstd", write_statistics=True
        )
    except ImportError as error:
        raise MissingDependencyError(f"from_df: {error}") from error
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        said = " ".join(str(error).split())[:200]
        raise InvalidValueError(
            f"from_df: a table of Parquet cannot hold this one: {said}; give each column values "
            "of one kind"
        ) from error


def columns_of(frame: object) -> dict[str, list[Any]]:
    """Return the columns of a table as lists of plain values, by name.

    Raises:
        InvalidValueError: It is no table of pandas, polars or pyarrow, or has a column twice.
    """
    import pyarrow as pa  # noqa: PLC0415 (costs 100 ms)

    if not is_frame(frame):
        raise InvalidValueError(
            "check: expected a table of pandas, polars or pyarrow, got "
            f"{type(frame).__module__}.{type(frame).__qualname__}"
        )
    held: Any = frame
    names = [str(name) for name in getattr(held, "columns", getattr(held, "column_names", ()))]
    if type(frame).__name__ in {"Table", "RecordBatch"}:
        names = list(held.schema.names)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise InvalidValueError(f"check: column '{twice[0]}' is there twice; rename one of them")
    if type(frame).__module__.startswith("pandas"):
        # Column by column: one of several kinds is no Arrow array, and is told value by value.
        return {name: held[column].tolist() for name, column in zip(names, held, strict=True)}
    table = _arrow(frame, pa)
    return {name: table.column(name).to_pylist() for name in table.column_names}


def _arrow(frame: Any, pa: Any) -> Any:
    match type(frame).__name__:
        case "Table":
            return frame
        case "RecordBatch":
            return pa.Table.from_batches([frame])
        case "LazyFrame":
            return frame.collect().to_arrow()
        case _ if hasattr(frame, "to_arrow"):
            return frame.to_arrow()
        case _:
            return pa.Table.from_pandas(frame)
