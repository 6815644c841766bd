"""What is taken of a pod's stream, and what it says: over runs, over restarts of the plugin, whole chunks only."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from interlink_common.backend import LogQuery
from interlink_common.batchsystem.logs import read_log
from interlink_common.batchsystem.reports import CurrentRun
from interlink_common.errors import NotFound
from interlink_common.jobbundle.bundle import build
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.events import End, Event, Failed, LogLine, ReportChanged, encode
from interlink_common.podrunner.exitcodes import NO_RUNTIME, STOPPED
from interlink_htcondor.ads import News, read_news
from interlink_htcondor.journal import SpoolJournal
from tests.unit.htcondor.pods import a_pod

ALIVE = PodReport((ContainerReport("main", Running(1.0)),))
DONE = PodReport((ContainerReport("main", Terminated(3, started_at=1.0)),), finished=True)


def put(journal: SpoolJournal, run: int, number: int, *events: Event) -> None:
    """As a fetch does."""
    journal.submit_directory.mkdir(parents=True, exist_ok=True)
    (journal.submit_directory / f"events.{run}.{number}").write_bytes(b"".join(map(encode, events)))


def line(text: str, attempt: int = 0, stream: str = "stdout", *, partial: bool = False) -> LogLine:
    return LogLine("main", attempt, stream, 1_000_000_000, text.encode(), partial)


def test_secrets_are_there_only_for_the_submit_and_for_nobody_else(tmp_path: Path) -> None:
    journal = SpoolJournal(tmp_path / "uid")
    journal.write(build(a_pod(), RunnerConfig()))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "uid").rglob("*")}
    assert modes == {"submit": 0o700, "log": 0o700, "pod.json": 0o600}
    journal.clear()
    assert list(journal.submit_directory.iterdir()) == []
    journal.remove()
    assert not (tmp_path / "uid").exists()


def test_chunks_count_as_far_as_the_news_tells_of_them(tmp_path: Path) -> None:
    journal = SpoolJournal(tmp_path)
    put(journal, 7, 1, ReportChanged(ALIVE, 1))
    put(journal, 7, 2, line("half"))
    (journal.submit_directory / "pod.json").write_text("a fetch brings it back")
    assert journal.take(News(7, 1, 100))
    assert (journal.taken(7), journal.runs.current) == (1, CurrentRun(ALIVE))
    assert not (journal.submit_directory / "pod.json").exists()
    assert not journal.take(News(7, 1, 100))
    assert journal.take(News(7, 1, 100), all_of_it=True)
    assert journal.taken(7) == 2


def test_a_chunk_that_comes_again_changes_nothing(tmp_path: Path) -> None:
    journal = SpoolJournal(tmp_path)
    for _ in range(2):
        put(journal, 7, 1, line("once"))
        journal.take(News(7, 1, 1))
    assert [len(journal.lines(chunk, "main", 0)[0]) for chunk in journal.chunks] == [1]


def test_only_podrunners_own_last_word_ends_the_pod(tmp_path: Path) -> None:
    journal = SpoolJournal(tmp_path)
    put(journal, 7, 1, ReportChanged(DONE, 1))
    put(journal, 7, 2, End(DONE, STOPPED, "the batch system ended the job", 2))
    journal.take(News(7, 2, 1))
    assert journal.runs.current == CurrentRun(DONE, ended=False, cause="the batch system ended the job")
    put(journal, 7, 3, End(DONE, 3, "", 2))
    journal.take(News(7, 3, 1))
    assert journal.runs.current == CurrentRun(DONE, ended=True)


def test_why_nothing_could_be_started(tmp_path: Path) -> None:
    journal = SpoolJournal(tmp_path)
    put(journal, 7, 1, Failed("no apptainer here", NO_RUNTIME, 1))
    journal.take(News(7, 1, 1))
    assert journal.runs.current == CurrentRun(cause="no apptainer here")


def test_a_new_run_makes_an_earlier_one_of_the_old_and_a_restart_knows_it_again(tmp_path: Path) -> None:
    journal = SpoolJournal(tmp_path)
    put(journal, 7, 1, line("one"), ReportChanged(ALIVE, 1))
    journal.take(News(7, 1, 1))
    journal.run_is_over("it was evicted")
    journal.run_is_over("said twice")
    assert (journal.runs.current, journal.runs.earlier.attempts) == (CurrentRun(), {"main": 1})
    put(journal, 7, 2, line("late"), ReportChanged(DONE, 1))
    put(journal, 8, 1, line("two"), ReportChanged(ALIVE, 1))
    journal.take(News(8, 1, 1))
    for known in (journal, SpoolJournal(tmp_path)):
        assert (known.run, known.runs.current, known.runs.earlier.attempts) == (8, CurrentRun(ALIVE), {"main": 1})
        assert known.attempts("main") == [(7, 0), (8, 0)]
    assert journal.runs.earlier.last["main"].message == "it was evicted"


async def test_the_previous_run_has_a_log_also_where_it_said_nothing(tmp_path: Path) -> None:
    journal = SpoolJournal(tmp_path)
    put(journal, 7, 1, ReportChanged(ALIVE, 1))
    put(journal, 8, 1, ReportChanged(ALIVE, 1))
    journal.take(News(8, 1, 1))
    for known in (journal, SpoolJournal(tmp_path)):
        assert known.attempts("main") == [(7, 0), (8, 0)]
        assert await read(known, previous=True) == b""


def test_the_end_is_durable(tmp_path: Path) -> None:
    journal = SpoolJournal(tmp_path)
    assert journal.final() is None
    journal.end(DONE)
    assert SpoolJournal(tmp_path).final() == DONE
    (tmp_path / "final.json").write_text("{")
    assert journal.final() is None


@pytest.mark.parametrize(
    ("text", "news"),
    [("7:2:100:1:50", News(7, 2, 100, 1, 50)), ("", News()), ("7:2:1:0", News()), ("7:-2:1:0:0", News()), ("a:b:c:d:e", News())],
)
def test_news(text: str, news: News) -> None:
    assert read_news(text) == news


def spoken(tmp_path: Path) -> SpoolJournal:
    journal = SpoolJournal(tmp_path)
    put(journal, 7, 1, line("first"), line("pie", partial=True), line("error", stream="stderr"))
    put(journal, 7, 2, line("ces"), line("again", attempt=1), line("rest", attempt=1, partial=True))
    journal.take(News(7, 2, 1))
    return journal


async def read(journal: SpoolJournal, *, waiting: bool = False, **query: object) -> bytes:
    asked = LogQuery("main", **query)  # type: ignore[arg-type]
    chunks = read_log(journal, asked, waiting=waiting, ended=lambda *_: True, news=asyncio.Event)
    return b"".join([chunk async for chunk in chunks])


async def test_pieces_of_a_line_come_together_and_attempts_stay_apart(tmp_path: Path) -> None:
    journal = spoken(tmp_path)
    assert await read(journal, previous=True) == b"first\nerror\npieces\n"
    assert await read(journal, previous=True, waiting=True) == b"again\nrest"
    assert await read(journal) == b"again\nrest"
    assert await read(journal, tail_lines=1, follow=True) == b"rest"
    assert await read(journal, tail_lines=0, follow=True) == b""
    assert await read(journal, limit_bytes=3) == b"aga"
    with pytest.raises(NotFound):
        await read(SpoolJournal(tmp_path / "other"))
