"""Nodes and edges of a lineage: walks find them, pictures show them."""

from __future__ import annotations

from typing import Literal

import msgspec

Direction = Literal["ancestors", "descendants", "both"]
EdgeKind = Literal["input", "output", "output again", "member", "transform", "revision"]


class Edge(msgspec.Struct, frozen=True, kw_only=True, order=True):
    """One step along time, from `source` to `target` (uids)."""

    source: str
    target: str
    kind: EdgeKind


class Node(msgspec.Struct, frozen=True, kw_only=True):
    """A record in a lineage.

    Attributes:
        label: Its name for people.
        detail: A word on it: its suffix, its status.
        is_retracted: Whether it was retracted.
    """

    uid: str
    registry: str
    label: str
    detail: str
    is_retracted: bool = False
