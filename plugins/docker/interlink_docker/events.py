"""The engine's event stream: says at once which pod changed, and is the pulse by which we know that the engine is there."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

from interlink_common.agent.runtime import RuntimeUnavailable
from interlink_docker import labels
from interlink_docker.client import Engine, EngineRefusal

log = logging.getLogger(__name__)

ACTIONS = ("start", "die", "oom", "destroy", "pause", "unpause")
"""What can change a state that we report."""


class Events:
    """Follows the stream for ever, reconnecting.

    `on_pod` gets the UID of a pod that has a new state; `on_found` follows every connection, `on_lost` (with words) every loss.
    """

    def __init__(
        self,
        engine: Engine,
        instance: str,
        retry_seconds: float,
        *,
        on_pod: Callable[[str, str], None],
        on_found: Callable[[], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._instance = instance
        self._retry_seconds = retry_seconds
        self._on_pod, self._on_found, self._on_lost = on_pod, on_found, on_lost
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
                words = "the engine closed its event stream"
            except (RuntimeUnavailable, EngineRefusal, OSError, EOFError, ValueError) as error:
                words = str(error) or type(error).__name__
            log.warning("lost the engine: %s", words)
            self._on_lost(words)
            await asyncio.sleep(self._retry_seconds)

    async def _read_stream(self) -> None:
        """No event is asked for again: whatever happened meanwhile is seen by looking at every pod after a reconnection."""
        async with await self._engine.stream("GET", "/events", query={"filters": event_filters(self._instance)}) as stream:
            self._on_found()
            async for event in stream.documents():
                actor = event.get("Actor", {})
                uid = (actor.get("Attributes") or {}).get(labels.POD_UID)
                if uid:
                    self._on_pod(uid, actor.get("ID", ""))


def event_filters(instance: str) -> str:
    """The `filters` parameter of GET /events."""
    wanted = [f"{key}={value}" for key, value in labels.ours(instance).items()]
    return json.dumps({"type": ["container"], "event": list(ACTIONS), "label": wanted})
