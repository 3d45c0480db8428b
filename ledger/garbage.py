"""Long work that makes many small objects and no cycles among them.

Python looks for cycles again after every 700 new objects that stay; such work then spends an eighth
of its time on looking at rows that are gone a moment later.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager

_OBJECTS = 100_000


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Have Python look for cycles less often inside the block, for every thread of the process."""
    before = gc.get_threshold()
    if 0 < before[0] < _OBJECTS:
        gc.set_threshold(_OBJECTS, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
