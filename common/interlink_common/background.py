"""What waits, repeats and shares in the background: tasks that are named and guarded, back-off, and one call for all who ask.

Back-off is tenacity's: `retried` is for work that ends, `Backoff` for loops that never end.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, Collection, Coroutine
from collections.abc import Set as AbstractSet
from concurrent.futures import Executor
from typing import Any, Generic, TypeVar

import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type
from tenacity.wait import wait_base, wait_exponential

from interlink_common.errors import Temporary

log = structlog.get_logger(__name__)

Answer = TypeVar("Answer")
Key = TypeVar("Key")
Result = TypeVar("Result")


class Pauses(wait_base):
    """Between tries that fail: each twice as long as the one before, up to a limit, less 0 to 20 percent of jitter.

    The backend's own hint, `Temporary.retry_after_seconds`, goes before any pause of ours.
    """

    def __init__(self, first_seconds: float = 1.0, limit_seconds: float = 30.0) -> None:
        self._exponential = wait_exponential(multiplier=first_seconds, max=limit_seconds)

    def __call__(self, retry_state: RetryCallState) -> float:
        error = retry_state.outcome.exception() if retry_state.outcome is not None else None
        hint = error.retry_after_seconds if isinstance(error, Temporary) else None
        return hint or self._exponential(retry_state) * random.uniform(0.8, 1.0)  # noqa: S311  jitter, not a secret


async def retried(
    work: Callable[[], Awaitable[Result]],
    before_sleep: Callable[[RetryCallState], None],
    *,
    pauses: Pauses | None = None,
    errors: type[Exception] = Exception,
) -> Result:
    """What `work` returns in the end: after an error of that kind it is tried again, any other is raised."""

    async def once() -> Result:  # tenacity would not await what a lambda returns
        return await work()

    retrying = AsyncRetrying(wait=pauses or Pauses(), retry=retry_if_exception_type(errors), before_sleep=before_sleep, reraise=True)
    return await retrying(once)


class Backoff:
    """`Pauses` for a loop that never ends, but begins again with the shortest one when something worked."""

    def __init__(self, first_seconds: float = 1.0, limit_seconds: float = 30.0) -> None:
        self._pauses = Pauses(first_seconds, limit_seconds)
        self.reset()

    def reset(self) -> None:
        """Something worked: the next pause is the shortest again."""
        self._state = RetryCallState(AsyncRetrying(), None, (), {})

    async def pause(self, error: BaseException | None = None) -> None:
        """Waits after a try that failed with this error."""
        if error is not None:
            self._state.set_exception((type(error), error, error.__traceback__))
        seconds = self._pauses(self._state)
        self._state.prepare_for_next_attempt()
        await asyncio.sleep(seconds)


class SharedCall(Generic[Key, Result]):
    """One call for all who asked before it began: whoever asks while one is under way shares the next. Two never run at once.

    `call` gets the keys that those who share it gave, so that it may ask for less than everything.
    """

    def __init__(self, name: str, call: Callable[[AbstractSet[Key]], Awaitable[Result]]) -> None:
        self._name = name
        self._call = call
        self._keys: set[Key] = set()
        self._last: asyncio.Task[Result] | None = None
        """The newest that has begun."""
        self._next: asyncio.Task[Result] | None = None

    async def __call__(self, *keys: Key) -> Result:
        """What the call returns or raises, as of now or later."""
        self._keys.update(keys)
        if self._next is None:
            self._next = asyncio.create_task(self._run(self._last), name=self._name)
            self._next.add_done_callback(lambda done: done.cancelled() or done.exception())
        return await asyncio.shield(self._next)

    async def _run(self, before: asyncio.Task[Result] | None) -> Result:
        if before is not None and not before.done():
            await asyncio.wait([before])
        keys, self._keys = self._keys, set()
        self._last, self._next = self._next, None
        return await self._call(keys)

    async def close(self) -> None:
        """Ends calls under way."""
        tasks = [task for task in (self._last, self._next) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


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
    def log_failure(state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome is not None else None
        log.error("background task failed and is restarted", task=name, exc_info=error)

    while True:
        await retried(work, log_failure)
