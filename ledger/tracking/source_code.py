"""The source of this pass: the running file, its text, its hash and a suggested key.

1. The source is the file of `__main__`, whoever calls: a function of a library, a test runner's
   module, a worker process. `python -m package.module` is a "module"; a file, a folder or a zip
   archive with a `__main__.py` is a "script".
2. If `__main__` is a tool of the standard library that runs a script (cProfile, pdb, trace), the
   source is that script; if the tool offers a prompt, it is a "repl".
3. Without a file (prompt, `python -c`, standard input) a Jupyter kernel is a "notebook"; if nobody
   tells its path, its text is that of the cells that ran so far. Everything else is a "repl",
   without path, text, hash and key.
4. The text is read on demand, so a file edited after its start counts as edited. It is decoded as
   Python does it (byte order mark, coding line), with LF between lines.
5. `source_hash` = `"sha256:"` + hex SHA-256 of that text in UTF-8. A source that is no text has the
   hash of its bytes; an unreadable source has none.
6. The suggested key is the path below `root` if the source lies there, else the file's name (for a
   module, its dotted name as a path), with `/` and in NFC: the same on each computer. Files outside
   of `root` are told apart by `ledger.tracking.project`.
"""

from __future__ import annotations

import hashlib
import io
import os
import sys
import sysconfig
import tokenize
import warnings
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Literal, TypeAlias

import msgspec

from ledger.errors import LedgerError
from ledger.input_files import read_small
from ledger.model.canonical import nfc
from ledger.tracking.notebook import (
    active_shell,
    executed_code,
    notebook_code,
    notebook_path,
    read_notebook,
    shell_kind,
)

_MOST_SOURCE = 1 << 28  # bytes of a file that may still be a source

SourceKind: TypeAlias = Literal["script", "notebook", "repl", "module", "command"]


class SourceCode(msgspec.Struct, frozen=True, kw_only=True):
    """The running source. Only `path` depends on this computer."""

    kind: SourceKind
    path: str | None
    text: str | None
    source_hash: str | None
    name: str
    key: str | None


def find_source(*, root: str | os.PathLike[str] | None = None) -> SourceCode:
    """Return the source of this process as it lies on disk now.

    Args:
        root: Folder below which the key is a relative path; usually the ledger's.
    """
    main = sys.modules.get("__main__")
    path = _main_file(main)
    if main is not None and path is not None:
        return _file_source(main, path, root)
    shell = active_shell()
    if shell is not None and shell_kind(shell) == "kernel":
        path = notebook_path(shell)
        return _unnamed_notebook(shell) if path is None else _notebook_source(path, root)
    return SourceCode(kind="repl", path=None, text=None, source_hash=None, name="repl", key=None)


def command_line(kind: SourceKind, argv: Sequence[str] | None = None) -> tuple[str, ...]:
    """Return the arguments that the user gave to the source.

    Arguments of a kernel or a prompt are left out, as the user did not give them (a kernel's name a
    file of that one session).
    """
    if kind in ("notebook", "repl"):
        return ()
    return tuple((sys.argv if argv is None else argv)[1:])


