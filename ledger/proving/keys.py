"""Private keys: files outside of every ledger, readable by their owner only.

1. `METALEDGER_KEY_DIR` names the folder; by default it is `metaledger/keys` below the user's
   configuration folder.
2. A private key that others can read is refused, and so is a folder that others can write.
3. A file is written once, whole and durable; only the last checkpoint is replaced. docs/format.md
   names the files.
4. Signed checkpoints wait here until they are published.
"""

from __future__ import annotations

import fnmatch
import os
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

from ledger import files
from ledger.errors import (
    InvalidValueError,
    KeyUnavailableError,
    LedgerError,
    PathTakenError,
    StorageError,
)
from ledger.input_files import named_path, read_small
from ledger.proving.notes import PrivateKey, PublicKey, read_private_key, read_public_key

VARIABLE = "METALEDGER_KEY_DIR"

T = TypeVar("T")

_MOST_KEY = 1 << 16  # bytes of a file
_OWNER_FILE = 0o600
_OWNER_FOLDER = 0o700
_OTHERS = 0o077
_OTHER_WRITERS = 0o022


_ERASER = "/eraser"


def origin_of(ledger_id: str) -> str:
    """Return the name of a ledger's keys, which is the origin of its checkpoints."""
    return f"metaledger.local/{ledger_id}"


def eraser_name(ledger_id: str) -> str:
    """Return the name of the keys that only erasures of a ledger are signed with."""
    return origin_of(ledger_id) + _ERASER


def ledger_origin(name: str) -> str:
    """Return the origin of the ledger to which a key of this name belongs."""
    return name.removesuffix(_ERASER)


def key_folder() -> Path:
    """Return the folder that holds the keys of this user.

    Raises:
        KeyUnavailableError: This user has no home folder, and nothing names another one.
    """
    named = os.environ.get(VARIABLE)
    try:
        if named:
            return named_path(named)
        if sys.platform == "darwin":
            base = Path.home() / "Library" / "Application Support"
        else:
            base = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config")
    except RuntimeError as error:
        raise KeyUnavailableError(
            f"keys: this user has no home folder to keep them in; set {VARIABLE} to a folder"
        ) from error
    return base / "metaledger" / "keys"


