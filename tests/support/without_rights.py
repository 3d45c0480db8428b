"""Places where a test may read and not write, whoever runs it.

For root, permission bits mean nothing. So root mounts the folder once more, for reading alone.
Other users take the right to write away.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def read_only(folder: Path) -> Iterator[Path]:
    """Yield a path at which everything in `folder` can be read, and nothing be written."""
    if os.geteuid():
        with _closed(folder):
            yield folder
        return
    place = folder.with_name(f"{folder.name}-to-read")
    place.mkdir()
    _mount("--bind", str(folder), str(place))
    try:
        _mount("-o", "remount,ro,bind", str(place))
        yield place
    finally:
        subprocess.run([shutil.which("umount") or "umount", "-l", place], check=True)
        place.rmdir()


def _mount(*words: str) -> None:
    found = shutil.which("mount")
    done = found and subprocess.run([found, *words], capture_output=True, check=False)
    if not done or done.returncode:
        pytest.skip("nothing can be mounted for reading alone here (mount needs the right to)")


@contextmanager
def _closed(folder: Path) -> Iterator[None]:
    paths = [folder, *folder.rglob("*")]
    modes = [stat.S_IMODE(path.stat().st_mode) for path in paths]
    for path, mode in zip(reversed(paths), reversed(modes), strict=True):
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)
