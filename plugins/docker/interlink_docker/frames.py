"""The engine's log framing, undone in bulk: frames to whole lines. Pure.

Docker Engine API, "Attach to a container": `[stream, 0, 0, 0, size as four big-endian bytes]`, then the payload. One frame is one
log entry. The engine cuts a line longer than 16 KiB into several entries, only the last of which ends in a newline; entries of the
other stream may come in between. With timestamps, every entry begins with one and a space.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

HEADER = struct.Struct(">BxxxL")
HELD_BYTES = 1024 * 1024
"""A line longer than this comes out in pieces rather than grow in memory."""


class Frames:
    """Cuts a stream of bytes into (stream number, payload)."""

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """The entries that are complete now. Exhaust it before the next call."""
        data = self._rest + chunk
        position, size = 0, len(data)
        while position + 8 <= size:
            stream, length = HEADER.unpack_from(data, position)
            end = position + 8 + length
            if end > size:
                break
            yield stream, data[position + 8 : end]
            position = end
        self._rest = data[position:]


class Lines:
    """Turns framed bytes into whole lines, of both streams in the order in which the lines ended.

    `stamped`: the entries carry timestamps, of which each line keeps its first. The first `skip_entries` entries are left out.
    """

    def __init__(self, *, stamped: bool = False, skip_entries: int = 0) -> None:
        self._frames = Frames()
        self._skip = skip_entries
        self._stamped = stamped
        self._held: dict[int, bytes] = {}

    def feed(self, chunk: bytes) -> bytes:
        """The lines that are complete now."""
        return b"".join(self._lines(chunk))

    def _lines(self, chunk: bytes) -> Iterator[bytes]:
        held = self._held
        for stream, payload in self._frames.feed(chunk):
            if self._skip:
                self._skip -= 1
                continue
            entry = payload
            if stream in held:
                entry = held.pop(stream) + (payload[payload.find(b" ") + 1 :] if self._stamped else payload)
            if payload[-1:] == b"\n":
                yield entry
            elif len(entry) < HELD_BYTES:
                held[stream] = entry
            else:
                yield entry
                held[stream] = b""

    def end(self) -> bytes:
        """What was still waiting for its newline."""
        rest = b"".join(self._held.values())
        self._held.clear()
        return rest


@dataclass(frozen=True)
class Cursor:
    """A place in a log: past the first `skip` of the entries that are not older than `stamp` (the engine's RFC 3339, fixed width)."""

    stamp: str
    skip: int


def tail_start(framed: bytes, tail_lines: int, *, is_whole_log: bool) -> Cursor | None:
    """Where the last lines begin in the end of a timestamped log; None if that piece is too short to tell.

    The first entry of each stream may be the middle of a line, and the streams' timestamps may be a little out of order.
    """
    at_line_start: dict[int, bool] = {}
    stamps: list[bytes] = []
    starts: list[int] = []
    for stream, payload in Frames().feed(framed):
        if at_line_start.get(stream, is_whole_log):
            starts.append(len(stamps))
        at_line_start[stream] = payload[-1:] == b"\n"
        stamps.append(payload.partition(b" ")[0])
    if is_whole_log and len(starts) <= tail_lines:
        return Cursor(stamp="", skip=0)
    if len(starts) < tail_lines:
        return None
    first = starts[-tail_lines]
    oldest = min(stamps[first:])
    if not is_whole_log and stamps[0] >= oldest:
        return None
    return Cursor(oldest.decode("ascii"), sum(stamp >= oldest for stamp in stamps[:first]))


def count_entries(framed: bytes) -> int:
    return sum(1 for _ in Frames().feed(framed))


def payload_of(framed: bytes) -> bytes:
    """Both streams of a finished answer, headers removed, in the order they came."""
    return b"".join(payload for _, payload in Frames().feed(framed))
