"""A disk that runs full while content is copied or events are appended: nothing is lost by it.

What was acknowledged is there, what was refused is not, and the script goes on once there is room.
A small disk is mounted where that is allowed; elsewhere a limit on the size of files stands for it.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ledger as ln
from ledger.places import instance
from ledger.upkeep import doctor
from tests.support.judge import (
    assert_log_and_read_models_agree,
    assert_orphans_are_named,
    content,
    label_names,
)
from tests.support.processes import environment

ROOM = 3 * 1024**2

# Saves until the disk refuses, is given room, and goes on; says what was acknowledged.
FILLING = r"""
import json, random, resource, signal, sys
import ledger as ln
from pathlib import Path

kind, means, room = sys.argv[1], sys.argv[2], int(sys.argv[3])
ln.settings.verbosity = "error"
ln.settings.creation.search_names = False
Path("big.bin").write_bytes(random.Random(room).randbytes(room))
saved, refused = [], []

def save(n):
    if kind == "content":
        if n < 3:
            Path(f"small{n}.txt").write_text(f"small {n}")
            return ln.Artifact(f"small{n}.txt", key=f"small/{n}").save()
        return ln.Artifact("big.bin", key=f"big/{n}").save()
    if kind == "batch":
        with ln.batch():
            for i in range(40):
                ln.ULabel(name=f"{n} {i}", description=f"{n} {i} " * 300).save()
        return None
    return ln.ULabel(name=f"label {n}", description=f"{n} " * 1000).save()

ln.ULabel(name="opens the ledger").save()
if means == "limit":
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room // 2, limits[1]))

n = 0
while len(refused) < 3 and n < 3000:
    try:
        save(n)
        saved.append(n)
    except ln.errors.StorageError as error:
        refused.append(str(error))
    n += 1
head = ln.head()
if means == "limit":
    resource.setrlimit(resource.RLIMIT_FSIZE, limits)
else:
    Path("storage/ballast").unlink()
    Path(".metaledger/ballast").unlink()
later = list(range(n, n + 3))
for number in later:
    save(number)
print(json.dumps({"saved": saved + later, "refused": refused, "head": head}))
"""


@pytest.fixture(params=["limit", "small disk"])
def full(request, tmp_path, monkeypatch) -> Iterator[Callable[[str], dict[str, list]]]:
    """Run `FILLING` on a disk that runs full, and return what it said.

    A small disk is mounted where that is allowed; elsewhere the limit of the process stands for it.
    """
    monkeypatch.setattr(instance, "_current", None)
    monkeypatch.setattr(instance, "_found_from", None)
    disk = tmp_path / "disk"
    disk.mkdir()
    is_mounted = request.param == "small disk" and mounted(disk)
    monkeypatch.chdir(disk)
    ln.init("storage")
    ln.close()

    def fill(kind: str) -> dict[str, list]:
        means = "limit"
        if is_mounted:
            means = "disk"
            Path("storage/ballast").write_bytes(bytes(ROOM // 2 * 3))
            Path(".metaledger/ballast").write_bytes(bytes(ROOM))
        done = subprocess.run(
            [sys.executable, "-c", FILLING, kind, means, str(ROOM)],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout.splitlines()[-1])
        assert len(said["refused"]) == 3
        return said

    yield fill
    ln.close()
    monkeypatch.chdir(tmp_path)
    if is_mounted:
        subprocess.run([shutil.which("umount") or "umount", "-l", disk], check=True)


def mounted(folder: Path) -> bool:
    mount = shutil.which("mount")
    if mount is None:
        return False
    options = ["-t", "tmpfs", "-o", f"size={4 * ROOM}", "tmpfs", str(folder)]
    return subprocess.run([mount, *options], capture_output=True, check=False).returncode == 0


def test_a_disk_that_fills_up_while_content_is_copied_loses_nothing(full):
    said = full("content")
    assert {"small/0", "small/1", "small/2"} <= set(ln.Artifact.filter().to_list("key"))
    for number in range(3):
        assert content(f"small/{number}") == f"small {number}"
    # Of the big ones the first that found room is stored; the others bear its keys.
    big = ln.Artifact.get(key=f"big/{said['saved'][-1]}")
    assert big.cache().stat().st_size == ROOM
    assert set(big.keys) == {f"big/{n}" for n in said["saved"] if n >= 3}
    assert said["head"] == 1 + 1 + 3
    assert_orphans_are_named()
    assert all(orphan.is_temporary for orphan in doctor.orphans(instance.current()))
    assert_log_and_read_models_agree()


def test_a_disk_that_fills_up_while_events_are_appended_loses_nothing(full):
    said = full("append")
    names = {f"label {n}" for n in said["saved"]}
    assert label_names("label ") == names
    assert said["head"] == 1 + 1 + len(said["saved"]) - 3
    for n in said["saved"]:
        assert ln.ULabel.get(name=f"label {n}").description == f"{n} " * 1000
    assert_log_and_read_models_agree()


def test_a_disk_that_fills_up_in_a_batch_leaves_nothing_of_it(full):
    said = full("batch")
    names = {f"{n} {i}" for n in said["saved"] for i in range(40)}
    assert {name for name in label_names("") if name[0].isdigit()} == names
    assert_log_and_read_models_agree()


def test_the_message_of_a_full_disk_says_what_to_do(full):
    for message in full("append")["refused"]:
        assert "nothing was recorded" in message
