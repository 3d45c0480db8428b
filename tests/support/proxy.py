"""A proxy for tests that does harm on the way between a client and an HTTP server."""

from __future__ import annotations

import contextlib
import itertools
import socket
import struct
import threading
from collections.abc import Callable

BUSY = (
    b'<?xml version="1.0" encoding="UTF-8"?><Error><Code>SlowDown</Code>'
    b"<Message>Please reduce your request rate.</Message></Error>"
)
METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
KINDS = (
    "drop",
    "busy",
    "lose-answer",
    "cut-request",
    "cut-answer",
    "corrupt-request",
    "corrupt-answer",
    "delay",
)


class FaultyProxy:
    """Hands on what it is given, but for the requests that `strike` names a fault for.

    `strike` is called with the number of the request, from 0, and its first line; what it returns
    is one of `KINDS`, or None. `struck` counts the faults.
    """

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._server = socket.create_server(("127.0.0.1", 0))
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._ended = threading.Event()
        self.strike: Callable[[int, str], str | None] = lambda _number, _line: None
        self.struck = 0
        self.requests: list[str] = []
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.getsockname()[1]}"

    def begin(self, strike: Callable[[int, str], str | None]) -> None:
        """Count from 0 again, with other faults."""
        with self._lock:
            self._numbers, self.strike, self.struck = itertools.count(), strike, 0
            self.requests = []

    def close(self) -> None:
        """End every connection."""
        self._ended.set()
        self._server.close()
        for each in list(self._open):
            self._end(each)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._server.accept()
                server = socket.create_connection(self._target)
            except OSError:
                return
            self._open |= {client, server}
            connection = _Connection(self, client, server)
            for work in (connection.ask, connection.answer):
                threading.Thread(target=work, daemon=True).start()

    def _end(self, *sockets: socket.socket, reset: bool = False) -> None:
        for each in sockets:
            with contextlib.suppress(OSError):
                if reset:
                    each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.shutdown(socket.SHUT_RDWR)
            with contextlib.suppress(OSError):
                each.close()
            self._open.discard(each)

    def _fault(self, data: bytes) -> str | None:
        line = data.split(b"\r\n", 1)[0].decode("latin-1")
        with self._lock:
            kind = self.strike(next(self._numbers), line)
            self.requests.append(line)
            self.struck += kind is not None
        return kind


class _Connection:
    def __init__(self, proxy: FaultyProxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._kind: str | None = None

    def ask(self) -> None:
        """Hand requests on."""
        in_head = False
        with contextlib.suppress(OSError):
            while data := self._client.recv(1 << 16):
                if data.startswith(METHODS):
                    self._kind, in_head = self._proxy._fault(data), True
                if self._kind == "drop":
                    return self._proxy._end(self._client, self._server, reset=True)
                if self._kind == "busy":
                    said = b"" if data.startswith(b"HEAD") else BUSY
                    head = f"HTTP/1.1 503 Slow Down\r\nContent-Length: {len(said)}\r\n"
                    self._client.sendall(f"{head}Connection: close\r\n\r\n".encode() + said)
                    # What is still on its way is heard out, or the answer would be lost to a reset.
                    self._client.shutdown(socket.SHUT_WR)
                    while self._client.recv(1 << 16):
                        pass
                    return self._proxy._end(self._client, self._server)
                if self._kind == "cut-request":
                    self._server.sendall(data[: len(data) // 2])
                    return self._proxy._end(self._client, self._server)
                if self._kind == "corrupt-request":
                    head, separator, body = (
                        data.partition(b"\r\n\r\n") if in_head else (b"", b"", data)
                    )
                    in_head = in_head and not separator
                    if body:
                        data = head + separator + bytes([body[0] ^ 1]) + body[1:]
                        self._kind = None
                self._server.sendall(data)
        self._proxy._end(self._client, self._server)
        return None

    def answer(self) -> None:
        """Hand answers on."""
        with contextlib.suppress(OSError):
            while data := self._server.recv(1 << 16):
                if data.startswith(b"HTTP/1.1 100"):
                    self._client.sendall(data)
                    continue
                if self._kind == "lose-answer":
                    return self._proxy._end(self._client, self._server, reset=True)
                if self._kind == "cut-answer":
                    self._client.sendall(data[: len(data) - 1 - len(data) // 4])
                    return self._proxy._end(self._client, self._server)
                if self._kind == "delay":
                    # Longer than any client waits; it ends with the connection or the test.
                    while not self._proxy._ended.wait(0.05) and _is_open(self._client):
                        pass
                    return self._proxy._end(self._client, self._server)
                if self._kind == "corrupt-answer":
                    head, separator, body = data.partition(b"\r\n\r\n")
                    if not data.startswith(b"HTTP/"):
                        head, separator, body = b"", b"", data
                    if body:
                        data = head + separator + bytes([body[0] ^ 1]) + body[1:]
                        self._kind = None
                self._client.sendall(data)
        self._proxy._end(self._client, self._server)
        return None


def _is_open(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) != b""
    except BlockingIOError:
        return True
    except OSError:
        return False
