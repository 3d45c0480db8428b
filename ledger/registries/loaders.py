"""Loading content into memory by its suffix, and fetching content from a URL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ledger.errors import MissingDependencyError, MissingFileError, StorageError

_TABLES = {".csv", ".tsv", ".parquet", ".feather", ".arrow"}
_TEXTS = {".txt", ".md", ".log", ".py", ".toml", ".yaml", ".yml", ".html", ".svg", ".sh", ".sql"}


def load(path: Path, suffix: str) -> Any:
    """Return the content of a file in memory; for a folder, its path.

    Raises:
        MissingDependencyError: The file is a table and pandas is not installed.
    """
    if path.is_dir():
        return path
    plain, compression = _split(suffix)
    if plain in _TABLES:
        return _table(path, plain, compression)
    data = _uncompressed(path, compression)
    if plain == ".json":
        import json  # noqa: PLC0415

        return json.loads(data)
    if plain in {".jsonl", ".ndjson"}:
        import json  # noqa: PLC0415

        return [json.loads(line) for line in data.decode("utf-8").splitlines() if line.strip()]
    return data.decode("utf-8") if plain in _TEXTS else data


def fetch(url: str, folder: Path) -> Path:
    """Fetch the file or folder at a URL, and return its path below `folder`.

    Raises:
        MissingFileError: There is nothing at the URL.
        MissingDependencyError: Its protocol needs a package that is not installed.
        StorageError: The URL cannot be reached.
    """
    import fsspec  # noqa: PLC0415

    try:
        system, remote = fsspec.core.url_to_fs(url)
        target = folder / (remote.rstrip("/").rsplit("/", 1)[-1] or "content")
        system.get(remote, str(target), recursive=system.isdir(remote))
    except FileNotFoundError as error:
        raise MissingFileError(f"{url}: there is nothing at this URL") from error
    except ImportError as error:
        raise MissingDependencyError(f"{url}: {error}") from error
    except Exception as error:
        raise StorageError(f"{url}: {error}") from error
    return target


def _split(suffix: str) -> tuple[str, str | None]:
    first, _, second = suffix.lower().removeprefix(".").partition(".")
    return (f".{first}" if first else "", second or None)


def _table(path: Path, plain: str, compression: str | None) -> Any:
    try:
        import pandas as pd  # noqa: PLC0415
    except ImportError as error:
        raise MissingDependencyError(
            "load() of a table needs pandas, which is not installed; "
            "pip install 'metaledger[pandas]', or use cache() and read it yourself"
        ) from error
    if plain == ".parquet":
        return pd.read_parquet(path)
    if plain in {".feather", ".arrow"}:
        return pd.read_feather(path)
    separator = "\t" if plain == ".tsv" else ","
    return pd.read_csv(path, sep=separator, compression=_pandas_name(compression))


def _pandas_name(compression: str | None) -> Any:
    return {None: None, "gz": "gzip", "zst": "zstd"}.get(compression, compression)


def _uncompressed(path: Path, compression: str | None) -> bytes:
    if compression is None:
        return path.read_bytes()
    import fsspec  # noqa: PLC0415

    names = {"gz": "gzip", "bz2": "bz2", "xz": "xz", "zst": "zstd"}
    with fsspec.open(str(path), "rb", compression=names.get(compression)) as stream:
        data: bytes = stream.read()
    return data
