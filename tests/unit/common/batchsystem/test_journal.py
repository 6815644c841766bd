"""A stream that comes in pieces of any size: whole lines are kept, once, and a reader goes on where it was."""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from interlink_common.backend import LogQuery
from interlink_common.batchsystem import journal as journal_module
from interlink_common.batchsystem.journal import Journal
from interlink_common.batchsystem.logs import AttemptReader, read_log
from interlink_common.batchsystem.reports import EarlierRuns
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated
from interlink_common.podrunner.events import LogLine, ReportChanged, StartedAgain, encode

ALIVE = PodReport((ContainerReport("main", Running(1.0)),))


def line(text: str, attempt: int = 0) -> bytes:
    return encode(LogLine("main", attempt, "stdout", 1_000_000_000, text.encode()))


STREAM = encode(ReportChanged(ALIVE, 1)) + b"".join(line(f"line {number}") for number in range(40))


async def read(journal: Journal) -> bytes:
    chunks = read_log(journal, LogQuery("main"), waiting=False, ended=lambda *_: True, news=asyncio.Event)
    return b"".join([chunk async for chunk in chunks])


@pytest.mark.parametrize("step", [1, 7, 100, 10_000])
async def test_whole_lines_are_kept_and_the_rest_comes_again(tmp_path: Path, step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CHUNK_BYTES", 300)
    journal = Journal(tmp_path)
    width = step
    while journal.size < len(STREAM):
        offset = journal.size
        width = step if journal.append(STREAM[offset : offset + width]) else width + step
    assert journal.runs.current.report == ALIVE
    assert b"".join((tmp_path / "log" / chunk.name).read_bytes() for chunk in journal.chunks) == STREAM
    assert await read(journal) == b"".join(b"line %d\n" % number for number in range(40))


def test_a_reader_goes_on_within_a_chunk(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append(line("first"))
    reader = AttemptReader(journal, "main", 1, 0)
    assert reader.fresh() == [(1_000_000_000, b"first\n")]
    assert reader.fresh() == []
    journal.append(line("second") + line("of another attempt", attempt=1))
    journal.append(line("third"))
    assert [text for _, text in reader.fresh()] == [b"second\n", b"third\n"]


async def test_a_torn_line_at_the_end_goes_at_a_restart(tmp_path: Path) -> None:
    Journal(tmp_path).append(line("whole"))
    with (tmp_path / "log/1.1").open("ab") as file:
        file.write(line("torn")[:-5])
    again = Journal(tmp_path)
    assert again.size == len(line("whole"))
    again.append(line("torn"))
    assert await read(again) == b"whole\ntorn\n"


@pytest.mark.parametrize("step", [1, 11, 10_000])
async def test_a_job_that_was_started_again_is_another_run(tmp_path: Path, step: int) -> None:
    first = encode(ReportChanged(ALIVE, 1)) + line("of the first run") + b'{"torn'
    second = b"\n" + encode(StartedAgain(2)) + encode(ReportChanged(ALIVE, 3)) + line("of the second")
    stream = first + second
    journal = Journal(tmp_path)
    width = step
    while journal.size < len(stream):
        width = step if journal.append(stream[journal.size : journal.size + width]) else width + step
    assert journal.attempts("main") == [(1, 0), (2, 0)]
    evicted = Terminated(137, "Evicted", "the job was evicted and ran again", 1.0)
    for known in (journal, Journal(tmp_path)):
        assert known.runs.earlier == EarlierRuns({"main": 1}, {"main": evicted})
        assert known.size == len(stream)
    assert await read(journal) == b"of the second\n"


def test_readers_in_other_threads_see_whole_lines_while_it_grows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "CHUNK_BYTES", 300)
    journal, interval = Journal(tmp_path), sys.getswitchinterval()

    def grow() -> None:
        for number in range(2000):
            journal.append(line(str(number), attempt=number))

    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(1) as pool:
            growing, seen = pool.submit(grow), 0
            while not growing.done():
                found = journal.attempts("main")
                assert len(found) >= seen
                seen = len(found)
                for run, attempt in found[-1:]:
                    assert AttemptReader(journal, "main", run, attempt).fresh() == [(1_000_000_000, b"%d\n" % attempt)]
            growing.result()
    finally:
        sys.setswitchinterval(interval)
    assert journal.attempts("main") == [(1, attempt) for attempt in range(2000)]
