"""Standard streams that are closed or full: nothing fails that was recorded, nothing is lost."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import ledger as ln
from ledger.display import messages
from ledger.display.progress import progress
from tests.support import processes

SCRIPT = """\
import pathlib, sys
import ledger as ln
SPOILED
ln.track(params={"token": "of a secret name, which is told"})
pathlib.Path("o.txt").write_text("o")
one = ln.Artifact("o.txt", key="o.txt").save()
ln.save([ln.ULabel(name="Immune study"), ln.ULabel(name="Immune studdy")])
ln.ULabel(name="Immune studdies")
with ln.batch():
    ln.ULabel(name="last").save()
ln.finish()
if sys.stdout is not None:
    print(one.uid, ln.head())
"""


@pytest.fixture(autouse=True)
def folder(ledger_folder: Path) -> Path:
    ln.init("storage")
    return ledger_folder


def script(redirected: str, *, spoiled: str = "") -> subprocess.CompletedProcess[str]:
    Path("s.py").write_text(SCRIPT.replace("SPOILED", spoiled))
    return shell(f"'{sys.executable}' s.py {redirected}")


def shell(command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", "-c", command],  # noqa: S607 (found by PATH)
        env=processes.environment(),
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("redirected", ["2>&-", "2>/dev/full"])
def test_a_script_whose_errors_nobody_reads_records_as_any_other(redirected):
    usual = script("")
    assert usual.returncode == 0, usual.stderr
    assert "similar" in usual.stderr
    found = script(redirected)
    assert (found.returncode, found.stdout, found.stderr) == (0, usual.stdout, "")
    assert ln.head() == int(usual.stdout.split()[1])


def test_the_first_pass_of_such_a_script_loses_nothing():
    first = script("2>&-")
    assert first.returncode == 0
    again = script("")
    assert again.stdout == first.stdout
    assert "0 new events" in again.stderr
    assert ln.Run.filter().one().status == "finished"


def test_a_daemon_without_any_stream_records():
    assert script("<&- >&- 2>&-").returncode == 0
    assert ln.Run.filter().one().status == "finished"
    assert ln.ULabel.filter(name="last").exists()


@pytest.mark.parametrize(
    "spoiled",
    [
        "sys.stderr.close()",
        "sys.stderr = None",
        "sys.stderr = open('log.txt', 'w', encoding='ascii')",
        "class Own:\n    def write(self, text): raise RuntimeError\nsys.stderr = Own()",
    ],
    ids=["closed", "none", "ascii", "raises"],
)
def test_a_script_that_spoils_its_own_standard_error_records(spoiled):
    done = script("", spoiled=spoiled)
    assert len(done.stdout.split()) == 2, done.stderr
    assert done.returncode in {0, 120}  # Python's own, where it cannot flush
    assert ln.Run.filter().one().status == "finished"


def test_a_message_that_the_stream_cannot_encode_is_written_with_escapes(monkeypatch, tmp_path):
    with (tmp_path / "log").open("w", encoding="ascii") as stream:
        monkeypatch.setattr(sys, "stderr", stream)
        messages.say("warning", "Grün")
    assert (tmp_path / "log").read_text("ascii") == "! Gr\\xfcn\n"


@pytest.mark.parametrize("stream", [None, "closed"])
def test_work_with_a_bar_goes_on_without_a_terminal(monkeypatch, tmp_path, stream):
    if stream == "closed":
        stream = (tmp_path / "log").open("w")
        stream.close()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress("hashing", 2) as step:
        step(2)


@pytest.mark.parametrize("verb", ["info", "list label", "audit"])
@pytest.mark.parametrize("redirected", [">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full", "2>/dev/full"])
def test_the_command_ends_with_its_status_whatever_its_streams_are(verb, redirected):
    ln.ULabel(name="one").save()
    done = shell(f"'{sys.executable}' -m ledger {verb} {redirected}")
    if redirected == ">/dev/full":
        assert done.returncode == 1
        assert done.stderr.startswith("error: ")
        assert len(done.stderr.splitlines()) == 1 or verb == "audit"
    else:
        assert done.returncode == 0
        assert "error" not in done.stderr


def test_a_plan_without_standard_streams_is_made():
    Path("s.py").write_text("import ledger as ln\nln.ULabel(name='planned').save()\n")
    done = shell(f"'{sys.executable}' -m ledger plan s.py >&- 2>&-")
    assert done.returncode == 2  # there is something to record
    assert not ln.ULabel.filter().exists()
