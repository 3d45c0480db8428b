"""The page for auditors, followed word for word by somebody who has no ledger.

`console` blocks are run in their order, in a shell: those of the first section by the owner, in the
ledger's folder, the others far from it, with no keys. What a command says must be what the page
shows, where `…` stands for anything, and hashes, times and durations may differ.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.command import environment, metaledger
from tests.e2e.test_documents import ROOT, Step, normalised, steps

PAGE = "docs/auditors.md"
HANDED_OVER = ("ledger.pub", "kept.checkpoint", "archive", "plate.tlog-proof", "extension.txt")
OWNERS = "## What the owner does"


def pattern(line: str) -> str:
    """Return what a line of the page may be."""
    return ".*".join(map(re.escape, general(line).split("…")))


def general(text: str) -> str:
    """Return a text with hashes, uids and times that are always the same, beginnings too."""
    text = re.sub(r"\b[0-9a-f]{32,64}\b|\b[0-9A-Za-z]{12}\b", "<hash>", normalised(text))
    return re.sub(r"\S{4,8}…", "…", text)


def of_the_owner(step: Step) -> bool:
    lines = (ROOT / PAGE).read_text("utf-8").splitlines()
    above = [line for line in lines[: int(step.where.rpartition(":")[2])] if line.startswith("## ")]
    return above[-1] == OWNERS


class Reader:
    """Somebody who types what the page says into a shell."""

    def __init__(self, folder: Path, programs: Path, keys: Path) -> None:
        folder.mkdir()
        self.folder = folder
        path = f"{programs}{os.pathsep}{os.environ['PATH']}"
        self._env = environment(PATH=path, METALEDGER_KEY_DIR=str(keys), METALEDGER_USER="ada")

    def follow(self, step: Step) -> None:
        if step.kind == "file":
            (self.folder / step.name).write_text(step.text)
            return
        done = subprocess.run(
            ["/bin/sh", "-c", step.text],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        said = general(done.stdout).splitlines()
        expected = [pattern(line) for line in step.shown or []]
        assert done.returncode == 0, f"{step.where} {step.text}\n{done.stdout}"
        assert len(said) == len(expected), f"{step.where} {step.text}\n{done.stdout}"
        for found, wanted in zip(said, expected, strict=True):
            assert re.fullmatch(wanted, found), f"{step.where} {step.text}\n{wanted}\n{found}"


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the commands that the page uses."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name, runs in (("metaledger", f"{sys.executable} -m ledger"), ("python", sys.executable)):
        (folder / name).write_text(f'#!/bin/sh\nexec {runs} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def test_the_page_for_auditors_can_be_followed(tmp_path, programs):
    told = steps(PAGE)
    owner = Reader(tmp_path / "owner", programs, tmp_path / "keys")
    auditor = Reader(tmp_path / "auditor", programs, tmp_path / "no keys")
    keys = {"METALEDGER_KEY_DIR": str(tmp_path / "keys"), "METALEDGER_USER": "ada"}
    metaledger(owner.folder, "init", "--storage", "./storage", **keys)
    metaledger(owner.folder, "label", "add", "Plate 1", **keys)
    owners = [step for step in told if of_the_owner(step)]
    for number, step in enumerate(owners):
        if step.text.startswith("metaledger export"):
            assert number == 2
            metaledger(owner.folder, "label", "add", "Plate 2", **keys)
        owner.follow(step)
    for name in HANDED_OVER:
        shutil.move(owner.folder / name, auditor.folder / name)
    shutil.rmtree(owner.folder)
    others = [step for step in told if not of_the_owner(step)]
    assert len(others) > 8
    for step in others:
        auditor.follow(step)
    assert (auditor.folder / "report.html").stat().st_size > 0


def test_a_command_that_says_something_else_is_noticed(tmp_path, programs):
    reader = Reader(tmp_path / "reader", programs, tmp_path / "keys")
    reader.follow(Step("command", "echo root ab12…", ["root …"], "page:1"))
    for text, shown in (("echo a", ["b"]), ("echo a; echo b", ["a"]), ("false", [])):
        with pytest.raises(AssertionError, match="page:1"):
            reader.follow(Step("command", text, shown, "page:1"))
