"""The engine's log framing: whatever the chunks, lines come out whole and no byte changes."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from interlink_docker.frames import Cursor, Frames, Lines, payload_of, tail_start


def frame(payload: bytes, stream: int = 1) -> bytes:
    return struct.pack(">BxxxL", stream, len(payload)) + payload


def stamp(second: int) -> bytes:
    return b"2026-01-01T00:00:%02d.000000000Z" % second


entries = st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=40)), max_size=20)


@given(entries, st.integers(1, 30))
def test_any_chunking_gives_the_same_entries(found: list[tuple[int, bytes]], size: int) -> None:
    framed = b"".join(frame(payload, stream) for stream, payload in found)
    frames = Frames()
    cut = [entry for start in range(0, len(framed), size) for entry in frames.feed(framed[start : start + size])]
    assert cut == found
    assert payload_of(framed) == b"".join(payload for _, payload in found)


@given(entries, st.integers(1, 30))
def test_no_byte_is_lost_and_lines_stay_together(found: list[tuple[int, bytes]], size: int) -> None:
    framed = b"".join(frame(payload, stream) for stream, payload in found)
    lines = Lines()
    out = b"".join(lines.feed(framed[start : start + size]) for start in range(0, len(framed), size)) + lines.end()
    assert sorted(out) == sorted(payload_of(framed))
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
    lines = Lines(stamped=True)
    out = lines.feed(framed) + lines.end()
    assert out == stamp(2) + b" other\n" + stamp(1) + b" start middle end\n" + stamp(5) + b" rest"


def test_entries_are_skipped() -> None:
    assert Lines(skip_entries=2).feed(frame(b"a\n") + frame(b"b\n") + frame(b"c\n")) == b"c\n"


def test_tail_begins_at_the_beginning_of_a_line() -> None:
    framed = frame(stamp(1) + b" one\n") + frame(stamp(2) + b" tw") + frame(stamp(3) + b" o\n")
    assert tail_start(framed, 1, is_whole_log=True) == Cursor(stamp(2).decode(), 0)
    assert tail_start(framed, 2, is_whole_log=True) == Cursor("", 0)
    assert tail_start(framed, 1, is_whole_log=False) == Cursor(stamp(2).decode(), 0)
    assert tail_start(framed, 2, is_whole_log=False) is None


def test_tail_counts_entries_of_the_same_moment() -> None:
    framed = b"".join(frame(stamp(second) + b" x\n") for second in (1, 2, 2, 2))
    assert tail_start(framed, 1, is_whole_log=False) == Cursor(stamp(2).decode(), 2)
    same = b"".join(frame(stamp(2) + b" x\n") for _ in range(4))
    assert tail_start(same, 1, is_whole_log=False) is None
    assert tail_start(same, 1, is_whole_log=True) == Cursor(stamp(2).decode(), 3)


def test_tail_survives_timestamps_out_of_order() -> None:
    framed = frame(stamp(1) + b" a\n") + frame(stamp(5) + b" b\n") + frame(stamp(6) + b" c\n", 2) + frame(stamp(4) + b" d\n")
    assert tail_start(framed, 2, is_whole_log=True) == Cursor(stamp(4).decode(), 1)
