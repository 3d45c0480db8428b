"""Roots of whole blocks, remembered: they save work, and are never believed."""

from __future__ import annotations

import pytest

from ledger.model.merkle import leaf_hash, root_hash
from ledger.proving import blocks as remembering
from ledger.proving.blocks import Blocks, Tree
from ledger.proving.proofs import (
    consistency_parts,
    inclusion_parts,
)
from tests.support.proofs import prove_consistency, prove_inclusion

BLOCK = 8
LEAVES = [leaf_hash(bytes([number])) for number in range(61)]


class Log:
    """A log of leaf hashes alone, that counts how many were asked for."""

    def __init__(self, leaves=LEAVES) -> None:
        self.all = leaves
        self.asked = 0

    def leaves(self, *, after: int = 0, until: int):
        for leaf in self.all[after:until]:
            self.asked += 1
            yield leaf


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    monkeypatch.setattr(remembering, "BLOCK", BLOCK)


def test_subtrees_are_those_of_the_leaves_at_every_size(tmp_path):
    blocks = Blocks(tmp_path / "tree")
    for size in range(1, len(LEAVES) + 1):
        tree = Tree(Log(), blocks)
        assert tree.root(size) == root_hash(LEAVES[:size])
        for index in range(size):
            parts = [tree.subtree(part) for part in inclusion_parts(index, size)]
            assert parts == prove_inclusion(LEAVES, index, size)
        for old in range(1, size + 1):
            parts = [tree.subtree(part) for part in consistency_parts(old, size)]
            assert parts == prove_consistency(LEAVES, old, size)


def test_what_was_kept_is_not_read_again(tmp_path):
    path = tmp_path / "cache" / "tree"
    first = Blocks(path)
    Tree(Log(), first).root(len(LEAVES))
    first.keep()
    log = Log()
    tree = Tree(log, Blocks(path))
    tree.root(len(LEAVES))
    assert log.asked == len(LEAVES) % BLOCK
    for part in inclusion_parts(30, len(LEAVES)):
        tree.subtree(part)
    assert log.asked < 3 * BLOCK


def test_what_grew_is_kept_too(tmp_path):
    path = tmp_path / "tree"
    for size in (20, 61):
        blocks = Blocks(path)
        Tree(Log(LEAVES[:size]), blocks).root(size)
        blocks.keep()
        assert len(path.read_bytes()) == size // BLOCK * 32


def test_a_file_that_was_cut_off_is_read_as_far_as_it_goes(tmp_path):
    path = tmp_path / "tree"
    blocks = Blocks(path)
    root = Tree(Log(), blocks).root(len(LEAVES))
    blocks.keep()
    path.write_bytes(path.read_bytes()[:70])
    assert Tree(Log(), Blocks(path)).root(len(LEAVES)) == root


def test_where_it_cannot_be_kept_nothing_is_said(tmp_path):
    (tmp_path / "file").write_text("no folder")
    blocks = Blocks(tmp_path / "file" / "tree")
    assert Tree(Log(), blocks).root(20) == root_hash(LEAVES[:20])
    blocks.keep()
