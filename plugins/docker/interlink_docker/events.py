"""Follows the engine's event stream, which says at once which pod changed, and pings the engine while the stream is silent."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable

from interlink_common.agent.runtime import RuntimeUnavailable
from interlink_docker import labels
from interlink_docker.client import Engine, EngineRefusal
from interlink_docker.settings import EngineSettings
from interlink_docker.stream import EngineStream

log = logging.getLogger(__name__)

ACTIONS = ("start", "die", "oom", "destroy", "pause", "unpause")
"""Events that can change a state that we report."""


class Events:
    """Follows the stream and reconnects for ever.

    `on_pod` gets the UID and the container id of an event. `on_connected` is called after every connection, `on_lost`, with a reason,
    after every loss.
    """

    def __init__(
        self,
        engine: Engine,
        instance: str,
        settings: EngineSettings,
        *,
        on_pod: Callable[[str, str], None],
        on_connected: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._instance = instance
        self._settings = settings
        self._last_event_at = 0.0
        self._on_pod, self._on_connected, self._on_lost = on_pod, on_connected, on_lost
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._task is None:
            self._task = asyncio.create_task(self._follow(), name="docker events")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def _follow(self) -> None:
        while True:
            try:
                await self._read_stream()
                reason = "the engine closed its event stream"
            except TimeoutError:
                reason = f"the engine did not answer within {self._settings.timeout_seconds:g} s"
            except (RuntimeUnavailable, EngineRefusal, OSError, EOFError, ValueError) as error:
                reason = str(error) or type(error).__name__
            log.warning("lost the engine: %s", reason)
            self._on_lost(reason)
            await asyncio.sleep(self._settings.retry_seconds)

    async def _read_stream(self) -> None:
        """Dispatches events until the stream ends. Missed events are not requested: after a reconnection every pod is synced."""
        async with asyncio.timeout(self._settings.timeout_seconds):
            stream = await self._engine.stream("GET", "/events", query={"filters": event_filters(self._instance)})
        async with stream:
            self._on_connected()
            tasks = [asyncio.create_task(work, name="docker events") for work in (self._dispatch(stream), self._ping_in_silence())]
            try:
                for ended in (await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED))[0]:
                    ended.result()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _dispatch(self, stream: EngineStream) -> None:
        async for event in stream.documents():
            self._last_event_at = time.monotonic()
            actor = event.get("Actor", {})
            uid = (actor.get("Attributes") or {}).get(labels.POD_UID)
            if uid:
                self._on_pod(uid, actor.get("ID", ""))

    async def _ping_in_silence(self) -> None:
        """Ends with an error when the engine hangs: it then keeps its connections open and sends nothing on them."""
        while True:
            await asyncio.sleep(self._settings.ping_seconds)
            if time.monotonic() - self._last_event_at >= self._settings.ping_seconds:
                async with asyncio.timeout(self._settings.timeout_seconds):
                    await self._engine.ping()


def event_filters(instance: str) -> str:
    """The `filters` parameter of GET /events."""
    wanted = [f"{key}={value}" for key, value in labels.ours(instance).items()]
    return json.dumps({"type": ["container"], "event": list(ACTIONS), "label": wanted})
