"""kubectl's log options over timestamped lines, for backends whose log source can't apply them itself.

Source: v1.PodLogOptions and kubelet pkg/kubelet/kuberuntime/logs (ReadLogs): since, then tail, then timestamps, then limitBytes, which
counts what is written, timestamps included, and cuts within a line.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

from interlink_common.backend import LogQuery

_RFC3339 = re.compile(r"(?P<seconds>\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(?P<fraction>\d+))?(?P<zone>Z|[+-]\d\d:\d\d)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


async def select(lines: AsyncIterator[tuple[int, bytes]], query: LogQuery) -> AsyncIterator[bytes]:
    """The part of a log that `query` asks for. `lines` are (unix nanoseconds, line with its newline), in order, whole lines only.

    `tail_lines` needs the end of the log, so with it nothing comes before `lines` ends: a follower's source applies tail itself,
    or tails what is there and calls this for the rest. `follow` and `previous` are the source's business.
    """
    left = query.limit_bytes
    async for time_ns, line in _tail(_since(lines, query.since_ns), query.tail_lines):
        if left is not None and left <= 0:
            return
        text = rfc3339_nano(time_ns).encode() + b" " + line if query.timestamps else line
        if left is not None:
            text = text[:left]
            left -= len(text)
        yield text


def rfc3339_nano(time_ns: int) -> str:
    """Go's time.RFC3339Nano in UTC with all nine digits, as the kubelet prints it."""
    seconds, nanoseconds = divmod(time_ns, 1_000_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{nanoseconds:09d}Z"


def unix_nanoseconds(text: str) -> int:
    """The inverse of `rfc3339_nano`, for any RFC 3339 time; digits past the ninth are dropped. Raises ValueError."""
    found = _RFC3339.fullmatch(text)
    if found is None:
        raise ValueError(f"{text} is not an RFC 3339 time")
    moment = datetime.fromisoformat(f"{found['seconds']}{found['zone']}")
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    return seconds * 10**9 + int((found["fraction"] or "")[:9].ljust(9, "0"))


async def _since(lines: AsyncIterator[tuple[int, bytes]], since_ns: int | None) -> AsyncIterator[tuple[int, bytes]]:
    async for time_ns, line in lines:
        if since_ns is None or time_ns >= since_ns:
            yield time_ns, line


async def _tail(lines: AsyncIterator[tuple[int, bytes]], count: int | None) -> AsyncIterator[tuple[int, bytes]]:
    if count is None:
        async for line in lines:
            yield line
        return
    kept: deque[tuple[int, bytes]] = deque(maxlen=count)
    async for line in lines:
        kept.append(line)
    for line in kept:
        yield line
