"""The tree over a log, with the roots of whole blocks of leaves remembered beside the ledger.

1. Remembered roots are never believed: a root that was made with them counts only if a checkpoint
   states it. As no two lists of hashes have the same root, they are all right then.
2. They can be lost, cut off or wrong without harm: they are made again from the leaf hashes.
3. Signing and auditing never use them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

from ledger import files
from ledger.errors import LedgerError, StorageError
from ledger.eventlog.base import LogReader
from ledger.input_files import read_small
from ledger.model.merkle import root_hash
from ledger.proving.proofs import HASH_BYTES, Range

_MOST = 1 << 28  # bytes of a file: eight million blocks
BLOCK = 1_024  # leaves; a power of two, so that a block is a subtree


class Blocks:
    """Roots of whole blocks, in order, in a file that holds only them."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._roots = _read(path)
        self._kept = len(self._roots)

    def forget(self) -> None:
        """Forget all roots."""
        self._roots, self._kept = [], 0

    def keep(self) -> None:
        """Write the roots to the file, if there are new ones."""
        if len(self._roots) == self._kept:
            return
        # Without permission or space to write, the next proof takes as long as this one.
        with suppress(StorageError, OSError):
            self._path.parent.mkdir(exist_ok=True)
            files.write_durably(self._path, b"".join(self._roots), replace=True)
            self._kept = len(self._roots)

    def upto(self, count: int, log: LogReader) -> Sequence[bytes]:
        """Return the roots of the first `count` blocks, of a log that has so many."""
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
        # The roots of blocks are the leaves of the tree above; the last block may be partial.
        whole = last // BLOCK
        roots = list(self._blocks.upto(whole, self._log)[first // BLOCK :])
        if last % BLOCK:
            roots.append(root_hash(self._log.leaves(after=whole * BLOCK, until=last)))
        return root_hash(roots)


def _read(path: Path) -> list[bytes]:
    try:
        raw = read_small(path, most=_MOST)
    except LedgerError:
        return []
    return [raw[at : at + HASH_BYTES] for at in range(0, len(raw) - HASH_BYTES + 1, HASH_BYTES)]
