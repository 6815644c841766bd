"""What came of one pod's event stream, on disk: the log of every container, and what podrunner reported of their states.

The stream lies in `log/`, in chunks `RUN.NUMBER` of whole lines. A run is one start of podrunner: a job that is evicted runs again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from interlink_common.batchsystem.reports import CurrentRun, Runs, after_run, has_started
from interlink_common.model.codec import decode, encode
from interlink_common.model.report import PodReport
from interlink_common.podrunner.events import Decoder, End, Event, Failed, LogLine, ReportChanged
from interlink_common.podrunner.exitcodes import STOPPED

LOG, FINAL = "log", "final.json"
DIRECTORY_MODE = 0o700
AGAIN = re.compile(rb'^{"again":', re.MULTILINE)
"""The line that begins another run."""
CHUNK_BYTES = 1024 * 1024
"""`append` begins another chunk when the last one is as large."""


@dataclass(frozen=True, order=True)
class Chunk:
    run: int
    number: int

    @property
    def name(self) -> str:
        return f"{self.run}.{self.number}"


@dataclass(frozen=True)
class Extent:
    """What is known of a chunk: both at once, so that who sees an attempt sees its lines too."""

    size: int = 0
    attempts: frozenset[tuple[str, int]] = frozenset()
    """(container, attempt) of its lines."""


class Journal:
    """One pod's. Reads what is there when made, so that a restart of the plugin knows all again.

    One thread at a time may add to it; others may read meanwhile, because what they look at is replaced, never changed, and a chunk is
    shown when all of it is known.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.chunks: list[Chunk] = sorted(_chunks(directory / LOG))
        self.runs = Runs()
        self.run = 0
        """The newest run that anything is known of; 0: none."""
        self.has_last_word = False
        """Whether podrunner reported how the newest run ended."""
        self._over = False
        self._earlier: dict[int, PodReport] = {}
        """The last reports of runs that are over."""
        self._extents: dict[Chunk, Extent] = {}
        for chunk in self.chunks:
            self._learn(chunk, self._read_whole(chunk))

    def taken(self, run: int) -> int:
        """The last chunk that we have of that run; 0: none."""
        return max((chunk.number for chunk in self.chunks if chunk.run == run), default=0)

    @property
    def size(self) -> int:
        """Bytes of the stream that are here, of all runs: where the rest of it begins."""
        return sum(extent.size for extent in self._extents.values())

    def append(self, data: bytes) -> bool:
        """Keeps what comes next of a stream that is one file for all runs; whole lines only. True if there was one."""
        whole = data[: data.rfind(b"\n") + 1]
        again = [match.start() for match in AGAIN.finditer(whole)]
        run = max(self.run, 1)
        self._append(run, whole[: again[0] if again else len(whole)])
        for begin, end in pairwise([*again, len(whole)]):
            run += 1
            self._append(run, whole[begin:end])
        return bool(whole)

    def _append(self, run: int, data: bytes) -> None:
        if not data:
            return
        number = self.taken(run)
        if number == 0 or self._extents[Chunk(run, number)].size >= CHUNK_BYTES:
            number += 1
        chunk = Chunk(run, number)
        (self.directory / LOG).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        with (self.directory / LOG / chunk.name).open("ab") as file:
            file.write(data)
        self._keep([chunk], data)

    def _keep(self, chunks: Sequence[Chunk], data: bytes | None = None) -> None:
        """Takes up files of `log/` that are new, or `data` that was added to one."""
        for chunk in sorted(chunks):
            self._learn(chunk, self._read_whole(chunk) if data is None else data)
        self.chunks = sorted({*self.chunks, *chunks})

    def run_is_over(self, why: str) -> None:
        """The last run did not end the pod, and the job waits for another."""
        if self.run and not self.runs.current.ended and not self._over:
            report = self.runs.current.report
            if report is not None:
                self._earlier[self.run] = report
            self.runs = Runs(earlier=after_run(self.runs.earlier, report, why))
            self._over = True

    def _learn(self, chunk: Chunk, data: bytes) -> None:
        if chunk.run > self.run:
            self.run_is_over("the job was evicted and ran again")
            self.run, self._over, self.has_last_word = chunk.run, False, False
        is_late = chunk.run < self.run or self._over  # a log may be fetched after its run was over, which counts as an earlier one by then
        extent = self._extents.get(chunk, Extent())
        attempts = set(extent.attempts)
        for event in Decoder().feed(data):
            if isinstance(event, LogLine):
                attempts.add((event.container, event.attempt))
            elif is_late:
                continue
            elif isinstance(event, ReportChanged):
                self._replace_current(replace(self.runs.current, report=event.report))
            elif isinstance(event, End):
                self._replace_current(CurrentRun(event.report, event.exit_code != STOPPED, event.cause))
                self.has_last_word = True
            elif isinstance(event, Failed):
                self._replace_current(replace(self.runs.current, cause=event.reason))
                self.has_last_word = True
        self._extents[chunk] = Extent(extent.size + len(data), frozenset(attempts))

    def _replace_current(self, current: CurrentRun) -> None:
        self.runs = replace(self.runs, current=current)

    def attempts(self, container: str) -> list[tuple[int, int]]:
        """(run, attempt) of each start of the container, in order; silent ones as far as the last report of a run tells of them."""
        spoken = {(chunk.run, attempt) for chunk in self.chunks for name, attempt in self._extents[chunk].attempts if name == container}
        newest = self.runs.current.report
        reports = self._earlier | ({self.run: newest} if newest is not None else {})
        for run, report in reports.items():
            for entry in (*report.init_containers, *report.containers):
                if entry.name == container and has_started(entry):
                    spoken |= {(run, attempt) for attempt in range(entry.restart_count + 1)}
        return sorted(spoken)

    def lines(self, chunk: Chunk, container: str, attempt: int, offset: int = 0) -> tuple[list[LogLine], int]:
        """What the chunk has of that attempt of the container from the offset on, and where it ends now."""
        extent = self._extents[chunk]
        if (container, attempt) not in extent.attempts:
            return [], extent.size
        with (self.directory / LOG / chunk.name).open("rb") as file:
            file.seek(offset)
            found = [event for event in _events(file.read(extent.size - offset)) if isinstance(event, LogLine)]
        return [event for event in found if event.container == container and event.attempt == attempt], extent.size

    def end(self, report: PodReport) -> None:
        """Durable: from now on the pod has ended so, whatever becomes of its job."""
        writing = self.directory / f"{FINAL}.new"
        self.directory.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        writing.write_text(json.dumps(encode(report, PodReport)))
        writing.replace(self.directory / FINAL)

    def final(self) -> PodReport | None:
        try:
            found = decode(json.loads((self.directory / FINAL).read_text()), PodReport)
        except (OSError, ValueError):
            return None
        assert isinstance(found, PodReport)
        return found

    def remove(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    def _read_whole(self, chunk: Chunk) -> bytes:
        """The lines of a chunk. A torn one at its end, of a plugin that was killed, goes: it will come again."""
        path = self.directory / LOG / chunk.name
        data = path.read_bytes()
        whole = data[: data.rfind(b"\n") + 1]
        if whole != data:
            os.truncate(path, len(whole))
        return whole


def _events(data: bytes) -> Iterator[Event]:
    yield from Decoder().feed(data)


def _chunks(directory: Path) -> Iterator[Chunk]:
    for path in directory.glob("*.*"):
        run, _, number = path.name.partition(".")
        if run.isdecimal() and number.isdecimal():
            yield Chunk(int(run), int(number))
