"""Ports of the loopback for servers that are told theirs before they listen.

The system gives ports from `ip_local_port_range` to whoever asks for any, and to each connection
that goes out: one that is free when it is looked for may be taken when a server begins to listen.
These lie below that range, and each is kept from the other processes of the tests by a lock.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path

# SeaweedFS listens as well at ten thousand above some of those that it is told.
_PORTS = range(11_000, 20_000)
_FOLDER = Path(tempfile.gettempdir()) / f"metaledger-ports-{os.getuid()}"
# Open files, one a port, whose locks end with this process.
_kept: list[int] = []


def free_port() -> int:
    """Return a port that nobody listens on, and that no other test is given."""
    _FOLDER.mkdir(exist_ok=True)
    # Processes begin at different ports, so that each meets few locks of the others.
    first = os.getpid() * 101 % len(_PORTS)
    for number in range(len(_PORTS)):
        port = _PORTS[(first + number) % len(_PORTS)]
        if _is_ours(port) and _is_free(port):
            return port
    raise AssertionError(f"no port is free in {_PORTS}")


def _is_ours(port: int) -> bool:
    file = os.open(_FOLDER / str(port), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return False
    _kept.append(file)
    return True


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # As servers do: what a closed connection left behind does not keep a port.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
