"""A forger with full write access and this program's code, but no key, never wins.

It has an aim each time: to change what an entry before a kept checkpoint says, to drop, swap,
insert or re-date one, to pretend an erasure or undo one, to sign with a key of its own, to change
read models, guards, functions of the server, or an archive; and it makes anew whatever needs no
key. It wins if an audit with the checkpoint, the key and the content is content while an answer
about the time before the checkpoint, or a guard, is another one. Without any one of the checks that
keep it off, it wins.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from ledger.auditing import audit as auditing
from ledger.auditing import entries as audited_entries
from ledger.auditing import erasures as audited_erasures
from ledger.auditing import rules, trust
from ledger.auditing.findings import CheckpointResult
from ledger.eventlog import archive, postgres_guards
from ledger.model.canonical import encode
from ledger.model.events import EntriesErasedV1
from ledger.model.payloads import ERASED_IN_FORMAT_1, hashes_of, is_erased
from ledger.proving.notes import read_public_key
from projections.sql.casefold import folded_statement
from tests.support.forged import Scene, staged
from tests.support.forger import AIMS, AIMS_BESIDE, Forger

SEED = os.environ.get("PYTHONHASHSEED", "0")
BLOCK = 100  # attempts of one test among the slow ones
FEW = {"sqlite": 60, "postgres": 8, "archive": 150}
BLOCKS = {"sqlite": 70, "postgres": 10, "archive": 20}
MOST = 150  # attempts in which a forger has won where a check is missing

Patched = pytest.MonkeyPatch


@pytest.fixture(scope="module", params=[*FEW])
def scene(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    kind = request.param
    server = request.getfixturevalue("postgres_url") if kind == "postgres" else None
    with staged(kind, tmp_path_factory.mktemp("forged"), server) as made:
        yield made


@pytest.fixture
def forged(scene: Scene) -> Iterator[Scene]:
    scene.restore()
    yield scene
    scene.restore()


def attempts(scene: Scene, seed: str, count: int) -> Counter[str]:
    """Claim that the forger wins in none of so many attempts; return how often each aim was one."""
    aims: Counter[str] = Counter()
    for number in range(count):
        scene.restore()
        forger = Forger(scene, f"{seed}.{number}")
        forger.attempt()
        assert not forger.wins(), f"{scene.kind}: attempt {seed}.{number} to {forger.aim} is untold"
        aims[forger.aim] += 1
    return aims


def test_the_honest_ledger_is_content_and_answers_as_before(forged):
    assert forged.is_content()
    assert not forged.is_won()


def test_a_forger_without_a_key_never_wins(forged):
    attempts(forged, "0", FEW[forged.kind])


@pytest.mark.slow
@pytest.mark.parametrize("block", range(max(BLOCKS.values())))
def test_a_forger_with_much_patience_never_wins(forged, block, figure):
    if block >= BLOCKS[forged.kind]:
        return  # fewer where an attempt takes longer
    aims = attempts(forged, f"{SEED}.{block}", BLOCK)
    figure(f"{BLOCK} attempts with {len(aims)} aims")


# --- without what keeps it off --------------------------------------------------------------------


def _met(_: Any, note: Any, stated: Any, *more: Any) -> CheckpointResult:
    del note, more
    return CheckpointResult(size=stated.size, root=stated.root.hex(), is_met=True, signers=())


def _all_named(trusted: Any, adoptions: Any) -> list[Any]:
    return [*trusted, *(read_public_key(it.key) for it in adoptions)]


def _believe_all_keys(patched: Patched) -> None:
    patched.setattr(trust, "endorsed", _all_named)
    patched.setattr(rules, "_is_endorsed", lambda *_: True)


_honest_leaf = audited_entries.leaf_of

# What is missing: in which ledgers the forger wins then, with which aim, and how it is taken away.
MISSING: dict[str, tuple[tuple[str, ...], str, Callable[[Patched], None]]] = {
    "entries are not hashed anew": (
        ("sqlite", "archive"),
        "say otherwise",
        lambda patched: patched.setattr(audited_entries, "leaf_of", lambda row: row.leaf),
    ),
    "what an erasure left is not hashed anew": (
        ("sqlite", "archive"),
        "undo an erasure",
        lambda patched: patched.setattr(
            audited_entries,
            "leaf_of",
            lambda row: row.leaf if is_erased(row.salt) else _honest_leaf(row),
        ),
    ),
    "the kept checkpoint is not compared": (
        ("sqlite", "archive"),
        "say otherwise",
        lambda patched: patched.setattr(auditing.Audit, "_checkpoint", _met),
    ),
    "erasures need no signature": (
        ("sqlite", "postgres", "archive"),
        "pretend an erasure",
        lambda patched: patched.setattr(audited_erasures, "_signed_by", lambda *_: (None, None)),
    ),
    "keys that the log names are believed": (
        ("sqlite", "archive"), "sign anew", _believe_all_keys,
    ),
    "read models are not compared": (
        ("sqlite", "postgres"),
        "change read models",
        lambda patched: patched.setattr(auditing.Audit, "_table", lambda *_: None),
    ),
    "guards are not compared": (
        ("sqlite", "postgres"),
        "change guards",
        lambda patched: patched.setattr(auditing.Audit, "_file", lambda *_: None),
    ),
    "the folding of case is not compared": (
        ("postgres",),
        "fold case otherwise",
        lambda patched: patched.setattr(
            postgres_guards, "as_made_here", lambda _: folded_statement().split("$$")[1]
        ),
    ),
    "footers are believed": (
        ("archive",),
        "change the archive",
        lambda patched: patched.setattr(archive, "_faults", lambda *_: ()),
    ),
    "the manifest is believed": (
        ("archive",),
        "change the manifest",
        lambda patched: patched.setattr(auditing, "otherwise_stated", lambda *_: ()),
    ),
}  # fmt: skip


@pytest.mark.parametrize("missing", MISSING)
def test_a_forger_wins_where_a_check_is_missing(forged, monkeypatch, missing):
    """The attempts are worth something: without what keeps a forger off, one of them succeeds."""
    kinds, aim, take_away = MISSING[missing]
    if forged.kind not in kinds:
        assert forged.kind in FEW  # there is no such check
        return
    take_away(monkeypatch)
    for number in range(MOST):
        forged.restore()
        forger = Forger(forged, number)
        forger.attempt(aim)
        if forger.wins():
            return
    pytest.fail(f"the forger never wins although {missing}")


def test_a_forged_residue_is_told(forged):
    """An entry is rewritten, and an erasure in the way of format 1 made up for it."""
    forger = Forger(forged, "residue")
    at = next(
        at for at, it in enumerate(forger.entries) if not it.is_erased and b"spare" in it.payload
    )
    entry, event = forger.entries[at], forger.event(at)
    lie = msgspec.structs.replace(event, fields={"name": "spare", "description": "1 mg"})
    residue, hashes = encode(lie), hashes_of(entry.payload, entry.salt)
    erasure = EntriesErasedV1(
        at=event.at, actor="ada", command=["erase", event.uid, {"reason": "tidying"}, 1],
        registry="ulabel", uid=event.uid, reason="tidying",
        entries=((at + 1, sha256(residue).hexdigest()),),
    )  # fmt: skip
    forger.put(at, residue, ERASED_IN_FORMAT_1 + hashes[:32])
    forger.append(entry.envelope.stream, erasure)
    forged.write(forger.entries)
    found = forged.audit().findings
    assert {"leaf-hash", "checkpoint-root", "erasure-signature"} <= {it.kind for it in found}
    assert [it.position for it in found if it.kind == "leaf-hash"] == [at + 1]


def test_every_aim_is_tried(forged):
    chosen = {Forger(forged, f"0.{number}").chosen() for number in range(MOST)}
    assert chosen == {*AIMS, *AIMS_BESIDE[forged.kind]}
