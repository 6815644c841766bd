"""What is known of the remote pods, their Jobs and Kueue's workloads: kept up to date by the informers, read by everybody else.

Nothing here calls the cluster. A Job is composed with its pods into one remote pod, so that readers see no difference.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from interlink_kueue.jobs import JobStore, read_job
from interlink_kueue.kueue import KueueWorkload, read_kueue_workload
from interlink_kueue.labels import ObjectRef
from interlink_kueue.podreader import read_pod
from interlink_kueue.reflector import StoreUpdater
from interlink_kueue.remotepod import RemotePod, RemoteRun, with_remembered_states, with_worker_eviction

Json = dict[str, Any]


@dataclass(eq=False)
class NamespaceStore:
    """What is on the cluster in one namespace. `pods` and `jobs`: name -> UID of the virtual pod, and the object that its run is."""

    cluster: str
    namespace: str
    kueue_version: str = ""
    """Version of Kueue's API by which workloads are followed, "" while they are not."""
    pods: dict[str, tuple[str, ObjectRef]] = field(default_factory=dict)
    jobs: dict[str, tuple[str, ObjectRef]] = field(default_factory=dict)
    job_store: JobStore = field(default_factory=JobStore)
    kueue_workloads: dict[str, KueueWorkload] = field(default_factory=dict)


