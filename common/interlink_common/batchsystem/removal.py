"""The end of a job that is no longer wanted: stopped in order, killed if need be, and removed from the batch system."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import ClassVar, Generic, Protocol

import structlog

from interlink_common.batchsystem.follow import Follower, PodType, PodType_contra
from interlink_common.batchsystem.jobs import Phase
from interlink_common.errors import BackendUnavailable

log = structlog.get_logger(__name__)

FOLLOWERS_SECONDS = 5.0
"""For whoever follows a log to come to its end."""
LOOK_SECONDS = 0.5
INSIST_SECONDS = 60.0
"""A job that is still there so long after it was killed or removed is killed or removed again."""


class JobControl(Protocol[PodType_contra]):
    """What a removal asks of a plugin: see `backend.BatchBackend`."""

    keeps_ended_jobs: ClassVar[bool]
    stop_margin_seconds: ClassVar[float]

    def unreachable(self, pod: PodType_contra) -> str: ...
    async def stop_job(self, pod: PodType_contra, grace_seconds: int) -> bool: ...
    async def kill_job(self, pod: PodType_contra) -> None: ...
    async def remove_job(self, pod: PodType_contra) -> None: ...
    async def read_now(self, pod: PodType_contra) -> None: ...


class Removal(Generic[PodType]):
    """Removes one pod's job. A kill may know no grace, so podrunner is asked to stop first, and killed only if it does not."""

    def __init__(self, pod: PodType, system: JobControl[PodType], follower: Follower[PodType]) -> None:
        self._pod = pod
        self._system = system
        self._follower = follower

    async def carry_out(self, grace_seconds: int, longest_grace_seconds: float) -> None:
        """Returns when nothing of the job is left. Idempotent. Raises BackendUnavailable while the batch system does not answer."""
        pod, system = self._pod, self._system
        pod.being_removed = True
        await self._until(lambda: pod.phase is not Phase.UNSEEN, INSIST_SECONDS)
        if not pod.has_ended and await system.stop_job(pod, grace_seconds):
            await self._until(lambda: pod.has_ended, min(grace_seconds, longest_grace_seconds) + system.stop_margin_seconds)
        while not pod.has_ended:
            await system.kill_job(pod)
            if not await self._until(lambda: pod.has_ended, INSIST_SECONDS):
                log.warning("a killed job has not ended", jid=pod.jid, pod_uid=pod.uid, row=pod.row)
        if pod.log_followers:
            await system.read_now(pod)
            await self._until(lambda: not pod.log_followers, FOLLOWERS_SECONDS)
        if not system.keeps_ended_jobs:
            await system.remove_job(pod)
            return
        while not pod.is_gone:
            await system.remove_job(pod)
            if not await self._until(lambda: pod.is_gone, INSIST_SECONDS):
                log.warning("a removed job does not go", jid=pod.jid, pod_uid=pod.uid, row=pod.row)

    async def _until(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Whether it came true in time. Raises BackendUnavailable when the pod's part of the batch system does not answer meanwhile."""
        deadline = time.monotonic() + seconds
        while not reached() and time.monotonic() < deadline:
            if why := self._system.unreachable(self._pod):
                raise BackendUnavailable(why)
            await self._follower.until(self._pod, LOOK_SECONDS)
        return reached()
