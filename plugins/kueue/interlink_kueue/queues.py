"""What is asked of Kueue besides its workloads: which API it speaks, what a queue covers and offers, and who is ahead in it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from interlink_common.errors import BackendUnavailable, Refused
from interlink_common.model.workload import Workload
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.containers import quantities
from interlink_kueue.kueue import GROUP, VERSIONS, VISIBILITY_GROUP, Quota, read_cluster_queue, uncovered
from interlink_kueue.settings import KueueSettings

FRESH_SECONDS = 30.0


@dataclass(frozen=True)
class _Answer:
    at: float
    quota: Quota | None


class Queues:
    """Kueue on one cluster. Answers are kept for a while."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._version: str | None = None
        self._quotas: dict[tuple[str, str], _Answer] = {}

    async def version(self) -> str:
        """The best version of Kueue's API that both speak, "" if there is no Kueue. Raises BackendUnavailable."""
        if not self._version:
            self._version = await served(self._cluster, GROUP, VERSIONS)
        return self._version

    async def quota(self, namespace: str, queue: str) -> Quota | None:
        """What stands behind a LocalQueue; None if there is no such queue (yet), or we may not look."""
        now = asyncio.get_running_loop().time()
        kept = self._quotas.get((namespace, queue))
        if kept is None or now - kept.at > FRESH_SECONDS:
            kept = self._quotas[namespace, queue] = _Answer(now, await self._look(namespace, queue))
        return kept.quota

    async def _look(self, namespace: str, queue: str) -> Quota | None:
        api = f"/apis/{GROUP}/{await self.version()}"
        try:
            local = await self._cluster.call("GET", f"{api}/namespaces/{namespace}/localqueues/{queue}")
            found = await self._cluster.call("GET", f"{api}/clusterqueues/{local['spec']['clusterQueue']}")
        except ApiRefusal as error:
            if error.is_missing or error.is_denied:
                return None
            raise BackendUnavailable(str(error)) from error
        return read_cluster_queue(found)

    async def require_covered(self, pod: Workload, namespace: str, queue: str, settings: KueueSettings) -> None:
        """Raises Refused if there is no Kueue, or the queue does not cover what the pod asks: Kueue would let it wait without a word."""
        if not await self.version():
            raise Refused(f"queue {queue} can not be used: there is no Kueue on the remote cluster")
        quota = await self.quota(namespace, queue)
        asked = {name for c in pod.all_containers for name in quantities(c.requests, settings.placement.resources)}
        if quota is not None and (missing := uncovered(quota, asked)):
            raise Refused(f"resources.requests: queue {queue} (ClusterQueue {quota.name}) has no quota for {', '.join(missing)}")

    async def positions(self, namespace: str, queue: str) -> dict[str, int]:
        """Positions in the LocalQueue by workload name; {} where the visibility API does not answer."""
        version = await served(self._cluster, VISIBILITY_GROUP, VERSIONS)
        if not version:
            return {}
        path = f"/apis/{VISIBILITY_GROUP}/{version}/namespaces/{namespace}/localqueues/{queue}/pendingworkloads"
        try:
            answer = await self._cluster.call("GET", path, query={"limit": "1000"})
        except ApiRefusal:
            return {}
        return {item["metadata"]["name"]: int(item.get("positionInLocalQueue", 0)) for item in answer.get("items") or ()}


async def served(cluster: Cluster, group: str, versions: tuple[str, ...]) -> str:
    """The first of `versions` that the cluster serves of an API group, "" if it has none. Raises BackendUnavailable."""
    try:
        found = await cluster.call("GET", f"/apis/{group}")
    except ApiRefusal as error:
        if error.is_missing or error.is_denied:
            return ""
        raise BackendUnavailable(str(error)) from error
    there = {one["version"] for one in found.get("versions") or ()}
    return next((version for version in versions if version in there), "")
