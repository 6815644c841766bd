"""The event stream: round trips, cuts anywhere, a start at any line, and lines that are no events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.podrunner import events
from interlink_common.podrunner.events import Decoder, End, Event, Failed, LogLine, LogTruncated, ReportChanged, encode

NOW = 1_764_119_705_123_456_789
REPORT = PodReport(
    (
        ContainerReport("main", Running(1.5), last_state=Terminated(3, "Error", "no <such> file\n", 0.5, 1.25, "id"), restart_count=1),
        ContainerReport("helper", Waiting("ErrImagePull", "é \udcff")),
    ),
    (ContainerReport("setup", Terminated(0, "Completed")),),
)
EVENTS: list[Event] = [
    ReportChanged(REPORT, NOW),
    LogLine("main", 0, "stdout", NOW, b"plain"),
    LogLine("main", 1, "stderr", NOW, b"\xff\x00 not text"),
    LogLine("main", 1, "stdout", NOW, 'quotes " \\ \u2028 \r \x00 ✓'.encode(), partial=True),
    LogLine("main", 1, "stdout", NOW, b""),
    LogTruncated("main", 10, NOW),
    Failed("no Python", 242, NOW),
    End(REPORT, 3, "the batch system stopped the job", NOW),
]
STREAM = b"".join(map(encode, EVENTS))


def test_the_lines_as_they_are() -> None:
    lines = [
        b'{"log":"main","attempt":0,"stream":"stdout","time":1764119705123456789,"text":"plain"}\n',
        b'{"log":"main","attempt":1,"stream":"stderr","time":1764119705123456789,"base64":"/wAgbm90IHRleHQ="}\n',
        b'{"truncated":"main","bytes":10,"time":1764119705123456789}\n',
        b'{"failed":{"reason":"no Python","exit_code":242},"time":1764119705123456789}\n',
        b'{"end":{"report":{"containers":[]},"exit_code":0,"cause":""},"time":1}\n',
    ]
    told: list[Event] = [EVENTS[1], EVENTS[2], EVENTS[5], EVENTS[6], End(PodReport(()), 0, "", 1)]
    assert [encode(event) for event in told] == lines


def test_what_a_container_wrote() -> None:
    assert b"".join(event.written for event in EVENTS if isinstance(event, LogLine)) == (
        b'plain\n\xff\x00 not text\nquotes " \\ \xe2\x80\xa8 \r \x00 \xe2\x9c\x93\n'
    )


@given(st.lists(st.integers(0, len(STREAM))))
def test_read_in_any_pieces(cuts: list[int]) -> None:
    decoder = Decoder()
    pieces = [STREAM[start:end] for start, end in pairwise([0, *sorted(cuts), len(STREAM)])]
    assert [event for piece in pieces for event in decoder.feed(piece)] == EVENTS
    assert decoder.offset == len(STREAM)


@given(st.integers(0, len(STREAM)))
def test_read_on_after_a_cut_from_the_offset(cut: int) -> None:
    first = Decoder()
    told = list(first.feed(STREAM[:cut]))
    second = Decoder(first.offset)
    assert told + list(second.feed(STREAM[first.offset :])) == EVENTS
    assert second.offset == len(STREAM)


@given(st.binary(max_size=80))
def test_bytes_round_trip(data: bytes) -> None:
    line = LogLine("main", 0, "stdout", NOW, data)
    encoded = encode(line)
    assert list(Decoder().feed(encoded)) == [line]
    assert encoded.count(b"\n") == 1


NO_EVENTS = [
    b"", b"{", b"[]", b"3", b"null", b"[" * 100_000, b"\xff\xfe", b'{"new":1,"time":1}', b'{"time":true,"end":{}}',
    b'{"report":{},"time":1}',
    b'{"log":1,"attempt":0,"stream":"stdout","time":1,"text":""}', b'{"log":"m","attempt":0,"stream":"stdout","time":1,"base64":"*"}',
]  # fmt: skip


@pytest.mark.parametrize("line", NO_EVENTS)
def test_what_is_no_event_is_skipped(line: bytes) -> None:
    decoder = Decoder()
    assert list(decoder.feed(STREAM + line + b"\n" + STREAM)) == EVENTS + EVENTS
    assert decoder.offset == 2 * len(STREAM) + len(line) + 1


def test_a_line_without_end_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LONGEST_LINE_BYTES", 100)
    decoder = Decoder()
    for _ in range(10):
        assert list(decoder.feed(b"x" * 60)) == []
    assert list(decoder.feed(b"the end\n" + encode(EVENTS[1]))) == [EVENTS[1]]
    assert decoder.offset == 608 + len(encode(EVENTS[1]))
