"""kubectl's log options on the engine's logs. What the engine does the same way is left to it; lines it cut come out whole."""

from __future__ import annotations

from collections.abc import AsyncIterator

from interlink_common.agent.runtime import RuntimeUnavailable
from interlink_common.backend import LogQuery
from interlink_common.logselect import unix_nanoseconds
from interlink_docker.client import Engine
from interlink_docker.multiplexed import Cursor, LogLines, split_entries, tail_start

EXACT_TAIL_LINES = 10_000
"""Above this many lines the engine's own count is good enough: it counts a line longer than 16 KiB more than once."""


async def read_log(engine: Engine, container_id: str, query: LogQuery, *, tty: bool) -> AsyncIterator[bytes]:
    """The log of one attempt. With `follow` it ends when the container does."""
    left = query.limit_bytes
    async for chunk in _selected(engine, container_id, query, tty=tty):
        if left is None:
            yield chunk
            continue
        yield chunk[:left]
        left -= len(chunk)
        if left <= 0:
            return


async def _selected(engine: Engine, container_id: str, query: LogQuery, *, tty: bool) -> AsyncIterator[bytes]:
    asked, skip_entries = await _request(engine, container_id, query, tty=tty)
    lines = LogLines(stamped=query.timestamps, skip_entries=skip_entries, tty=tty)
    async with await engine.stream("GET", f"/containers/{container_id}/logs", query=asked) as stream:
        try:
            while chunk := await stream.read():
                if ready := lines.feed(chunk):
                    yield ready
        except OSError as error:
            raise RuntimeUnavailable("the engine went away while its log was read") from error
    if rest := lines.end():
        yield rest


async def _request(engine: Engine, container_id: str, query: LogQuery, *, tty: bool) -> tuple[dict[str, str], int]:
    """What to ask the engine for, and how many entries of its answer come before what was asked of us."""
    asked = {"stdout": "1", "stderr": "1", "follow": str(int(query.follow)), "timestamps": str(int(query.timestamps))}
    since_ns, skip_entries = query.since_ns, 0
    if query.tail_lines is not None and not 0 < query.tail_lines <= EXACT_TAIL_LINES:
        asked["tail"] = str(query.tail_lines)
    elif query.tail_lines is not None:
        begin = await _start_of_tail(engine, container_id, query.tail_lines, tty=tty)
        if begin.stamp and (since_ns is None or since_ns <= unix_nanoseconds(begin.stamp)):
            since_ns, skip_entries = unix_nanoseconds(begin.stamp), begin.skip
    if since_ns is not None:
        asked["since"] = f"{since_ns // 10**9}.{since_ns % 10**9:09d}"
    return asked, skip_entries


async def _start_of_tail(engine: Engine, container_id: str, tail_lines: int, *, tty: bool) -> Cursor:
    """Where the last lines begin. Asks for one entry more than that, and for more again if lines turn out to be cut."""
    wanted = tail_lines + 1
    while True:
        query = {"stdout": "1", "stderr": "1", "timestamps": "1", "tail": str(wanted)}
        entries = split_entries(await engine.read(f"/containers/{container_id}/logs", query), tty=tty)
        cursor = tail_start(entries, tail_lines, is_whole_log=len(entries) < wanted)
        if cursor is not None:
            return cursor
        wanted *= 2
