"""A log stream that we can end: interLink notices a follower that left only at the next line, so we end what no longer has a source."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

MAX_BUFFERED_CHUNKS = 64


async def until(chunks: AsyncIterator[bytes], *events: asyncio.Event) -> AsyncIterator[bytes]:
    """The chunks, small ones joined when the reader is slower, until they end or one of the events happens. Closes `chunks`."""
    buffer: list[bytes] = []
    wake, room = asyncio.Event(), asyncio.Event()

    async def pump() -> None:
        async for chunk in chunks:
            buffer.append(chunk)
            wake.set()
            if len(buffer) >= MAX_BUFFERED_CHUNKS:
                room.clear()
                await room.wait()

    source = asyncio.create_task(pump(), name="log-source")
    source.add_done_callback(lambda _: wake.set())
    ends = [asyncio.create_task(_cancel_after(event, source), name="log-end") for event in events]
    try:
        while buffer or not source.done():
            await wake.wait()
            wake.clear()
            if buffer:
                joined = b"".join(buffer)
                buffer.clear()
                room.set()
                yield joined
        if not source.cancelled():
            source.result()
    finally:
        for task in (source, *ends):
            task.cancel()
        await asyncio.gather(source, *ends, return_exceptions=True)
        close = getattr(chunks, "aclose", None)
        if close is not None:
            await close()


async def _cancel_after(event: asyncio.Event, task: asyncio.Task[None]) -> None:
    await event.wait()
    task.cancel()
