"""From a container's pipes to the stream: line by line, each with its time, held back as long as the sink has no room."""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Union

from interlink_common.podrunner.config import StreamRules
from interlink_common.podrunner.events import LogLine, LogTruncated
from interlink_common.podrunner.sinks import Sink

READ_BYTES = 65536
FALLBACK_LINES, FALLBACK_BYTES = 80, 2048
"""Kubernetes: "Customizing the termination message": 2048 bytes or 80 lines of the log, whichever is smaller."""


class PodLog:
    """The log of all containers of a pod, on its way to one sink."""

    def __init__(self, sink: Sink, rules: StreamRules, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._sink = sink
        self._rules = rules
        self._clock_ns = clock_ns
        self._kept_bytes: dict[str, int] = {}
        self._truncated: set[str] = set()
        self._sending = asyncio.Lock()

    async def pump(self, descriptor: int, container: str, attempt: int, stream: str, tail: Tail) -> None:
        """Reads the pipe to its end and closes it. Nothing is read while the sink has no room, so the container waits as well."""
        buffer = bytearray()

        def line(end: int, partial: bool) -> LogLine:
            data = bytes(buffer[:end])
            del buffer[: end if partial else end + 1]
            return LogLine(container, attempt, stream, self._clock_ns(), data, partial)

        try:
            while data := await read(descriptor):
                buffer += data
                lines = []
                while buffer:
                    end = buffer.find(b"\n", 0, self._rules.line_bytes + 1)
                    if end < 0 and len(buffer) <= self._rules.line_bytes:
                        break
                    lines.append(line(end, False) if end >= 0 else line(self._rules.line_bytes, True))
                await self._send(lines, tail)
            if buffer:
                await self._send([line(len(buffer), True)], tail)
        finally:
            os.close(descriptor)

    async def _send(self, lines: Sequence[LogLine], tail: Tail) -> None:
        events = [event for event in map(self._bounded, lines) if event is not None]
        for line in lines:
            tail.add(line.written)
        if events:
            async with self._sending:
                await self._sink.write_logs(events)

    def _bounded(self, line: LogLine) -> Union[LogLine, LogTruncated, None]:
        """The line as long as there is room for it; the first without room becomes the mark that the log ends here."""
        if line.container in self._truncated:
            return None
        kept = self._kept_bytes.get(line.container, 0)
        if self._rules.log_bytes and kept + len(line.written) > self._rules.log_bytes:
            self._truncated.add(line.container)
            return LogTruncated(line.container, kept, line.time_ns)
        self._kept_bytes[line.container] = kept + len(line.written)
        return line


class Tail:
    """The end of a log, for a termination message, or for what a runtime said when it could not start a container."""

    def __init__(self) -> None:
        self._lines: deque[bytes] = deque(maxlen=FALLBACK_LINES)

    def add(self, written: bytes) -> None:
        self._lines.append(written[-FALLBACK_BYTES:])

    @property
    def text(self) -> str:
        return b"".join(self._lines)[-FALLBACK_BYTES:].decode(errors="replace")


async def read(descriptor: int) -> bytes:
    """The next bytes of a non-blocking pipe; b"" at its end."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(descriptor, ready.set)
    try:
        await ready.wait()
    finally:
        loop.remove_reader(descriptor)
    return os.read(descriptor, READ_BYTES)
