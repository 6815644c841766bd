"""Brings what the spools of jobs have of new: many in one call, beside the looks, so that a large log holds up nobody's state.

podrunner puts its stream into the spool in chunks, and names the newest in the job's ad. It waits when there are too many; so another
attribute of the ad names those that are here and that it may remove.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence

import structlog

from interlink_common.batchsystem.follow import Follower
from interlink_common.errors import BackendUnavailable, PluginError
from interlink_common.podrunner.chirp import TAKEN
from interlink_htcondor import ads
from interlink_htcondor.identities import Identities, Identity
from interlink_htcondor.pods import CondorPod
from interlink_htcondor.settings import HTCondorSettings

log = structlog.get_logger(__name__)

FETCHES_AT_ONCE = 50
FETCH_TRIES = 10
POSTPONED_SECONDS = 0.5
"""How soon a fetch is thought of again that was not worth it."""
SLOW_BYTES_PER_SECOND = 256 * 1024


class Fetching:
    """`looked_at`: when the last look was done (monotonic), which the backend sets."""

    def __init__(self, settings: HTCondorSettings, identities: Identities, follower: Follower[CondorPod]) -> None:
        self.looked_at = 0.0
        self._settings = settings
        self._identities = identities
        self._follower = follower

    async def fetch_all(self) -> float | None:
        """What is worth it now. Returns how soon to think of the rest; None: there is none."""
        pods = self._follower.pods
        for pod in [pod for pod in pods.values() if pod.is_misunderstood()]:
            if pod.row is not None:
                await self._acknowledge(pod, pod.row)
        now = time.monotonic()
        wanting = [pod for pod in pods.values() if pod.is_worth_a_fetch(now) and not pod.being_removed]
        for start in range(0, len(wanting), FETCHES_AT_ONCE):
            some = wanting[start : start + FETCHES_AT_ONCE]
            jobs = {pod.jid: pod.row for pod in some if pod.row is not None}
            for identity, jids in by_identity(some, self._identities):
                brought = await self._retrieve(identity, [jobs[jid] for jid in jids if jid in jobs])
                for pod in some:
                    if pod.jid in jids and pod.jid in jobs:
                        await self._fetched(pod, jobs[pod.jid], brought=pod.jid in brought)
        return POSTPONED_SECONDS if any(pod.has_unfetched() for pod in pods.values()) else None

    async def _retrieve(self, identity: Identity, jobs: Sequence[ads.JobAd]) -> set[str]:
        """The jobs whose spools came. One that fails, as when it leaves the queue, must not hold up the others."""
        pool, began = self._settings.pool, time.monotonic()
        jids, completed = [job.jid for job in jobs], [job.jid for job in jobs if job.status == ads.COMPLETED]
        # A transfer that was cut off hangs for minutes; it gets the time that a slow network needs for what there is.
        seconds = pool.call_timeout_seconds + sum(job.news.put_bytes for job in jobs) / SLOW_BYTES_PER_SECOND
        seconds = min(seconds, pool.transfer_timeout_seconds)
        try:
            await identity.files.call("retrieve", timeout_seconds=seconds, jobs=jids, completed=completed)
        except BackendUnavailable as error:
            log.debug("a fetch is tried again", jids=jids, error=str(error))
            if len(jids) <= 1 or self.looked_at < began:  # else the pool answers, so one of these jobs is at fault
                return set()
            middle = len(jobs) // 2
            return await self._retrieve(identity, jobs[:middle]) | await self._retrieve(identity, jobs[middle:])
        return set(jids)

    async def _fetched(self, pod: CondorPod, job: ads.JobAd, *, brought: bool) -> None:
        """`job` as it was before the fetch."""
        is_completed = job.status == ads.COMPLETED
        if brought and pod.uid in self._follower.pods:
            pod.fetched, pod.fetched_at = job.news, time.monotonic()
            fresh = await asyncio.to_thread(pod.journal.take, job.news, all_of_it=is_completed)
            if fresh and not is_completed:
                await self._acknowledge(pod, job)
        if is_completed:
            # The shadow may set SpooledOutputFiles after the job's status, and then what is in the spool did not come. Where podrunner
            # was killed there is no last word, and after some tries the job's exit code has to do.
            is_whole = brought and pod.journal.has_last_word
            pod.failed_fetches += not is_whole
            pod.is_read = is_whole or pod.failed_fetches >= FETCH_TRIES
        self._follower.mark_changed(pod)
        pod.wake_log_followers()

    async def _acknowledge(self, pod: CondorPod, job: ads.JobAd) -> None:
        """Tells podrunner what may be removed from the spool; not for every line, since each word to the schedd costs it a transaction.

        Nor before it has acted on the last word: the schedd tells a job of one change, and of those that come soon after it only late.
        """
        known = pod.acknowledged if pod.acknowledged.run == job.news.run else ads.News()
        little = job.news.put_bytes - known.put_bytes < self._settings.follow.window_bytes // 4
        if (little or job.news.removed_bytes < known.put_bytes) and not pod.is_misunderstood():
            return
        identity = self._identities.of(pod.workload.namespace)
        try:
            await identity.orders.call(
                "edit",
                timeout_seconds=self._settings.pool.call_timeout_seconds,
                jobs=[pod.jid],
                attribute=TAKEN,
                expression=f'"{job.news.run}:{job.news.number}:{job.news.complaints}"',
            )
        except PluginError as error:
            log.debug("an acknowledgement is sent later", jid=pod.jid, error=str(error))
        else:
            pod.acknowledged = job.news


def by_identity(pods: Sequence[CondorPod], identities: Identities) -> list[tuple[Identity, list[str]]]:
    """JIDs by whose jobs they are."""
    found: dict[str, tuple[Identity, list[str]]] = {}
    for pod in pods:
        identity = identities.of(pod.workload.namespace)
        found.setdefault(identity.name, (identity, []))[1].append(pod.jid)
    return list(found.values())
