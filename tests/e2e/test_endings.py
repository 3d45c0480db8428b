"""How the end of a process ends its run: exits, signals, and handlers of the script's own."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import ledger as ln
from tests.support.histories import FIRST, Lab


@pytest.fixture
def lab(ledger_folder):
    yield Lab(ledger_folder)
    ln.close()


@pytest.mark.parametrize(
    ("ending", "code", "status", "error"),
    [
        ("sys.exit(3)", 3, "failed", "SystemExit: 3"),
        ("raise SystemExit('no file')", 1, "failed", "SystemExit: no file"),
        ("sys.exit(0)", 0, "ended", None),
        ("try:\n    sys.exit(3)\nexcept SystemExit:\n    pass\n", 0, "finished", None),
    ],
)
def test_a_script_that_exits_with_an_error_has_failed(lab, ending, code, status, error):
    lab.script(f"ln.ULabel('x').save()\n{ending}")
    assert lab.run(code=code).tags == [*FIRST, "record-created", "run-finished"]
    assert [(run.status, run.error) for run in ln.Run.filter()] == [(status, error)]


@pytest.mark.skipif(os.name == "nt", reason="no such signal there")
def test_a_script_that_is_told_to_end_has_failed_and_its_children_end_as_ever(lab):
    lab.script(
        """
ln.ULabel('x').save()
child = os.fork()
while not child:
    signal.pause()
os.kill(child, signal.SIGTERM)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGTERM
os.kill(os.getpid(), signal.SIGTERM)
ln.ULabel('y').save()
"""
    )
    assert lab.run(code=143).tags == [*FIRST, "record-created", "run-finished"]
    (run,) = ln.Run.filter()
    assert (run.status, run.error) == ("failed", "SIGTERM: the process was told to end")


def test_a_handler_of_the_scripts_own_stays(lab):
    lab.script(
        "signal.raise_signal(signal.SIGTERM)\nln.ULabel('x').save()",
        head="import os, signal, sys\nimport ledger as ln\n"
        "signal.signal(signal.SIGTERM, lambda *_: None)\nln.track()\n",
    )
    assert lab.run().tags == [*FIRST, "record-created", "run-finished"]
    assert lab.statuses() == ["finished"]


@pytest.mark.parametrize(
    "body",
    [
        "ln.ULabel('x').save()",
        "ln.track(key='a.py')\nln.ULabel('x').save()\nln.finish()",
        "ln.track(key='a.py')\nln.ULabel('x').save()\nsys.exit(3)",
        "if not os.fork():\n    ln.ULabel('x').save()\n    sys.exit()\nos.wait()",
    ],
    ids=["outside", "finished", "failed", "forked"],
)
def test_the_file_holds_everything_once_the_program_has_ended(lab, ledger_folder, body):
    del lab
    ln.close()
    # Nothing else looks at the ledger before it is judged: that would write the log back, too.
    code = f"import os, sys\nimport ledger as ln\n{body}"
    subprocess.run([sys.executable, "-c", code], cwd=ledger_folder, check="exit(3)" not in body)
    assert not list(ledger_folder.glob(".metaledger/ledger.db-*"))
