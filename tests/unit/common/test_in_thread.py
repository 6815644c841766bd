"""Cancelling never overtakes what a thread is doing."""

from __future__ import annotations

import asyncio
import threading

import pytest

from interlink_common.background import in_thread


async def test_a_cancelled_call_ends_after_its_thread() -> None:
    begun, may_end, done = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait()
        done.set()

    calling = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait)
    calling.cancel()
    finished, _ = await asyncio.wait([calling], timeout=0.05)
    assert not finished
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await calling
    assert done.is_set()


async def test_answers_and_errors_come_back() -> None:
    assert await in_thread(lambda: 5) == 5
    with pytest.raises(ZeroDivisionError):
        await in_thread(lambda: 1 // 0)
