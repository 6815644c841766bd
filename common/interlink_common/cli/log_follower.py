"""Follows the log of one container over all its attempts, and shows each line once.

A stream ends with its attempt, and which attempt the next stream begins with is a matter of luck: so lines are asked for
with their times, and what is not newer than the last of the stream before is left out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable

import httpx

from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import CallError, PluginClient

_STAMPED = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z ?(.*)", re.DOTALL)
_LONGEST_LINE_BYTES = 1024 * 1024

Stamp = tuple[bytes, bytes]


class LogFollower:
    """`show` gets each line without its line end. `rounds` is notified by who asks for the status, once per answer."""

    def __init__(
        self, client: PluginClient, pod: VirtualPod, container: str, show: Callable[[bytes], None], rounds: asyncio.Condition
    ) -> None:
        self._client, self._pod, self._container, self._show, self._rounds = client, pod, container, show, rounds
        self._last: Stamp = (b"", b"")

    async def run(self) -> None:
        """Returns when the pod has ended and the whole log was shown. A container without a log has shown all of it."""
        while True:
            ended, restarts = self._pod.ended, self._restarts()
            streamed = await self._copy(follow=not ended)
            if ended:
                return
            await self._next(restarts if streamed else None)

    async def _next(self, restarts: int | None) -> None:
        """Waits for the end of the pod, or for the next attempt; None: for the next answer."""
        async with self._rounds:
            if restarts is not None:
                await self._rounds.wait_for(lambda: self._pod.ended or self._restarts() != restarts)
            elif not self._pod.ended:
                await self._rounds.wait()

    def _restarts(self) -> int:
        try:
            return int(self._pod.container_status(self._container).get("restartCount", 0))
        except KeyError:
            return 0

    async def _copy(self, *, follow: bool) -> bool:
        """Shows what is new; false if there is no log to be had (yet)."""
        rest, before = b"", self._last
        try:
            async for chunk in self._client.logs(self._pod, self._container, follow=follow, timestamps=True):
                *lines, rest = (rest + chunk).split(b"\n")
                if len(rest) > _LONGEST_LINE_BYTES:
                    lines, rest = [*lines, rest], b""
                for line in lines:
                    self._line(line, before)
        except (CallError, httpx.TransportError):
            return False
        if rest:
            self._line(rest, before)
        return True

    def _line(self, line: bytes, before: Stamp) -> None:
        match = _STAMPED.fullmatch(line)
        if match is None:
            self._show(line)
            return
        stamp = (match[1], (match[2] or b"").ljust(9, b"0"))
        if stamp > before:
            self._last = max(self._last, stamp)
            self._show(match[3])
