"""The pods that a batch backend follows, and what is known of each: its job, its journal, and what was last reported of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from interlink_common.batchsystem.jobs import JobRow, Phase
from interlink_common.batchsystem.journal import Journal
from interlink_common.batchsystem.reports import Runs, has_ended
from interlink_common.batchsystem.settings import StreamSettings
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload

QUIETER = 1.5
"""By so much the pause grows with each read of a stream in vain."""

Row = TypeVar("Row", bound=JobRow)


@dataclass(eq=False)
class FollowedPod(Generic[Row]):
    """A pod and its job. `since` is when the pod was taken on (monotonic, as all times here).

    A plugin that has to remember more of each subclasses this, with defaults for its own fields, and makes them in `follow`.
    """

    workload: Workload
    jid: str
    journal: Journal
    since: float
    row: Row | None = None
    """The job as last seen; None: nobody has looked yet, or it is gone."""
    last_row: Row | None = None
    """What the batch system knows of the job's end, where podrunner reported none: see `BatchBackend.explain_ended`."""
    is_gone: bool = False
    misses: int = 0
    """Looks in a row that have not found the job."""
    final: PodReport | None = None
    """How the pod has ended: durable, whatever becomes of its job."""
    last_report: PodReport | None = None
    is_read: bool = False
    """Whether all of the stream is here, after the job's end, and what the batch system knows of that."""
    being_removed: bool = False
    is_cleaned: bool = False
    """Whether `remove_job` was called for an ended job that the batch system forgets by itself."""
    log_followers: int = 0
    read_at: float = 0.0
    pause_seconds: float = 0.0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who reads the stream: two at once would bring the same part twice."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the row changes; then it is another one."""
    news: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when there is more of the stream, or the pod has ended; then it is another one."""

    @property
    def uid(self) -> str:
        return self.workload.uid

    @property
    def runs(self) -> Runs:
        """What podrunner has reported."""
        return self.journal.runs

    @property
    def phase(self) -> Phase:
        if self.is_gone:
            return Phase.GONE
        return self.row.phase if self.row is not None else Phase.UNSEEN

    @property
    def has_ended(self) -> bool:
        """Whether its job is over."""
        return self.phase in (Phase.ENDED, Phase.GONE)

    def saw(self, row: Row) -> None:
        """The job as the batch system shows it now."""
        self.row, self.is_gone, self.misses = row, False, 0
        self.pause_seconds = 0.0
        self._wake_remover()

    def lost(self) -> None:
        """The batch system does not know the job any more."""
        self.row, self.is_gone = None, True
        self._wake_remover()
        self.wake_log_followers()

    def _wake_remover(self) -> None:
        self.changed.set()
        self.changed = asyncio.Event()

    def wake_log_followers(self) -> None:
        self.news.set()
        self.news = asyncio.Event()

    def is_due(self, now: float, settings: StreamSettings, *, outlives: bool) -> bool:
        """Whether its stream is to be read. `outlives`: it can be read when the job is gone."""
        if self.final is not None or self.is_read or not self.has_stream(outlives=outlives):
            return False
        return self.has_ended or self.log_followers > 0 or now - self.read_at >= max(self.pause_seconds, settings.poll_seconds)

    def has_stream(self, *, outlives: bool) -> bool:
        return self.phase in (Phase.RUNNING, Phase.ENDED) or (outlives and self.phase is Phase.GONE)

    def was_read(self, now: float, settings: StreamSettings, *, news: bool) -> None:
        """The stream was read up to where it ended then."""
        self.read_at = now
        pause = settings.poll_seconds if news else max(self.pause_seconds, settings.poll_seconds) * QUIETER
        self.pause_seconds = min(pause, max(settings.quiet_poll_seconds, settings.poll_seconds))
        if news:
            self.wake_log_followers()

    def attempt_has_ended(self, container: str, run: int, attempt: int) -> bool:
        """Whether nothing more comes of an attempt of a container."""
        if self.final is not None or run != self.journal.run or self.is_gone:
            return True
        current = self.runs.current
        return current.ended or (current.report is not None and not self.lacks(run) and has_ended(current.report, container, attempt))

    def lacks(self, run: int) -> bool:  # noqa: ARG002
        """Whether it is known that there is more of the run's stream than is here."""
        return False
