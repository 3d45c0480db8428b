"""Content at a URL that is fetched before it is hashed, into a folder that goes again.

1. One URL of a web server is one file, whatever is in it: a page with links is not followed.
2. The file's name is the last part of the URL's path, without query and fragment.
3. Nothing in a URL is a pattern.
"""

from __future__ import annotations

import shutil
import tempfile
import weakref
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from ledger.errors import InvalidValueError, MissingFileError, StorageError

_WEB = ("http", "https")
_LONGEST = 200  # bytes of a file name; the systems that matter allow 255


def is_web_url(place: str) -> bool:
    """Return whether a place is a URL of a web server."""
    scheme, separator, _ = place.partition("://")
    return bool(separator) and scheme.lower() in _WEB


class Fetched:
    """The file or folder at a URL, at `path`, until this object is let go."""

    def __init__(self, url: str) -> None:
        """Fetch it.

        Raises:
            InvalidValueError: It is no URL.
            MissingFileError: There is nothing at the URL.
            MissingDependencyError: Its protocol needs a package that is not installed.
            StorageError: The URL cannot be reached.
        """
        folder = tempfile.mkdtemp(prefix="metaledger-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        try:
            self.path = _fetch(url, Path(folder))
        except BaseException:
            # The traceback would keep this object, and so the folder.
            shutil.rmtree(folder, ignore_errors=True)
            raise


def _fetch(url: str, folder: Path) -> Path:
    target = folder / _name(url)
    try:
        _copy(url, target)
    except FileNotFoundError as error:
        raise MissingFileError(f"{url}: there is nothing at this URL") from error
    except ImportError as error:
        from ledger.content.objects import needs_package  # noqa: PLC0415 (only for URLs)

        raise needs_package(url, error) from error
    except Exception as error:
        said = str(error) or type(error).__name__
        raise StorageError(f"{url}: cannot be fetched: {said}") from error
    return target


def _copy(url: str, target: Path) -> None:
    import fsspec  # noqa: PLC0415 (slow to load)

    if is_web_url(url):
        scheme, _, rest = url.partition("://")
        # By the protocol, not by the URL: fsspec would take `::` in a query for a chain of URLs.
        web: Any = fsspec.filesystem("http")
        web.get_file(f"{scheme.lower()}://{rest.partition('#')[0]}", str(target))
        return
    system, remote = fsspec.core.url_to_fs(url)
    if not system.isdir(remote):
        system.get_file(remote, str(target))
        return
    system.get(f"{remote.rstrip('/')}/", str(target), recursive=True)


def _name(url: str) -> str:
    """Return a name for the file at a URL.

    Raises:
        InvalidValueError: It is no URL.
    """
    try:
        last = unquote(urlsplit(url).path.rstrip("/").rpartition("/")[2])
    except ValueError as error:
        raise InvalidValueError(f"artifact: expected a path or URL, got {url!r}") from error
    name = last.replace("/", "_")
    fits = name.isprintable() and len(name.encode()) <= _LONGEST and name not in {"", ".", ".."}
    return name if fits else f"content{Path(name).suffix if name.isprintable() else ''}"[:_LONGEST]
