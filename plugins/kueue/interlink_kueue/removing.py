"""Deletes the runs of a pod and waits until they are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping

from interlink_common.errors import BackendUnavailable
from interlink_kueue import creating
from interlink_kueue.client import Cluster
from interlink_kueue.kueue import GROUP
from interlink_kueue.labels import Place
from interlink_kueue.mirror import Known, Mirror

LOOK_SECONDS = 0.5
GONE_SECONDS = 60.0
"""How long after its grace a deleted pod may still be there before that counts as trouble."""


class Removing:
    """On the clusters of a backend."""

    def __init__(self, clusters: Mapping[str, Cluster], mirror: Mirror) -> None:
        self._clusters, self._mirror = clusters, mirror

    async def remove(self, uid: str, places: Collection[Place], grace_seconds: int) -> None:
        """Returns when none of them is there any more. Raises BackendUnavailable if that takes too long: a node may be away."""
        there = await asyncio.gather(*(self._delete(place, grace_seconds) for place in places))
        left = [place for place, stays in zip(places, there, strict=True) if stays]
        try:
            async with asyncio.timeout(grace_seconds + GONE_SECONDS):
                while any(self._mirror.has(place) for place in left):
                    change = self._mirror.change
                    await self._free_groups(uid)
                    await change.wait()
                for place in left:
                    await self._until_gone(place, grace_seconds)
        except TimeoutError:
            known = self._mirror.latest(uid)
            where = f" on node {known.pod.node}" if known and known.pod.node else ""
            raise BackendUnavailable(f"the remote pod{where} is deleted and not gone yet") from None

    async def _delete(self, place: Place, grace_seconds: int) -> bool:
        """Whether it is still there. A grace of 0 would take the object away while its containers still run."""
        cluster = self._clusters.get(place.cluster)
        if cluster is None:
            raise BackendUnavailable(f"cluster {place.cluster} is no longer in the settings")
        return await creating.remove(cluster, place, max(grace_seconds, 1))

    async def _until_gone(self, place: Place, grace_seconds: int) -> None:
        """The watch may not have told of it at all yet."""
        while True:
            if not await self._delete(place, grace_seconds):
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _free_groups(self, uid: str) -> None:
        for known in self._mirror.runs(uid):
            admission = self._mirror.admission(known)
            if admission is not None and known.pod.group:
                members = self._mirror.group_run(known.pod)
                if admission.evicted or all(other.deleted or other.ended for other in members):
                    await free_group(self._clusters, self._mirror, known)


async def free_group(clusters: Mapping[str, Cluster], mirror: Mirror, known: Known) -> None:
    """Deletes Kueue's workload: the members of an evicted group stay until it goes, and it waits for them. Raises BackendUnavailable."""
    admission = mirror.admission(known)
    if admission is not None:
        version = mirror.sites[known.cluster, known.pod.namespace].kueue
        path = f"/apis/{GROUP}/{version}/namespaces/{known.pod.namespace}/workloads/{admission.name}"
        await creating.delete(clusters[known.cluster], path)
