"""The engine's multiplexed log streams as whole lines. Pure.

Docker Engine API, "Attach to a container": `[stream, 0, 0, 0, size as four big-endian bytes]`, then the payload. One frame is one
log entry. The engine cuts a line longer than 16 KiB into several entries, only the last of which ends in a newline; entries of the
other stream may come in between. With timestamps, every entry begins with one and a space. A tty's log is the same without headers.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

HEADER = struct.Struct(">BxxxL")
CUT_BYTES = 16 * 1024
"""moby `daemon/logger/copier.go`, defaultBufSize."""
STAMP = re.compile(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\.[0-9]{9}Z ")
STAMP_BYTES = 31
HELD_BYTES = 1024 * 1024
"""A line longer than this comes out in pieces rather than grow in memory."""


class MultiplexedEntries:
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

    def end(self) -> Iterator[tuple[int, bytes]]:
        """Yields nothing: an entry that was cut off is dropped."""
        return iter(())


class RawEntries:
    """Cuts a tty's log into (1, payload) where the engine did: after a newline, or where CUT_BYTES of text came without one."""

    def __init__(self, *, stamped: bool) -> None:
        self._head = STAMP_BYTES if stamped else 0
        self._rest = b""

    def feed(self, chunk: bytes) -> Iterator[tuple[int, bytes]]:
        """The entries that are complete now. Exhaust it before the next call."""
        data, position = self._rest + chunk, 0
        while end := self._end_of_entry(data, position):
            yield 1, data[position:end]
            position = end
        self._rest = data[position:]

    def _end_of_entry(self, data: bytes, position: int) -> int:
        """0 if it has not arrived. A text whose bytes the engine had to replace is longer than what it cut: a timestamp must follow."""
        cut = position + self._head + CUT_BYTES
        newline = data.find(b"\n", position, cut)
        if newline < 0 and len(data) >= cut + self._head:
            if not self._head or STAMP.match(data, cut):
                return cut
            newline = data.find(b"\n", cut)
            if newline < 0 and len(data) - position > HELD_BYTES:
                return len(data)
        return newline + 1

    def end(self) -> Iterator[tuple[int, bytes]]:
        """The last entry needs no newline."""
        rest, self._rest = self._rest, b""
        return iter([(1, rest)] if rest else [])


class LogLines:
    """Turns framed bytes into whole lines, of both streams in the order in which the lines ended.

    `stamped`: the entries carry timestamps, of which each line keeps its first. The first `skip_entries` entries are left out.
    `tty`: there are no frames.
    """

    def __init__(self, *, stamped: bool = False, skip_entries: int = 0, tty: bool = False) -> None:
        self._entries = RawEntries(stamped=stamped) if tty else MultiplexedEntries()
        self._skip = skip_entries
        self._stamped = stamped
        self._held: dict[int, bytes] = {}

    def feed(self, chunk: bytes) -> bytes:
        """The lines that are complete now."""
        return b"".join(self._lines(self._entries.feed(chunk)))

    def _lines(self, entries: Iterable[tuple[int, bytes]]) -> Iterator[bytes]:
        held = self._held
        for stream, payload in entries:
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
        """The lines that never got their newline."""
        rest = b"".join((*self._lines(self._entries.end()), *self._held.values()))
        self._held.clear()
        return rest


@dataclass(frozen=True)
class Cursor:
    """A place in a log: past the first `skip` of the entries that are not older than `stamp` (the engine's RFC 3339, fixed width)."""

    stamp: str
    skip: int


def split_entries(stamped: bytes, *, tty: bool = False) -> list[tuple[int, bytes]]:
    """(stream, payload) of a finite, timestamped answer."""
    cutter = RawEntries(stamped=True) if tty else MultiplexedEntries()
    return [*cutter.feed(stamped), *cutter.end()]


def tail_start(entries: Sequence[tuple[int, bytes]], tail_lines: int, *, is_whole_log: bool) -> Cursor | None:
    """Where the last lines begin in the end of a timestamped log; None if that piece is too short to tell.

    The first entry of each stream may be the middle of a line, and the streams' timestamps may be a little out of order.
    """
    at_line_start: dict[int, bool] = {}
    stamps: list[bytes] = []
    starts: list[int] = []
    for stream, payload in entries:
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


def demultiplexed(framed: bytes) -> bytes:
    """Both streams of a finished answer, headers removed, in the order they came."""
    return b"".join(payload for _, payload in MultiplexedEntries().feed(framed))