class KeyRing:
    """The keys of one ledger that this user has: those of the ledger, or those of an eraser."""

    def __init__(
        self, ledger_id: str, *, folder: Path | None = None, is_erasers: bool = False
    ) -> None:
        self.ledger_id = ledger_id
        self.name = eraser_name(ledger_id) if is_erasers else origin_of(ledger_id)
        self._stem = f"{ledger_id}-eraser" if is_erasers else ledger_id
        self._folder = folder

    @property
    def folder(self) -> Path:
        """The folder of the keys.

        Raises:
            KeyUnavailableError: This user has no home folder.
        """
        return key_folder() if self._folder is None else self._folder

    def public_keys(self) -> list[PublicKey]:
        """Return every key that this user ever had for the ledger, in no order.

        Without the right to look into the folder, there are none.

        Raises:
            KeyUnavailableError: A file of such a key holds something else.
        """
        paths: list[Path] = []
        with suppress(KeyUnavailableError):
            paths = self._files(f"{self._stem}.*.pub")
        found = [self._read(path) for path in paths]
        return [_as(read_public_key, text, path) for path, text in found]

    def private_keys(self) -> list[PrivateKey]:
        """Return every private key for the ledger.

        Raises:
            KeyUnavailableError: Others can read a key, or this user cannot.
        """
        return [self._private(path) for path in self._files(f"{self._stem}.*.key")]

    def private_key(self, public: PublicKey) -> PrivateKey | None:
        """Return the private key of a public one; None if this user lacks it.

        Raises:
            KeyUnavailableError: Others can read it, or this user cannot.
        """
        if not self._files(f"{self._stem}.{public.id.hex()}.key"):
            return None
        path = self._path(public, "key")
        key = self._private(path)
        if key.public() != public:
            raise KeyUnavailableError(
                f"key {path}: expected the one of {public}, found that of {key.public()}; restore "
                "it from a backup",
                path=str(path),
            )
        return key

    def keep(self, key: PrivateKey) -> None:
        """Write a new key and its public line, durably.

        Raises:
            StorageError: The disk refused.
        """
        self._make_folder()
        public = key.public()
        for ending, text, mode in (
            ("key", key.text(), _OWNER_FILE),
            ("pub", str(public), 0o644),
        ):
            path = self._path(public, ending)
            try:
                files.write_durably(path, f"{text}\n".encode(), mode=mode, replace=False)
            except PathTakenError as error:
                raise StorageError(f"key {path}: there is one already") from error

    def forget(self, public: PublicKey) -> None:
        """Remove the private key of a public one, whose line stays."""
        files.remove_durably(self._path(public, "key"))

    def last_checkpoint(self) -> str | None:
        """Return the last checkpoint that was signed here; None if there is none.

        Raises:
            KeyUnavailableError: It cannot be read.
        """
        found = self._files(f"{self.ledger_id}.checkpoint")
        return self._read(found[0])[1] if found else None

    def remember(self, checkpoint: str) -> None:
        """Keep the checkpoint that is being signed, so that the next one agrees with it."""
        self._make_folder()
        files.write_durably(self._last, checkpoint.encode(), mode=_OWNER_FILE)

    def forget_checkpoint(self) -> None:
        """Forget the signed checkpoints: the ledger starts again, visibly, with a new key."""
        files.remove_durably(self._waiting)
        if self._last.exists():
            files.remove_durably(self._last)

    def wait(self, way: str, name: str, checkpoint: str) -> None:
        """Keep a checkpoint until it is published in a way; its name sorts it among the others."""
        files.make_folders(self._waiting)
        files.write_durably(self._waiting / f"{name}.{way}", checkpoint.encode(), mode=_OWNER_FILE)

    def waiting(self, way: str) -> list[tuple[str, str]]:
        """Return name and text of the checkpoints that wait for a way, in the order of names."""
        found = sorted(self._waiting.glob(f"*.{way}"))
        return [(path.name.removesuffix(f".{way}"), self._read(path)[1]) for path in found]

    def done(self, way: str, name: str) -> None:
        """Remove a checkpoint that was published in a way."""
        files.remove_durably(self._waiting / f"{name}.{way}")

    @property
    def _waiting(self) -> Path:
        return self.folder / f"{self.ledger_id}.unpublished"

    @property
    def _last(self) -> Path:
        return self.folder / f"{self.ledger_id}.checkpoint"

    def _path(self, public: PublicKey, ending: str) -> Path:
        return self.folder / f"{self._stem}.{public.id.hex()}.{ending}"

    def _files(self, pattern: str) -> list[Path]:
        """Return the sorted files of a pattern; none for a user without a folder.

        Raises:
            KeyUnavailableError: The folder cannot be read.
        """
        try:
            folder = self.folder
        except KeyUnavailableError:
            return []
        try:
            names = os.listdir(folder)  # noqa: PTH208 (a glob passes over what it may not read)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise KeyUnavailableError(
                f"keys {folder}: cannot be read ({error.strerror}); see to its permissions, or "
                f"set {VARIABLE} to another folder",
                path=str(folder),
            ) from error
        return [folder / name for name in sorted(fnmatch.filter(names, pattern))]

    def _make_folder(self) -> None:
        if not self.folder.exists():
            files.make_folders(self.folder)
            self.folder.chmod(_OWNER_FOLDER)

    def _private(self, path: Path) -> PrivateKey:
        self._require_own_folder()
        return read_private_key_file(path)

    def _require_own_folder(self) -> None:
        mode = stat.S_IMODE(self.folder.stat().st_mode)
        # A user who can write the folder can replace a key, or the last checkpoint by an older one.
        if os.name == "posix" and mode & _OTHER_WRITERS:
            raise KeyUnavailableError(
                f"keys {self.folder}: expected a folder that only its owner can write, found mode "
                f"{mode:o}; run 'chmod go-w {self.folder}', and rotate the key if somebody else "
                "may have been there",
                path=str(self.folder),
            )

    def _read(self, path: Path) -> tuple[Path, str]:
        return path, _text(path)


def read_private_key_file(path: Path) -> PrivateKey:
    """Return the private key in a file.

    Raises:
        KeyUnavailableError: Others can read the file too, or it holds something else.
    """
    text = _text(path)
    mode = stat.S_IMODE(path.stat().st_mode)
    if os.name == "posix" and mode & _OTHERS:
        raise KeyUnavailableError(
            f"key {path}: expected a file that only its owner can read, found mode {mode:o}; run "
            f"'chmod 600 {path}', and rotate the key if somebody may have read it",
            path=str(path),
        )
    return _as(read_private_key, text, path)


def _text(path: Path) -> str:
    try:
        return read_small(path, most=_MOST_KEY).decode().replace("\r\n", "\n")
    except (LedgerError, UnicodeDecodeError) as error:
        raise KeyUnavailableError(f"key {path}: cannot be read: {error}") from error


def _as(read: Callable[[str], T], text: str, path: Path) -> T:
    try:
        return read(text)
    except InvalidValueError as error:
        raise KeyUnavailableError(f"key {path}: {error}; restore it from a backup") from error
