"""The watches that keep the index up to date: one for each kind of object and namespace, and never a call per pod."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import structlog

from interlink_common.background import Backoff, Tasks
from interlink_common.errors import BackendUnavailable
from interlink_kueue import labels
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.index import Index, NamespaceStore
from interlink_kueue.kueue import GROUP
from interlink_kueue.labels import ObjectRef
from interlink_kueue.queues import Queues
from interlink_kueue.reflector import EventKind, StoreUpdater, list_and_watch
from interlink_kueue.settings import KueueSettings

log = structlog.get_logger(__name__)

SHORTEST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.2, 10.0
KUEUE_RETRY_SECONDS = 5.0


@dataclass(eq=False)
class FollowedNamespace:
    """One namespace of one cluster, and how its watches are doing."""

    cluster: Cluster
    store: NamespaceStore
    outages: dict[str, str | None] = field(default_factory=dict)
    """Path of a watch that the states of pods depend on -> why it is down, "" while it works, None before its first attempt has ended."""

    @property
    def tried(self) -> bool:
        """Whether the first attempt of every watch has ended."""
        return None not in self.outages.values()

    @property
    def outage(self) -> str:
        """Why a watch is down, "" if none is."""
        return next(filter(None, self.outages.values()), "")

    @property
    def synced(self) -> bool:
        """Whether everything that is there is in the index."""
        return self.tried and not self.outage

    @property
    def watches_jobs(self) -> bool:
        return labels.jobs_path(self.store.namespace) in self.outages


class Informers:
    """Follows namespaces of several clusters. `on_health_change` is called when a watch breaks and when it works again."""

    def __init__(
        self,
        clusters: Mapping[str, Cluster],
        queues: Mapping[str, Queues],
        settings: KueueSettings,
        index: Index,
        on_health_change: Callable[[], None],
    ) -> None:
        self._clusters, self._queues, self._settings, self._index = clusters, queues, settings, index
        self._on_health_change = on_health_change
        self._selector = f"{labels.INSTANCE}={settings.instance}"
        self._tasks = Tasks()
        self._namespaces: dict[tuple[str, str], FollowedNamespace] = {}

    @property
    def tried(self) -> bool:
        """Whether the first attempt of every watch has ended."""
        return all(namespace.tried for namespace in self._namespaces.values())

    @property
    def outage(self) -> str:
        """Why nothing is known of any pod, "" while something is: one cluster that is away does not hide the others."""
        outages = [namespace.outage for namespace in self._namespaces.values()]
        return outages[0] if outages and all(outages) else ""

    def is_synced(self, ref: ObjectRef) -> bool:
        """Whether everything in the namespace of that object is in the index."""
        namespace = self._namespaces.get((ref.cluster, ref.namespace))
        return namespace is not None and namespace.synced

    def watches_jobs(self, cluster: str, namespace: str) -> bool:
        followed = self._namespaces.get((cluster, namespace))
        return followed is not None and followed.watches_jobs

    def namespaces(self, refs: Iterable[ObjectRef]) -> list[tuple[str, str]]:
        """(cluster, namespace) of the settings, of these objects, and of what is followed already."""
        configured = [
            (tenant.cluster, tenant.namespace or self._clusters[tenant.cluster].namespace)
            for tenant in self._settings.tenants.values()
            if "{namespace}" not in tenant.namespace
        ]
        recorded = [(ref.cluster, ref.namespace) for ref in refs]
        return [found for found in dict.fromkeys((*configured, *recorded, *self._namespaces)) if found[0] in self._clusters]

    def follow(self, cluster_name: str, namespace: str, *, has_queue: bool = False, has_jobs: bool = False) -> None:
        """Begins to watch a namespace, unless that is done: its Pods, and its Jobs and Workloads if the settings may lead to such.

        `has_queue`, `has_jobs`: there is a queued pod, or a Job, whatever the settings say.
        """
        cluster = self._clusters[cluster_name]
        store = self._index.store(cluster_name, namespace)
        followed = self._namespaces.setdefault((cluster_name, namespace), FollowedNamespace(cluster, store))
        queued_tenants = [
            tenant
            for tenant in self._settings.tenants.values()
            if tenant.cluster == cluster_name and tenant.queue and (tenant.namespace or cluster.namespace) == namespace
        ]
        updaters = {labels.pods_path(namespace): self._index.pods_updater}
        if has_jobs or any(self._settings.may_be_job(tenant) for tenant in queued_tenants):
            updaters[labels.jobs_path(namespace)] = self._index.jobs_updater
        for path, updater in updaters.items():
            if path not in followed.outages:
                followed.outages[path] = None
                self._begin_watch(followed, path, self._selector, updater(store))
        if not store.kueue_version and (has_queue or queued_tenants):
            self._tasks.unless_running(f"find Kueue for {cluster_name}/{namespace}", lambda: self._follow_kueue_workloads(followed))

    async def close(self) -> None:
        await self._tasks.close()

    async def _follow_kueue_workloads(self, followed: FollowedNamespace) -> None:
        """Begins to watch Workloads as soon as it is known which version of its API Kueue serves."""
        version = ""
        while not version:
            with suppress(BackendUnavailable):
                version = await self._queues[followed.cluster.name].version()
            await asyncio.sleep(0 if version else KUEUE_RETRY_SECONDS)
        followed.store.kueue_version = version
        path = f"/apis/{GROUP}/{version}/namespaces/{followed.store.namespace}/workloads"
        self._begin_watch(followed, path, "", self._index.kueue_workloads_updater(followed.store))

    def _begin_watch(self, followed: FollowedNamespace, path: str, selector: str, updater: StoreUpdater) -> None:
        query = {"labelSelector": selector} if selector else None
        self._tasks.forever(f"watch {followed.cluster.name} {path}", lambda: self._watch(followed, path, query, updater))

    async def _watch(self, followed: FollowedNamespace, path: str, query: dict[str, str] | None, updater: StoreUpdater) -> None:
        """Applies events for ever, and waits while the cluster is away."""
        backoff = Backoff(SHORTEST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
        while True:
            try:
                async for event in list_and_watch(followed.cluster, path, query):
                    updater.apply(event)
                    if event.kind is EventKind.SYNCED:
                        backoff.reset()
                        self._mark_up(followed, path)
            except (BackendUnavailable, ApiRefusal) as error:
                self._mark_down(followed, path, f"cluster {followed.cluster.name}, namespace {followed.store.namespace}: {error}")
            await backoff.pause()

    def _mark_up(self, followed: FollowedNamespace, path: str) -> None:
        if path in followed.outages:
            if followed.outages[path]:
                log.info("watching again", path=path, cluster=followed.cluster.name)
            followed.outages[path] = ""
            self._on_health_change()

    def _mark_down(self, followed: FollowedNamespace, path: str, message: str) -> None:
        log.warning("watch lost", path=path, cluster=followed.cluster.name, error=message)
        if path in followed.outages:
            followed.outages[path] = message
            self._on_health_change()
