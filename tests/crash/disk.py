"""A disk that loses power: what may be on it afterwards, given what was asked of it before.

1. What an fsync covered is there, once it returned: bytes and length of a file, names of a folder.
   To sync a file says nothing about its name, nor to sync a folder about the folders in it.
2. Anything later happened or did not, each by itself, in any order: a write may be lost while a
   later one is kept; a name may be there and its bytes not; what was removed may be back.
3. A write that was under way is torn: each sector of 512 bytes is there or not, and where the file
   grew by it, what is missing reads as zeros.
4. The index of SQLite's log was never written: it is absent, or anything at all.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from tests.crash.recording import Operation

SECTOR = 512
VOLATILE = "-shm"


class Loss(NamedTuple):
    """How much of what is not durable survives: shares from 0, nothing, to 1, everything."""

    names: float
    data: float
    torn: float
    seed: int


class State(NamedTuple):
    """What is on the disk after a loss; a folder is None. `after` is the number of operations."""

    after: int
    loss: Loss
    files: dict[str, bytes | None]
    said: tuple[bytes, ...]


class _File:
    def __init__(self) -> None:
        self.done = 0  # changes that are durable
        self.durable = b""
        self.pending: list[tuple[int, bytes | None]] = []  # no bytes: cut to that length

    def settle(self, until: int) -> None:
        """Have the changes up to a number be durable."""
        count = max(0, until - self.done)
        done, self.pending = self.pending[:count], self.pending[count:]
        self.done += count
        if done:
            content = bytearray(self.durable)
            for at, data in done:
                _write(content, at, data)
            self.durable = bytes(content)

    def after(self, loss: Loss, chance: random.Random) -> bytes:
        if not self.pending:
            return self.durable
        content = bytearray(self.durable)
        for at, data in self.pending:
            if chance.random() < loss.data:
                _write(content, at, data)
            elif data is not None and chance.random() < loss.torn:
                _tear(content, at, data, chance)
        return bytes(content)


class _Folder:
    def __init__(self) -> None:
        self.done = 0
        self.durable: dict[str, _Node] = {}
        self.pending: list[dict[str, _Node | None]] = []  # names and what they stand for, at once

    def settle(self, until: int) -> None:
        count = max(0, until - self.done)
        for change in self.pending[:count]:
            _rename(self.durable, change)
        self.pending = self.pending[count:]
        self.done += count

    def after(self, loss: Loss, chance: random.Random) -> dict[str, _Node]:
        names = dict(self.durable)
        for change in self.pending:
            if chance.random() < loss.names:
                _rename(names, change)
        return names


_Node = _File | _Folder


class Disk:
    """Folders and files as they stand, and how much of them is durable."""

    def __init__(self) -> None:
        self._root = _Folder()
        self._live: dict[str, _Node] = {"": self._root}
        self._syncing: dict[str, tuple[_Node, int]] = {}

    def do(self, it: Operation) -> None:  # noqa: C901, PLR0912 (a case a kind)
        """Carry out what was recorded."""
        match it.kind:
            case "create":
                if it.path not in self._live:
                    self._name(it.path, _File())
            case "empty":
                self._change(it.path, 0, None)
            case "write":
                self._change(it.path, it.at, it.data)
            case "cut":
                self._change(it.path, it.at, None)
            case "make-folder":
                self._name(it.path, _Folder())
            case "link":
                self._name(it.other, self._live[it.path])
            case "remove":
                del self._live[it.path]
                folder, name = self._parent(it.path)
                folder.pending.append({name: None})
            case "rename":
                self._rename(it.path, it.other)
            case "begin":
                # What has no name any more cannot come back by being synced.
                node = self._live.get(it.path)
                if node is not None:
                    self._syncing[it.other] = (node, node.done + len(node.pending))
            case "sync":
                node, until = self._syncing.pop(it.other, (None, 0))
                if node is not None:
                    node.settle(until)
            case _:
                raise AssertionError(it.kind)

    def after(self, loss: Loss) -> dict[str, bytes | None]:
        """Return what may be there if the power fails now."""
        chance = random.Random(loss.seed)  # noqa: S311 (not a secret)
        found: dict[str, bytes | None] = {}
        self._collect("", self._root, found, loss, chance)
        return found

    def _collect(
        self,
        prefix: str,
        folder: _Folder,
        found: dict[str, bytes | None],
        loss: Loss,
        chance: random.Random,
    ) -> None:
        for name, node in sorted(folder.after(loss, chance).items()):
            path = f"{prefix}{name}"
            if isinstance(node, _Folder):
                found[path] = None
                self._collect(f"{path}/", node, found, loss, chance)
            elif not path.endswith(VOLATILE):
                found[path] = node.after(loss, chance)
            elif chance.random() < 0.5:
                found[path] = chance.randbytes(chance.choice([0, SECTOR, 32_768]))

    def _change(self, path: str, at: int, data: bytes | None) -> None:
        node = self._live.get(path)
        # Bytes for a file that has no name any more are lost in any case.
        if isinstance(node, _File):
            node.pending.append((at, data))

    def _name(self, path: str, node: _Node) -> None:
        self._live[path] = node
        folder, name = self._parent(path)
        folder.pending.append({name: node})

    def _rename(self, path: str, other: str) -> None:
        moved = {it: node for it, node in self._live.items() if f"{it}/".startswith(f"{path}/")}
        for it, node in moved.items():
            del self._live[it]
            self._live[other + it.removeprefix(path)] = node
        (source, old), (target, new) = self._parent(path), self._parent(other)
        if source is target:
            source.pending.append({old: None, new: moved[path]})
        else:  # then they are two, and either may be lost
            source.pending.append({old: None})
            target.pending.append({new: moved[path]})

    def _parent(self, path: str) -> tuple[_Folder, str]:
        above, _, name = path.rpartition("/")
        folder = self._live[above]
        assert isinstance(folder, _Folder)
        return folder, name


def states(
    recording: Iterable[Operation],
    losses: Callable[[int, Operation], Iterable[Loss]],
    *,
    is_kept: Callable[[str], bool] = lambda _: True,
) -> Iterator[State]:
    """Return what may be on the disk if the power fails after an operation, for the given losses.

    Args:
        recording: What was done.
        losses: The losses to be tried after each operation, by its number.
        is_kept: Tells which paths matter; the others are left out.
    """
    disk, said = Disk(), ()
    for number, it in enumerate(recording):
        if it.kind == "say":
            said = (*said, it.data)
        elif is_kept(it.path):
            disk.do(it)
        for loss in losses(number, it):
            yield State(number, loss, disk.after(loss), said)


def _write(content: bytearray, at: int, data: bytes | None) -> None:
    if data is None:
        del content[at:]
        content.extend(bytes(at - len(content)))
        return
    content.extend(bytes(max(0, at + len(data) - len(content))))
    content[at : at + len(data)] = data


def _tear(content: bytearray, at: int, data: bytes, chance: random.Random) -> None:
    end = at + len(data)
    content.extend(bytes(max(0, end - len(content))))
    for sector in range(at // SECTOR * SECTOR, end, SECTOR):
        low, high = max(at, sector), min(end, sector + SECTOR)
        if chance.random() < 0.5:
            content[low:high] = data[low - at : high - at]


def _rename(names: dict[str, _Node], change: dict[str, _Node | None]) -> None:
    for name, node in change.items():
        if node is None:
            names.pop(name, None)
        else:
            names[name] = node
