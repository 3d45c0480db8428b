"""Serving the page: a port of the loopback, a new token, until somebody ends it."""

from __future__ import annotations

import secrets
import socket

import uvicorn

from ledger.errors import InvalidValueError, StorageError
from ledger.places.config import Place
from ledger.web.app import ReadLedger, application
from ledger.web.guard import Guard

_ALONE = {"127.0.0.1": socket.AF_INET, "localhost": socket.AF_INET, "::1": socket.AF_INET6}


class Page:
    """The page of a ledger, at a port that is taken already.

    Attributes:
        root: Its address, without the token.
        token: The secret that lets a browser in; a new one for each page.
    """

    def __init__(self, place: Place, *, host: str = "127.0.0.1", port: int = 0) -> None:
        """Take the port; nothing is answered before `run()`.

        Args:
            place: The ledger.
            host: An address of this computer alone.
            port: The port; 0 for a free one.

        Raises:
            InvalidValueError: Others could reach the host.
            StorageError: The port is in use.
        """
        if host not in _ALONE:
            raise InvalidValueError(
                f"--host {host}: expected an address of this computer alone (127.0.0.1 or ::1); to "
                "look from elsewhere, forward the port: ssh -L 8080:127.0.0.1:8080"
            )
        self._socket = _taken(host, port)
        number = self._socket.getsockname()[1]
        self.root = f"http://{f'[{host}]' if ':' in host else host}:{number}"
        self.token = secrets.token_urlsafe(32)
        self._ledger = ReadLedger(place)
        guarded = Guard(application(self._ledger), token=self.token, port=number)
        # No access log: its lines would hold the token.
        self._server = uvicorn.Server(
            uvicorn.Config(
                guarded,
                log_level="error",
                access_log=False,
                lifespan="off",
                server_header=False,
            )
        )

    def address(self, path: str = "/") -> str:
        """Return the address that opens a page and lets the browser in."""
        return f"{self.root}{path}?token={self.token}"

    def run(self) -> None:
        """Answer until Ctrl-C or `stop()`."""
        try:
            self._server.run(sockets=[self._socket])
        finally:
            self._socket.close()
            self._ledger.close()

    def stop(self) -> None:
        """Let `run()` end; from any thread."""
        self._server.should_exit = True


def _taken(host: str, port: int) -> socket.socket:
    taken = socket.socket(_ALONE[host], socket.SOCK_STREAM)
    try:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((host, port))
        taken.listen()  # a question that comes before `run()` waits
    except (OSError, OverflowError) as error:
        taken.close()
        raise StorageError(
            f"port {port}: expected a free one, and this cannot be taken ({error}); "
            "--port 0 takes any that is free"
        ) from error
    return taken
