"""The stream as chunks in HTCondor's spool: whole, in order, never more of it than the window, through broken connections."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from interlink_common.model.report import PodReport
from interlink_common.podrunner import chirp
from interlink_common.podrunner.chirp import ChirpSink
from interlink_common.podrunner.events import Decoder, End, Event, LogLine, ReportChanged
from interlink_common.testing.fake_chirp import FakeChirp

REPORT = PodReport(())
END = End(REPORT, 0, "", 9)


def line(number: int, size: int = 10) -> LogLine:
    return LogLine("main", 0, "stdout", number, f"{number:0{size}}".encode())


@pytest_asyncio.fixture
async def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeChirp]:
    monkeypatch.setattr(chirp, "PAUSE_SECONDS", 0.0)
    monkeypatch.setattr(chirp, "RETRY_SECONDS", 0.01)
    monkeypatch.delenv("_CONDOR_CHIRP_CONFIG", raising=False)
    server = FakeChirp()
    await server.start(tmp_path / ".chirp.config")
    yield server
    await server.close()


def chunks(server: FakeChirp) -> list[str]:
    return sorted(server.files, key=lambda name: int(name.rpartition(".")[2]))


def told(server: FakeChirp) -> list[Event]:
    decoder = Decoder()
    return [event for name in chunks(server) for event in decoder.feed(server.files[name])]


def sink(tmp_path: Path, window_bytes: int = 2**24, *, announce: bool = False) -> ChirpSink:
    return ChirpSink(tmp_path, window_bytes, announce=announce, clock=lambda: 5.0)


async def test_everything_arrives_in_order_and_the_end_is_the_last(server: FakeChirp, tmp_path: Path) -> None:
    stream = sink(tmp_path, announce=True)
    lines = [line(number) for number in range(100)]
    for first in range(0, 100, 10):
        await stream.write_logs(lines[first : first + 10])
    await stream.write_report(ReportChanged(REPORT, 1))
    await stream.write_end(END)
    events = told(server)
    assert [event for event in events if isinstance(event, LogLine)] == lines
    assert (events[-2:], set(map(type, events))) == ([ReportChanged(REPORT, 1), END], {LogLine, ReportChanged, End})
    last = chunks(server)[-1]
    size = sum(map(len, server.files.values()))
    assert server.attributes["InterLinkNews"] == f'"5000:{last.rpartition(".")[2]}:{size}:0:0"'
    assert len(server.announced) == len(server.files)


async def test_a_broken_connection_loses_and_doubles_nothing(server: FakeChirp, tmp_path: Path) -> None:
    stream = sink(tmp_path)
    for number in range(20):
        server.refuses = number % 3
        await stream.write_logs([line(number)])
        await asyncio.sleep(0.005)
    await stream.write_end(END)
    assert told(server) == [*map(line, range(20)), END]


async def test_the_window_holds_the_pod_back_until_chunks_are_taken(server: FakeChirp, tmp_path: Path) -> None:
    stream = sink(tmp_path, window_bytes=2**20)
    sending = asyncio.create_task(send(stream, 60))
    while sum(map(len, server.files.values())) < 2**20:  # noqa: ASYNC110  as seen from outside
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    assert not sending.done()
    assert sum(map(len, server.files.values())) < 2**20 + 2 * chirp.CHUNK_BYTES
    await stream.write_report(ReportChanged(REPORT, 1))
    while ReportChanged(REPORT, 1) not in told(server):  # noqa: ASYNC110  a state is told although the window is full
        await asyncio.sleep(0.01)
    while server.attributes["InterLinkNews"].endswith(':0:0"'):  # noqa: ASYNC110  it complains
        await asyncio.sleep(0.01)
    seen: dict[str, bytes] = {}
    while not sending.done():
        run, number, *_ = server.attributes["InterLinkNews"].strip('"').split(":")
        seen |= {name: data for name, data in server.files.items() if int(name.rpartition(".")[2]) <= int(number)}
        server.attributes["InterLinkTaken"] = f'"{run}:{number}"'
        await asyncio.sleep(0.01)
    await sending
    await stream.write_end(END)
    *_, put_bytes, _, removed_bytes = map(int, server.attributes["InterLinkNews"].strip('"').split(":"))
    assert sum(map(len, server.files.values())) == put_bytes - removed_bytes < 3 * 2**20
    server.files = seen | server.files
    assert [event.time_ns for event in told(server) if isinstance(event, LogLine)] == list(range(60))


async def send(stream: ChirpSink, count: int) -> None:
    for number in range(count):
        await stream.write_logs([line(number, 100_000)])


async def test_the_grace_of_a_deletion_is_asked_of_the_job(server: FakeChirp, tmp_path: Path) -> None:
    stream = sink(tmp_path)
    assert await stream.grace_seconds() is None
    server.attributes["InterLinkGraceSeconds"] = "7"
    assert await stream.grace_seconds() == 7.0
    server.refuses = 1
    assert await stream.grace_seconds() is None


async def test_the_next_run_removes_what_was_taken_of_the_last(server: FakeChirp, tmp_path: Path) -> None:
    server.files = {f"events.4000.{number}": b"" for number in (2, 3, 4)}
    server.attributes["InterLinkTaken"] = '"4000:3"'
    stream = sink(tmp_path)
    await stream.write_end(END)
    assert sorted(server.files) == ["events.4000.4", "events.5000.1"]
