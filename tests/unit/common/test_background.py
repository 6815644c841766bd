"""Background tasks by their names, pauses between tries, and calls that many share."""

from __future__ import annotations

import asyncio
from collections.abc import Set as AbstractSet

import pytest

from interlink_common.background import Backoff, Pauses, SharedCall, Tasks
from interlink_common.errors import BackendUnavailable


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


async def test_work_is_awaited_and_begun_again_after_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pauses, "__call__", lambda *_: 0.0)
    done: list[str] = []

    async def work(name: str) -> None:
        done.append(name)
        if len(done) == 1:
            raise ValueError("once")
        await asyncio.Event().wait()

    tasks = Tasks()
    tasks.forever("work", lambda: work("lambda"))
    await asyncio.sleep(0.05)
    assert done == ["lambda", "lambda"]
    await tasks.close()


async def test_pauses_double_to_their_limit_and_begin_anew_and_a_hint_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("random.uniform", lambda low, high: high)
    monkeypatch.setattr("asyncio.sleep", sleep)
    backoff = Backoff(1.0, 5.0)
    for _ in range(4):
        await backoff.pause()
    backoff.reset()
    for error in (ValueError(), BackendUnavailable("away", retry_after_seconds=0.5), BackendUnavailable("away")):
        await backoff.pause(error)
    assert pauses == [1.0, 2.0, 4.0, 5.0, 1.0, 0.5, 4.0]


async def test_a_call_is_shared_by_those_who_asked_before_it_began() -> None:
    calls: list[AbstractSet[str]] = []
    gate = asyncio.Event()

    async def call(keys: AbstractSet[str]) -> int:
        number = len(calls)
        calls.append(keys)
        await gate.wait()
        if number == 1:
            raise BackendUnavailable("away")
        return number

    shared = SharedCall("test", call)
    first = asyncio.create_task(shared("a"))
    await asyncio.sleep(0.01)
    later = [asyncio.create_task(shared(key)) for key in "bcb"]
    await asyncio.sleep(0.01)
    later[0].cancel()
    gate.set()
    results = await asyncio.gather(first, *later, return_exceptions=True)
    assert results[0] == 0
    assert isinstance(results[1], asyncio.CancelledError)
    assert all(isinstance(result, BackendUnavailable) for result in results[2:])
    assert (await shared(), calls) == (2, [{"a"}, {"b", "c"}, set()])
    gate.clear()
    last = asyncio.create_task(shared("d"))
    await asyncio.sleep(0.01)
    await shared.close()
    with pytest.raises(asyncio.CancelledError):
        await last
