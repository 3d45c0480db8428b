"""The turn of a task of asyncio, for which the other tasks of its thread go on meanwhile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable

from ledger.engine.turns import LOOK, Turns


async def await_turn(
    turns: Turns,
    owner: object,
    *,
    given: Callable[[], None],
    look: Callable[[], None],
    patience: float,
) -> bool:
    """Wait for the turn, and return whether it has come.

    Where the waiting is cancelled, `Turns.is_mine` tells whether it has come all the same.

    Args:
        turns: Lends the turn.
        owner: Who asks.
        given: Called as soon as the turn has come, perhaps in another thread.
        look: Called again and again while waiting; what it raises ends the waiting.
        patience: How many seconds to wait at most.
    """
    import asyncio  # noqa: PLC0415 (who awaits has loaded it)

    loop = asyncio.get_running_loop()
    came = loop.create_future()

    def tell() -> None:
        if not came.done():
            came.set_result(None)

    def ready() -> None:
        given()
        # A loop that was closed has no task any more that waits.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(tell)

    if turns.ask(owner, ready):
        given()
        return True
    try:
        end = loop.time() + patience
        while not came.done():
            look()
            if loop.time() > end:
                return not turns.leave(owner)
            await asyncio.wait({came}, timeout=LOOK)
    except BaseException:
        turns.leave(owner)
        raise
    return True