class Index:
    """Runs by the virtual pod's UID. `on_change` is called with a UID after each change of what is known of that pod."""

    def __init__(self, on_change: Callable[[str], None]) -> None:
        self._on_change = on_change
        self.next_change = asyncio.Event()
        """Set at the next change of anything, and replaced then."""
        self.stores: dict[tuple[str, str], NamespaceStore] = {}
        """By (cluster, namespace)."""
        self._runs: dict[str, dict[int, RemoteRun]] = {}
        self._kueue_workloads: dict[str, KueueWorkload] = {}
        """By the UID of the remote Pod or Job that owns it."""
        self._pod_uids: dict[str, str] = {}
        """UID of a remote Pod or Job -> UID of the virtual pod."""
        self._groups: dict[str, set[str]] = {}
        """Name of a group -> UIDs of the virtual pods in it."""

    def store(self, cluster: str, namespace: str) -> NamespaceStore:
        return self.stores.setdefault((cluster, namespace), NamespaceStore(cluster, namespace))

    # What is known.

    def latest(self, pod_uid: str) -> RemoteRun | None:
        """The last run of the pod."""
        runs = self._runs.get(pod_uid)
        return runs[max(runs)] if runs else None

    def all_latest(self) -> Iterator[RemoteRun]:
        """The last run of every pod."""
        return (runs[max(runs)] for runs in list(self._runs.values()))

    def runs(self, pod_uid: str) -> list[RemoteRun]:
        """All runs that are still there or were seen to go, in order."""
        return [run for _, run in sorted(self._runs.get(pod_uid, {}).items())]

    def pod_uids(self) -> Iterator[str]:
        return iter(list(self._runs))

    def kueue_workload(self, run: RemoteRun) -> KueueWorkload | None:
        return self._kueue_workloads.get(run.pod.workload_owner)

    def group_members(self, pod: RemotePod) -> list[RemotePod]:
        """The last run of each pod of its group; a run that is gone counts as deleted."""
        runs = (self.latest(uid) for uid in self._groups.get(pod.group, ()))
        return [replace(run.pod, deleted=True) if run.gone else run.pod for run in runs if run]

    def group_run(self, pod: RemotePod) -> list[RemotePod]:
        """The pods that Kueue admitted together with it, as far as they are still there."""
        runs = (self._runs.get(uid, {}).get(pod.run_number) for uid in self._groups.get(pod.group, ()))
        return [run.pod for run in runs if run and not run.gone]

    def has(self, ref: ObjectRef) -> bool:
        """Whether that Pod is there, or that Job or one of its pods."""
        store = self.stores.get((ref.cluster, ref.namespace))
        if store is None or not ref.is_job:
            return store is not None and ref.name in store.pods
        return ref.name in store.jobs or any(name in store.pods for name in store.job_store.pods.get(ref.name, ()))

    # What changes.

    def pods_updater(self, store: NamespaceStore) -> StoreUpdater:
        """Takes the events of the namespace's Pods."""

        def put(item: Json) -> None:
            pod = read_pod(item)
            store.pods[pod.name] = pod.pod_uid, RemoteRun(store.cluster, pod).ref
            if pod.job:
                store.job_store.put_pod(pod, self._kueue_workload_of_job(store, pod.job))
                self._compose_job(store, pod.job)
            else:
                self._put_run(store.cluster, pod)

        return StoreUpdater(store.pods, put, lambda name: self._remove_object(store, store.pods, name))

    def jobs_updater(self, store: NamespaceStore) -> StoreUpdater:
        """Takes the events of the namespace's Jobs."""

        def put(item: Json) -> None:
            job = read_job(item)
            store.jobs[job.pod.name] = job.pod.pod_uid, RemoteRun(store.cluster, job.pod).ref
            store.job_store.jobs[job.pod.name] = job
            self._compose_job(store, job.pod.name)

        def synced() -> None:
            store.job_store.synced = True
            for name in {*store.job_store.jobs, *store.job_store.pods}:
                self._compose_job(store, name)

        return StoreUpdater(store.jobs, put, lambda name: self._remove_object(store, store.jobs, name), synced)

    def kueue_workloads_updater(self, store: NamespaceStore) -> StoreUpdater:
        """Takes the events of the namespace's Workloads."""

        def put(item: Json) -> None:
            kueue_workload = read_kueue_workload(item)
            store.kueue_workloads[kueue_workload.name] = kueue_workload
            self._put_kueue_workload(store, kueue_workload)

        def remove(name: str) -> None:
            for uid in store.kueue_workloads.pop(name).owner_uids:
                self._kueue_workloads.pop(uid, None)

        return StoreUpdater(store.kueue_workloads, put, remove)

    def add_created(self, cluster: str, created: Json) -> None:
        """Adds a Pod or Job that a call has just created, before the watch shows it. Where the watch was first, this is old news."""
        metadata = created["metadata"]
        if metadata["uid"] in self._pod_uids:
            return
        if created["kind"] == "Job":
            store = self.store(cluster, metadata["namespace"])
            store.job_store.jobs.setdefault(metadata["name"], read_job(created))
            self._compose_job(store, metadata["name"])
        else:
            self._put_run(cluster, read_pod(created))

    def forget(self, pod_uid: str) -> None:
        """Forgets a pod that was deleted."""
        for run in self._runs.pop(pod_uid, {}).values():
            self._forget_run(run)
            if members := self._groups.get(run.pod.group):
                members.discard(pod_uid)
                self._report_group_change(run.pod)
                if not members:
                    del self._groups[run.pod.group]

    def report_change(self, pod_uid: str) -> None:
        """Something changed that counts for this pod."""
        self.next_change.set()
        self.next_change = asyncio.Event()
        self._on_change(pod_uid)

    def _report_group_change(self, pod: RemotePod) -> None:
        """What becomes of an evicted pod depends on the others of its group."""
        for uid in self._groups.get(pod.group, ()):
            self.report_change(uid)

    def _put_run(self, cluster: str, pod: RemotePod) -> None:
        if not pod.pod_uid:
            return
        runs = self._runs.setdefault(pod.pod_uid, {})
        before = runs.get(pod.run_number)
        is_same = before is not None and before.pod.workload_owner == pod.workload_owner
        if not pod.job:
            if before is not None and is_same:
                pod = with_remembered_states(pod, before.pod)
            pod = with_worker_eviction(pod, self._kueue_workloads.get(pod.workload_owner))
        runs[pod.run_number] = RemoteRun(cluster, pod, gone=before is not None and is_same and before.gone)
        self._pod_uids[pod.workload_owner] = pod.pod_uid
        if pod.group:
            self._groups.setdefault(pod.group, set()).add(pod.pod_uid)
            if before is None or (before.pod.ended, before.pod.deleted, before.pod.disruption) != (pod.ended, pod.deleted, pod.disruption):
                self._report_group_change(pod)
        self.report_change(pod.pod_uid)

    def _remove_object(self, store: NamespaceStore, names: dict[str, tuple[str, ObjectRef]], name: str) -> None:
        pod_uid, ref = names.pop(name)
        if ref.is_job and names is store.pods:
            store.job_store.mark_gone(ref.name, name)
            self._compose_job(store, ref.name)
        if not self.has(ref):
            self._mark_gone(pod_uid, ref)

    def _mark_gone(self, pod_uid: str, ref: ObjectRef) -> None:
        """Marks the run. One that was never complete is forgotten: its creation was undone."""
        runs = self._runs.get(pod_uid, {})
        for number, run in list(runs.items()):
            if run.ref == ref and not run.gone:
                runs[number] = replace(run, gone=True)
                if not run.pod.is_complete:
                    del runs[number]
                    self._forget_run(run)
                self.report_change(pod_uid)
                self._report_group_change(run.pod)
        if not runs:
            self._runs.pop(pod_uid, None)

    def _forget_run(self, run: RemoteRun) -> None:
        self._pod_uids.pop(run.pod.workload_owner, None)
        if run.pod.job:
            self.store(run.cluster, run.pod.namespace).job_store.forget(run.pod.job)

    def _kueue_workload_of_job(self, store: NamespaceStore, name: str) -> KueueWorkload | None:
        job = store.job_store.jobs.get(name)
        return self._kueue_workloads.get(job.pod.workload_owner) if job else None

    def _compose_job(self, store: NamespaceStore, name: str) -> None:
        """Waits for the first list of Jobs: of a Job's pods alone nothing can be said, because it may have made others before."""
        if store.job_store.synced:
            store.job_store.drop_recorded_pods(name)
            if pod := store.job_store.as_one_pod(name, self._kueue_workload_of_job(store, name)):
                self._put_run(store.cluster, pod)

    def _put_kueue_workload(self, store: NamespaceStore, kueue_workload: KueueWorkload) -> None:
        for owner in kueue_workload.owner_uids:
            if self._kueue_workloads.get(owner) == kueue_workload:
                continue
            self._kueue_workloads[owner] = kueue_workload
            if not (pod_uid := self._pod_uids.get(owner)):
                continue
            for run in self.runs(pod_uid):
                if run.pod.workload_owner == owner and run.pod.job:
                    store.job_store.put_kueue_workload(run.pod.job, kueue_workload)
                    self._compose_job(store, run.pod.job)
                elif run.pod.workload_owner == owner:
                    self._runs[pod_uid][run.pod.run_number] = replace(run, pod=with_worker_eviction(run.pod, kueue_workload))
                    self._report_group_change(run.pod)
            self.report_change(pod_uid)
