"""Runs runnable specs on a PostgreSQL server: `python -m tests.support.specs FOLDER [LAST]`.

A spec is a program `NN_name.py` that makes its ledgers in the empty database that `ACCEPT_DB`
names. Each gets a database of its own, whatever the one before it left, and nothing of it stays.
The server is one of our own, which ends with this program, unless the environment names another.
The first spec that fails ends the rest, and its status is this program's.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from ledger.eventlog.postgres_schema import drop_schema
from tests.support.servers import POSTGRES_VARIABLE, PostgresServer

NUMBERED = "[0-9][0-9]_*.py"


def numbered(folder: Path, last: int) -> list[Path]:
    """Return the specs of a folder, in order, up to a number."""
    found = [spec for spec in sorted(folder.glob(NUMBERED)) if int(spec.name[:2]) <= last]
    if not found:
        sys.exit(f"{folder}: expected specs up to number {last}, found none")
    return found


@contextmanager
def new_database(server: str, name: str) -> Iterator[str]:
    """Lend the URL of an empty database, and take it away with the roles of its ledgers."""
    url = urlsplit(server)._replace(path=f"/{name}").geturl()
    with psycopg.connect(server, autocommit=True) as administrator:
        administrator.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0".encode())
        try:
            yield url
        finally:
            with psycopg.connect(url) as connection:
                ours = (
                    "SELECT nspname FROM pg_namespace"
                    " WHERE pg_get_userbyid(nspowner) = nspname || '_owner'"
                )
                for (schema,) in connection.execute(ours).fetchall():
                    drop_schema(connection, schema)
            administrator.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def run(spec: Path, server: str) -> int:
    """Run one spec in a database of its own and return its status."""
    sys.stdout.write(f"== {spec.name} on PostgreSQL\n")
    sys.stdout.flush()
    paths = [str(spec.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with new_database(server, f"spec_{spec.name[:2]}_{os.getpid()}") as url:
        return subprocess.run(
            [sys.executable, spec.name],
            cwd=spec.parent,
            env={**os.environ, "ACCEPT_DB": url, "PYTHONPATH": os.pathsep.join(paths)},
            stdin=subprocess.DEVNULL,
            check=False,
        ).returncode


def main(folder: str, last: str = "99") -> int:
    """Run the specs of a folder and return the status of the first that failed, or 0."""
    specs = numbered(Path(folder).resolve(), int(last))
    with ExitStack() as stack:
        server = os.environ.get(POSTGRES_VARIABLE)
        if not server:
            own = PostgresServer()
            stack.callback(own.remove)
            own.start()
            server = own.url
        return next((status for spec in specs if (status := run(spec, server))), 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
