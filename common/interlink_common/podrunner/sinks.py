"""Where podrunner writes the event stream: a file by default. How it reaches the plugin depends on the batch system."""

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
    """Writes the event stream. Calls of different methods may overlap, calls of the same method never do."""

    async def write_logs(self, events: Sequence[Union[LogLine, LogTruncated]]) -> None:
        """Writes log events in order, and returns when there is room for more; until then the containers' pipes fill up."""

    async def write_report(self, event: ReportChanged) -> None:
        """Writes a report. Only the newest matters: older ones that are not yet written may be left out."""

    async def write_end(self, event: Union[End, Failed]) -> None:
        """Writes the summary, after all logs; the last call."""

    async def grace_seconds(self) -> Optional[float]:
        """The grace period that whoever stops the job grants, if the batch system can say; None: the pod's own."""


class FileSink:
    """The stream as one growing file, 0600. A full disk holds the containers' output back until there is room.

    What an earlier run of the job left in it stays, and the line between the two says so.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: Optional[int] = None
        self._writing = asyncio.Lock()

    async def write_logs(self, events: Sequence[Union[LogLine, LogTruncated]]) -> None:
        await self._append(b"".join(map(encode, events)))

    async def write_report(self, event: ReportChanged) -> None:
        await self._append(encode(event))

    async def write_end(self, event: Union[End, Failed]) -> None:
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
