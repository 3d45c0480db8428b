"""Proofs against published vectors, against themselves for every small tree, and a stranger.

The published vectors lie beside the checkout, in `../shared/vectors/rfc6962`; where they are not,
that is said aloud, and the trees of this module remain.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest
from tlog_scales import signing, tlog

from ledger.errors import InvalidProofError, InvalidValueError
from ledger.model.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_hash
from ledger.proving import notes
from ledger.proving.proofs import (
    verify_consistency,
    verify_inclusion,
    verify_subtree,
)
from tests.support.proofs import prove_consistency, prove_inclusion

PUBLISHED = Path(__file__).resolve().parents[3] / "shared/vectors/rfc6962/vectors.jsonl"
SIZES = range(1, 34)
LEAVES = [leaf_hash(bytes([number])) for number in range(SIZES.stop)]

# Of the eight entries in docs/format.md, computed by a program that shares no code with this one.
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
INCLUSION_5_OF_8 = (
    "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
)
CONSISTENCY_6_8 = (
    "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
)


def of_hex(*texts: str) -> list[bytes]:
    return [bytes.fromhex(text) for text in texts]


ENTRIES = ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
           "606162636465666768696a6b6c6d6e6f")  # fmt: skip
EIGHT = [leaf_hash(bytes.fromhex(entry)) for entry in ENTRIES]


def is_refused(verify, *args, **given) -> bool:
    try:
        verify(*args, **given)
    except InvalidProofError:
        return True
    return False


def judged(case: dict) -> bool:
    """Whether a published case is refused."""
    proof = [base64.b64decode(it) for it in case["proof"] or []]
    raw = {name: base64.b64decode(case[name]) for name in case if "oot" in name or "Hash" in name}
    match case["case"].split("/")[0]:
        case "inclusion" | "subtreeinclusion":
            return is_refused(
                verify_inclusion,
                proof,
                leaf=raw["leafHash"],
                index=case["leafIdx"],
                size=case.get("treeSize", case.get("end")),
                first=case.get("start", 0),
                root=raw["root"],
            )
        case "consistency":
            return is_refused(
                verify_consistency,
                proof,
                old=case["size1"],
                old_root=raw["root1"],
                new=case["size2"],
                new_root=raw["root2"],
            )
        case _:
            return is_refused(
                verify_subtree,
                proof,
                leaves=(case["start"], case["end"]),
                subtree_root=raw["root1"],
                size=case["size"],
                root=raw["root2"],
            )


def test_published_vectors_are_judged_as_published(capsys):
    if not PUBLISHED.exists():
        with capsys.disabled():
            print(f"\nNOT RUN: the 518 published proofs; {PUBLISHED} is not there")  # noqa: T201
        return
    cases = [json.loads(line) for line in PUBLISHED.read_text().splitlines()]
    wrong = [case["case"] for case in cases if judged(case) != case["wantErr"]]
    assert len(cases) == 518
    assert not wrong


def test_proofs_of_our_own_examples_are_these_bytes():
    assert {size: root_hash(EIGHT[:size]).hex() for size in ROOTS} == ROOTS
    assert prove_inclusion(EIGHT, 5, 8) == of_hex(*INCLUSION_5_OF_8)
    assert prove_consistency(EIGHT, 6, 8) == of_hex(*CONSISTENCY_6_8)


@pytest.mark.parametrize("size", SIZES)
def test_every_leaf_of_every_small_tree_is_proved_and_nothing_else_is(size):
    root = root_hash(LEAVES[:size])
    for index in range(size):
        proof = prove_inclusion(LEAVES, index, size)
        given = {"leaf": LEAVES[index], "index": index, "size": size, "root": root}
        verify_inclusion(proof, **given)
        assert is_refused(verify_inclusion, [*proof, root], **given)
        assert is_refused(verify_inclusion, proof, **given | {"leaf": LEAVES[index + 1]})
        assert is_refused(verify_inclusion, proof, **given | {"root": LEAVES[index + 1]})
        for place in range(len(proof)):
            assert is_refused(verify_inclusion, proof[:place], **given)
            bent = [*proof[:place], EMPTY_ROOT, *proof[place + 1 :]]
            assert is_refused(verify_inclusion, bent, **given)
        others = [it for it in range(size) if it != index]
        assert all(is_refused(verify_inclusion, proof, **given | {"index": it}) for it in others)


@pytest.mark.parametrize("new", SIZES)
def test_every_beginning_of_every_small_tree_is_proved_and_nothing_else_is(new):
    new_root = root_hash(LEAVES[:new])
    for old in range(1, new + 1):
        proof = prove_consistency(LEAVES, old, new)
        given = {"old": old, "old_root": root_hash(LEAVES[:old]), "new": new, "new_root": new_root}
        verify_consistency(proof, **given)
        assert is_refused(verify_consistency, [*proof, new_root], **given)
        assert is_refused(verify_consistency, proof, **given | {"old_root": EMPTY_ROOT})
        assert is_refused(verify_consistency, proof, **given | {"new_root": EMPTY_ROOT})
        for place in range(len(proof)):
            bent = [*proof[:place], EMPTY_ROOT, *proof[place + 1 :]]
            assert is_refused(verify_consistency, bent, **given)
            assert is_refused(verify_consistency, proof[:place], **given)


def test_a_proof_that_cannot_be_is_not_made():
    for index, size in ((8, 8), (-1, 8), (0, 0)):
        with pytest.raises(InvalidValueError, match="inclusion proof"):
            prove_inclusion(EIGHT, index, size)
    for old, new in ((0, 8), (9, 8), (-1, 8)):
        with pytest.raises(InvalidValueError, match="consistency proof"):
            prove_consistency(EIGHT, old, new)


def test_a_tree_that_grows_has_the_root_of_the_leaves_so_far():
    tree = Frontier()
    assert tree.root() == EMPTY_ROOT
    for size, leaf in enumerate(LEAVES, start=1):
        tree.add(leaf)
        assert (tree.size, tree.root()) == (size, root_hash(LEAVES[:size]))


def test_a_tree_grows_alike_one_leaf_at_a_time_and_many_at_once():
    for begin in SIZES:
        for end in range(begin, SIZES.stop):
            one, many = Frontier(), Frontier()
            for leaf in LEAVES[:end]:
                one.add(leaf)
            many.extend(LEAVES[:begin])
            assert many.root() == root_hash(LEAVES[:begin])
            many.extend(LEAVES[begin:end])
            assert (many.size, many.root()) == (one.size, one.root())


# --- the same by a stranger -----------------------------------------------------------------------


def test_a_stranger_accepts_our_proofs_and_refuses_bent_ones():
    for size in (1, 2, 7, 13, 32):
        root = root_hash(LEAVES[:size])
        for index in range(size):
            proof = prove_inclusion(LEAVES, index, size)
            theirs = tlog.InclusionProof(index, size, proof)
            theirs.check(LEAVES[index], root)
            with pytest.raises(tlog.InclusionProofInvalid):
                theirs.check(LEAVES[index + 1], root)
        for old in range(1, size + 1):
            old_root = root_hash(LEAVES[:old])
            theirs = tlog.ConsistencyProof(old, size, prove_consistency(LEAVES, old, size))
            theirs.check(old_root, root)


def test_a_stranger_verifies_our_checkpoint_and_its_cosignature():
    key = notes.generate("metaledger.local/0f8c")
    witness = notes.generate("witness.example/w1", kind=notes.COSIGNATURE)
    ours = notes.Checkpoint(origin=key.name, size=8, root=bytes.fromhex(ROOTS[8]))
    text = notes.sign_note(ours.text(), [key]) + witness.sign(ours.text(), seconds=1_700_000_000)
    theirs = tlog.Checkpoint.from_text(text)
    assert (theirs.origin, theirs.size, theirs.root_hash) == (ours.origin, ours.size, ours.root)
    for public in (key.public(), witness.public()):
        theirs.verify(signing.Vkey.from_string(str(public)))
    other = notes.generate(key.name)
    with pytest.raises(RuntimeError, match="no signature matched"):
        theirs.verify(signing.Vkey.from_string(str(other.public())))


def test_we_verify_a_checkpoint_that_a_stranger_signed():
    seed = bytes(range(32))
    signer = signing.PlainEd25519Signer("log.example/one", seed)
    text = tlog.Checkpoint.make_signed(
        "log.example/one", 8, bytes.fromhex(ROOTS[8]), [signer]
    ).serialize()
    note = notes.read_note(text)
    key = notes.read_public_key(signer.vkey.serialize())
    assert notes.verify_note(note, [key]) == [key]
    assert notes.read_checkpoint(note).size == 8
    assert notes.PrivateKey(name=key.name, kind=1, seed=seed).public() == key
