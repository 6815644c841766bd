"""The pods that are followed, and what is known of each: its job, its journal, and what was last said of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from interlink_arc import states
from interlink_arc.settings import FollowSettings
from interlink_arc.sites import Site
from interlink_common.batchsystem.journal import Journal
from interlink_common.batchsystem.story import has_ended
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload

QUIETER = 1.5
"""By so much the pause grows with each look at a stream in vain."""


@dataclass
class Pod:
    """`state` is the job's as last seen; `since` is when the pod was taken on (monotonic, as all times here)."""

    workload: Workload
    site: Site
    id: str
    journal: Journal
    since: float
    environments: tuple[str, ...] = ()
    state: str = states.UNSEEN
    final: PodReport | None = None
    said: PodReport | None = None
    is_read: bool = False
    """Whether all of the stream is here, after the job's end, and what the computing element knows of that."""
    failure: str | None = None
    """Why the job failed, as the computing element tells it; None: it was not asked."""
    exit_code: int | None = None
    misses: int = 0
    """Looks in a row that have not found the job."""
    being_removed: bool = False
    followers: int = 0
    read_at: float = 0.0
    pause_seconds: float = 0.0
    reading: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by who reads the stream: two at once would bring the same part twice."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def uid(self) -> str:
        return self.workload.uid

    @property
    def url(self) -> str:
        """The job's, which is our JID."""
        return f"{self.site.url}/{self.id}"

    @property
    def has_ended(self) -> bool:
        return self.state in states.ENDED

    def seen(self, state: str) -> None:
        """The job's state now."""
        self.state = state
        self.pause_seconds = 0.0
        self.changed.set()
        self.changed = asyncio.Event()

    def is_due(self, now: float, follow: FollowSettings) -> bool:
        """Whether its stream is to be read."""
        if self.final is not None or self.state not in states.STREAMS or self.is_read:
            return False
        return self.has_ended or self.followers > 0 or now - self.read_at >= max(self.pause_seconds, follow.poll_seconds)

    def was_read(self, now: float, *, news: bool, follow: FollowSettings) -> None:
        self.read_at = now
        pause = follow.poll_seconds if news else max(self.pause_seconds, follow.poll_seconds) * QUIETER
        self.pause_seconds = min(pause, max(follow.quiet_poll_seconds, follow.poll_seconds))
        if news:
            self.told_news()

    def told_news(self) -> None:
        """Wakes who follows a log."""
        self.news.set()
        self.news = asyncio.Event()

    def report(self) -> PodReport | None:
        """What is to be said now; None: nothing new."""
        if self.final is not None:
            return self.final
        known = states.JobKnowledge(
            self.journal.told, self.journal.story, self.failure or "", self.exit_code, self.is_read, self.environments
        )
        return states.report(self.workload, self.url, self.state, known)

    def attempt_has_ended(self, container: str, run: int, attempt: int) -> bool:
        """Whether an attempt of a container says nothing more."""
        if self.final is not None or run != self.journal.run or self.state == states.GONE:
            return True
        told = self.journal.told
        return told.ended or (told.report is not None and has_ended(told.report, container, attempt))
