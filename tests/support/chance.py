"""What tests draw: bytes that nobody chose, the same each time, and names that nobody else has.

No other test file draws without a stated seed; `tests/unit/test_architecture.py` looks for it.
"""

from __future__ import annotations

import random
import secrets


def bytes_of(size: int, seed: int = 0) -> bytes:
    """Return so many bytes in which there is no pattern; one seed gives the same ones each time."""
    return random.Random(seed).randbytes(size)  # noqa: S311 (not a secret)


def new_name() -> str:
    """Return a name for something on a server that other tests use at the same moment.

    No test depends on what it is.
    """
    return secrets.token_hex(6)
