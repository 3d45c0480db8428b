"""Loading content into memory by its suffix.

1. Tables come as a frame of pandas, polars or Arrow. JSON comes as plain data, text as `str`,
   formats of other packages as their objects. `ln.loaders` can say otherwise for any suffix.
2. Of a suffix without a loader, a file comes as bytes and a folder as its path, and that is said.
3. One compression around any of these is undone; an archive of several files stays as it is.
4. Whatever a reader raises becomes one error that names the artifact.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from ledger.display.messages import say_once
from ledger.errors import (
    InvalidValueError,
    LedgerError,
    MissingDependencyError,
    UnreadableContentError,
)
from ledger.registries.loader_table import loaders

_TABLES = {".csv", ".tsv", ".parquet", ".feather", ".arrow"}
_TEXTS = {".txt", ".md", ".log", ".py", ".toml", ".yaml", ".yml", ".html", ".svg", ".sh", ".sql"}
_FRAMES = ("pandas", "polars", "arrow")
_COMPRESSIONS = {
    "gz": "gzip", "bz2": "bz2", "xz": "xz", "zst": "zstd", "zip": "zip", "lz4": "lz4",
}  # fmt: skip
_MOST_SAID = 200  # characters of another package's message


class _Reader(NamedTuple):
    """A reader of another package: its module, the extra that installs it, and how to call it."""

    module: str
    extra: str
    read: Callable[[Any, Path], Any]


_READERS = {
    ".h5ad": _Reader("anndata", "anndata", lambda it, path: it.read_h5ad(path)),
    ".zarr": _Reader("zarr", "zarr", lambda it, path: it.open(str(path), mode="r")),
    ".nc": _Reader("xarray", "xarray", lambda it, path: it.open_dataset(path)),
    ".npy": _Reader("numpy", "", lambda it, path: it.load(path, allow_pickle=False)),
    ".fcs": _Reader("fcsparser", "fcs", lambda it, path: it.parse(str(path))[1]),
}


_KNOWN = {*_TABLES, *_TEXTS, *_READERS, ".json", ".jsonl", ".ndjson"}


def is_loadable(suffix: str) -> bool:
    """Return whether a suffix says how content is read, and so whether a wrong one misleads."""
    plain, _ = _split(suffix)
    return plain in _KNOWN or loaders.given(suffix) is not None


def load(path: Path, suffix: str, *, as_: str | None = None, called: str = "content") -> Any:
    """Return the content of a file in memory; for a folder, its path.

    Args:
        path: The file or folder.
        suffix: The ending that says what it is.
        as_: For a table `"pandas"` (the default), `"polars"` or `"arrow"`.
        called: What an error calls it.

    Raises:
        InvalidValueError: `as_` is no kind of frame, or the content is no table.
        MissingDependencyError: The package that reads it is not installed.
        UnreadableContentError: It is not what its suffix says.
    """
    plain, compression = _split(suffix)
    if as_ is not None and as_ not in _FRAMES:
        raise InvalidValueError(f"load(as_=): expected one of {', '.join(_FRAMES)}, got {as_!r}")
    if as_ is not None and (path.is_dir() or plain not in _TABLES):
        raise InvalidValueError(
            f"load(as_={as_!r}): expected a table ({', '.join(sorted(_TABLES))}), "
            f"{called} has the suffix '{suffix}'"
        )
    # Who asks for a kind of frame means a table, whatever else was registered.
    own = None if as_ is not None else loaders.given(suffix)
    # A package that opens files by their path undoes no compression around them.
    is_known = plain in _KNOWN and not (plain in _READERS and compression is not None)
    if own is None and as_ is None and (not is_known or _is_wanting(plain)):
        own = loaders.installed(suffix)
    if own is None and not is_known:
        _say_unknown(suffix, is_folder=path.is_dir())
    try:
        if own is not None:
            return own(path)
        return _loaded(path, plain, compression, as_ or "pandas")
    except (LedgerError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(str(error).split())
        said = said if len(said) <= _MOST_SAID else f"{said[:_MOST_SAID]}…"
        if own is not None and isinstance(error, ImportError):
            raise MissingDependencyError(
                f"{called}: the loader of '{suffix}' cannot be used: {said}; install what it "
                "needs, or use cache() and read it yourself"
            ) from error
        raise UnreadableContentError(
            f"{called}: its content cannot be read as '{suffix}': {type(error).__name__}: {said}; "
            "cache() gives its path, to read it in another way"
        ) from error


def _is_wanting(plain: str) -> bool:
    """Return whether a package that reads a suffix is not installed."""
    reader = _READERS.get(plain)
    return reader is not None and importlib.util.find_spec(reader.module) is None


def _say_unknown(suffix: str, *, is_folder: bool) -> None:
    if is_folder and not suffix:
        return  # a folder is used by its path
    what = f"'{suffix}'" if suffix else "content without a suffix"
    comes = "the path of the folder" if is_folder else "its bytes"
    way_out = f"; ln.loaders.register({suffix!r}, function) says otherwise" if suffix else ""
    say_once("info", f"load(): no loader for {what}, this is {comes}{way_out}")


def _loaded(path: Path, plain: str, compression: str | None, frame: str) -> Any:
    reader = _READERS.get(plain)
    is_folder = path.is_dir()
    # A folder can be used as it is: a package that is not installed is no reason to refuse it.
    if is_folder and (reader is None or _is_wanting(plain)):
        return path
    if reader is not None and compression is None:
        return reader.read(_required(plain, reader), path)
    if plain in _TABLES:
        return _table(path, plain, compression, frame)
    return _plain_data(_uncompressed(path, None if plain == ".tar" else compression), plain)


def _plain_data(data: bytes, plain: str) -> Any:
    if plain == ".json":
        import json  # noqa: PLC0415

        return json.loads(data)
    if plain in {".jsonl", ".ndjson"}:
        import json  # noqa: PLC0415

        return [json.loads(line) for line in data.decode("utf-8").splitlines() if line.strip()]
    return data.decode("utf-8") if plain in _TEXTS else data


def _required(suffix: str, reader: _Reader) -> Any:
    try:
        return importlib.import_module(reader.module)
    except ImportError as error:
        raise MissingDependencyError(
            f"load() of a {suffix} needs {reader.module}, which is not installed; "
            f"pip install 'metaledger[{reader.extra}]', or use cache() and read it yourself"
        ) from error


def _split(suffix: str) -> tuple[str, str | None]:
    first, _, second = suffix.lower().removeprefix(".").partition(".")
    return (f".{first}" if first else "", second or None)


def _table(path: Path, plain: str, compression: str | None, frame: str) -> Any:
    if frame == "pandas":
        return _pandas_table(path, plain, compression)
    if plain == ".parquet":
        from pyarrow import parquet  # noqa: PLC0415

        table = parquet.read_table(path)
    elif plain in {".feather", ".arrow"}:
        from pyarrow import feather  # noqa: PLC0415

        table = feather.read_table(path)
    else:
        import io  # noqa: PLC0415

        from pyarrow import csv  # noqa: PLC0415

        separator = csv.ParseOptions(delimiter="\t" if plain == ".tsv" else ",")
        data = io.BytesIO(_uncompressed(path, compression))
        table = csv.read_csv(data, parse_options=separator)
    if frame == "arrow":
        return table
    from projections.arrow import to_polars  # noqa: PLC0415

    return to_polars(table)


def _pandas_table(path: Path, plain: str, compression: str | None) -> Any:
    try:
        import pandas as pd  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "load() of a table needs pandas, which is not installed; pip install "
            "'metaledger[pandas]', use load(as_='arrow'), or use cache() and read it yourself"
        ) from error
    if plain == ".parquet":
        return pd.read_parquet(path)
    if plain in {".feather", ".arrow"}:
        return pd.read_feather(path)
    separator: Any = "\t" if plain == ".tsv" else ","
    known: Any = compression if compression is None else _COMPRESSIONS.get(compression, compression)
    return pd.read_csv(path, sep=separator, compression=known)


def _uncompressed(path: Path, compression: str | None) -> bytes:
    if compression not in _COMPRESSIONS:
        return path.read_bytes()
    import fsspec  # noqa: PLC0415

    with fsspec.open(str(path), "rb", compression=_COMPRESSIONS[compression]) as stream:
        data: bytes = stream.read()
    return data
