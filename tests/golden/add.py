"""Add a golden log, by hand, when the format has grown.

Run it as `python -m tests.golden.add NAME`. It writes `NAME.sql` (the log, as text, without read
models) and `NAME.json` (what that log said when it was written). There is a script to add one and
none to change one: today's program must read what an earlier one wrote.
"""

# ruff: noqa: S608 (statements are made of names of our own)

from __future__ import annotations

import datetime as dt
import json
import os
import socket
import sqlite3
import sys
import tempfile
from contextlib import closing
from pathlib import Path

import ledger as ln
from ledger.proving import eraser_keys
from tests.golden.state import state_of

HERE = Path(__file__).resolve().parent
BEGAN = dt.datetime(2024, 5, 6, 7, tzinfo=dt.UTC)
TABLES = ("stored_events", "entries", "meta")


def tell_a_story(folder: Path, *, database: str | None = None) -> None:
    """Make a ledger with as many kinds of events as the public door has."""
    os.environ["METALEDGER_USER"] = "ada"
    os.environ["METALEDGER_KEY_DIR"] = str(folder / "keys")
    os.chdir(folder)
    socket.gethostname = lambda: "golden"  # no name of a real computer goes into the log
    ln.settings.verbosity = "error"
    ln.init("./storage", name="golden", database=database)
    draft = ln.ULabel(name="draft", description="Zoë's first 🧬").save()
    spare = ln.ULabel(name="spare").save()
    ln.Transform(name="Clean", key="clean.py", version="1").save()
    ln.track(key="ingest", name="ingest", params={"rate": 0.1, "steps": [1, 2]}, new_run=True)
    Path("raw.txt").write_text("raw\n")
    raw = ln.Artifact("raw.txt", key="raw.txt", description="as it came").save()
    raw.labels.add(draft)
    ln.finish()
    ln.track(key="report", name="report", new_run=True)
    raw.cache()
    Path("report.txt").write_text("first\n")
    report = ln.Artifact("report.txt", key="report.txt").save()
    ln.Collection([raw, report], name="both").save()
    ln.finish()
    ln.tag("paper-v1")
    ln.track(key="report", name="report", new_run=True)
    ln.Artifact("raw.txt").save()
    Path("report.txt").write_text("second\n")
    ln.Artifact("report.txt", key="report.txt").save()
    Path("report.txt").write_text("first\n")
    ln.Artifact("report.txt", key="report.txt").save()
    ln.finish()
    report.path.unlink()
    ln.Artifact("report.txt", key="report.txt").save()
    raw.add_alias("lamindb:5tAyiACTQJb8pShM0001")
    draft.add_alias("lamindb:duWb1LvE")
    draft.name = "final"
    draft.save()
    raw.labels.remove(draft)
    spare.delete()
    spare.restore()
    spare.delete(permanent=True)
    ln.ULabel(name="spare").save()
    with ln.happened(at=BEGAN, by="bob"):
        ln.ULabel(name="years ago").save()
    far = ln.bridges.declare(
        namespace="s3://core", name="far", key="far.bin", size=7, claimed=[("md5", "x")]
    )
    ln.bridges.declare(namespace="s3://core", name="gone", key="gone.bin", size=7).delete()
    ln.bridges.record_run(
        identity=["slurm", 4711],
        key="job.sh",
        source="#!/bin/sh\n",
        started_at=BEGAN,
        finished_at=BEGAN,
        actor="bob",
        inputs=[far],
        outputs=[raw],
        aliases=["slurm:4711"],
    )
    ln.checkpoint()
    ln.erase(ln.Artifact.get(key="far.bin"), reason="request 17")
    ln.erase(draft, reason="request 17")
    ln.erase(report, reason="request 17")
    eraser_keys.adopt(str(eraser_keys.own_key()))


def dump(database: Path, target: Path) -> None:
    """Write the log of a SQLite ledger as statements."""
    with closing(sqlite3.connect(database)) as connection:
        lines = []
        for table in TABLES:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            quoted = ", ".join(f"quote({name})" for name in names)
            order = "position" if table == "entries" else names[0] if table == "meta" else "rowid"
            rows = connection.execute(f"SELECT {quoted} FROM {table} ORDER BY {order}")
            lines += [f"INSERT INTO {table} VALUES ({', '.join(row)});" for row in rows]
    target.write_text("\n".join(lines) + "\n", "utf-8")


def main(name: str) -> None:
    target = HERE / f"{name}.sql"
    if target.exists():
        sys.exit(f"{target} exists: golden logs are added, never changed")
    with tempfile.TemporaryDirectory() as folder:
        tell_a_story(Path(folder))
        state = state_of()
        ln.close()
        dump(Path(folder, ".metaledger", "ledger.db"), target)
        os.chdir(HERE)
    target.with_suffix(".json").write_text(
        json.dumps(state, indent=1, ensure_ascii=False) + "\n", "utf-8"
    )


if __name__ == "__main__":
    main(sys.argv[1])
