"""A person who erases signs with a key of its own, once the ledger's owner has adopted it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

import ledger as ln
from ledger.errors import InvalidValueError, KeyUnavailableError, NotFoundError
from ledger.model.events import Draft, EntriesErased
from ledger.model.ids import command_id, stream_id
from ledger.model.key_events import EraserKeysSet, KeyAdopted
from ledger.places import instance
from ledger.proving import checkpoints, eraser_keys
from ledger.proving.erasures import signed
from ledger.proving.keys import KeyRing, eraser_name
from ledger.proving.notes import generate, sign_note
from tests.e2e.command import metaledger
from tests.support.door import label


class Scene:
    """A ledger, its owner's computer, and that of a person who erases; and what was kept early."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._patch = folder, monkeypatch
        self.at_owners()
        for name in ("one", "two", "three"):
            label(name)
        self.key = str(checkpoints.create_key())
        self.kept = str(ln.checkpoint())
        self.id = instance.current().place.configuration.id

    def at_owners(self) -> None:
        self._patch.setenv("METALEDGER_KEY_DIR", str(self._folder / "owner"))

    def at_erasers(self) -> None:
        self._patch.setenv("METALEDGER_KEY_DIR", str(self._folder / "eraser"))

    def adopted(self) -> str:
        """Have the eraser make a key, and the owner adopt it; return its line."""
        self.at_erasers()
        line = str(eraser_keys.own_key())
        self.at_owners()
        assert line in eraser_keys.adopt(line)
        return line

    def erase(self, name: str):
        """Erase a label on the eraser's computer."""
        self.at_erasers()
        return ln.erase(ln.ULabel.get(name=name), reason="request 17")

    def audit(self, *keys: str):
        return ln.audit(checkpoints=[self.kept], keys=[self.key, *keys])

    def kinds(self, *keys: str) -> list[str]:
        return [it.kind for it in self.audit(*keys).findings]

    def record(self, stream, event) -> None:
        """Append an event as anybody can who may write."""
        with instance.current().writing() as session:
            session.append(command_id(event.command), [Draft(stream=stream, event=event)])


@pytest.fixture(params=["sqlite", "postgres"])
def scene(request, ledger_folder, monkeypatch):
    ln.settings.verbosity = "error"
    database = None
    if request.param == "postgres":
        database = str(request.getfixturevalue("postgres"))
    ln.init(storage="./storage", database=database)
    yield Scene(ledger_folder, monkeypatch)
    ln.close()


def test_an_erasure_is_signed_with_the_erasers_own_key_once_it_is_adopted(scene):
    line = scene.adopted()
    done = scene.erase("one")
    assert done.is_signed
    report = scene.audit()
    assert (report.ok, [it.signer for it in report.erasures]) == (True, [line])
    # Who brings no key believes those that the log names.
    assert [it.signer for it in ln.audit().erasures] == [line]
    assert ln.audit().ok


def test_an_erasers_key_that_nobody_adopted_signs_nothing(scene):
    scene.at_erasers()
    line = str(eraser_keys.own_key())
    assert str(eraser_keys.own_key()) == line  # it is made once
    assert not scene.erase("one").is_signed
    assert scene.kinds() == ["erasure-signature"]
    with pytest.raises(KeyUnavailableError):
        eraser_keys.adopt(line)  # the ledger's key is not on this computer


def test_a_key_that_was_dropped_signs_no_more_and_what_it_signed_stays_signed(scene):
    line = scene.adopted()
    scene.erase("one")
    scene.at_owners()
    assert eraser_keys.drop(line) == ()
    assert not scene.erase("two").is_signed
    assert scene.kinds() == ["erasure-signature"]
    assert [it.signer for it in scene.audit().erasures] == [line, None]


def test_what_a_dropped_key_signs_after_all_is_a_finding(scene):
    line = scene.adopted()
    scene.at_owners()
    eraser_keys.drop(line)
    done = scene.erase("two")
    with instance.current().reading() as session:
        told = next(session.log.read(after=done.position - 1)).event
    scene.at_erasers()
    (key,) = KeyRing(scene.id, is_erasers=True).private_keys()
    subject = ln.ULabel.get(name="three")
    with instance.current().writing() as session:
        event = EntriesErased(
            at=told.at, actor="eve", command=["erase", subject.uid, {"reason": "x"}, 1],
            registry="ulabel", uid=subject.uid, reason="x", entries=(),
        )  # fmt: skip
        event = signed(session.log.dated(event), key)
        stream = subject._row["stream"]
        session.append(command_id(event.command), [Draft(stream=stream, event=event)])
    assert scene.kinds() == ["erasure-signature"] * 2


