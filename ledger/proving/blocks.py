"""The tree over a log, with the roots of whole blocks of leaves remembered beside the ledger.

1. What is remembered is never believed: a root that was made with it counts only where it is the
   one that a checkpoint states. As no two sets of hashes have one root, all of it is right then.
2. It can be lost, cut off or wrong without harm: it is made again from the leaf hashes.
3. To sign a checkpoint, and to audit, nothing of it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ledger import files
from ledger.errors import StorageError
from ledger.eventlog.base import LogReader
from ledger.model.merkle import root_hash
from ledger.proving.proofs import HASH_BYTES, Range

BLOCK = 1_024  # leaves; a power of two, so that a block is a subtree


class Blocks:
    """Roots of whole blocks, in order, in a file of nothing but them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._roots = _read(path)
        self._kept = len(self._roots)

    def forget(self) -> None:
        """Begin anew."""
        self._roots, self._kept = [], 0

    def keep(self) -> None:
        """Write them down, if there are more than there were."""
        if len(self._roots) == self._kept:
            return
        # Without leave or room to write, the next proof takes as long as this one.
        with suppress(StorageError, OSError):
            self._path.parent.mkdir(exist_ok=True)
            files.write_durably(self._path, b"".join(self._roots), replace=True)
            self._kept = len(self._roots)

    def upto(self, count: int, log: LogReader) -> Sequence[bytes]:
        """Return the roots of the first blocks, of a log that has so many at least."""
        if len(self._roots) < count:
            after = len(self._roots) * BLOCK
            leaves = log.leaves(after=after, until=count * BLOCK)
            while block := list(islice(leaves, BLOCK)):
                self._roots.append(root_hash(block))
        return self._roots[:count]


class Tree:
    """The tree over the entries of a log."""

    def __init__(self, log: LogReader, blocks: Blocks) -> None:
        self._log = log
        self._blocks = blocks

    def root(self, size: int) -> bytes:
        """Return the root over the first entries."""
        return self.subtree((0, size))

    def subtree(self, leaves: Range) -> bytes:
        """Return the root of a subtree: the leaves [first, last), as proofs name them."""
        first, last = leaves
        if last - first < BLOCK:
            return root_hash(self._log.leaves(after=first, until=last))
        # Above blocks the tree is one whose leaves are their roots; the last one may be partial.
        whole = last // BLOCK
        roots = list(self._blocks.upto(whole, self._log)[first // BLOCK :])
        if last % BLOCK:
            roots.append(root_hash(self._log.leaves(after=whole * BLOCK, until=last)))
        return root_hash(roots)


def _read(path: Path) -> list[bytes]:
    try:
        raw = path.read_bytes()
    except OSError:
        return []
    return [raw[at : at + HASH_BYTES] for at in range(0, len(raw) - HASH_BYTES + 1, HASH_BYTES)]
