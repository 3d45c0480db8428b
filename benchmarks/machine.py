"""What a figure depends on besides the code: the computer, its software, and how busy it is."""

from __future__ import annotations

import datetime as dt
import os
import platform
import sqlite3
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = ("eventsourcing", "msgspec", "rapidfuzz", "rich", "click", "pyarrow", "fsspec")


def describe(folder: Path, *, peer: str | None = None) -> dict[str, str]:
    """Return what this computer is, for work in a folder."""
    about = {
        "date": dt.datetime.now(tz=dt.UTC).date().isoformat(),
        "processor": f"{_processor()}, {os.cpu_count()} cores",
        "kernel": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "packages": ", ".join(f"{name} {version_of(name)}" for name in PACKAGES),
        "file system": _file_system(folder),
        "load before": load(),
    }
    if peer is not None:
        asked = "from importlib.metadata import version; print(version('lamindb'))"
        told = subprocess.run([peer, "-c", asked], capture_output=True, text=True, check=True)
        about["peer"] = f"lamindb {told.stdout.strip()}"
    return about


def load() -> str:
    """Return how many processes wanted a processor in the last 1, 5 and 15 minutes."""
    return " ".join(f"{figure:.2f}" for figure in os.getloadavg())


def _processor() -> str:
    found = Path("/proc/cpuinfo")
    if found.exists():
        for line in found.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def version_of(name: str) -> str:
    """Return the version of an installed package."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "missing"


def _file_system(folder: Path) -> str:
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return "unknown"
    here = str(folder.resolve())
    best = ("", "unknown")
    for line in mounts.read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        below = here == place or here.startswith(place.rstrip("/") + "/")
        if below and len(place) >= len(best[0]):
            best = (place, kind)
    return best[1]
