"""From a pipe to the sink: lines and pieces, back-pressure, the bound, the tail."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from itertools import count
from typing import Any

import pytest

from interlink_common.podrunner.config import StreamRules
from interlink_common.podrunner.events import LogLine, LogTruncated
from interlink_common.podrunner.logs import PodLog, Tail


class SlowSink:
    """Takes logs only while it is open."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.told: list[LogLine | LogTruncated] = []

    async def write_logs(self, events: Sequence[LogLine | LogTruncated]) -> None:
        await self.open.wait()
        self.told.extend(events)

    async def write_report(self, event: Any) -> None:
        raise AssertionError(event)

    async def write_end(self, event: Any) -> None:
        raise AssertionError(event)

    async def grace_seconds(self) -> float | None:
        return None


@pytest.fixture
async def sink() -> SlowSink:
    return SlowSink()


async def pumped(sink: SlowSink, data: bytes, **rules: Any) -> Tail:
    """Everything in `data` through one pipe."""
    sink.open.set()
    tail = Tail()
    ticks = count(1)
    log = PodLog(sink, StreamRules(**rules), clock_ns=lambda: next(ticks))
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    pump = asyncio.create_task(log.pump(reading, "main", 2, "stderr", tail))
    await asyncio.to_thread(write_all, writing, data)
    await pump
    return tail


def write_all(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
    os.close(descriptor)


async def test_lines_and_pieces(sink: SlowSink) -> None:
    await pumped(sink, b"one\n\nlonger than\ntwelve exactly123\nrest", line_bytes=8)
    assert sink.told == [
        LogLine("main", 2, "stderr", 1, b"one"),
        LogLine("main", 2, "stderr", 2, b""),
        LogLine("main", 2, "stderr", 3, b"longer t", True),
        LogLine("main", 2, "stderr", 4, b"han"),
        LogLine("main", 2, "stderr", 5, b"twelve e", True),
        LogLine("main", 2, "stderr", 6, b"xactly12", True),
        LogLine("main", 2, "stderr", 7, b"3"),
        LogLine("main", 2, "stderr", 8, b"rest", True),
    ]


async def test_a_line_of_just_the_longest_length_is_whole(sink: SlowSink) -> None:
    await pumped(sink, b"12345678\n", line_bytes=8)
    assert sink.told == [LogLine("main", 2, "stderr", 1, b"12345678")]


async def test_the_bound(sink: SlowSink) -> None:
    tail = await pumped(sink, b"aaaa\nbbbb\ncccc\ndddd\n", log_bytes=12)
    assert sink.told == [LogLine("main", 2, "stderr", 1, b"aaaa"), LogLine("main", 2, "stderr", 2, b"bbbb"), LogTruncated("main", 10, 3)]
    assert tail.text == "aaaa\nbbbb\ncccc\ndddd\n"


async def test_every_byte_of_much(sink: SlowSink) -> None:
    data = os.urandom(3_000_000)
    await pumped(sink, data)
    assert b"".join(event.written for event in sink.told if isinstance(event, LogLine)) == data


async def test_a_container_waits_while_the_sink_has_no_room(sink: SlowSink) -> None:
    log = PodLog(sink, StreamRules())
    reading, writing = os.pipe()
    os.set_blocking(reading, False)
    os.set_blocking(writing, False)
    pump = asyncio.create_task(log.pump(reading, "main", 0, "stdout", Tail()))
    sent = 0
    for _ in range(100):
        try:
            sent += os.write(writing, b"x" * 1023 + b"\n")
        except BlockingIOError:
            break
        await asyncio.sleep(0)
    else:
        raise AssertionError("the pipe never filled up")
    assert sink.told == []
    sink.open.set()
    os.close(writing)
    await pump
    assert sum(len(event.written) for event in sink.told if isinstance(event, LogLine)) == sent


async def test_the_tail_is_bounded() -> None:
    tail = Tail()
    for number in range(1000):
        tail.add(f"{number}\n".encode())
    assert tail.text.splitlines() == [str(number) for number in range(920, 1000)]
    tail.add(b"x" * 10_000 + b"\n")
    assert tail.text == "x" * 2047 + "\n"
