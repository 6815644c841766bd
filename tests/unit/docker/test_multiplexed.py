"""The engine's log framing: whatever the chunks, lines come out whole and no byte changes."""

from __future__ import annotations

import re
import struct

from hypothesis import given
from hypothesis import strategies as st

from interlink_docker.multiplexed import CUT_BYTES, STAMP, Cursor, LogLines, MultiplexedEntries, demultiplexed, split_entries, tail_start


def frame(payload: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def stamp(second: int) -> bytes:
    return b"2026-01-01T00:00:%02d.000000000Z" % second


entries = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=20)


@given(entries, st.integers(1, 30))
def test_any_chunking_gives_the_same_entries(found: list[tuple[int, bytes]], size: int) -> None:
    framed = b"".join(frame(payload, stream) for stream, payload in found)
    frames = MultiplexedEntries()
    cut = [entry for start in range(0, len(framed), size) for entry in frames.feed(framed[start : start + size])]
    assert cut == found
    assert demultiplexed(framed) == b"".join(payload for _, payload in found)


@given(entries, st.integers(1, 30))
def test_no_byte_is_lost_and_lines_stay_together(found: list[tuple[int, bytes]], size: int) -> None:
    framed = b"".join(frame(payload, stream) for stream, payload in found)
    lines = LogLines()
    out = b"".join(lines.feed(framed[start : start + size]) for start in range(0, len(framed), size)) + lines.end()
    assert sorted(out) == sorted(demultiplexed(framed))
    for stream in (1, 2):
        whole = b"".join(payload for number, payload in found if number == stream)
        for line in whole.split(b"\n")[:-1]:
            assert line + b"\n" in out


def test_a_cut_line_comes_out_whole_with_its_first_timestamp() -> None:
    framed = (
        frame(stamp(1) + b" start ")
        + frame(stamp(2) + b" other\n", stream=2)
        + frame(stamp(3) + b" middle ")
        + frame(stamp(4) + b" end\n")
        + frame(stamp(5) + b" rest")
    )
    lines = LogLines(stamped=True)
    out = lines.feed(framed) + lines.end()
    assert out == stamp(2) + b" other\n" + stamp(1) + b" start middle end\n" + stamp(5) + b" rest"


def test_entries_are_skipped() -> None:
    assert LogLines(skip_entries=2).feed(frame(b"a\n") + frame(b"b\n") + frame(b"c\n")) == b"c\n"


def test_tail_begins_at_the_beginning_of_a_line() -> None:
    framed = frame(stamp(1) + b" one\n") + frame(stamp(2) + b" tw") + frame(stamp(3) + b" o\n")
    assert tail_start(split_entries(framed), 1, is_whole_log=True) == Cursor(stamp(2).decode(), 0)
    assert tail_start(split_entries(framed), 2, is_whole_log=True) == Cursor("", 0)
    assert tail_start(split_entries(framed), 1, is_whole_log=False) == Cursor(stamp(2).decode(), 0)
    assert tail_start(split_entries(framed), 2, is_whole_log=False) is None


def test_tail_counts_entries_of_the_same_moment() -> None:
    framed = b"".join(frame(stamp(second) + b" x\n") for second in (1, 2, 2, 2))
    assert tail_start(split_entries(framed), 1, is_whole_log=False) == Cursor(stamp(2).decode(), 2)
    same = b"".join(frame(stamp(2) + b" x\n") for _ in range(4))
    assert tail_start(split_entries(same), 1, is_whole_log=False) is None
    assert tail_start(split_entries(same), 1, is_whole_log=True) == Cursor(stamp(2).decode(), 3)


def test_tail_survives_timestamps_out_of_order() -> None:
    framed = frame(stamp(1) + b" a\n") + frame(stamp(5) + b" b\n") + frame(stamp(6) + b" c\n", 2) + frame(stamp(4) + b" d\n")
    assert tail_start(split_entries(framed), 2, is_whole_log=True) == Cursor(stamp(4).decode(), 1)


def as_the_engine_cuts(lines: list[bytes], *, stamped: bool) -> tuple[bytes, int]:
    """A tty's log and how many entries it has: moby cuts a full buffer that has no newline in it."""
    entries = []
    for line in lines:
        rest = line
        while b"\n" not in rest[:CUT_BYTES] and len(rest) >= CUT_BYTES:
            entries.append(rest[:CUT_BYTES])
            rest = rest[CUT_BYTES:]
        if rest:
            entries.append(rest)
    return b"".join((stamp(number % 60) + b" " if stamped else b"") + entry for number, entry in enumerate(entries)), len(entries)


lengths = st.lists(st.one_of(st.integers(0, 50), st.integers(CUT_BYTES - 2, CUT_BYTES + 2), st.integers(0, 4 * CUT_BYTES)), max_size=5)


@given(lengths, st.integers(0, CUT_BYTES + 1), st.integers(1, 3 * CUT_BYTES), st.booleans())
def test_lines_of_a_tty_come_out_whole(sizes: list[int], last: int, chunk: int, stamped: bool) -> None:
    lines = [*(b"x" * size + b"\r\n" for size in sizes), b"x" * last]
    log, count = as_the_engine_cuts(lines, stamped=stamped)
    joining = LogLines(stamped=stamped, tty=True)
    out = b"".join(joining.feed(log[start : start + chunk]) for start in range(0, len(log), chunk)) + joining.end()
    without = re.sub(rb"(?m)^" + STAMP.pattern, b"", out)
    assert without == b"".join(lines)
    if stamped:
        assert len(split_entries(log, tty=True)) == count
        assert out.count(b"Z ") == len([line for line in lines if line])


def test_a_tty_line_whose_bytes_the_engine_replaced() -> None:
    """U+FFFD has three bytes, so the engine's cut is somewhere behind; the line stays whole."""
    line = stamp(1) + b" " + "\ufffd".encode() * CUT_BYTES + stamp(2) + b" rest\n" + stamp(3) + b" next\n"
    assert [payload[-6:] for _, payload in split_entries(line, tty=True)] == [b" rest\n", b" next\n"]
