"""Many requests as one call: a lone one goes at once, and those that come while a call is in flight are the next.

A second call begins beside one in flight only if it is a full one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from interlink_common.errors import Refused

Item = TypeVar("Item")
Result = TypeVar("Result")


class Batches(Generic[Item, Result]):
    """`call` carries out a list of items and returns their results in order. Where it refuses a list, each item is tried alone."""

    def __init__(self, call: Callable[[Sequence[Item]], Awaitable[Sequence[Result]]], *, most: int, calls_at_once: int = 1) -> None:
        self._call = call
        self._most = most
        self._calls_at_once = calls_at_once
        self._waiting: list[tuple[Item, asyncio.Future[Result]]] = []
        self._running: set[asyncio.Task[None]] = set()

    async def do(self, item: Item) -> Result:
        """The item's own result, or what the call raised for it."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if not self._running or (len(self._running) < self._calls_at_once and len(self._waiting) >= self._most):
            self._running.add(asyncio.create_task(self._work(), name="batch"))
        return await asyncio.shield(future)

    async def close(self) -> None:
        """Waits for the calls in flight, and gives up what has not begun."""
        for _, future in self._waiting:
            future.cancel()
        self._waiting.clear()
        if self._running:
            await asyncio.wait(set(self._running))

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[: self._most], self._waiting[self._most :]
            await self._carry_out(batch)
        # Not by a callback, which would come after whoever asks next.
        self._running -= {asyncio.current_task()}

    async def _carry_out(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        try:
            results = await self._call([item for item, _ in batch])
        except Refused as error:
            if len(batch) == 1:
                _fail(batch[0][1], error)
            else:
                for each in batch:
                    await self._carry_out([each])
        except Exception as error:  # noqa: BLE001  it belongs to those who wait
            for _, future in batch:
                _fail(future, error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)


def _fail(future: asyncio.Future[Result], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
        future.exception()  # whoever waits may have left
