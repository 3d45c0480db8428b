"""`web`: one line with the address, an answer there, and an end by Ctrl-C."""

from __future__ import annotations

import http.client
import re
import signal
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

from tests.e2e.command import PROGRAM, environment, metaledger
from tests.support.patience import PATIENCE


def test_it_prints_one_address_and_answers_there_until_ctrl_c(tmp_path: Path) -> None:
    metaledger(tmp_path, "init", "--storage", "./storage")
    (tmp_path / "a.csv").write_text("a\n")
    metaledger(tmp_path, "artifact", "add", "a.csv")
    running = subprocess.Popen(
        [*PROGRAM, "web", "--no-open", "a.csv"],
        cwd=tmp_path,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with running:
        assert running.stdout is not None
        line = running.stdout.readline()
        found = re.fullmatch(r"→ (http://\S+)  \(read only; Ctrl-C ends it\)\n", line)
        assert found is not None, line
        address = urlsplit(found[1])
        assert address.path.startswith("/lineage/")
        connection = http.client.HTTPConnection("127.0.0.1", address.port, timeout=PATIENCE)
        connection.request("GET", f"{address.path}?{address.query}")
        assert connection.getresponse().status == 303
        connection.close()
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=PATIENCE)
        assert (out, err.strip()) == ("", "")
        assert running.returncode == 130


def test_an_address_that_others_reach_is_refused(tmp_path: Path) -> None:
    metaledger(tmp_path, "init", "--storage", "./storage")
    said = metaledger(tmp_path, "web", "--no-open", "--host", "192.0.2.1", status=1)
    assert "of this computer alone" in said.err
    assert "ssh -L" in said.err


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    import socket  # noqa: PLC0415

    metaledger(tmp_path, "init", "--storage", "./storage")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = metaledger(tmp_path, "web", "--no-open", "--port", str(port), status=1)
    assert f"port {port}" in said.err
    assert "--port 0" in said.err


def test_without_the_extra_it_is_named(tmp_path: Path) -> None:
    metaledger(tmp_path, "init", "--storage", "./storage")
    code = (
        "import sys; sys.modules['starlette'] = None; sys.modules['uvicorn'] = None\n"
        "from ledger.cli import main; main(['web', '--no-open'])"
    )
    done = subprocess.run(
        [PROGRAM[0], "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "pip install 'metaledger[web]'" in done.stderr


def test_the_demo_says_how_to_look_at_it(tmp_path: Path) -> None:
    assert "--web" in metaledger(tmp_path, "demo", TMPDIR=str(tmp_path)).out
    assert "metaledger web counts.csv" in metaledger(tmp_path, "demo", "--keep", "kept").out
