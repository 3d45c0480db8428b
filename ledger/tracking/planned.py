"""What a plan tells beside its events."""

from __future__ import annotations

import msgspec


class PlannedContent(msgspec.Struct, frozen=True, kw_only=True):
    """Content that would be copied into the storage: its name there, its source, its bytes."""

    name: str
    source: str
    size: int


class SimilarName(msgspec.Struct, frozen=True, kw_only=True):
    """A new name that resembles one that exists."""

    registry: str
    name: str
    similar: tuple[str, ...]
