"""A log stream ends with its source, with its pod, or with us; errors pass; nothing of it stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from interlink_common.errors import NotFound
from interlink_common.tracking.node import MAX_BUFFERED_CHUNKS, until


async def numbers(count: int, closed: list[str]) -> AsyncIterator[bytes]:
    try:
        for number in range(count):
            yield b"%d\n" % number
    finally:
        closed.append("closed")


async def test_all_chunks_arrive_in_order_and_the_source_is_closed() -> None:
    closed: list[str] = []
    count = 3 * MAX_BUFFERED_CHUNKS + 1
    joined = b"".join([chunk async for chunk in until(numbers(count, closed), asyncio.Event())])
    assert joined == b"".join(b"%d\n" % number for number in range(count))
    assert closed == ["closed"]


async def test_an_event_ends_a_silent_source() -> None:
    gone, closed = asyncio.Event(), asyncio.Event()

    async def silent() -> AsyncIterator[bytes]:
        try:
            yield b"one"
            await asyncio.Event().wait()
        finally:
            closed.set()

    stream = until(silent(), asyncio.Event(), gone)
    assert await anext(stream) == b"one"
    gone.set()
    assert [chunk async for chunk in stream] == []
    assert closed.is_set()


async def test_an_error_comes_after_what_was_read() -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"one"
        raise NotFound("gone")

    stream = until(broken(), asyncio.Event())
    assert await anext(stream) == b"one"
    with pytest.raises(NotFound):
        await anext(stream)


async def test_a_reader_that_leaves_closes_the_source() -> None:
    closed: list[str] = []
    stream = until(numbers(10_000, closed), asyncio.Event())
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]  # an async generator behind its protocol
    assert closed == ["closed"]
