"""A server that is lost and restored, twice: from a dump, and from a base backup with its log.

`python benchmarks/restore_drill.py [--labels 500]` makes two servers of its own and does what
docs/deployment.md tells to do, with the server's own programs and our command, and prints both with
what they say. It ends with an error where one of them says something else than it should.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from tests.support.servers import PostgresServer, postgres_programs  # noqa: E402 (found by the line above)

SCHEMA = "lab"
SAVING = (
    "import ledger as ln; ln.settings.verbosity = 'error';"
    " ln.settings.creation.search_names = False;"
    " ln.save([ln.ULabel(name=f'label {{n}}') for n in range({first}, {last})])"
)


class Drill:
    """One working folder, and what is done in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: dict[int, str] = {}

    def run(self, *words: str, status: int = 0, shown: str | None = None) -> str:
        """Run a program, print it with what it says, and return that."""
        print(f"$ {shown or ' '.join(self._short(word) for word in words)}")
        started = time.perf_counter()
        done = subprocess.run(
            words,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(HERE.parent), "METALEDGER_KEY_DIR": "keys"},
            capture_output=True,
            text=True,
            check=False,
        )
        said = done.stdout + done.stderr
        print(self._short(said), end="")
        print(f"# status {done.returncode}, {time.perf_counter() - started:.1f} s", flush=True)
        if done.returncode != status:
            sys.exit(f"expected status {status}")
        return said

    def metaledger(self, *words: str, status: int = 0) -> str:
        """Run our command."""
        line = f"metaledger {' '.join(words)}"
        return self.run(
            sys.executable, "-m", "ledger", *words, status=status, shown=self._short(line)
        )

    def python(self, text: str) -> str:
        """Run a script."""
        return self.run(sys.executable, "-c", text, shown="python save_labels.py")

    def server(self, name: str, *words: str, shown: str | None = None) -> str:
        """Run a program of the server."""
        return self.run(str(postgres_programs() / name), *words, shown=shown)

    def _short(self, text: str) -> str:
        for port, name in self.ports.items():
            text = text.replace(f"postgres@127.0.0.1:{port}/postgres", f"{name}/science")
        return text.replace(f"{postgres_programs()}/", "").replace(
            str(self.folder), "/home/ada/lab"
        )

    def point_at(self, server: PostgresServer) -> None:
        """Have the configuration name another server."""
        path = self.folder / ".metaledger" / "config.toml"
        lines = [
            f'database = "{server.url}?schema={SCHEMA}"' if line.startswith("database") else line
            for line in path.read_text().splitlines()
        ]
        path.write_text("\n".join(lines) + "\n")


def drill(folder: Path, labels: int) -> None:
    """Lose a server and restore it, in both ways."""
    it, lost, new = Drill(folder), PostgresServer(), PostgresServer()
    it.ports = {lost.port: "db.example", new.port: "new.example"}
    try:
        for server in (lost, new):
            server.write("postgresql.auto.conf", "")  # as durable as it comes
            server.start()
        url = f"{lost.url}?schema={SCHEMA}"
        it.metaledger("init", "--storage", "./storage", "--name", SCHEMA, "--db", url)
        it.python(SAVING.format(first=0, last=labels))
        it.metaledger("checkpoint", "--out", "kept-before.txt")
        print("\n# --- 1. a dump every night\n")
        it.server("pg_dumpall", "--roles-only", "--dbname", lost.url, "--file", "roles.sql")
        it.server(
            "pg_dump", "--format=custom", f"--schema={SCHEMA}", "--dbname", lost.url,
            "--file", "lab.dump",
        )  # fmt: skip
        print(f"# lab.dump: {(folder / 'lab.dump').stat().st_size:,} bytes")
        it.python(SAVING.format(first=labels, last=labels + 10))
        it.metaledger("checkpoint", "--out", "kept-after.txt")
        lost.kill()
        print("\n# the server is lost, and another one takes its place\n")
        (folder / "roles.sql").write_text(
            "\n".join(
                line
                for line in (folder / "roles.sql").read_text().splitlines()
                if f" {SCHEMA}_" in line
            )
        )
        it.server(
            "psql", "--quiet", "--file", "roles.sql", new.url,
            shown="grep lab_ roles.sql | psql --quiet new.example/science",
        )  # fmt: skip
        it.server("pg_restore", "--exit-on-error", "--dbname", new.url, "lab.dump")
        it.point_at(new)
        print(
            "\n# the configuration names the new server; what was kept from before tells the rest\n"
        )
        it.metaledger("audit", "--checkpoint", "kept-before.txt")
        it.metaledger("doctor")
        it.metaledger("audit", "--checkpoint", "kept-after.txt", status=1)
        print(
            "\n# what was recorded after the dump is lost: the same scripts again, and a new key\n"
        )
        it.python(SAVING.format(first=0, last=labels + 10))
        it.metaledger("checkpoint", "--out", "fork.txt", status=1)
        it.metaledger("key", "--rotate", "--lost")
        it.metaledger("checkpoint", "--out", "kept-anew.txt")
        it.metaledger("audit", "--checkpoint", "kept-before.txt", "--checkpoint", "kept-anew.txt")
        print("\n# --- 2. a base backup and the write-ahead log: nothing is lost\n")
        base_backup(it, new, labels)
    finally:
        lost.remove()
        new.remove()


def base_backup(it: Drill, primary: PostgresServer, labels: int) -> None:
    """Have a standby take over."""
    standby = PostgresServer(primary=primary)
    it.ports[standby.port] = "standby.example"
    try:
        standby.start()
        print("$ pg_basebackup --write-recovery-conf --dbname new.example/… ; postgres -D data")
        it.python(SAVING.format(first=labels + 10, last=labels + 20))
        it.metaledger("checkpoint", "--out", "kept-last.txt")
        it.server(
            "psql", "--no-align", "--tuples-only", primary.url, "--command",
            "SELECT application_name, state, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn)"
            " AS bytes_behind FROM pg_stat_replication",
        )  # fmt: skip
        primary.kill()
        it.server("psql", "--quiet", standby.url, "--command", "SELECT pg_promote()")
        it.point_at(standby)
        it.metaledger("audit", "--checkpoint", "kept-last.txt")
        it.python(SAVING.format(first=labels + 20, last=labels + 21))
        it.metaledger("info")
    finally:
        standby.remove()


def main() -> None:
    """Do the drill in a folder that is gone afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=int, default=500)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        drill(Path(folder), given.labels)


if __name__ == "__main__":
    main()