def text_hash(text: str) -> str:
    """Return `"sha256:<64 hex>"` of a text with LF as line ends."""
    return _digest(_unify_newlines(text).encode("utf-8", "surrogatepass"))


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def _unify_newlines(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def hash_of_source(path: Path, *, is_notebook: bool) -> str | None:
    """Return the `source_hash` of the script or notebook at a path; None if it is unreadable."""
    return _notebook_source(path, None).source_hash if is_notebook else _read(None, path)[1]


# --- which file -----------------------------------------------------------------------------------


def _main_file(main: ModuleType | None) -> Path | None:
    raw = getattr(main, "__file__", None)
    # Standard input has the name "<stdin>".
    if not isinstance(raw, str) or not raw or raw.startswith("<"):
        return None
    path = Path(raw).absolute()
    if not _is_standard_library(path):
        return path
    if hasattr(sys, "ps1") or "_pyrepl" in path.parts:
        return None
    run = Path(sys.argv[0]).absolute() if sys.argv and sys.argv[0] else path
    return run if run.is_file() else path


def _is_standard_library(path: Path) -> bool:
    inside = Path(sysconfig.get_path("stdlib")).resolve()
    real = path.resolve()
    return inside in real.parents and not {"site-packages", "dist-packages"} & set(real.parts)


def _file_source(main: ModuleType, path: Path, root: str | os.PathLike[str] | None) -> SourceCode:
    spec = getattr(main, "__spec__", None)
    module = str(getattr(spec, "name", "") or "")
    is_own_file = path == Path(str(main.__file__)).absolute()
    text, source_hash = _read(main if is_own_file else None, path)
    if not is_own_file or module in ("", "__main__", "__mp_main__"):
        # A folder or an archive with a `__main__.py` is run, and named, by its own path.
        shown = path.parent if path.name == "__main__.py" else path
        kind: SourceKind = "script"
        name, fallback = shown.stem, shown.name
    else:
        kind = "module"
        shown = path
        name = module.removesuffix(".__main__")
        fallback = module.replace(".", "/") + ".py"
    return SourceCode(
        kind=kind,
        path=str(shown),
        text=text,
        source_hash=source_hash,
        name=nfc(name),
        key=key_below(shown, root) or nfc(fallback),
    )


def _unnamed_notebook(shell: object) -> SourceCode:
    text = executed_code(shell)
    return SourceCode(
        kind="notebook",
        path=None,
        text=text,
        source_hash=None if text is None else text_hash(text),
        name="notebook",
        key=None,
    )


def _notebook_source(path: Path, root: str | os.PathLike[str] | None) -> SourceCode:
    notebook = read_notebook(path)
    if notebook is not None:
        text: str | None = notebook_code(notebook)
        source_hash: str | None = text_hash(text or "")
    else:  # A script opened as a notebook, such as a paired one.
        text, source_hash = _read(None, path)
    return SourceCode(
        kind="notebook",
        path=str(path),
        text=text,
        source_hash=source_hash,
        name=nfc(path.stem),
        key=key_below(path, root) or nfc(path.name),
    )


# --- its text -------------------------------------------------------------------------------------


def _read(main: ModuleType | None, path: Path) -> tuple[str | None, str | None]:
    try:
        data = read_small(path, most=_MOST_SOURCE)
    except LedgerError:
        text = _text_of_loader(main)  # Only the loader can read a source in an archive.
        return text, None if text is None else text_hash(text)
    text = _decode(data)
    return text, _digest(data) if text is None else text_hash(text)


def _decode(data: bytes) -> str | None:
    if b"\0" in data:  # Compiled code, or other data that is no text.
        return None
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Some encodings warn about decoded text.
            text = data.decode(encoding)
        text.encode()  # Some encodings give halves of surrogate pairs, which nothing can store.
    except (SyntaxError, UnicodeError, LookupError):
        return None
    return _unify_newlines(text)


def _text_of_loader(main: ModuleType | None) -> str | None:
    get_source = getattr(getattr(main, "__loader__", None), "get_source", None)
    spec_name = getattr(getattr(main, "__spec__", None), "name", None)
    if not callable(get_source):
        return None
    try:
        text = get_source(spec_name or "__main__")
    except (ImportError, OSError, SyntaxError, UnicodeDecodeError):
        return None
    return _unify_newlines(text) if isinstance(text, str) else None


# --- its name -------------------------------------------------------------------------------------


def key_below(path: Path, root: str | os.PathLike[str] | None) -> str | None:
    """Return the path below `root`, as a key; None for a path elsewhere."""
    if root is None:
        return None
    try:
        return nfc(path.resolve().relative_to(Path(root).resolve()).as_posix())
    except ValueError:  # Not below the root.
        return None
