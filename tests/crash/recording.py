"""What a program asked of the file system, in order: recorded with strace, as operations on paths.

1. Only what happens below one folder is kept, and what the program says: its acknowledgements stand
   in the recording just where they were given.
2. An operation counts from when it returned; a sync covers what had returned before it began.
3. What could change a file by a way that is not understood here fails the recording: a write that
   is overlooked would be a loss that is overlooked. Only the index of SQLite's log is mapped into
   memory; it is made anew after a crash, so that its bytes do not matter.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.support.processes import environment

STRACE = shutil.which("strace")
SAID = "said"  # the file that a program writes its acknowledgements to, beside the folder

_CHANGES = (
    "openat,open,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,rename,"
    "renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,"
    "fdatasync,sync,syncfs,sync_file_range,sendfile,copy_file_range,splice,io_uring_setup,mmap,lseek"
)
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+|\?)")
_RESUMED = re.compile(r"<\.\.\. \w+ resumed>(.*)")
_UNFINISHED = " <unfinished ...>"
_QUOTED = re.compile(r'"((?:\\x[0-9a-f]{2})*)"$')
_DESCRIPTOR = re.compile(r"(?:(\d+)|AT_FDCWD)<((?:\\x[0-9a-f]{2})*)>")


class Operation(NamedTuple):
    """One thing that was done: `sync` makes durable what stood when the `begin` of its number did.

    Kinds: create, empty, make-folder, write, cut, rename, link, remove, begin, sync, say.
    """

    kind: str
    path: str
    other: str = ""
    at: int = 0
    data: bytes = b""


class NotUnderstoodError(Exception):
    """The program did something that could change files and is not modelled."""


def record(folder: Path, program: str, *arguments: str) -> list[Operation]:
    """Run a program of Python in an empty folder and return what it did there."""
    assert STRACE is not None
    folder.mkdir(parents=True)
    beside = folder.parent
    script, trace = beside / "program.py", beside / "trace"
    script.write_text(program)
    command = [STRACE, "-f", "-qq", "-xx", "-y", "--seccomp-bpf", "-s", str(1 << 26)]
    done = subprocess.run(
        [
            *command,
            *("-e", f"trace={_CHANGES}", "-e", "signal=none", "-o", str(trace)),
            *(sys.executable, str(script), *arguments),
        ],
        cwd=folder,
        env=environment() | {"METALEDGER_KEY_DIR": str(folder / "keys")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    with trace.open() as lines:
        return list(_operations(lines, folder, str(beside / SAID)))


def _operations(lines: Iterator[str], folder: Path, said: str) -> Iterator[Operation]:
    reader = _Reader(str(folder), said)
    open_calls: dict[str, str] = {}
    for line in lines:
        found = _LINE.match(line)
        assert found, line[:200]
        thread, text = found[1], found[2]
        if text.startswith("+++"):
            continue
        if text.endswith(_UNFINISHED):
            open_calls[thread] = text.removesuffix(_UNFINISHED)
            yield from reader.begun(thread, open_calls[thread])
            continue
        if resumed := _RESUMED.match(text):
            text = open_calls.pop(thread) + resumed[1]
        else:
            yield from reader.begun(thread, text)
        call = _CALL.match(text)
        assert call, text[:200]
        if call[3] != "?" and not call[3].startswith("-"):
            yield from reader.returned(thread, call[1], _split(call[2]), int(call[3], 0))


def _split(arguments: str) -> list[str]:
    # Strings are in hexadecimal, so that every comma parts two arguments.
    return [it.strip() for it in arguments.split(", ")] if arguments else []


class _Reader:
    """Turns calls into operations; knows where each descriptor stands."""

    def __init__(self, folder: str, said: str) -> None:
        self._folder = folder
        self._said = said
        self._at: dict[str, int] = {}

    def begun(self, thread: str, text: str) -> Iterator[Operation]:
        if text.startswith(("fsync(", "fdatasync(")):
            path = self._of(_split(text.partition("(")[2])[0])
            if path is not None:
                yield Operation("begin", path, other=thread)

    def returned(  # noqa: C901, PLR0912 (a case a call)
        self, thread: str, call: str, arguments: list[str], result: int
    ) -> Iterator[Operation]:
        match call:
            case "open" | "creat" | "openat":
                if call != "openat":
                    arguments.insert(0, f"AT_FDCWD<{_hex(self._folder)}>")
                flags = "O_CREAT|O_TRUNC" if call == "creat" else arguments[2]
                if (path := self._at_folder(*arguments[:2])) is None:
                    return
                self._at[f"{path}#{result}"] = 0
                if "O_CREAT" in flags:
                    yield Operation("create", path)
                if "O_TRUNC" in flags:
                    yield Operation("empty", path)
            case "write" | "pwrite64":
                if arguments[0].endswith(f"<{_hex(self._said)}>"):
                    yield Operation("say", "", data=_bytes(arguments[1]))
                elif (path := self._of(arguments[0])) is not None:
                    place = f"{path}#{arguments[0].partition('<')[0]}"
                    at = int(arguments[3]) if call == "pwrite64" else self._at[place]
                    data = _bytes(arguments[1])[:result]
                    if call == "write":
                        self._at[place] = at + result
                    yield Operation("write", path, at=at, data=data)
            case "lseek":
                if (path := self._of(arguments[0])) is not None:
                    self._at[f"{path}#{arguments[0].partition('<')[0]}"] = result
            case "ftruncate":
                if (path := self._of(arguments[0])) is not None:
                    yield Operation("cut", path, at=int(arguments[1]))
            case "rename" | "link":
                yield from self._two(call, self._plain(arguments[0]), self._plain(arguments[1]))
            case "renameat" | "renameat2" | "linkat":
                one, other = self._at_folder(*arguments[:2]), self._at_folder(*arguments[2:4])
                yield from self._two("link" if call == "linkat" else "rename", one, other)
            case "unlink" | "rmdir" | "unlinkat" | "mkdir" | "mkdirat":
                beside = call.endswith("at")
                path = self._at_folder(*arguments[:2]) if beside else self._plain(arguments[0])
                if path is not None:
                    yield Operation("make-folder" if "mkdir" in call else "remove", path)
            case "fsync" | "fdatasync":
                if (path := self._of(arguments[0])) is not None:
                    yield Operation("sync", path, other=thread)
            case "mmap":
                is_shared = "PROT_WRITE" in arguments[2] and "MAP_SHARED" in arguments[3]
                path = self._of(arguments[4]) if is_shared else None
                if path is not None and not path.endswith("-shm"):
                    raise NotUnderstoodError(f"{call} of {path}")
            case _:
                touched = [self._of(it) or self._plain(it) for it in arguments]
                if any(it is not None for it in touched):
                    raise NotUnderstoodError(f"{call} of {touched}")

    def _two(self, kind: str, one: str | None, other: str | None) -> Iterator[Operation]:
        if one is not None and other is not None:
            yield Operation(kind, one, other)
        elif one is not None or other is not None:
            raise NotUnderstoodError(f"{kind} across the folder: {one}, {other}")

    def _of(self, descriptor: str) -> str | None:
        """Return the path that a descriptor stands for, below the folder."""
        found = _DESCRIPTOR.match(descriptor)
        return None if found is None else self._below(_text(found[2]))

    def _plain(self, path: str) -> str | None:
        found = _QUOTED.match(path)
        return None if found is None else self._below(os.path.join(self._folder, _text(found[1])))  # noqa: PTH118

    def _at_folder(self, folder: str, path: str) -> str | None:
        found, named = _DESCRIPTOR.match(folder), _QUOTED.match(path)
        assert found
        assert named
        return self._below(os.path.join(_text(found[2]), _text(named[1])))  # noqa: PTH118

    def _below(self, path: str) -> str | None:
        path = os.path.normpath(path)
        if path == self._folder:
            return ""
        prefix = f"{self._folder}/"
        return path.removeprefix(prefix) if path.startswith(prefix) else None


def _hex(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


def _text(shown: str) -> str:
    return os.fsdecode(bytes.fromhex(shown.replace("\\x", "")))


def _bytes(shown: str) -> bytes:
    found = _QUOTED.match(shown)
    assert found, shown[-100:]
    return bytes.fromhex(found[1].replace("\\x", ""))
