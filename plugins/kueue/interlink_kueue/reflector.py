"""Keeps up with one kind of object in one namespace: list in pages, watch from there, and again after whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import structlog

from interlink_kueue.client import ApiRefusal, Cluster

log = structlog.get_logger(__name__)

Json = dict[str, Any]
SHORTEST_WATCH_SECONDS = 1.0
"""A watch that ends sooner is not begun again at once."""


class Kind(StrEnum):
    BEGIN = "begin"
    """A list begins: what it does not show is gone."""
    PRESENT = "present"
    GONE = "gone"
    SYNCED = "synced"
    """The list is complete, the watch begins."""


@dataclass(frozen=True)
class News:
    kind: Kind
    object: Json


async def news(cluster: Cluster, path: str, query: Mapping[str, str] | None = None) -> AsyncGenerator[News, None]:
    """For ever. Raises BackendUnavailable when the cluster is lost, ApiRefusal when it says no; the caller begins again."""
    while True:
        version = ""
        yield News(Kind.BEGIN, {})
        async for items, version in cluster.listed(path, query):  # noqa: B007  the last one is used below
            for item in items:
                yield News(Kind.PRESENT, item)
            await asyncio.sleep(0)
        yield News(Kind.SYNCED, {})
        try:
            async with aclosing(_watch(cluster, path, version, query)) as watch:
                async for one in watch:
                    yield one
        except ApiRefusal as error:
            if not error.is_expired:
                raise
            log.info("watch expired, listing again", path=path)


async def _watch(cluster: Cluster, path: str, version: str, query: Mapping[str, str] | None) -> AsyncGenerator[News, None]:
    """Watch after watch. Bookmarks move the version on where nothing changes, so that it does not expire."""
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        async with aclosing(cluster.watched(path, version, query)) as events:
            async for kind, told in events:
                version = told["metadata"]["resourceVersion"]
                if kind != "BOOKMARK":
                    yield News(Kind.GONE if kind == "DELETED" else Kind.PRESENT, told)
        await asyncio.sleep(max(0.0, SHORTEST_WATCH_SECONDS - (loop.time() - began)))
