"""A run that ended is told to a server that takes OpenLineage; nothing there is an error here."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

import ledger as ln
from ledger.bridges.openlineage import live
from tests.e2e.command import environment
from tests.support.door import artifact, begin_as_script, file


class Receiver(BaseHTTPRequestHandler):
    """Keeps what it is sent, and answers as it is told."""

    got: ClassVar[list[tuple[str, str | None, dict[str, Any]]]]
    answer: ClassVar[int]
    goes_on: ClassVar[threading.Event]

    def do_POST(self) -> None:
        """Take an event."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.got.append((self.path, self.headers["Authorization"], body))
        self.goes_on.wait()
        self.send_response(self.answer)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Receiver]]:
    made = type("Made", (Receiver,), {"got": [], "answer": 201, "goes_on": threading.Event()})
    made.goes_on.set()
    server = ThreadingHTTPServer(("127.0.0.1", 0), made)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("OPENLINEAGE_URL", f"http://127.0.0.1:{server.server_port}")
    # However busy the computer is, an answer comes in time.
    monkeypatch.setattr(live, "SECONDS", 600.0)
    yield made
    made.goes_on.set()
    server.shutdown()
    thread.join()
    server.server_close()


def work(monkeypatch: pytest.MonkeyPatch, text: str = "x\n1\n") -> Any:
    """A pass of a script that reads one artifact and makes another; return its run."""
    begin_as_script(monkeypatch, str(file("clean.py", "# clean").absolute()))
    ln.track(params={"n": 3})
    ln.Artifact.get(key="raw.csv").cache()
    made = artifact("clean.csv", text, key="clean.csv")
    ln.finish()
    return made.run


@pytest.fixture
def told(here: Path) -> Path:
    ln.settings.verbosity = "hint"
    artifact("raw.csv", "raw", key="raw.csv")
    return here


@pytest.mark.usefixtures("told")
def test_a_run_is_told_once_as_an_export_tells_it(receiver, monkeypatch, capsys):
    monkeypatch.setenv("OPENLINEAGE_API_KEY", "s3cret")
    run = work(monkeypatch)
    ln.bridges.export_openlineage("out.jsonl")
    assert [it for _, _, it in receiver.got] == [
        json.loads(line) for line in Path("out.jsonl").read_text().splitlines()
    ]
    assert {(path, key) for path, key, _ in receiver.got} == {("/api/v1/lineage", "Bearer s3cret")}
    last = receiver.got[-1][2]
    assert (last["eventType"], len(last["inputs"]), len(last["outputs"])) == ("COMPLETE", 1, 1)
    before = len(receiver.got)
    assert work(monkeypatch) == run  # a replay
    assert len(receiver.got) == before
    assert work(monkeypatch, "y\n2\n") != run
    assert len(receiver.got) > before
    assert "OPENLINEAGE" not in capsys.readouterr().err


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("answer", [302, 500])
def test_a_server_that_refuses_is_a_hint(receiver, monkeypatch, capsys, answer):
    receiver.answer = answer
    assert work(monkeypatch).status == "finished"
    assert f"it answered {answer}" in capsys.readouterr().err
    assert [path for path, _, _ in receiver.got] == ["/api/v1/lineage"]


@pytest.mark.usefixtures("told")
def test_a_server_that_does_not_answer_holds_nobody_up(receiver, monkeypatch, capsys):
    receiver.goes_on.clear()
    monkeypatch.setattr(live, "SECONDS", 0.5)
    assert work(monkeypatch).status == "finished"
    said = capsys.readouterr().err
    assert "OPENLINEAGE_URL" in said
    assert "metaledger export openlineage" in said


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    "url", ["http://ada:s3cret@127.0.0.1:9", "ftp://host", "lineage", "http://[", "http://h:x"]
)
def test_what_leads_nowhere_is_a_hint_without_a_secret(monkeypatch, capsys, url):
    monkeypatch.setenv("OPENLINEAGE_URL", url)
    assert work(monkeypatch).status == "finished"
    said = capsys.readouterr().err
    assert "OPENLINEAGE_URL" in said
    assert "s3cret" not in said


@pytest.mark.usefixtures("told")
def test_a_script_that_fails_is_told_at_its_exit(receiver):
    lines = [
        "import ledger as ln",
        "from ledger.bridges.openlineage import live",
        "live.SECONDS = 600.0",
        "ln.track()",
        "ln.ULabel(name='begun').save()",
        "raise ValueError('no rows')",
    ]
    path = file("fails.py", "\n".join(lines))
    done = subprocess.run(
        [sys.executable, str(path)], env=environment(), capture_output=True, text=True, check=False
    )
    assert [it["eventType"] for _, _, it in receiver.got] == ["START", "FAIL"], done.stderr
    assert "no rows" in receiver.got[-1][2]["run"]["facets"]["errorMessage"]["message"]
    assert "OPENLINEAGE" not in done.stderr


@pytest.mark.usefixtures("told")
def test_nothing_is_told_where_it_is_disabled(receiver, monkeypatch):
    monkeypatch.setenv("OPENLINEAGE_DISABLED", "true")
    work(monkeypatch)
    assert receiver.got == []
