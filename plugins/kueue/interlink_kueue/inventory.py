"""Reads what there is of this plugin on the remote clusters: by one list for each namespace and kind of object."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from interlink_common.backend import FoundJob
from interlink_kueue import labels
from interlink_kueue.client import Cluster
from interlink_kueue.jobs import read_job
from interlink_kueue.labels import ObjectRef
from interlink_kueue.podreader import read_pod
from interlink_kueue.remotepod import RemotePod, RemoteRun

Json = dict[str, Any]


@dataclass(frozen=True)
class Inventory:
    """`jobs`: the last run of each pod. `leftovers`: (UID of the pod, its Pod or Job) of creations that were interrupted.
    `with_jobs`: (cluster, namespace) in which there is a Job, or a pod of one."""

    jobs: list[FoundJob] = field(default_factory=list)
    leftovers: list[tuple[str, ObjectRef]] = field(default_factory=list)
    with_jobs: set[tuple[str, str]] = field(default_factory=set)


async def take_inventory(
    clusters: Mapping[str, Cluster],
    namespaces: Iterable[tuple[str, str]],
    instance: str,
    *,
    lists_jobs: Callable[[str, str], bool],
    is_being_created: Callable[[str], bool],
) -> Inventory:
    """`lists_jobs`: whether a (cluster, namespace) may have Jobs; the plugin may have no right to list them elsewhere.
    `is_being_created`: whether a run of the pod of that UID is being created now. Raises BackendUnavailable, ApiRefusal."""
    latest: dict[str, tuple[int, FoundJob]] = {}
    inventory = Inventory()

    def add(cluster: str, pod: RemotePod, item: Json) -> None:
        ref = RemoteRun(cluster, pod).ref
        if ref.is_job:
            inventory.with_jobs.add((cluster, pod.namespace))
        if not pod.is_complete and not is_being_created(pod.pod_uid):
            inventory.leftovers.append((pod.pod_uid, ref))
        elif pod.pod_uid and pod.run_number >= latest.get(pod.pod_uid, (0,))[0]:
            workload = labels.adopted_workload(item["metadata"].get("annotations") or {})
            latest[pod.pod_uid] = pod.run_number, FoundJob(pod.pod_uid, str(ref), workload)

    for cluster, namespace in namespaces:
        async for item in _items(clusters[cluster], labels.pods_path(namespace), instance):
            add(cluster, read_pod(item), item)
        if (cluster, namespace) in inventory.with_jobs or lists_jobs(cluster, namespace):
            async for item in _items(clusters[cluster], labels.jobs_path(namespace), instance):
                add(cluster, read_job(item).pod, item)
    inventory.jobs.extend(job for _, job in latest.values())
    return inventory


async def _items(cluster: Cluster, path: str, instance: str) -> AsyncIterator[Json]:
    async for items, _ in cluster.list_pages(path, {"labelSelector": f"{labels.INSTANCE}={instance}"}):
        for item in items:
            yield item
