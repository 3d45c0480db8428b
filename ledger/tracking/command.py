"""A command as a run: any program, with the files that it reads and writes.

1. The transform is the command. If its first argument is a file, such as the script of a shell, the
   source is that file's text; else it is the command line itself.
2. The command always runs. Its processes belong to the run, as the workers of a script do.
3. Inputs are read by the run, before the command starts. A file that the ledger does not know is
   registered first, outside of the run.
4. Outputs are registered after a good end. If the command fails, or an output is not there, the run
   has failed, and no output is registered.
5. Signals go on to the command. A terminal sends its own to the command as well, so these do not.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

from ledger.errors import LedgerError, MissingFileError
from ledger.input_files import read_small
from ledger.model.canonical import nfc
from ledger.model.ids import digest
from ledger.model.parameters import canonical_params
from ledger.model.secret_names import without_secrets
from ledger.registries.artifact import Artifact
from ledger.tracking.context import context
from ledger.tracking.source_code import SourceCode, text_hash
from ledger.user_settings import settings

_MOST_SOURCE = 1 << 24  # bytes of a script that are still kept as its source
_LONGEST = 200  # characters of a command in a key
_PASSED_ON = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGCONT")
_OF_TERMINALS = ("SIGINT", "SIGQUIT")


def run_command(
    words: Sequence[str],
    *,
    name: str | None = None,
    inputs: Sequence[str] = (),
    outputs: Sequence[str] = (),
) -> int:
    """Run a command as a run of its own and return its exit status, 128 and the signal if killed.

    Args:
        words: The program and its arguments.
        name: Name of the transform; by default the command.
        inputs: Files that it reads.
        outputs: Files that it writes.

    Raises:
        MissingFileError: There is no such program, input or output. Without the program or an
            input nothing was started, and nothing is recorded.
    """
    program = shutil.which(words[0])
    if program is None:
        raise MissingFileError(
            f"run: there is no program '{words[0]}' that can be started; check its spelling and "
            "PATH, or write ./NAME for a file of this folder"
        )
    missing = [path for path in inputs if not Path(path).exists()]
    if missing:
        raise MissingFileError(f"run: input '{missing[0]}': there is no such file or folder")
    read = [_known(path) for path in inputs]
    context.track_command(_source(words), words, name)
    try:
        for artifact in read:
            artifact._note_read()  # noqa: SLF001 (as its own `cache()` does)
        status = _carried_out(program, words)
    except BaseException as error:
        context.fail(f"{type(error).__name__}: {error}")
        raise
    if status:
        context.fail(_told(words[0], status))
        return status
    _register(outputs)
    context.finish()
    return 0


def _register(outputs: Sequence[str]) -> None:
    try:
        missing = [path for path in outputs if not Path(path).exists()]
        if missing:
            raise MissingFileError(
                f"run: output '{missing[0]}': the command ended well and did not write it"
            )
        for path in outputs:
            Artifact(path, key=_key(path)).save()
    except LedgerError as error:
        context.fail(str(error))
        raise


def _known(path: str) -> Artifact:
    """Return the artifact of a file; it is registered if there is none."""
    found = Artifact(path)
    return found if found.is_saved else Artifact(path, key=_key(path)).save()


def _key(path: str) -> str:
    """Return the key of a file: its path in this folder, else its name."""
    full = Path(path).absolute()
    try:
        return full.relative_to(Path.cwd()).as_posix()
    except ValueError:
        return full.name


def _source(words: Sequence[str]) -> SourceCode:
    """Return the source of a command, without secrets among its arguments."""
    given: dict[str, Any] = canonical_params(None, list(words))
    kept, _ = without_secrets(given, settings.secret_names)
    shown = [it if isinstance(it, str) else repr(it) for it in kept["argv"]]
    path = Path(words[1]) if len(words) > 1 else None
    text = None if path is None or not path.is_file() else _text(path)
    if text is None or path is None:
        path, text = None, shlex.join(shown)
    else:
        shown = shown[:2]
    program = Path(shown[0]).name
    name = " ".join(shlex.join([program, *shown[1:]]).split())
    if len(name) > _LONGEST:
        name = f"{name[:_LONGEST]}… {digest([name]).hex()[:8]}"
    return SourceCode(
        kind="command",
        path=None if path is None else str(path.absolute()),
        text=text,
        source_hash=text_hash(text),
        name=nfc(name),
        key=nfc(name),
    )


def _text(path: Path) -> str | None:
    try:
        text = read_small(path, most=_MOST_SOURCE).decode()
    except (LedgerError, UnicodeDecodeError):
        return None
    return None if "\0" in text else text.replace("\r\n", "\n").replace("\r", "\n")


def _told(program: str, status: int) -> str:
    if status > 128:  # noqa: PLR2004 (as shells report a program that a signal ended)
        try:
            return f"{program}: ended by {signal.Signals(status - 128).name}"
        except ValueError:
            pass
    return f"{program}: exit status {status}"


# --- the process ----------------------------------------------------------------------------------


def _carried_out(program: str, words: Sequence[str]) -> int:
    with _passing_on() as started:
        # Relative programs are found from this folder, as `which` found them.
        try:
            process = subprocess.Popen(list(words), executable=os.path.abspath(program))  # noqa: PTH100, S603 (the user's own command)
        except OSError as error:
            raise MissingFileError(
                f"run: '{program}' cannot be started: {error.strerror}; a script needs a first "
                "line such as #!/bin/sh, or name its program: metaledger run -- sh SCRIPT"
            ) from error
        started(process)
        status = process.wait()
    return 128 - status if status < 0 else status


@contextmanager
def _passing_on() -> Iterator[Any]:
    """Pass signals on to a process; those that come before it is there, when it is."""
    processes: list[subprocess.Popen[bytes]] = []
    waiting: list[int] = []

    def hear(number: int, _: FrameType | None) -> None:
        if signal.Signals(number).name in _OF_TERMINALS and _is_in_front():
            return
        if processes:
            processes[0].send_signal(number)
        else:
            waiting.append(number)

    def started(process: subprocess.Popen[bytes]) -> None:
        processes.append(process)
        for number in waiting:
            process.send_signal(number)

    numbers = [getattr(signal, name) for name in _PASSED_ON if hasattr(signal, name)]
    # A signal that is ignored here stays ignored, in the command too.
    before = {it: signal.getsignal(it) for it in numbers if signal.getsignal(it) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, hear)
    try:
        yield started
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _is_in_front() -> bool:
    """Return whether this process is in the group to which the terminal sends its signals."""
    for stream in (0, 1, 2):
        try:
            return os.tcgetpgrp(stream) == os.getpgrp()
        except (OSError, AttributeError):
            continue
    return False
