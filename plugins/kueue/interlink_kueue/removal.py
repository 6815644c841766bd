"""Deletes remote objects, and waits until the runs of a pod are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from interlink_common.errors import BackendUnavailable
from interlink_kueue import labels
from interlink_kueue.client import STRATEGIC_MERGE_PATCH, ApiRefusal, Cluster
from interlink_kueue.index import Index
from interlink_kueue.kueue import GROUP
from interlink_kueue.labels import ObjectRef
from interlink_kueue.remotepod import RemoteRun

LOOK_SECONDS = 0.5
DELETION_SECONDS = 60.0
"""How long after its grace period a deleted pod may still be there before that is an error."""


class Removal:
    """Removes all runs of a pod from the clusters of a backend."""

    def __init__(self, clusters: Mapping[str, Cluster], index: Index) -> None:
        self._clusters, self._index = clusters, index

    async def remove_runs(self, pod_uid: str, refs: Collection[ObjectRef], grace_seconds: int) -> None:
        """Returns when none of them is there any more. Raises BackendUnavailable if that takes too long: a node may be away."""
        stays = await asyncio.gather(*(self._delete(ref, grace_seconds) for ref in refs))
        left = [ref for ref, is_there in zip(refs, stays, strict=True) if is_there]
        try:
            async with asyncio.timeout(grace_seconds + DELETION_SECONDS):
                while any(self._index.has(ref) for ref in left):
                    next_change = self._index.next_change
                    await self._free_groups(pod_uid)
                    await next_change.wait()
                for ref in left:
                    await self._delete_until_gone(ref, grace_seconds)
        except TimeoutError:
            run = self._index.latest(pod_uid)
            where = f" on node {run.pod.node}" if run and run.pod.node else ""
            raise BackendUnavailable(f"the remote pod{where} is being deleted") from None

    async def _delete(self, ref: ObjectRef, grace_seconds: int) -> bool:
        """Returns whether it is still there. With a grace period of 0 the object would go while its containers still run."""
        cluster = self._clusters.get(ref.cluster)
        if cluster is None:
            raise BackendUnavailable(f"cluster {ref.cluster} is no longer in the settings")
        return await delete_run(cluster, ref, max(grace_seconds, 1))

    async def _delete_until_gone(self, ref: ObjectRef, grace_seconds: int) -> None:
        """For what the watch may not have shown at all yet."""
        while True:
            if not await self._delete(ref, grace_seconds):
                return
            await asyncio.sleep(LOOK_SECONDS)

    async def _free_groups(self, pod_uid: str) -> None:
        for run in self._index.runs(pod_uid):
            kueue_workload = self._index.kueue_workload(run)
            if kueue_workload is not None and run.pod.group:
                members = self._index.group_run(run.pod)
                if kueue_workload.evicted or all(member.deleted or member.ended for member in members):
                    await free_group(self._clusters, self._index, run)


async def free_group(clusters: Mapping[str, Cluster], index: Index, run: RemoteRun) -> None:
    """Deletes the Workload of a group: its evicted pods stay until the Workload goes, and that waits for the pods. Raises
    BackendUnavailable."""
    kueue_workload = index.kueue_workload(run)
    if kueue_workload is not None:
        version = index.store(run.cluster, run.pod.namespace).kueue_version
        path = f"/apis/{GROUP}/{version}/namespaces/{run.pod.namespace}/workloads/{kueue_workload.name}"
        await delete_object(clusters[run.cluster], path)


async def delete_run(cluster: Cluster, ref: ObjectRef, grace_seconds: int = 0) -> bool:
    """Removes the plugin's finalizer and asks for the deletion of a Pod, or of a Job and its pods. Idempotent.

    Returns at once, and whether something is still there, in deletion. Raises BackendUnavailable.
    """
    if not ref.is_job:
        await remove_finalizer(cluster, ref.path)
        return await delete_object(cluster, ref.path, grace_seconds)
    await delete_object(cluster, ref.path, propagation="Background")  # first, so that it makes no more pods
    stays = False
    async for pods, _ in cluster.list_pages(labels.pods_path(ref.namespace), {"labelSelector": f"{labels.JOB_NAME}={ref.name}"}):
        for pod in pods:
            stays |= await delete_run(cluster, replace(ref, name=pod["metadata"]["name"], is_job=False), grace_seconds)
    return stays


async def remove_finalizer(cluster: Cluster, pod_path: str) -> None:
    """Removes the plugin's finalizer and no other. A pod that is not there is no error. Raises BackendUnavailable."""
    patch = {"metadata": {"$deleteFromPrimitiveList/finalizers": [labels.FINALIZER]}}
    try:
        await cluster.call("PATCH", pod_path, body=patch, content_type=STRATEGIC_MERGE_PATCH)
    except ApiRefusal as error:
        if not error.is_missing:
            raise BackendUnavailable(f"the finalizer of the remote pod cannot be removed: {error}") from error


async def delete_object(cluster: Cluster, path: str, grace_seconds: int | None = None, propagation: str = "") -> bool:
    """Asks for a deletion; an object that is not there is no error. Returns whether it is still there, in deletion. Raises
    BackendUnavailable."""
    body: dict[str, Any] = {"apiVersion": "v1", "kind": "DeleteOptions"}
    if propagation:
        body["propagationPolicy"] = propagation
    if grace_seconds is not None:
        body["gracePeriodSeconds"] = grace_seconds
    try:
        answer = await cluster.call("DELETE", path, body=body)
    except ApiRefusal as error:
        if not error.is_missing:
            raise BackendUnavailable(f"{path} cannot be deleted: {error}") from error
        return False
    return "deletionTimestamp" in (answer.get("metadata") or {})
