"""What came of one pod's event stream: its chunks, as files that were taken, and what they say. The log of every container is in them.

`submit/` is the directory that the job was sent from and that a fetch writes into; a chunk counts once it was moved to `log/`, so a
fetch that is cut off leaves nothing half. A file `RUN.NUMBER` of `log/` is what podrunner put as `events.RUN.NUMBER`.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from interlink_common.jobbundle.bundle import POD, RUNNER, Bundle
from interlink_common.lifecycle.report import PodReport
from interlink_common.podrunner.events import Decoder, End, Failed, LogLine, ReportChanged
from interlink_common.podrunner.exitcodes import STOPPED
from interlink_common.podrunner.sinks import EVENTS_FILE
from interlink_common.workload.codec import decode, encode
from interlink_htcondor.ads import News
from interlink_htcondor.states import Story, Told, after_run, has_started

CHUNK = re.compile(r"events\.(\d{1,15})\.(\d{1,9})")
SUBMIT, LOG, FINAL = "submit", "log", "final.json"
DIRECTORY_MODE = 0o700


@dataclass(frozen=True, order=True)
class Chunk:
    run: int
    number: int

    @property
    def name(self) -> str:
        return f"{self.run}.{self.number}"


class Journal:
    """One pod's. Reads what is there when made, so that a restart of the plugin knows all again."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.chunks: list[Chunk] = sorted(_chunks(directory / LOG))
        self.told = Told()
        self.story = Story()
        self.run = 0
        """The newest run that anything is known of; 0: none."""
        self.has_last_word = False
        """Whether podrunner told how the newest run ended."""
        self._over = False
        self._earlier: dict[int, PodReport] = {}
        """What was last told of runs that are over."""
        self._index: dict[Chunk, frozenset[tuple[str, int]]] = {}
        for chunk in self.chunks:
            self._learn(chunk)

    @property
    def submit_directory(self) -> Path:
        return self.directory / SUBMIT

    def taken(self, run: int) -> int:
        """The last chunk that we have of that run; 0: none."""
        return max((chunk.number for chunk in self.chunks if chunk.run == run), default=0)

    def write(self, bundle: Bundle) -> None:
        """The pod's own file of its job, secrets too, for as long as the submit takes."""
        for folder in (self.directory, self.submit_directory, self.directory / LOG):
            folder.mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        path = self.submit_directory / POD
        path.touch(mode=0o600)
        path.write_bytes(bundle.files[POD].data)

    def clear(self) -> None:
        """Removes what was sent, which a fetch brings back too."""
        for name in (POD, RUNNER):
            (self.submit_directory / name).unlink(missing_ok=True)

    def take(self, news: News, *, all_of_it: bool = False) -> bool:
        """Takes the chunks that a fetch brought, whole ones only: up to what `news` tells of its run, any of earlier runs, or all.

        True if there is something new.
        """
        (self.directory / LOG).mkdir(mode=DIRECTORY_MODE, parents=True, exist_ok=True)
        fresh = []
        for path in self.submit_directory.iterdir():
            match = CHUNK.fullmatch(path.name)
            if path.name == EVENTS_FILE and all_of_it:
                chunk = Chunk(1, 1)
            elif match is not None and not path.is_symlink():
                chunk = Chunk(*map(int, match.groups()))
            else:
                continue
            if all_of_it or chunk.run != news.run or chunk.number <= news.number:
                if chunk in self.chunks:
                    path.unlink()
                else:
                    path.rename(self.directory / LOG / chunk.name)
                    fresh.append(chunk)
        self.clear()
        for chunk in sorted(fresh):
            self.chunks.append(chunk)
            self._learn(chunk)
        self.chunks.sort()
        return bool(fresh)

    def run_is_over(self, why: str) -> None:
        """The last run did not end the pod, and the job waits for another."""
        if self.run and not self.told.ended and not self._over:
            if self.told.report is not None:
                self._earlier[self.run] = self.told.report
            self.story, self.told = after_run(self.story, self.told.report, why), Told()
            self._over = True

    def _learn(self, chunk: Chunk) -> None:
        if chunk.run > self.run:
            self.run_is_over("the job was evicted and ran again")
            self.run, self._over, self.has_last_word = chunk.run, False, False
        is_late = chunk.run < self.run or self._over  # a log may be fetched after its run was over, which is the story's by then
        attempts = set()
        for event in self.events(chunk):
            if isinstance(event, LogLine):
                attempts.add((event.container, event.attempt))
            elif is_late:
                continue
            elif isinstance(event, ReportChanged):
                self.told = replace(self.told, report=event.report)
            elif isinstance(event, End):
                self.told, self.has_last_word = Told(event.report, event.exit_code != STOPPED, event.cause), True
            elif isinstance(event, Failed):
                self.told, self.has_last_word = replace(self.told, cause=event.reason), True
        self._index[chunk] = frozenset(attempts)

    def attempts(self, container: str) -> list[tuple[int, int]]:
        """(run, attempt) of each start of the container, in order; silent ones as far as the last report of a run tells of them."""
        spoken = {(chunk.run, attempt) for chunk in self.chunks for name, attempt in self._index[chunk] if name == container}
        reports = self._earlier | ({self.run: self.told.report} if self.told.report is not None else {})
        for run, told in reports.items():
            for entry in (*told.init_containers, *told.containers):
                if entry.name == container and has_started(entry):
                    spoken |= {(run, attempt) for attempt in range(entry.restart_count + 1)}
        return sorted(spoken)

    def events(self, chunk: Chunk) -> Iterator[object]:
        yield from Decoder().feed((self.directory / LOG / chunk.name).read_bytes())

    def lines(self, chunk: Chunk, container: str, attempt: int) -> list[LogLine]:
        """What the chunk has of that attempt of the container."""
        if (container, attempt) not in self._index[chunk]:
            return []
        found = (event for event in self.events(chunk) if isinstance(event, LogLine))
        return [event for event in found if event.container == container and event.attempt == attempt]

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


def _chunks(directory: Path) -> Iterator[Chunk]:
    for path in directory.glob("*.*"):
        run, _, number = path.name.partition(".")
        if run.isdecimal() and number.isdecimal():
            yield Chunk(int(run), int(number))
