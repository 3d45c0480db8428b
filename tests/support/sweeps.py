"""How a sweep over many points is shared out: a few in `make test`, all in `make test-all`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest


def few(points: Iterable[Any], number: int) -> list[Any]:
    """Return all points as parameters of a test, of which all but so many are slow.

    The few that `make test` takes are the first one, the last one, and others evenly between them;
    they are the same each time. A tuple is the values of several names.
    `number` is at least 2, or 1 for the first point alone.
    """
    found = list(points)
    last = len(found) - 1
    taken = {round(step * last / max(number - 1, 1)) for step in range(number)}
    return [
        point
        if place in taken
        else pytest.param(*(point if isinstance(point, tuple) else [point]), marks=pytest.mark.slow)
        for place, point in enumerate(found)
    ]
