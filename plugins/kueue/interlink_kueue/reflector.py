"""Follows one kind of object in one namespace: lists it in pages, watches from there, and starts anew after whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from interlink_kueue.client import ApiRefusal, Cluster

log = structlog.get_logger(__name__)

Json = dict[str, Any]
SHORTEST_WATCH_SECONDS = 1.0
"""After a watch that ended sooner, the next one waits for the rest of this time."""


class EventKind(StrEnum):
    """What happened."""

    LIST_BEGINS = "list begins"
    """What the list does not show is gone."""
    PRESENT = "present"
    GONE = "gone"
    SYNCED = "synced"
    """The list is complete, the watch begins."""


@dataclass(frozen=True)
class Event:
    """What happened, and to which object."""

    kind: EventKind
    object: Json


async def list_and_watch(cluster: Cluster, path: str, query: Mapping[str, str] | None = None) -> AsyncGenerator[Event, None]:
    """Yields events for ever. Raises BackendUnavailable when the cluster is lost, ApiRefusal when it says no; the caller starts anew."""
    while True:
        version = ""
        yield Event(EventKind.LIST_BEGINS, {})
        async for items, version in cluster.list_pages(path, query):  # noqa: B007  the last one is used below
            for item in items:
                yield Event(EventKind.PRESENT, item)
            await asyncio.sleep(0)
        yield Event(EventKind.SYNCED, {})
        try:
            async with aclosing(_watch(cluster, path, version, query)) as events:
                async for event in events:
                    yield event
        except ApiRefusal as error:
            if not error.is_expired:
                raise
            log.info("watch expired, listing again", path=path)


async def _watch(cluster: Cluster, path: str, version: str, query: Mapping[str, str] | None) -> AsyncGenerator[Event, None]:
    """Watch after watch. Bookmarks keep the version fresh while nothing changes, so that it does not expire."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        async with aclosing(cluster.watch(path, version, query)) as changes:
            async for kind, item in changes:
                version = item["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    yield Event(EventKind.GONE if kind == "DELETED" else EventKind.PRESENT, item)
        await asyncio.sleep(max(0.0, SHORTEST_WATCH_SECONDS - (loop.time() - began)))


class StoreUpdater:
    """Keeps a store as the events show it. `names` are those in the store; `put` adds or replaces an object, `remove` takes one away by
    its name, `synced` is called after each complete list."""

    def __init__(
        self,
        names: Mapping[str, object],
        put: Callable[[Json], None],
        remove: Callable[[str], None],
        synced: Callable[[], None] = lambda: None,
    ) -> None:
        self._names, self._put, self._remove, self._synced = names, put, remove, synced
        self._seen: set[str] = set()

    def apply(self, event: Event) -> None:
        if event.kind is EventKind.LIST_BEGINS:
            self._seen.clear()
        elif event.kind is EventKind.SYNCED:
            for name in set(self._names) - self._seen:
                self._remove(name)
            self._synced()
        else:
            name = event.object["metadata"]["name"]
            self._seen.add(name)
            self._put(event.object)
            if event.kind is EventKind.GONE:
                self._remove(name)
