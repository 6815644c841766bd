"""The event stream of a job on HTCondor, which transfers whole files only: numbered chunks in the spool, and an attribute that counts them.

A chunk `events.RUN.N` holds whole lines of the stream. After it was put, the job's attribute InterLinkNews says "RUN:N:BYTES:C:REMOVED"
(the last chunk, the bytes of all, and of those that were removed), so that one query of the plugin shows which jobs have new chunks, and
what a fetch of them costs. The plugin fetches chunks and acknowledges them in InterLinkTaken "RUN:N". Acknowledged chunks are removed
here, since every fetch transfers the whole spool. The spool never holds more than the window: then the pod's output waits, and nothing is
lost. RUN is the
start of this run in milliseconds: an evicted job runs again.

The schedd may not pass an acknowledgement on, if two come close together. So C is a number that grows while the output waits: the plugin
then acknowledges again, with that number at the end, since setting the same value again would not be passed on either.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Optional, Union

from interlink_common.podrunner.chirp_protocol import Chirp, ChirpError
from interlink_common.podrunner.events import End, Failed, LogLine, LogTruncated, ReportChanged, encode

NEWS, TAKEN, GRACE_SECONDS = "InterLinkNews", "InterLinkTaken", "InterLinkGraceSeconds"
GRACE_TIMEOUT_SECONDS = 5.0
CHUNK_BYTES = 256 * 1024
PENDING_BYTES = 1024 * 1024
PAUSE_SECONDS = 0.25
"""Between two chunks that are not full, so that a chatty container makes few files."""
RETRY_SECONDS = 1.0
REQUEST_AFTER = 10
"""After so many checks without an acknowledgement the job asks for one."""


def config_file(directory: Path) -> Path:
    """Where the starter writes how to reach its Chirp server; HTCondor 25 keeps the file out of the scratch directory."""
    return Path(os.environ.get("_CONDOR_CHIRP_CONFIG") or directory / ".chirp.config")


def chunk_name(run: int, number: int) -> str:
    return f"events.{run}.{number}"


class ChirpSink:
    """`window_bytes`: how much of the stream may lie in the spool, unacknowledged; `announce`: each chunk is a line in the event log.

    `clock` gives unix seconds.
    """

    def __init__(self, directory: Path, window_bytes: int, *, announce: bool = False, clock: Callable[[], float] = time.time) -> None:
        self._directory = directory
        self._chirp = Chirp(config_file(directory))
        self._window_bytes = window_bytes
        self._announce = announce
        self._run = int(clock() * 1000)
        self._number = self._sent_bytes = self._removed_bytes = self._requests = self._checks = 0
        self._unacknowledged: deque[tuple[int, int]] = deque()
        self._pending = bytearray()
        self._report: Optional[ReportChanged] = None
        self._end: Union[End, Failed, None] = None
        self._ended = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._sending: Optional[asyncio.Task[None]] = None

    async def write_logs(self, events: Sequence[Union[LogLine, LogTruncated]]) -> None:
        while len(self._pending) >= PENDING_BYTES:
            self._room.clear()
            await self._room.wait()
        self._pending += b"".join(map(encode, events))
        self._wake()

    async def write_report(self, event: ReportChanged) -> None:
        self._report = event
        self._wake()

    async def write_end(self, event: Union[End, Failed]) -> None:
        """Returns when everything is in the spool; the window bounds it no more, because nothing comes after it."""
        self._end = event
        self._wake()
        assert self._sending is not None
        await self._sending

    async def grace_seconds(self) -> Optional[float]:
        """The job's attribute, which the plugin sets before it has the job removed. On a connection of its own."""
        chirp = Chirp(config_file(self._directory))
        try:
            answer = await asyncio.wait_for(chirp.attribute(GRACE_SECONDS), GRACE_TIMEOUT_SECONDS)
        except (OSError, EOFError, ValueError, ChirpError, TimeoutError, asyncio.TimeoutError):
            return None
        finally:
            chirp.close()
        return float(answer) if answer.strip().isdigit() else None

    def _wake(self) -> None:
        self._changed.set()
        if self._sending is None:
            self._sending = asyncio.ensure_future(self._send_chunks())

    async def _send_chunks(self) -> None:
        await self._retry_until_done(self._remove_chunks_of_earlier_runs)
        while True:
            await self._wait_for_work()
            chunk = self._next_chunk()
            if not chunk:
                break
            await self._retry_until_done(partial(self._put_chunk, chunk))
            if len(chunk) < CHUNK_BYTES and self._end is None:
                await asyncio.sleep(PAUSE_SECONDS)
        self._chirp.close()

    async def _wait_for_work(self) -> None:
        """Until there is something that may be put: a report or the end always, logs while there is room in the window."""
        while self._end is None and self._report is None:
            self._changed.clear()
            if self._unacknowledged_bytes > self._window_bytes // 4:
                await self._retry_until_done(self._remove_acknowledged)
            if self._pending and self._unacknowledged_bytes < self._window_bytes:
                return
            if self._pending and self._checks >= REQUEST_AFTER:
                self._checks, self._requests = 0, self._requests + 1
                await self._retry_until_done(partial(self._announce_chunks, self._number, self._sent_bytes))
            timeout_seconds = RETRY_SECONDS if self._unacknowledged else None
            try:
                await asyncio.wait_for(self._changed.wait(), timeout_seconds)
            except (TimeoutError, asyncio.TimeoutError):
                continue

    @property
    def _unacknowledged_bytes(self) -> int:
        return sum(size for _, size in self._unacknowledged)

    def _next_chunk(self) -> bytes:
        """Whole lines: what waits of the logs, then the report; at last the end. b"" when everything was sent."""
        chunk = b""
        if self._end is not None or self._unacknowledged_bytes < self._window_bytes:
            cut = len(self._pending) if len(self._pending) <= CHUNK_BYTES else self._pending.rfind(b"\n", 0, CHUNK_BYTES) + 1
            cut = cut or self._pending.find(b"\n") + 1
            chunk = bytes(self._pending[:cut])
            del self._pending[:cut]
            self._room.set()
        if self._report is not None and (not chunk or not self._pending):
            chunk += encode(self._report)
            self._report = None
        if not chunk and self._end is not None and not self._ended:
            chunk = encode(self._end)
            self._ended = True
        return chunk

    async def _put_chunk(self, data: bytes) -> None:
        await self._chirp.put(chunk_name(self._run, self._number + 1), data, 0o600)
        await self._announce_chunks(self._number + 1, self._sent_bytes + len(data))
        self._number += 1
        self._sent_bytes += len(data)
        self._unacknowledged.append((self._number, len(data)))

    async def _announce_chunks(self, number: int, sent_bytes: int) -> None:
        await self._chirp.set_attribute(NEWS, f'"{self._run}:{number}:{sent_bytes}:{self._requests}:{self._removed_bytes}"')
        if self._announce:
            await self._chirp.announce(f"interLink chunk {number}")

    async def _remove_acknowledged(self) -> None:
        run, number = await self._read_acknowledgement()
        self._checks += 1
        while run == self._run and self._unacknowledged and self._unacknowledged[0][0] <= number:
            await self._chirp.unlink(chunk_name(run, self._unacknowledged[0][0]))
            self._removed_bytes += self._unacknowledged.popleft()[1]
            self._checks = 0

    async def _remove_chunks_of_earlier_runs(self) -> None:
        """Removes the chunks of a run that was evicted, as far as they are acknowledged."""
        run, number = await self._read_acknowledgement()
        while run and number > 0 and await self._chirp.unlink(chunk_name(run, number)):
            number -= 1

    async def _read_acknowledgement(self) -> tuple[int, int]:
        run, number = [*(await self._chirp.attribute(TAKEN)).strip().strip('"').split(":"), ""][:2]
        return (int(run), int(number)) if run.isdigit() and number.isdigit() else (0, 0)

    async def _retry_until_done(self, step: Callable[[], Awaitable[Any]]) -> None:
        """Repeats a step until it succeeds: while the submit side is away, everything waits."""
        while not await _succeeds(step):  # noqa: ASYNC110  the event is on another machine
            await asyncio.sleep(RETRY_SECONDS)


async def _succeeds(step: Callable[[], Awaitable[Any]]) -> bool:
    try:
        await step()
    except (OSError, EOFError, ValueError, ChirpError):
        return False
    return True
