"""A pod whose stream lies in the spool of its job, and what of it is worth fetching."""

from __future__ import annotations

from dataclasses import dataclass, field

from interlink_common.batchsystem.pods import FollowedPod
from interlink_htcondor.ads import COMPLETED, JobAd, News
from interlink_htcondor.journal import SpoolJournal

REFETCH_BYTES_PER_SECOND = 4 * 1024 * 1024
"""How much may be fetched of a pod that was fetched before."""


@dataclass(eq=False)
class CondorPod(FollowedPod[JobAd]):
    """`fetched` is what there was at the last fetch, which was at `fetched_at` (monotonic)."""

    journal: SpoolJournal
    failed_fetches: int = 0
    acknowledged: News = field(default_factory=News)
    fetched: News = field(default_factory=News)
    fetched_at: float = 0.0

    def has_unfetched(self) -> bool:
        """Whether its spool holds something that we have not."""
        if self.row is None or self.final is not None:
            return False
        if self.row.status == COMPLETED:
            return not self.is_read
        return self.lacks(self.row.news.run)

    def lacks(self, run: int) -> bool:
        """Also as long as nobody has looked."""
        return self.row is None or self.row.news.number > self.journal.taken(run)

    def is_worth_a_fetch(self, now: float) -> bool:
        """Not as long as most of what it brings is here already: a fetch brings all that podrunner has not yet removed."""
        if not self.has_unfetched() or self.row is None or self.row.status == COMPLETED:
            return self.has_unfetched()
        news = self.row.news
        before = self.fetched if self.fetched.run == news.run else News()
        again = max(before.put_bytes - news.removed_bytes, 0)
        return news.put_bytes - before.put_bytes >= again or now - self.fetched_at >= again / REFETCH_BYTES_PER_SECOND

    def is_misunderstood(self) -> bool:
        """Whether podrunner waits for room that it was given."""
        if self.row is None or self.final is not None or self.has_unfetched():
            return False
        news = self.row.news
        return news.complaints > (self.acknowledged.complaints if self.acknowledged.run == news.run else 0)
