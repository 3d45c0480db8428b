"""The class of classes of records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ledger.other_words import meant


class Kind(type):
    """Tells, where a class of records has no such name, which word of ours is meant."""

    if not TYPE_CHECKING:

        def __getattr__(cls, name: str) -> Any:
            raise AttributeError(f"{cls.__name__} has no attribute '{name}'{meant(name)}")
