"""Where the event stream goes. How it travels from the node to the plugin is the batch system's business; the file is the plain way."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Protocol, Union

from interlink_common.podrunner.events import End, Failed, LogLine, LogTruncated, ReportChanged, StartedAgain, encode

EVENTS_FILE = "events.jsonl"
RETRY_SECONDS = 1.0


class Sink(Protocol):
    """Takes what is told. The three verbs may be under way at once, but none of them twice."""

    async def logs(self, events: Sequence[Union[LogLine, LogTruncated]]) -> None:
        """Keeps them, in order, and returns when there is room for more: until then the containers' pipes fill up, and nothing is lost."""

    async def report(self, event: ReportChanged) -> None:
        """Tells of a state. Only the newest matters: what could not be told before it may be left out."""

    async def end(self, event: Union[End, Failed]) -> None:
        """Tells the summary, when all logs are told; the last call."""

    async def grace_seconds(self) -> Optional[float]:
        """What whoever stops the job now allows, if the batch system can tell; None: the pod's own grace."""


class FileSink:
    """The stream as one growing file, 0600. A full disk holds the containers' output back until there is room.

    What an earlier run of the job left in it stays, and the line between the two says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: Optional[int] = None
        self._writing = asyncio.Lock()

    async def logs(self, events: Sequence[Union[LogLine, LogTruncated]]) -> None:
        await self._append(b"".join(map(encode, events)))

    async def report(self, event: ReportChanged) -> None:
        await self._append(encode(event))

    async def end(self, event: Union[End, Failed]) -> None:
        await self._append(encode(event))
        if self._descriptor is not None:
            os.fsync(self._descriptor)
            os.close(self._descriptor)
            self._descriptor = None

    async def grace_seconds(self) -> Optional[float]:
        return None

    async def _append(self, data: bytes) -> None:
        async with self._writing:
            while data := data[self._write(data) :]:  # noqa: ASYNC110  nothing tells when a disk has room
                await asyncio.sleep(RETRY_SECONDS)

    def _write(self, data: bytes) -> int:
        """How much of `data` the file took."""
        written = 0
        with contextlib.suppress(OSError):
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
                if os.fstat(self._descriptor).st_size:
                    os.write(self._descriptor, b"\n" + encode(StartedAgain(time.time_ns())))
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
        return written
