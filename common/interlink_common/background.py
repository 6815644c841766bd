"""Background tasks that are named and guarded: an exception is logged with the task's name, and never ends the work in silence."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from concurrent.futures import Executor
from typing import Any, TypeVar

import structlog

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")


def backoff_delays(first_seconds: float = 1.0, limit_seconds: float = 30.0) -> Iterator[float]:
    """Doubling delays in seconds up to the limit, each with 0 to 20 percent of jitter taken off."""
    delay = first_seconds
    while True:
        yield delay * random.uniform(0.8, 1.0)  # noqa: S311  jitter, not a secret
        delay = min(delay * 2, limit_seconds)


class Breather:
    """Called after each of many small steps, it lets the event loop do something else now and then; an `await` alone does not."""

    def __init__(self, steps: int = 50) -> None:
        self._steps = steps
        self._done = 0

    async def __call__(self) -> None:
        self._done += 1
        if self._done % self._steps == 0:
            await asyncio.sleep(0)


async def in_thread(function: Callable[[], Answer], pool: Executor | None = None) -> Answer:
    """What the function returns or raises. A thread can't be interrupted, so a cancelled call still waits until the function has ended.

    Otherwise what comes after it, such as a removal, could overtake what the thread still does.
    """
    running = asyncio.get_running_loop().run_in_executor(pool, function)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        while not running.done():
            with contextlib.suppress(asyncio.CancelledError):  # cancelled once more
                await asyncio.wait({running})
        if not running.cancelled():
            running.exception()  # retrieved for nobody: the caller has left
        raise


class Tasks:
    """The background tasks of one owner; `close` ends and awaits them all."""

    def __init__(self) -> None:
        self._by_name: dict[str, set[asyncio.Task[None]]] = {}

    def once(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Runs `work` in the background; its exception is logged."""
        return self._spawn(name, _logged(name, work))

    def unless_running(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """As `once`, but for what is under way already under this name."""
        if not self.is_running(name):
            self.once(name, work())

    def forever(self, name: str, work: Callable[[], Awaitable[None]]) -> asyncio.Task[None]:
        """Runs `work` again and again: after an exception with back-off, after a return at once."""
        return self._spawn(name, _restarted(name, work))

    def is_running(self, name: str) -> bool:
        """Whether a task of that name is under way."""
        return name in self._by_name

    async def end(self, name: str) -> None:
        """Cancels the tasks of that name and waits for their end."""
        await _cancelled(self._by_name.get(name, ()))

    async def close(self) -> None:
        """Cancels what still runs and waits for it."""
        while self._by_name:
            await _cancelled([task for tasks in self._by_name.values() for task in tasks])

    def _spawn(self, name: str, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=name)
        self._by_name.setdefault(name, set()).add(task)
        task.add_done_callback(self._drop)
        return task

    def _drop(self, task: asyncio.Task[None]) -> None:
        tasks = self._by_name.get(task.get_name(), set())
        tasks.discard(task)
        if not tasks:
            self._by_name.pop(task.get_name(), None)


async def _cancelled(tasks: Collection[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def _logged(name: str, work: Coroutine[Any, Any, None]) -> None:
    try:
        await work
    except Exception:
        log.exception("background task failed", task=name)


async def _restarted(name: str, work: Callable[[], Awaitable[None]]) -> None:
    delays = backoff_delays()
    while True:
        try:
            await work()
            delays = backoff_delays()
        except Exception:
            log.exception("background task failed and is restarted", task=name)
            await asyncio.sleep(next(delays))
