"""The end of a job that is no longer wanted: stopped in order, killed if need be, and cleaned off its computing element."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from interlink_arc import states
from interlink_arc.pods import Pod
from interlink_arc.translate import STOP_FILE
from interlink_common.errors import BackendUnavailable, Temporary

log = structlog.get_logger(__name__)

MARGIN_SECONDS = 15.0
"""What podrunner may take beyond the grace to see the stop file and to end."""
FOLLOWERS_SECONDS = 5.0
"""For whoever follows a log to come to its end."""
LOOK_SECONDS = 0.5
INSIST_SECONDS = 60.0
"""A job that is still there so long after it was killed or cleaned is killed or cleaned again."""


class Removal:
    """Of one pod. `look_soon` has its state asked for again, `read` brings what its stream has of new.

    ARC's own kill knows no grace, and whether it sends a signal before the end is the batch system's business. So podrunner is told by a
    file, and is killed only if that does not help.
    """

    def __init__(self, pod: Pod, look_soon: Callable[[], None], read: Callable[[Pod], Awaitable[None]]) -> None:
        self._pod = pod
        self._look_soon = look_soon
        self._read = read

    async def carry_out(self, grace_seconds: int) -> None:
        """Returns when nothing of the job is left. Idempotent. Raises BackendUnavailable while the computing element does not answer."""
        pod = self._pod
        pod.being_removed = True
        if pod.state == states.UNSEEN:
            await self._until(lambda: pod.state != states.UNSEEN, INSIST_SECONDS)
        if pod.state == states.RUNNING and await self._told_to_stop(grace_seconds):
            await self._until(lambda: pod.has_ended, grace_seconds + MARGIN_SECONDS)
        while not pod.has_ended:
            await self._act("kill")
            if not await self._until(lambda: pod.has_ended, INSIST_SECONDS):
                log.warning("a killed job does not end", job=pod.url, pod_uid=pod.uid, state=pod.state)
        if pod.followers:
            await self._read(pod)
            await self._until(lambda: not pod.followers, FOLLOWERS_SECONDS)
        while pod.state != states.GONE:
            await self._act("clean")
            if not await self._until(lambda: pod.state == states.GONE, INSIST_SECONDS):
                log.warning("a cleaned job does not go", job=pod.url, pod_uid=pod.uid, state=pod.state)

    async def _told_to_stop(self, grace_seconds: int) -> bool:
        try:
            await self._pod.site.element.upload(self._pod.id, STOP_FILE, json.dumps({"grace_seconds": grace_seconds}).encode())
        except BackendUnavailable:
            raise
        except Temporary:  # it has just ended
            return False
        return True

    async def _act(self, action: str) -> None:
        code = await self._pod.site.act(action, self._pod.id)
        if code >= 500:
            log.warning("a computing element does not do what it is told", action=action, job=self._pod.url, status_code=code)

    async def _until(self, reached: Callable[[], bool], seconds: float) -> bool:
        """Whether it came true in time. Raises BackendUnavailable when the computing element does not answer meanwhile."""
        deadline = time.monotonic() + seconds
        while not reached() and time.monotonic() < deadline:
            if self._pod.site.down:
                raise BackendUnavailable(self._pod.site.down)
            self._look_soon()
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_SECONDS):
                    await self._pod.changed.wait()
        return reached()
