"""What comes together is one call, and nobody waits for others without need."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from interlink_common.batchsystem.batches import Batches
from interlink_common.errors import BackendUnavailable, Refused


async def test_a_lone_request_goes_at_once_and_those_meanwhile_are_the_next() -> None:
    calls: list[list[int]] = []
    passes = asyncio.Event()

    async def call(items: Sequence[int]) -> Sequence[int]:
        calls.append(list(items))
        await passes.wait()
        if 4 in items:
            raise Refused("four")
        return [item * 10 for item in items]

    batches = Batches(call, most=3)
    tasks = [asyncio.create_task(batches.do(0))]
    await asyncio.sleep(0)
    tasks += [asyncio.create_task(batches.do(number)) for number in range(1, 6)]
    await asyncio.sleep(0)
    passes.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [result for result in results if not isinstance(result, Refused)] == [0, 10, 20, 30, 50]
    assert calls == [[0], [1, 2, 3], [4, 5], [4], [5]]
    assert isinstance(results[4], Refused)


async def test_a_second_call_begins_only_as_a_full_one() -> None:
    calls: list[list[int]] = []
    passes = asyncio.Event()

    async def call(items: Sequence[int]) -> Sequence[int]:
        calls.append(list(items))
        await passes.wait()
        return items

    batches = Batches(call, most=2, calls_at_once=2)
    tasks = []
    for number in range(6):
        tasks.append(asyncio.create_task(batches.do(number)))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert calls == [[0], [1, 2]]
    passes.set()
    assert await asyncio.gather(*tasks) == list(range(6))
    assert calls[2:] == [[3, 4], [5]]
    assert await batches.do(6) == 6


async def test_an_error_of_a_call_is_that_of_everybody_in_it() -> None:
    async def call(items: Sequence[int]) -> Sequence[int]:
        raise BackendUnavailable("away")

    batches = Batches(call, most=9)
    for error in await asyncio.gather(*map(batches.do, range(3)), return_exceptions=True):
        assert isinstance(error, BackendUnavailable)
