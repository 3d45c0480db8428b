"""Rebuild, export, import and checkpoint killed at any moment: the ledger stays what it was.

The judge is the audit, with a checkpoint that was kept before.
"""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import ledger as ln
from ledger.auditing.audit import audit
from ledger.errors import InvalidValueError, LedgerExistsError
from ledger.transfer.archive_export import export
from ledger.transfer.archive_import import restore
from tests.support.door import label
from tests.support.processes import environment
from tests.support.warm import Program

STEPS = {
    "rebuild": "from ledger.upkeep.rebuild import rebuild\ndef step():\n    rebuild()\n",
    "checkpoint": "def step():\n    ln.ULabel(name=str(ln.head())).save(); ln.checkpoint()\n",
    "rotate": "from ledger.proving.checkpoints import rotate_key\ndef step():\n    rotate_key()\n",
    "export": (
        "from ledger.transfer.archive_export import export\nimport os, time\n"
        "def step():\n    export(f'archives/{os.getpid()}-{time.time_ns()}')\n"
    ),
    "import": (
        "from ledger.transfer.archive_import import restore\n"
        "import os, time\nfrom pathlib import Path\n"
        "def step():\n    root = Path(f'restored/{os.getpid()}-{time.time_ns()}')\n"
        "    restore('archive', './storage', root=root)\n"
    ),
}
LONGEST = 0.6  # seconds after which a program is killed


def killed(step: str, seconds: float) -> None:
    """Run a step again and again, and kill the program a while after the first one."""
    head = "import ledger as ln\nln.settings.verbosity = 'error'\n"
    text = f"{head}{step}step()\nprint('on', flush=True)\nwhile True:\n    step()\n"
    program = Program(
        [sys.executable, "-c", text], env=environment(), stdout=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    with program:
        assert program.stdout.readline() == "on\n"
        try:
            program.wait(timeout=seconds)
        except subprocess.TimeoutExpired:
            program.send_signal(signal.SIGKILL)
    assert program.returncode == -signal.SIGKILL


def sweep(what: str, kills: int) -> None:
    ln.init(storage="./storage")
    for number in range(20):
        label(f"label {number}")
    kept = str(ln.checkpoint())
    if what == "import":
        export("archive")
    ln.close()
    chance = random.Random(kills)  # noqa: S311 (when to kill)
    for _ in range(kills):
        killed(STEPS[what], chance.uniform(0, LONGEST))
        report = audit(checkpoints=[kept])
        assert report.ok, report.findings
    if what == "export":
        judge_archives(kept)
    if what == "import":
        judge_restored(kept)
    # Whatever was on its way, the next one goes on from there.
    assert audit(checkpoints=[kept, str(ln.checkpoint())]).ok
    ln.close()


def judge_archives(kept: str) -> None:
    """An archive with its manifest is whole, one without is none; an export goes on with either."""
    whole = 0
    for folder in Path("archives").iterdir():
        if (folder / "manifest.json").exists():
            whole += 1
        else:
            with pytest.raises(InvalidValueError, match="the export did not end"):
                restore(folder, "./storage", root=Path("restored"))
            export(folder)
        (mine,) = folder.glob("checkpoint-*")
        assert audit(archive=folder, checkpoints=[kept, mine.read_text()]).ok
    assert whole > 0
    shutil.rmtree("archives")


def judge_restored(kept: str) -> None:
    """A folder with a configuration holds the whole ledger; without one it holds none."""
    whole = 0
    for folder in Path("restored").iterdir():
        if (folder / ".metaledger" / "config.toml").exists():
            report = audit(place=folder, checkpoints=[kept])
            assert report.ok, report.findings
            whole += 1
        elif not (folder / ".metaledger" / "ledger.db").exists():
            restore("archive", "./storage", root=folder)
            assert audit(place=folder, checkpoints=[kept]).ok
        else:
            with pytest.raises(LedgerExistsError, match="a part of one"):
                restore("archive", "./storage", root=folder)
    assert whole > 0
    shutil.rmtree("restored")


@pytest.mark.usefixtures("ledger_folder")
@pytest.mark.parametrize("what", STEPS)
def test_killed_at_some_moments_the_ledger_adds_up(what):
    sweep(what, 4)


@pytest.mark.slow
@pytest.mark.usefixtures("ledger_folder")
@pytest.mark.parametrize("what", STEPS)
def test_killed_at_many_moments_the_ledger_adds_up(what):
    sweep(what, 100)
