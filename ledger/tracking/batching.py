"""The block of `ln.batch()`, for plain code and for tasks of asyncio."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar, cast

from ledger.engine.interruption import step
from ledger.errors import CommandRejectedError
from ledger.places import instance

F = TypeVar("F", bound=Callable[..., Any])


class Batching:
    """A block whose saves are recorded together or not at all; it can be entered once.

    As a decorator it makes each call of a function such a block.
    """

    def __init__(self) -> None:
        self._block: AbstractContextManager[None] | None = None

    @step
    def __enter__(self) -> None:
        self._begin(instance.current().handler.batch())

    @step
    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        block, self._block = self._block, None
        if block is None:
            raise CommandRejectedError("batch: it was not entered, or was left already")
        return block.__exit__(kind, error, trace)

    async def __aenter__(self) -> None:
        """Wait, while other tasks go on, until no other batch of this process is open."""
        handler = instance.current().handler
        given = await handler.sessions.awaited()
        self._begin(handler.batch(given))

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> bool | None:
        return self.__exit__(kind, error, trace)

    @step
    def _begin(self, block: AbstractContextManager[None]) -> None:
        if self._block is not None:
            raise CommandRejectedError("batch: it is open already; call ln.batch() for another one")
        block.__enter__()
        self._block = block

    def __call__(self, function: F) -> F:
        """Return the function with a batch around each call.

        Raises:
            CommandRejectedError: It is a generator, which would end before its code runs.
        """
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise CommandRejectedError(
                f"batch: {function.__name__} is a generator, which a decorator cannot keep in a "
                "batch; write 'with ln.batch():' inside it"
            )
        if inspect.iscoroutinefunction(function):

            @wraps(function)
            async def later(*args: Any, **kwargs: Any) -> Any:
                async with Batching():
                    return await function(*args, **kwargs)

            return cast("F", later)

        @wraps(function)
        def now(*args: Any, **kwargs: Any) -> Any:
            with Batching():
                return function(*args, **kwargs)

        return cast("F", now)
