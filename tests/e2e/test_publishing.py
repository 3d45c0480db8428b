"""Published checkpoints: in order, never overwritten, never lost, and never two histories."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

import ledger as ln
from ledger.auditing.audit import audit
from ledger.content import retry
from ledger.content.backends import open_folder
from ledger.errors import ConfigurationError, CorruptLogError, MissingFileError
from ledger.places import instance
from ledger.places.config import PUBLISH_VARIABLE
from ledger.proving import checkpoints, notes, publication
from ledger.proving.publication import LATEST, name_of, read_published
from tests.e2e.command import metaledger
from tests.support.door import label
from tests.support.ports import free_port


@pytest.fixture(params=["folder", "s3"])
def place(request, ledger_folder):
    """Where a new open ledger publishes: beside it, and in an object store."""
    where = "./published" if request.param == "folder" else request.getfixturevalue("s3_root")
    ln.init(storage="./storage", publish=where)
    label("one")
    yield open_folder(where)
    ln.close()
    assert ledger_folder.exists()


@pytest.fixture
def here(ledger_folder):
    """An open ledger that publishes in `published/`."""
    ln.init(storage="./storage", publish="published")
    label("one")
    yield ledger_folder
    ln.close()


def own_key() -> notes.PrivateKey:
    (found,) = checkpoints.ring_of(instance.current()).private_keys()
    return found


def signed(size: int, *, root: bytes = bytes(32), key: notes.PrivateKey | None = None) -> bytes:
    """A checkpoint that the log has not made."""
    key = own_key() if key is None else key
    text = notes.Checkpoint(origin=key.name, size=size, root=root).text()
    return notes.sign_note(text, [key]).encode()


def test_every_checkpoint_is_published_under_a_name_that_sorts(place):
    made = []
    for name in ("two", "three", "four"):
        label(name)
        made.append(ln.checkpoint())
    assert [it.unpublished for it in made] == [(), (), ()]
    names = [f"checkpoint-{it.size:012d}" for it in made]
    assert place.names() == [*names, LATEST]
    assert [place.read(name, most=9999).decode() for name in names] == [it.text for it in made]
    assert place.read(LATEST, most=9999).decode() == made[-1].text
    assert read_published(place.where) == [it.text for it in made]
    assert audit(checkpoints=read_published(place.where)).ok


def test_the_latest_does_not_go_back(place):
    early = ln.checkpoint()
    label("two")
    late = ln.checkpoint()
    publication.PublishingFolder(place).publish(early.text)
    assert place.read(LATEST, most=9999).decode() == late.text


def test_publishing_twice_changes_nothing(place):
    first = ln.checkpoint()
    before = place.names()
    assert ln.checkpoint() == first
    assert place.names() == before


def test_a_fork_is_told_and_nothing_is_signed_or_published_over_it(place):
    first = ln.checkpoint()
    label("two")
    size = ln.head()
    place.put(name_of(size), signed(size))
    with pytest.raises(CorruptLogError, match="forked") as caught:
        ln.checkpoint()
    assert place.where in str(caught.value)
    assert checkpoints.ring_of(instance.current()).last_checkpoint() == first.text
    assert place.read(name_of(size), most=9999) == signed(size)


def test_a_fork_that_appears_in_the_last_moment_is_told(place, monkeypatch):
    ln.checkpoint()
    label("two")
    size = ln.head()
    place.put(name_of(size), signed(size))
    monkeypatch.setattr(publication.PublishingFolder, "newest", lambda _: None)
    with pytest.raises(CorruptLogError, match="two histories were signed"):
        ln.checkpoint()
    assert place.read(name_of(size), most=9999) == signed(size)


def test_a_published_checkpoint_of_a_longer_log_is_told(place):
    ln.checkpoint()
    place.put(name_of(ln.head() + 1), signed(ln.head() + 1))
    with pytest.raises(CorruptLogError, match="cut back"):
        ln.checkpoint()


def test_among_checkpoints_of_strangers_nothing_is_published_and_nothing_lost(place, capsys):
    ln.checkpoint()
    label("two")
    stranger = notes.generate("metaledger.local/other")
    far = name_of(ln.head() + 7)
    place.put(far, signed(ln.head() + 7, key=stranger))
    made = ln.checkpoint()
    assert made.unpublished == (place.where,)
    assert "only for this ledger" in capsys.readouterr().err
    assert name_of(made.size) not in place.names()
    place.remove(far)
    assert ln.checkpoint().unpublished == ()
    assert place.read(name_of(made.size), most=9999).decode() == made.text


def test_what_could_not_be_published_is_published_with_the_next(here, capsys):
    (here / "published").write_text("in the way")
    made = [ln.checkpoint()]
    label("two")
    made.append(ln.checkpoint())
    said = capsys.readouterr().err
    assert "signed, but not published" in said
    assert "2 of them wait" in said
    assert all(it.unpublished for it in made)
    (here / "published").unlink()
    label("three")
    made.append(ln.checkpoint())
    assert made[-1].unpublished == ()
    assert read_published("published") == [it.text for it in made]


def test_a_signer_that_was_interrupted_publishes_the_next_time(here, monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(publication.PublishingFolder, "publish", interrupt)
        with pytest.raises(KeyboardInterrupt):
            ln.checkpoint()
    signed_then = checkpoints.ring_of(instance.current()).last_checkpoint()
    assert not (here / "published").exists()
    label("two")
    made = ln.checkpoint()
    assert read_published("published") == [signed_then, made.text]


@pytest.mark.usefixtures("here")
def test_nothing_is_remembered_as_signed_that_does_not_wait_to_be_published(monkeypatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.KeyRing, "remember", interrupt)
    with pytest.raises(KeyboardInterrupt):
        ln.checkpoint()
    ((_, text),) = checkpoints.ring_of(instance.current()).waiting("folder")
    assert ln.verify(text, key=str(checkpoints.public_key())).size == ln.head()


def test_an_object_store_out_of_reach_delays_publishing(s3_root, ledger_folder, monkeypatch):
    import s3fs  # noqa: PLC0415 (only where a server is used)

    ln.init(storage="./storage", publish=s3_root)
    waits: list[float] = []
    monkeypatch.setattr(retry, "pause", waits.append)
    with monkeypatch.context() as patch:
        s3fs.S3FileSystem.clear_instance_cache()
        patch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
        first = ln.checkpoint()
    assert first.unpublished == (s3_root,)
    assert len(waits) == retry.ATTEMPTS - 1
    s3fs.S3FileSystem.clear_instance_cache()
    assert ln.checkpoint().unpublished == ()
    assert read_published(s3_root) == [first.text]
    ln.close()
    assert ledger_folder.exists()


def test_a_checkpoint_that_was_cosigned_later_is_published_beside(place):
    alone = ln.checkpoint()
    witness = notes.generate("witness.example/w", kind=notes.COSIGNATURE)
    cosigned = ln.checkpoint(cosign=[witness])
    assert ln.checkpoint().text == alone.text
    assert sorted(read_published(place.where)) == sorted([alone.text, cosigned.text])
    label("two")
    later = ln.checkpoint(cosign=[witness])
    found = read_published(place.where)
    assert found[-1] == later.text
    assert audit(checkpoints=found).ok


@pytest.mark.usefixtures("here")
def test_an_audit_asks_a_witness_whose_key_is_given_for_its_signature():
    witness = notes.generate("witness.example/w", kind=notes.COSIGNATURE)
    early = str(ln.checkpoint())
    label("two")
    late = str(ln.checkpoint(cosign=[witness]))
    given = [str(checkpoints.public_key()), str(witness.public())]
    assert audit(checkpoints=[early, late], keys=given).ok
    label("three")
    newest = str(ln.checkpoint())
    (finding,) = audit(checkpoints=[early, late, newest], keys=given).findings
    assert (finding.kind, finding.expected) == ("cosignature", "a cosignature of witness.example/w")


def test_who_signs_after_a_rotation_goes_on_publishing(place):
    ln.checkpoint()
    checkpoints.rotate_key()
    made = ln.checkpoint()
    assert made.unpublished == ()
    assert read_published(place.where)[-1] == made.text


# --- a command ------------------------------------------------------------------------------------

KEEP = """
import os, sys
from pathlib import Path
told = [os.environ[f"METALEDGER_{name}"] for name in ("ORIGIN", "SIZE", "ROOT")]
Path(sys.argv[1], told[1]).write_text("\\n".join(told) + "\\n" + sys.stdin.read())
"""


def command(text: str, *args: str) -> str:
    """How to run a Python program by the variable; its file needs quoting."""
    program = Path("what is run.py")
    program.write_text(text)
    return f"'{sys.executable}' '{program.absolute()}' {' '.join(args)}"


@pytest.fixture
def local(ledger_folder):
    """An open ledger that publishes nowhere by itself."""
    ln.init(storage="./storage")
    label("one")
    yield ledger_folder
    ln.close()


def test_a_command_gets_note_and_what_it_says_and_no_shell(local, monkeypatch):
    got = local / "$HOME;x"
    got.mkdir()
    monkeypatch.setenv(PUBLISH_VARIABLE, command(KEEP, "'$HOME;x'"))
    made = ln.checkpoint()
    assert made.unpublished == ()
    told = (got / str(made.size)).read_text()
    assert told == f"{made.origin}\n{made.size}\n{made.root}\n{made.text}"


def test_a_command_that_failed_is_told_and_gets_everything_the_next_time(
    local, monkeypatch, capsys
):
    (local / "got").mkdir()
    refuses = "import sys; sys.exit('the door is\\x1b[31m shut')"
    monkeypatch.setenv(PUBLISH_VARIABLE, command(refuses))
    made = [ln.checkpoint()]
    assert made[0].unpublished == (f"command {sys.executable}",)
    said = capsys.readouterr().err
    assert "ended with status 1: the door is" in said
    assert "\x1b" not in said
    label("two")
    monkeypatch.setenv(PUBLISH_VARIABLE, command(KEEP, "got"))
    made.append(ln.checkpoint())
    assert {it.name for it in (local / "got").iterdir()} == {str(it.size) for it in made}


def test_a_command_that_does_not_end_is_ended_with_what_it_began(local, monkeypatch, capsys):
    hangs = (
        "import pathlib, subprocess, sys\n"
        "sys.stderr.write('waiting'); sys.stderr.flush(); pathlib.Path('said').touch()\n"
        "subprocess.run([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
    )
    communicate = subprocess.Popen.communicate

    def once_it_said_something(program, *arguments, **options):
        while not (local / "said").exists():
            assert program.poll() is None
            time.sleep(0.01)
        return communicate(program, *arguments, **options)

    monkeypatch.setattr(subprocess.Popen, "communicate", once_it_said_something)
    monkeypatch.setattr(publication, "SECONDS", 1.0)
    monkeypatch.setenv(PUBLISH_VARIABLE, command(hangs))
    assert ln.checkpoint().unpublished
    assert "did not end within 1 seconds: waiting" in capsys.readouterr().err


def test_a_command_that_is_not_there_or_not_one_is_told(local, monkeypatch, capsys):
    monkeypatch.setenv(PUBLISH_VARIABLE, str(local / "nothing"))
    assert ln.checkpoint().unpublished
    assert "cannot be started" in capsys.readouterr().err
    for text in ("'unbalanced", " "):
        monkeypatch.setenv(PUBLISH_VARIABLE, text)
        with pytest.raises(ConfigurationError, match=PUBLISH_VARIABLE):
            ln.checkpoint()


def test_a_ledger_that_was_sent_starts_no_program(local):
    ln.close()
    path = local / ".metaledger" / "config.toml"
    path.write_text(path.read_text() + 'publish_command = "touch gotcha"\n')
    assert "publish_command" in metaledger(local, "checkpoint", status=1).err
    assert not (local / "gotcha").exists()


# --- by the command line --------------------------------------------------------------------------


def test_the_command_publishes_and_audits_what_is_published(ledger_folder, s3_root):
    metaledger(ledger_folder, "init", "--storage", "./storage", "--publish", s3_root)
    metaledger(ledger_folder, "label", "add", "one")
    early = metaledger(ledger_folder, "checkpoint").out
    metaledger(ledger_folder, "label", "add", "two")
    metaledger(ledger_folder, "checkpoint", "--out", "late.checkpoint")
    said = metaledger(ledger_folder, "audit", "--checkpoint", s3_root, "--json").json
    assert [it["is_met"] for it in said["checkpoints"]] == [True, True]
    one = f"{s3_root}/{name_of(int(early.splitlines()[1]))}"
    said = metaledger(ledger_folder, "audit", "--checkpoint", one, "--json").json
    assert len(said["checkpoints"]) == 1
    said = metaledger(ledger_folder, "audit", "--checkpoint", ".", "--json").json
    assert len(said["checkpoints"]) == 1
    missing = metaledger(ledger_folder, "audit", "--checkpoint", f"{s3_root}/none", status=2)
    assert "expected a checkpoint, or a folder" in missing.err


def test_where_to_publish_can_be_set_and_unset_later(local):
    ln.close()
    told = metaledger(local, "config", "--publish", "./published", "--json").json
    assert {it["setting"]: it["value"] for it in told}["publish"] == "./published"
    metaledger(local, "checkpoint")
    assert len(read_published(str(local / "published"))) == 1
    (local / "published" / LATEST).unlink()
    metaledger(local, "config", "--publish", "")
    metaledger(local, "checkpoint")
    assert not (local / "published" / LATEST).exists()
    said = metaledger(local, "config", "--publish", "nothing://x", status=1).err
    assert "known protocol" in said


def test_the_command_ends_with_status_1_where_it_could_not_publish(local):
    ln.close()
    metaledger(local, "config", "--publish", "published")
    (local / "published").write_text("in the way")
    said = metaledger(local, "checkpoint", status=1)
    assert said.out.startswith("metaledger.local/")
    assert "not published" in said.err
    (local / "published").unlink()
    assert metaledger(local, "checkpoint").out == said.out
    assert read_published(str(local / "published")) == [said.out]


def test_where_nothing_is_published_is_said(tmp_path):
    (tmp_path / "other.txt").write_text("x")
    for where in (tmp_path, tmp_path / "none", f"{tmp_path}/.", f"{tmp_path}/none/..", "/"):
        with pytest.raises(MissingFileError, match="expected a checkpoint"):
            read_published(str(where))
