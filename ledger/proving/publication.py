"""Publishing checkpoints: in a folder or at a URL, and by a command.

1. Published checkpoints are compared with the log before the next one is signed: if they disagree,
   there is a fork, and signing and publishing stop.
2. A checkpoint waits among the keys until it is published. After a failure it is tried again, with
   all that wait, when the next one is made.
3. Names sort by size. A file is never overwritten, except `latest`.
4. The command comes from the environment of the signer, never from the ledger's folder: a ledger
   that somebody sends you cannot start a program. It runs without a shell.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256

from ledger.content.backends import open_folder
from ledger.content.folder import Folder
from ledger.display.messages import say
from ledger.errors import (
    ConfigurationError,
    CorruptLogError,
    InvalidProofError,
    LedgerError,
    MissingFileError,
    PathTakenError,
    StorageError,
    UnsupportedFileError,
    printable,
)
from ledger.places.config import PUBLISH_VARIABLE, Place
from ledger.proving.keys import KeyRing
from ledger.proving.notes import (
    MAX_NOTE,
    Checkpoint,
    PublicKey,
    read_checkpoint,
    read_note,
)
from ledger.proving.verification import open_checkpoint

LATEST = "latest"
SECONDS = 60.0  # the longest time for a command

_PREFIX = "checkpoint-"
_ENDING = ".checkpoint"
_SAID = 500  # characters shown of the output of a command
_MANY_READERS = 8


class Publisher(ABC):
    """A way in which checkpoints are published.

    Attributes:
        way: Its name among the files of waiting checkpoints.
        where: Its name in messages.
    """

    way: str
    where: str

    @abstractmethod
    def newest(self) -> str | None:
        """Return the newest published checkpoint; None if there is none, or it is unknown.

        Raises:
            LedgerError: It cannot be reached.
        """

    @abstractmethod
    def publish(self, text: str) -> None:
        """Publish a checkpoint before returning; this may be done again.

        Raises:
            CorruptLogError: Another root is published for the same size.
            LedgerError: It was refused.
        """


class PublishingFolder(Publisher):
    """A folder, here or at a URL, with one file for each checkpoint."""

    way = "folder"

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self.where = folder.where

    def newest(self) -> str | None:
        """See `Publisher.newest`."""
        named = [name for name in self._folder.names() if name.startswith(_PREFIX)]
        return _note(self._folder, named[-1]) if named else None

    def publish(self, text: str) -> None:
        """See `Publisher.publish`."""
        stated = read_checkpoint(read_note(text))
        name, raw = name_of(stated.size), text.encode()
        try:
            self._folder.put(name, raw)
        except PathTakenError:
            there = _note(self._folder, name)
            _require_same(stated, read_checkpoint(read_note(there)), self._folder.shown(name))
            if not _signatures(text) <= _signatures(there):
                # The same statement with more signatures: a witness signed it later.
                self._folder.put(f"{name}.{sha256(raw).hexdigest()[:8]}", raw)
        if self._latest_size() <= stated.size:
            self._folder.replace(LATEST, raw)

    def _latest_size(self) -> int:
        with suppress(MissingFileError, InvalidProofError):
            return read_checkpoint(read_note(_note(self._folder, LATEST))).size
        return 0


class PublishingCommand(Publisher):
    """A program that gets the checkpoint on its standard input."""

    way = "command"

    def __init__(self, command: str) -> None:
        """Split the command as a shell would.

        Raises:
            ConfigurationError: It cannot be split.
        """
        try:
            self._words = shlex.split(command)
        except ValueError as error:
            raise ConfigurationError(
                f"{PUBLISH_VARIABLE}: {error}; quote it as for a shell"
            ) from error
        if not self._words:
            raise ConfigurationError(
                f"{PUBLISH_VARIABLE}: expected a program and its arguments, got none"
            )
        self.where = f"command {self._words[0]}"

    def newest(self) -> str | None:
        """Return None: a command publishes without telling."""
        return None

    def publish(self, text: str) -> None:
        """See `Publisher.publish`; the program reports success by status 0."""
        stated = read_checkpoint(read_note(text))
        told = {
            "METALEDGER_ORIGIN": stated.origin,
            "METALEDGER_SIZE": str(stated.size),
            "METALEDGER_ROOT": stated.root.hex(),
        }
        try:
            status, said = _run(self._words, text.encode(), {**os.environ, **told})
        except OSError as error:
            raise StorageError(f"{self.where}: cannot be started ({error.strerror})") from error
        if status is None:
            raise StorageError(f"{self.where}: did not end within {SECONDS:.0f} seconds{said}")
        if status:
            raise StorageError(f"{self.where}: ended with status {status}{said}")


def _run(words: Sequence[str], data: bytes, env: dict[str, str]) -> tuple[int | None, str]:
    """Run a program and return its status, None if it took too long, and its error output."""
    with subprocess.Popen(  # noqa: S603 (the user configured it; no shell)
        words,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        # The programs that it starts end with it.
        start_new_session=True,
    ) as program:
        try:
            _, raw = program.communicate(data, timeout=SECONDS)
            status: int | None = program.returncode
        except subprocess.TimeoutExpired as error:
            _end(program)
            raw, status = error.stderr or b"", None
        except BaseException:
            _end(program)
            raise
    said = printable(raw.decode("utf-8", "replace").strip())[-_SAID:]
    return status, f": {said}" if said else ""


def _end(program: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(program.pid, signal.SIGKILL)


# --- before and after a checkpoint is signed ------------------------------------------------------


def publishers(place: Place) -> list[Publisher]:
    """Return the ways in which checkpoints of a ledger are published.

    Raises:
        ConfigurationError: The command cannot be split.
        InvalidValueError: The URL is invalid.
        MissingDependencyError: The URL needs a package that is not installed.
    """
    found: list[Publisher] = []
    if place.configuration.publish:
        found.append(PublishingFolder(open_folder(place.resolved(place.configuration.publish))))
    command = os.environ.get(PUBLISH_VARIABLE)
    if command:
        found.append(PublishingCommand(command))
    return found


def newest_known(place: Place, ring: KeyRing) -> tuple[list[tuple[str, str]], list[LedgerError]]:
    """Return the last checkpoint signed here and the newest published ones, each with its place.

    They are read before the log is, which may only be longer. A place that cannot be asked is
    told by its error.
    """
    asked: list[tuple[str, Callable[[], str | None]]] = [
        ("the last checkpoint signed here", ring.last_checkpoint)
    ]
    found, errors = [], []
    try:
        asked += [(f"the newest checkpoint in {it.where}", it.newest) for it in publishers(place)]
    except LedgerError as error:
        errors.append(error)
    for where, ask in asked:
        try:
            text = ask()
        except LedgerError as error:
            errors.append(error)
        else:
            found += [] if text is None else [(where, text)]
    return found, errors


class Publication:
    """One checkpoint on its way, and the checkpoints that are published already."""

    def __init__(self, ways: Iterable[Publisher], ring: KeyRing) -> None:
        self._ring = ring
        self._ways = list(ways)
        self._refused: dict[str, LedgerError] = {}

    def published(self, keys: Callable[[], Sequence[PublicKey]]) -> list[tuple[str, Checkpoint]]:
        """Return each place with published checkpoints, and the newest one there, verified.

        Args:
            keys: Gives the keys of the ledger, of all times.
        """
        found = []
        for way in self._ways:
            try:
                text = way.newest()
                if text is not None:
                    found.append((way.where, self._own(text, way.where, keys())))
            except LedgerError as error:
                self._refused[way.way] = error
        return found

    def expect(self, text: str) -> None:
        """Let a checkpoint wait for every way, before anyone sees it."""
        size = read_checkpoint(read_note(text)).size
        name = f"{size:020d}-{sha256(text.encode()).hexdigest()[:8]}"
        for way in self._ways:
            self._ring.wait(way.way, name, text)

    def carry_out(self) -> tuple[str, ...]:
        """Publish the waiting checkpoints, oldest first; warn of refusals, and return their places.

        Raises:
            CorruptLogError: Another root is published for the same size.
        """
        for way in self._ways:
            if way.way not in self._refused:
                try:
                    for name, text in self._ring.waiting(way.way):
                        way.publish(text)
                        self._ring.done(way.way, name)
                except CorruptLogError:
                    raise
                except LedgerError as error:
                    self._refused[way.way] = error
        for way in self._ways:
            if way.way in self._refused:
                count = len(self._ring.waiting(way.way))
                say(
                    "warning",
                    f"checkpoint is signed, but not published: {self._refused[way.way]}; {count} "
                    f"of them wait in {self._ring.folder}, and are published with the next one",
                )
        return tuple(way.where for way in self._ways if way.way in self._refused)

    def _own(self, text: str, where: str, keys: Sequence[PublicKey]) -> Checkpoint:
        try:
            found, _ = open_checkpoint(text, keys)
        except InvalidProofError as error:
            raise InvalidProofError(
                f"{where}: expected the newest checkpoint there to be one of this ledger "
                f"({error}); publish to a folder that is only for this ledger"
            ) from error
        if found.origin != self._ring.name:
            raise InvalidProofError(
                f"{where}: expected checkpoints of {self._ring.name}, found one of {found.origin}; "
                "publish to a folder that is only for this ledger"
            )
        return found


# --- names and notes ------------------------------------------------------------------------------


def name_of(size: int) -> str:
    """Return the name of the published checkpoint of a size; names sort as sizes do."""
    return f"{_PREFIX}{size:012d}"


def read_published(where: str) -> list[str]:
    """Return every checkpoint of a folder, or the one that a URL itself names, as text.

    The name of a file begins with `checkpoint-`, as of a published one, or ends with `.checkpoint`.

    Raises:
        MissingFileError: There is none.
        StorageError: It cannot be reached.
    """
    folder = open_folder(where)
    names = [name for name in folder.names() if name.startswith(_PREFIX) or name.endswith(_ENDING)]
    if names:
        from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415 (slow to load)

        with ThreadPoolExecutor(max_workers=_MANY_READERS) as pool:
            return list(pool.map(lambda name: _note(folder, name), names))
    above, _, name = where.rstrip("/").rpartition("/")
    if name not in {"", ".", ".."}:
        with suppress(MissingFileError, UnsupportedFileError):
            return [_note(open_folder(above), name)]
    raise MissingFileError(
        f"{folder.where}: expected a checkpoint, or a folder of files named {_PREFIX}… or "
        f"…{_ENDING}; found none"
    )


def _note(folder: Folder, name: str) -> str:
    try:
        return folder.read(name, most=MAX_NOTE).decode()
    except UnicodeDecodeError as error:
        raise InvalidProofError(f"{folder.shown(name)}: expected text in UTF-8") from error


def _signatures(text: str) -> set[tuple[str, bytes]]:
    return {(it.name, it.key_id) for it in read_note(text).signatures}


def _require_same(ours: Checkpoint, there: Checkpoint, shown: str) -> None:
    if ours != there:
        raise CorruptLogError(
            f"checkpoint for size {ours.size} of {ours.origin}: has root {ours.root.hex()[:16]}…, "
            f"but {shown} is of {there.origin}, size {there.size}, root {there.root.hex()[:16]}…; "
            "two histories were signed, or another ledger publishes there; it is left as it is: "
            "stop writing and audit the ledger against it",
            size=ours.size,
        )
