"""What holds for every unit test: a task that it has left behind fails it."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session", autouse=True)
def _no_task_is_left() -> Iterator[None]:
    """An event loop that is closed cancels what still runs, without a word; here it says so."""
    end_all = asyncio.runners._cancel_all_tasks  # type: ignore[attr-defined]

    def complain(loop: asyncio.AbstractEventLoop) -> None:
        # The loop itself makes tasks of what is no coroutine: the ends of generators.
        left = [repr(task) for task in asyncio.all_tasks(loop) if inspect.iscoroutine(task.get_coro()) and not task.done()]
        end_all(loop)
        assert not left, f"tasks are left: {left}"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio.runners, "_cancel_all_tasks", complain)
        yield
