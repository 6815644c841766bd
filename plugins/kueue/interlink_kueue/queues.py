"""What the plugin asks Kueue for besides Workloads: the version of its API, what a queue covers and offers, and positions in a queue."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from interlink_common.errors import BackendUnavailable, Refused
from interlink_common.model.workload import Workload
from interlink_kueue import labels
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.containers import quantities
from interlink_kueue.index import Index
from interlink_kueue.kueue import GROUP, VERSIONS, VISIBILITY_GROUP, Quota, read_cluster_queue, uncovered_resources
from interlink_kueue.settings import KueueSettings

FRESH_SECONDS = 30.0
"""How long a quota is kept before it is read again."""


@dataclass(frozen=True)
class _CachedQuota:
    read_at: float
    quota: Quota | None


class Queues:
    """Kueue on one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._version = ""
        self._quotas: dict[tuple[str, str], _CachedQuota] = {}

    async def version(self) -> str:
        """The best version of Kueue's API that both sides speak, "" if there is no Kueue. Raises BackendUnavailable."""
        if not self._version:
            self._version = await served_version(self._cluster, GROUP, VERSIONS)
        return self._version

    async def quota(self, namespace: str, queue: str) -> Quota | None:
        """The quota behind a LocalQueue; None if there is no such queue (yet), or the plugin has no right to read it."""
        now = asyncio.get_running_loop().time()
        cached = self._quotas.get((namespace, queue))
        if cached is None or now - cached.read_at > FRESH_SECONDS:
            cached = self._quotas[namespace, queue] = _CachedQuota(now, await self._read_quota(namespace, queue))
        return cached.quota

    async def _read_quota(self, namespace: str, queue: str) -> Quota | None:
        api = f"/apis/{GROUP}/{await self.version()}"
        try:
            local_queue = await self._cluster.call("GET", f"{api}/namespaces/{namespace}/localqueues/{queue}")
            cluster_queue = await self._cluster.call("GET", f"{api}/clusterqueues/{local_queue['spec']['clusterQueue']}")
        except ApiRefusal as error:
            if error.is_missing or error.is_denied:
                return None
            raise BackendUnavailable(str(error)) from error
        return read_cluster_queue(cluster_queue)

    async def require_covered(self, workload: Workload, namespace: str, queue: str, settings: KueueSettings) -> None:
        """Raises Refused if there is no Kueue, or if the queue does not cover a resource: Kueue would let the pod wait without a reason."""
        if not await self.version():
            raise Refused(f"queue {queue} cannot be used: there is no Kueue on the remote cluster")
        quota = await self.quota(namespace, queue)
        requested = {name for c in workload.all_containers for name in quantities(c.requests, settings.placement.resources)}
        if quota is not None and (missing := uncovered_resources(quota, requested)):
            raise Refused(f"resources.requests: queue {queue} (ClusterQueue {quota.name}) has no quota for {', '.join(missing)}")

    async def positions(self, namespace: str, queue: str) -> dict[str, int]:
        """Positions in a LocalQueue by the Workload's name; none where the visibility API does not answer."""
        version = await served_version(self._cluster, VISIBILITY_GROUP, VERSIONS)
        if not version:
            return {}
        path = f"/apis/{VISIBILITY_GROUP}/{version}/namespaces/{namespace}/localqueues/{queue}/pendingworkloads"
        try:
            answer = await self._cluster.call("GET", path, query={"limit": "1000"})
        except ApiRefusal:
            return {}
        return {item["metadata"]["name"]: int(item.get("positionInLocalQueue", 0)) for item in answer.get("items") or ()}


class QueuePositions:
    """The positions of waiting pods, read again and again from those queues in which a pod waits."""

    def __init__(self, queues: Mapping[str, Queues], index: Index) -> None:
        self._queues, self._index = queues, index
        self._positions: dict[str, int] = {}
        """By the Workload's name."""

    def get(self, workload_name: str) -> int | None:
        return self._positions.get(workload_name)

    async def keep_reading(self, period_seconds: float) -> None:
        while True:
            await asyncio.sleep(period_seconds)
            await self._read()

    async def _read(self) -> None:
        waiting = [run for run in self._index.all_latest() if labels.KUEUE_GATE in run.pod.gates and not run.gone]
        positions: dict[str, int] = {}
        for cluster, namespace, queue in {(run.cluster, run.pod.namespace, run.pod.queue) for run in waiting}:
            with suppress(BackendUnavailable):
                positions |= await self._queues[cluster].positions(namespace, queue)
        if positions != self._positions:
            self._positions = positions
            for run in waiting:
                self._index.report_change(run.pod.pod_uid)


async def served_version(cluster: Cluster, group: str, versions: tuple[str, ...]) -> str:
    """The first of `versions` in which the cluster serves an API group, "" if it serves none of them. Raises BackendUnavailable."""
    try:
        answer = await cluster.call("GET", f"/apis/{group}")
    except ApiRefusal as error:
        if error.is_missing or error.is_denied:
            return ""
        raise BackendUnavailable(str(error)) from error
    served = {entry["version"] for entry in answer.get("versions") or ()}
    return next((version for version in versions if version in served), "")
