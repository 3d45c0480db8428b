"""`run`: any command as a run of its own."""

# ruff: noqa: F401, F811 (the fixture `made` is imported)

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from tests.e2e.command import PROGRAM, environment, made, metaledger
from tests.support.patience import PATIENCE


def run(folder, *args, status=0):
    """Run the verb and return the exit status, what it and its command said, and new events."""
    before = head(folder)
    done = subprocess.run(
        [*PROGRAM, "run", *args],
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == status, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout, done.stderr, head(folder) - before


def head(folder):
    return metaledger(folder, "info", "--json").json["head"]


def last_run(folder):
    listed = metaledger(folder, "list", "run", "--json").json_lines
    return max(listed, key=lambda it: it["id"])


def test_a_command_is_a_run_with_its_inputs_and_outputs_and_adds_nothing_again(made):
    (made / "raw.csv").write_text("3\n1\n2\n")
    (made / "order.sh").write_text("sort raw.csv > ordered.csv\necho sorted\n")
    args = ("--in", "raw.csv", "--out", "ordered.csv", "--", "sh", "order.sh", "--now")
    out, said, n_events = run(made, *args)
    assert out == "sorted\n"
    assert n_events
    assert "new run" in said
    told = metaledger(made, "show", last_run(made)["uid"], "--json").json
    assert (told["status"], told["arguments"]) == ("finished", ["sh", "order.sh", "--now"])
    lineage = metaledger(made, "lineage", "ordered.csv").out
    assert "raw.csv" in lineage
    assert "sh order.sh" in lineage
    out, said, n_events = run(made, *args)
    assert (out, n_events) == ("sorted\n", 0)
    assert "replay" in said
    # The script's text is the source: another text is another version of the transform.
    (made / "order.sh").write_text("sort -r raw.csv > ordered.csv\n")
    assert run(made, *args)[2]
    assert len(metaledger(made, "list", "transform", "--json").json_lines) == 2
    assert metaledger(made, "get", "ordered.csv", "-").out == "3\n2\n1\n"
    assert run(made, *args)[2] == 0
    # So do other contents of an input.
    (made / "raw.csv").write_text("9\n")
    assert run(made, *args)[2]
    assert run(made, *args)[2] == 0


def test_its_processes_belong_to_the_run(made):
    child = f"{sys.executable} -c \"import ledger as ln; ln.ULabel('inner').save()\""
    assert run(made, "--name", "nightly", "--", "sh", "-c", child)[2]
    (label,) = metaledger(made, "list", "ulabel", "--json").json_lines
    made_by = metaledger(made, "show", label["run"], "--json").json
    (transform,) = metaledger(made, "list", "transform", "--json").json_lines
    assert (transform["name"], made_by["transform"]) == ("nightly", transform["uid"])
    assert made_by["status"] == "finished"
    assert run(made, "--name", "nightly", "--", "sh", "-c", child)[2] == 0


@pytest.mark.parametrize(
    ("command", "status", "error"),
    [
        ("exit 7", 7, "sh: exit status 7"),
        ("kill -TERM $$", 128 + signal.SIGTERM, "sh: ended by SIGTERM"),
    ],
)
def test_a_command_that_fails_is_a_failed_run_and_its_status_passes_through(
    made, command, status, error
):
    (made / "half.csv").write_text("half")
    run(made, "--out", "half.csv", "--", "sh", "-c", command, status=status)
    failed = last_run(made)
    assert (failed["status"], failed["error"]) == ("failed", error)
    assert metaledger(made, "list", "artifact", "--json").json_lines == []


@pytest.mark.parametrize(
    ("args", "status", "words"),
    [
        (("--", "no-such-program", "-x"), 127, ["'no-such-program'", "PATH"]),
        (("--in", "gone.csv", "--", "true"), 1, ["input 'gone.csv'"]),
        ((), 2, ["missing argument"]),
        (("true", "--name"), 0, []),
    ],
    ids=["program", "input", "nothing", "options after the command are its own"],
)
def test_what_cannot_be_started_is_told_and_leaves_nothing(made, args, status, words):
    _, said, n_events = run(made, *args, status=status)
    assert all(word in said for word in words)
    assert bool(n_events) == (status == 0)


def test_a_program_that_cannot_be_executed_is_a_clear_error(made):
    script = made / "odd"
    script.write_bytes(b"\0\1\2")
    script.chmod(0o755)
    _, said, _ = run(made, "--", "./odd", status=1)
    assert "cannot be started" in said
    assert last_run(made)["status"] == "failed"


def test_an_output_that_is_not_there_makes_the_run_a_failed_one(made):
    _, said, _ = run(made, "--out", "gone.csv", "--", "true", status=1)
    assert "output 'gone.csv'" in said
    assert last_run(made)["status"] == "failed"


def test_a_secret_in_the_command_is_left_out(made):
    run(made, "--", "true", "--password", "hunter2", "--token=hunter2")
    assert "hunter2" not in metaledger(made, "log", "--json").out
    assert "hunter2" not in metaledger(made, "list", "transform", "--json").out


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"])
def test_a_signal_goes_on_to_the_command(made, name):
    short = name.removeprefix("SIG")
    script = f"trap 'echo heard {short}; exit 9' {short}; echo here; while :; do sleep 0.05; done"
    process = subprocess.Popen(
        [*PROGRAM, "run", "--", "sh", "-c", script],
        cwd=made,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Without a terminal, and in which no signal is ignored, as below `nohup`.
        start_new_session=True,
        preexec_fn=lambda: signal.signal(getattr(signal, name), signal.SIG_DFL),  # noqa: PLW1509 (no other thread)
    )
    with process:
        assert process.stdout.readline() == "here\n"
        os.kill(process.pid, getattr(signal, name))
        out, said = process.communicate(timeout=PATIENCE)
    assert (out, process.returncode) == (f"heard {short}\n", 9), said
    assert last_run(made)["error"] == "sh: exit status 9"
