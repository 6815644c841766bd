"""Background tasks by their names."""

from __future__ import annotations

import asyncio

from interlink_common.background import Tasks


async def test_a_task_is_found_and_ended_by_its_name() -> None:
    tasks, begun = Tasks(), []

    async def work(number: int) -> None:
        begun.append(number)
        await asyncio.Event().wait()

    tasks.unless_running("one", lambda: work(1))
    tasks.unless_running("one", lambda: work(2))
    tasks.unless_running("other", lambda: work(3))
    await asyncio.sleep(0)
    assert (begun, tasks.is_running("one"), tasks.is_running("none")) == ([1, 3], True, False)
    await tasks.end("one")
    await tasks.end("none")
    assert (tasks.is_running("one"), tasks.is_running("other")) == (False, True)
    await tasks.close()
    assert not tasks.is_running("other")
