"""Checkpoints, keys and proofs through the command and the public door."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

import ledger as ln
from ledger.errors import (
    CommandRejectedError,
    CorruptLogError,
    InvalidProofError,
    InvalidValueError,
    KeyUnavailableError,
    NotFoundError,
    WrongExpectedVersionError,
)
from ledger.places import instance
from ledger.proving import blocks, checkpoints, keys, notes
from tests.e2e.command import metaledger
from tests.support.door import label


@pytest.fixture
def here(ledger_folder):
    """An open ledger with three labels; its keys are its own."""
    ln.init(storage="./storage")
    for name in ("one", "two", "three"):
        label(name)
    yield ledger_folder
    ln.close()


def key() -> str:
    return str(checkpoints.public_key())


@pytest.mark.usefixtures("here")
def test_a_checkpoint_states_the_head_and_is_signed():
    made = ln.checkpoint()
    lines = str(made).splitlines()
    assert lines[1] == str(ln.head())
    assert lines[3] == ""
    assert len(str(made)) < 1024
    found = ln.verify(str(made), key=key())
    assert (found.kind, found.size, found.root) == ("checkpoint", made.size, made.root)


@pytest.mark.usefixtures("here")
def test_a_second_checkpoint_adds_nothing_to_the_log():
    first = ln.checkpoint()
    assert ln.checkpoint() == first


@pytest.mark.usefixtures("here")
def test_every_entry_is_proved_and_shows_its_event():
    made = ln.checkpoint()
    for position in range(1, ln.head() + 1):
        found = ln.verify(ln.prove(position, checkpoint=made), key=key())
        assert (found.kind, found.position) == ("entry", position)
    record = label("two")
    found = ln.verify(ln.prove(record), key=key())
    assert found.event["fields"]["name"] == "two"
    assert ln.verify(ln.prove(record.uid), key=key()).position == found.position


@pytest.mark.usefixtures("here")
def test_a_changed_character_anywhere_in_a_proof_is_refused():
    proof = ln.prove(2)
    for place, character in enumerate(proof):
        bent = proof[:place] + ("A" if character != "A" else "B") + proof[place + 1 :]
        with pytest.raises(InvalidProofError):
            ln.verify(bent, key=key())
    for end in range(0, len(proof), 7):
        with pytest.raises(InvalidProofError):
            ln.verify(proof[:end], key=key())


@pytest.mark.usefixtures("here")
def test_a_proof_of_one_ledger_is_none_of_another():
    proof = ln.prove(2)
    other = notes.generate("metaledger.local/other")
    with pytest.raises(InvalidProofError, match="expected a signature"):
        ln.verify(proof, key=str(other.public()))


@pytest.mark.usefixtures("here")
def test_a_log_that_was_only_extended_is_proved_to_be():
    old = ln.checkpoint()
    label("four")
    proof = ln.prove(old)
    found = ln.verify(proof, key=key(), old=str(old))
    assert (found.kind, found.old_size, found.size) == ("consistency", old.size, old.size + 1)
    with pytest.raises(InvalidProofError, match="expected the older checkpoint"):
        ln.verify(proof, key=key())
    with pytest.raises(InvalidProofError):
        ln.verify(proof, key=key(), old=str(ln.checkpoint()))
    for place, character in enumerate(proof):
        bent = proof[:place] + ("A" if character != "A" else "B") + proof[place + 1 :]
        with pytest.raises(InvalidProofError):
            ln.verify(bent, key=key(), old=str(old))


@pytest.mark.usefixtures("here")
def test_what_cannot_be_proved_is_said():
    made = ln.checkpoint()
    label("four")
    with pytest.raises(NotFoundError, match="recorded after the checkpoint"):
        ln.prove(ln.head(), checkpoint=made)
    for what in (0, -1, 99, "nothing", True, None):
        with pytest.raises(NotFoundError):
            ln.prove(what)
    stranger = notes.generate("metaledger.local/other")
    text = notes.Checkpoint(origin=stranger.name, size=1, root=bytes(32)).text()
    with pytest.raises(InvalidProofError, match="expected one of this ledger"):
        ln.prove(1, checkpoint=notes.sign_note(text, [stranger]))
    with pytest.raises(InvalidValueError, match="older checkpoint"):
        ln.prove(ln.checkpoint(), checkpoint=made)


@pytest.mark.usefixtures("here")
def test_inside_a_batch_nothing_is_signed():
    with ln.batch(), pytest.raises(CommandRejectedError, match="end the batch first"):
        ln.checkpoint()


@pytest.mark.usefixtures("here")
def test_a_rotated_key_is_endorsed_by_the_one_before():
    ln.checkpoint()
    first = key()
    second = str(checkpoints.rotate_key())
    assert key() == second != first
    event = ln.verify(ln.prove(ln.head()), key=second).event
    assert (event["type"], event["previous"], event["key"]) == ("key-adopted.v1", first, second)
    note = notes.read_note(event["endorsement"])
    assert notes.verify_note(note, [notes.read_public_key(first)])
    assert note.text == f"metaledger key adoption\n{second}\n"
    with pytest.raises(InvalidProofError):
        ln.verify(str(ln.checkpoint()), key=first)


@pytest.mark.usefixtures("here")
def test_without_the_key_that_the_log_names_nothing_is_signed(monkeypatch, tmp_path):
    ln.checkpoint()
    monkeypatch.setenv("METALEDGER_KEY_DIR", str(tmp_path / "elsewhere"))
    with pytest.raises(KeyUnavailableError, match="bring its file"):
        ln.checkpoint()
    with pytest.raises(KeyUnavailableError):
        checkpoints.rotate_key()
    checkpoints.rotate_key(is_lost=True)
    assert ln.verify(str(ln.checkpoint()), key=key())


@pytest.mark.usefixtures("here")
def test_a_key_that_others_can_read_is_not_used():
    ln.checkpoint()
    (path,) = Path(os.environ["METALEDGER_KEY_DIR"]).glob("*.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    path.chmod(0o644)
    with pytest.raises(KeyUnavailableError, match="only its owner can read"):
        ln.checkpoint()


@pytest.mark.usefixtures("here")
def test_a_folder_of_keys_that_others_can_write_is_not_used():
    ln.checkpoint()
    folder = Path(os.environ["METALEDGER_KEY_DIR"])
    folder.chmod(0o770)
    with pytest.raises(KeyUnavailableError, match="chmod go-w"):
        ln.checkpoint()
    folder.chmod(0o750)
    ln.checkpoint()


def test_a_key_of_a_witness_that_others_can_read_is_not_used(here):
    ln.close()
    metaledger(here, "key", "--witness", "witness.example/w", "--out", "w.key")
    assert stat.S_IMODE((here / "w.key").stat().st_mode) == 0o600
    (here / "w.key").chmod(0o640)
    said = metaledger(here, "checkpoint", "--cosign", "w.key", status=1)
    assert "chmod 600 w.key" in said.err
    assert said.out == ""


@pytest.mark.usefixtures("here")
def test_a_key_that_is_damaged_can_be_given_up():
    ln.checkpoint()
    (path,) = Path(os.environ["METALEDGER_KEY_DIR"]).glob("*.key")
    path.write_text("PRIVATE+KEY+nothing")
    with pytest.raises(KeyUnavailableError, match="restore it from a backup"):
        ln.checkpoint()
    second = str(checkpoints.rotate_key(is_lost=True))
    assert not path.exists()
    assert ln.verify(str(ln.checkpoint()), key=second)


@pytest.mark.usefixtures("here")
def test_a_key_under_the_name_of_another_is_not_used():
    ln.checkpoint()
    (path,) = Path(os.environ["METALEDGER_KEY_DIR"]).glob("*.key")
    path.write_text(notes.generate(checkpoints.ring_of(instance.current()).name).text())
    with pytest.raises(KeyUnavailableError, match="restore it from a backup"):
        ln.checkpoint()


@pytest.mark.usefixtures("here")
def test_of_two_rotations_at_once_one_wins_and_the_other_leaves_nothing(monkeypatch):
    ln.checkpoint()
    first, keep = checkpoints.public_key(), checkpoints.KeyRing.keep

    def meanwhile(ring, key):
        keep(ring, key)
        monkeypatch.setattr(checkpoints.KeyRing, "keep", keep)
        checkpoints.rotate_key()

    monkeypatch.setattr(checkpoints.KeyRing, "keep", meanwhile)
    with pytest.raises(WrongExpectedVersionError, match="adopted meanwhile"):
        checkpoints.rotate_key()
    second = checkpoints.public_key()
    assert second != first
    assert [it.public() for it in checkpoints.ring_of(instance.current()).private_keys()] == [
        second
    ]
    assert ln.audit(checkpoints=[str(ln.checkpoint())], keys=[str(first)]).ok


@pytest.mark.usefixtures("here")
def test_two_that_make_the_first_key_at_once_have_one(monkeypatch):
    keep = checkpoints.KeyRing.keep

    def meanwhile(ring, key):
        monkeypatch.setattr(checkpoints.KeyRing, "keep", keep)
        checkpoints.create_key()
        keep(ring, key)

    monkeypatch.setattr(checkpoints.KeyRing, "keep", meanwhile)
    made = ln.checkpoint()
    (own,) = checkpoints.ring_of(instance.current()).private_keys()
    assert own.public() == checkpoints.public_key()
    assert ln.audit(checkpoints=[made.text]).ok


def test_keys_are_where_the_variable_says_else_in_the_users_configuration(monkeypatch, tmp_path):
    monkeypatch.setenv("METALEDGER_KEY_DIR", "~/my keys")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert keys.key_folder() == tmp_path / "my keys"
    monkeypatch.delenv("METALEDGER_KEY_DIR")
    monkeypatch.setattr(keys.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert keys.key_folder() == tmp_path / "xdg" / "metaledger" / "keys"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    assert keys.key_folder() == tmp_path / ".config" / "metaledger" / "keys"


@pytest.mark.usefixtures("here")
def test_a_log_that_was_cut_back_is_not_signed():
    ring = checkpoints.ring_of(instance.current())
    ln.checkpoint()
    private = ring.private_keys()[0]
    ahead = notes.Checkpoint(origin=ring.name, size=ln.head() + 1, root=bytes(32))
    ring.remember(notes.sign_note(ahead.text(), [private]))
    with pytest.raises(CorruptLogError, match="last one signed here"):
        ln.checkpoint()
    checkpoints.rotate_key(is_lost=True)
    ln.checkpoint()


@pytest.mark.usefixtures("here")
def test_a_checkpoint_is_a_point_in_time():
    made = ln.checkpoint()
    label("four")
    assert ln.as_of(str(made)).position == made.size


def test_the_command_signs_proves_and_verifies_far_from_the_ledger(here, tmp_path):
    ln.close()
    metaledger(here, "checkpoint", "--out", "early.txt")
    public = metaledger(here, "key", "--public").out.strip()
    metaledger(here, "prove", "2", "--checkpoint", "early.txt", "--out", "p.tlog-proof")
    metaledger(here, "label", "add", "four")
    metaledger(here, "prove", "--since", "early.txt", "--out", "extension.txt")
    far = tmp_path / "far"
    far.mkdir()
    (far / "ledger.pub").write_text(public + "\n")
    told = metaledger(far, "verify", str(here / "p.tlog-proof"), "--key", "ledger.pub", "--json")
    assert told.json["position"] == 2
    metaledger(
        far,
        "verify",
        str(here / "extension.txt"),
        "--old",
        str(here / "early.txt"),
        "--key",
        public,
    )
    (far / "bad").write_text((here / "p.tlog-proof").read_text().replace("index 1", "index 2"))
    said = metaledger(far, "verify", "bad", "--key", public, status=1)
    assert said.err.startswith("error: ")


def test_witnesses_cosign_and_are_asked_for(here):
    ln.close()
    witness = metaledger(
        here, "key", "--witness", "witness.example/w", "--out", "w.key"
    ).out.strip()
    metaledger(here, "checkpoint", "--cosign", "w.key", "--out", "signed.txt")
    metaledger(here, "checkpoint", "--out", "alone.txt")
    public = metaledger(here, "key", "--public").out.strip()
    told = metaledger(
        here, "verify", "signed.txt", "--key", public, "--key", witness, "--json"
    ).json
    assert told["cosigned"][0][0] == "witness.example/w"
    said = metaledger(here, "verify", "alone.txt", "--key", public, "--key", witness, status=1)
    assert "cosignature" in said.err


def test_keys_that_do_not_go_together_are_a_misunderstanding(here):
    ln.close()
    for args in (
        ("key", "--lost"),
        ("key", "--witness", "w"),
        ("prove",),
        ("prove", "2", "--since"),
    ):
        metaledger(here, *args, status=2)
    assert "--create" in metaledger(here, "key", status=1).err
    created = metaledger(here, "key", "--create", "--public").out
    assert metaledger(here, "key", "--public").out == created
    assert json.loads(metaledger(here, "info", "--json").out)["head"] == 5


def test_what_is_remembered_of_the_tree_is_never_believed(here, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 2)
    made, path = str(ln.checkpoint()), here / ".metaledger" / "cache" / "tree"
    honest = ln.prove(2, checkpoint=made)
    assert len(path.read_bytes()) >= 32
    for other in (bytes(32), b"", path.read_bytes()[:-1], path.read_bytes() + bytes(320)):
        path.write_bytes(other)
        assert ln.prove(2, checkpoint=made) == honest
        assert ln.prove(made, checkpoint=made)


def test_of_a_log_that_was_changed_since_nothing_is_proved(here, monkeypatch):
    monkeypatch.setattr(blocks, "BLOCK", 2)
    made = str(ln.checkpoint())
    honest = ln.prove(2, checkpoint=made)
    database = instance.current().place.database_path
    ln.close()
    with closing(sqlite3.connect(database)) as connection, connection:
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger'"
        ).fetchall():
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute("UPDATE entries SET leaf = randomblob(32) WHERE position = 2")
        connection.execute("UPDATE entries SET salt = randomblob(32) WHERE position = 3")
    ln.connect(here)
    for position in (1, 3):
        with pytest.raises(CorruptLogError):
            ln.prove(position, checkpoint=made)
    # What it shows is what was hashed, whatever its stored leaf says by now.
    assert ln.prove(2, checkpoint=made) == honest
    with pytest.raises(CorruptLogError):
        ln.checkpoint()


def test_a_file_that_is_no_output_of_the_same_kind_is_not_replaced(here):
    ln.close()
    metaledger(here, "checkpoint", "--out", "kept.txt")
    made = ln.Artifact.filter().first() or ln.ULabel.filter().first()
    ln.close()
    uid = made.uid
    kept = (here / "kept.txt").read_bytes()
    database = (here / ".metaledger" / "ledger.db").read_bytes()
    (here / "notes.txt").write_text("mine")
    (here / "link").symlink_to(here / ".metaledger" / "ledger.db")
    outputs = (
        ("checkpoint", "--out"),
        ("prove", uid, "--out"),
        ("audit", "--html"),
        ("key", "--witness", "w.example/w", "--out"),
    )
    for verb in outputs:
        for path in ("notes.txt", "link", ".metaledger/ledger.db", ".metaledger/new"):
            said = metaledger(here, *verb, path, status=2 if verb[0] == "audit" else 1)
            assert said.err.count("error:") == 1
        if verb[0] != "checkpoint":
            metaledger(here, *verb, "kept.txt", status=2 if verb[0] == "audit" else 1)
    for verb in (("export", ".metaledger/archive"), ("export", ".METALEDGER/archive")):
        assert "choose another path" in metaledger(here, *verb, status=1).err
    assert (here / "kept.txt").read_bytes() == kept
    assert (here / "notes.txt").read_text() == "mine"
    assert (here / ".metaledger" / "ledger.db").read_bytes()[:16] == database[:16]
    assert not (here / ".metaledger" / "new").exists()
    # The own kind is replaced by a newer one.
    metaledger(here, "label", "add", "five")
    metaledger(here, "checkpoint", "--out", "kept.txt")
    assert (here / "kept.txt").read_bytes() != kept
    for _ in range(2):
        metaledger(here, "audit", "--html", "report.html")
        metaledger(here, "prove", "2", "--out", "p.tlog-proof")
