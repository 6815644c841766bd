"""The pods that are followed, and what is known of each: its job, its journal, and what was last said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from interlink_common.batchsystem.story import has_ended
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_htcondor import states
from interlink_htcondor.ads import COMPLETED, HELD, IDLE, JobAd, News
from interlink_htcondor.journal import SpoolJournal
from interlink_htcondor.settings import HoldSettings

AGAIN_BYTES_PER_SECOND = 4 * 1024 * 1024
"""How much may be fetched of a pod that was fetched before."""


@dataclass
class Pod:
    """`ad` is the job as last seen in the queue; `history` its last ad, once it is gone. `since` is when it was taken on (monotonic)."""

    workload: Workload
    jid: str
    journal: SpoolJournal
    since: float
    ad: JobAd | None = None
    history: Mapping[str, object] | None = None
    is_gone: bool = False
    fetched_when_completed: bool = False
    failed_fetches: int = 0
    acknowledged: News = field(default_factory=News)
    fetched: News = field(default_factory=News)
    """What there was at the last fetch, which was at `fetched_at` (monotonic)."""
    fetched_at: float = 0.0
    being_removed: bool = False
    unmatched: str = ""
    ahead: int | None = None
    final: PodReport | None = None
    said: PodReport | None = None
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def uid(self) -> str:
        return self.workload.uid

    def told_news(self) -> None:
        """Wakes who follows a log."""
        self.news.set()
        self.news = asyncio.Event()

    def took(self, news: News, now: float) -> None:
        self.fetched, self.fetched_at = news, now

    def is_worth_a_fetch(self, now: float) -> bool:
        """Not as long as most of what it brings is here already: a fetch brings all that podrunner has not yet removed."""
        if not self.has_news() or self.ad is None or self.ad.status == COMPLETED:
            return self.has_news()
        news = self.ad.news
        before = self.fetched if self.fetched.run == news.run else News()
        again = max(before.put_bytes - news.removed_bytes, 0)
        return news.put_bytes - before.put_bytes >= again or now - self.fetched_at >= again / AGAIN_BYTES_PER_SECOND

    def has_news(self) -> bool:
        """Whether its spool holds something that we have not."""
        if self.ad is None or self.final is not None:
            return False
        if self.ad.status == COMPLETED:
            return not self.fetched_when_completed
        return self.ad.news.number > self.journal.taken(self.ad.news.run)

    def is_misunderstood(self) -> bool:
        """Whether podrunner waits for room that it was given."""
        if self.ad is None or self.final is not None or self.has_news():
            return False
        return self.ad.news.complaints > (self.acknowledged.complaints if self.acknowledged.run == self.ad.news.run else 0)

    def report(self, holds: HoldSettings) -> PodReport | None:
        """What is to be said now; None: nothing is known yet, or not enough."""
        if self.final is not None:
            return self.final
        known = states.QueueKnowledge(self.journal.told, self.journal.story, self.fails_held(holds), self.ahead, self.unmatched)
        if self.ad is not None:
            if self.ad.status == COMPLETED and not self.fetched_when_completed:
                return self.said
            return states.report(self.workload, self.ad, known)
        if self.is_gone:
            return states.gone(self.workload, known, self.jid, self.history)
        return None

    def seen(self, ad: JobAd) -> None:
        """The job as the queue shows it now."""
        if ad.status == IDLE and self.ad is not None:
            self.journal.run_is_over(states.evicted(ad))
        self.ad, self.is_gone = ad, False

    def fails_held(self, holds: HoldSettings) -> bool:
        """Whether the policy gives a held job up."""
        if self.ad is None or self.ad.status != HELD or self.ad.number("HoldReasonCode") in states.NEVER_RELEASED:
            return False
        return holds.policy == "fail" or (holds.policy == "release" and self.ad.number("NumHolds") > holds.releases)

    def is_due_for_release(self, holds: HoldSettings) -> bool:
        if self.ad is None or self.ad.status != HELD or holds.policy != "release" or self.fails_held(holds):
            return False
        code = self.ad.number("HoldReasonCode")
        if code in states.NEVER_RELEASED or code in states.FINAL_HOLDS:
            return False
        if self.ad.number("CurrentHosts"):  # released before its shadow has left, a job stays idle for good
            return False
        pause = holds.release_after_seconds * 2 ** max(self.ad.number("NumHolds") - 1, 0)
        return bool(self.ad.number("ServerTime") - self.ad.number("EnteredCurrentStatus") >= pause)

    def has_ended(self, container: str, run: int, attempt: int) -> bool:
        """Whether an attempt of a container says nothing more."""
        if self.final is not None or self.is_gone or run != self.journal.run:
            return True
        told = self.journal.told
        if told.ended:
            return True
        if told.report is None or self.ad is None or self.ad.news.number > self.journal.taken(run):
            return False
        return has_ended(told.report, container, attempt)