def test_several_erasers_have_keys(scene):
    first = scene.adopted()
    second = str(generate(eraser_name(scene.id)).public())
    assert eraser_keys.adopt(second) == tuple(sorted([first, second]))
    before = ln.head()
    assert eraser_keys.adopt(second) == tuple(sorted([first, second]))
    assert ln.head() == before
    assert eraser_keys.drop(second) == (first,)
    with pytest.raises(NotFoundError):
        eraser_keys.drop(second)
    assert scene.erase("one").is_signed
    assert scene.audit().ok


def test_the_owners_signature_on_a_list_is_needed_and_fits_that_list_alone(scene):
    line = scene.adopted()
    scene.at_owners()
    eraser_keys.drop(line)
    with instance.current().reading() as session:
        stream = stream_id(["eraser-keys", scene.id])
        first, second = (it.event for it in session.log.stream(stream))
    assert (first.keys, second.keys) == ((line,), ())
    own = generate(scene.key.partition("+")[0])
    text = first.endorsement.partition("\n\n")[0] + "\n"
    for number, endorsement in enumerate([first.endorsement, sign_note(text, [own]), "x"], 3):
        again = msgspec.structs.replace(
            first, command=["eraser-keys", number, line], endorsement=endorsement
        )
        scene.record(stream, again)
        assert scene.kinds() == ["key"] * (number - 2)


def test_an_erasers_key_signs_no_checkpoint_and_adopts_no_key(scene):
    line = scene.adopted()
    scene.at_erasers()
    (key,) = KeyRing(scene.id, is_erasers=True).private_keys()
    text = scene.kept.partition("\n\n")[0] + "\n"
    report = ln.audit(checkpoints=[sign_note(text, [key])], keys=[scene.key, line])
    assert [it.kind for it in report.findings] == ["checkpoint-signature"]
    other = str(generate(scene.key.partition("+")[0]).public())
    endorsement = sign_note(f"{checkpoints.ADOPTION}\n{other}\n", [key])
    adopted = KeyAdopted(
        at=1_700_000_000_000_000, actor="eve", command=["key", other], key=other,
        previous=scene.key, endorsement=endorsement,
    )  # fmt: skip
    scene.record(stream_id(["key", scene.id]), adopted)
    assert scene.kinds(line) == ["key-lost"]
    assert other not in scene.audit(line).keys


def test_a_key_of_another_name_is_no_key_of_the_ledger_and_none_of_an_eraser(scene):
    for name in (scene.key.partition("+")[0], eraser_name("0" * 32), "somebody"):
        with pytest.raises(InvalidValueError, match="eraser makes"):
            eraser_keys.adopt(str(generate(name).public()))
    line = str(generate("somebody").public())
    known = {"at": 1_700_000_000_000_000, "actor": "eve"}
    scene.record(
        stream_id(["eraser-keys", scene.id]),
        EraserKeysSet(**known, command=["eraser-keys", 1, line], keys=(line,), endorsement="x"),
    )
    assert set(scene.kinds()) == {"key"}


def test_a_ledger_that_adopted_another_key_keeps_its_erasers(scene):
    line = scene.adopted()
    checkpoints.rotate_key()
    assert scene.erase("one").is_signed
    assert [it.signer for it in scene.audit().erasures] == [line]
    assert scene.audit().ok


def test_the_command_makes_adopts_and_drops_keys_of_erasers(ledger_folder):
    owner = {"METALEDGER_KEY_DIR": str(ledger_folder / "owner")}
    eraser = {"METALEDGER_KEY_DIR": str(ledger_folder / "eraser")}

    def told(*words, env, status=0):
        return metaledger(ledger_folder, *words, status=status, **env)

    told("init", "--storage", "storage", env=owner)
    told("label", "add", "Zadie", env=owner)
    Path("ledger.pub").write_text(told("key", "--create", "--public", env=owner).out)
    made = told("key", "--eraser", env=eraser)
    assert "once the ledger's owner has adopted it" in made.err
    Path("eraser.pub").write_text(made.out)
    assert told("key", "--adopt", "eraser.pub", env=owner).out == made.out
    assert told("key", "--eraser", env=eraser).err == ""
    told("erase", "Zadie", "--reason", "request 17", "--yes", env=eraser)
    audited = told("audit", "--key", "ledger.pub", env=owner)
    assert made.out.strip() in audited.out
    assert told("key", "--drop", "eraser.pub", env=owner).out == ""
    told("key", "--drop", "eraser.pub", env=owner, status=1)
    told("key", "--drop", "eraser.pub", "--rotate", env=owner, status=2)
