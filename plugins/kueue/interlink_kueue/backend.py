"""The Kueue backend: the library's six verbs on remote clusters, where real kubelets run the pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from typing import Any, ClassVar, cast

from interlink_common.backend import (
    Backend,
    Capabilities,
    CheckResult,
    FoundJob,
    Job,
    LogQuery,
    NodeCapacity,
    Observation,
    Support,
    in_slices,
)
from interlink_common.background import Tasks
from interlink_common.errors import BackendUnavailable, NotFound
from interlink_common.model.report import PodReport
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings
from interlink_kueue import capacity, check, creating, policy, states
from interlink_kueue.client import Cluster
from interlink_kueue.fate import decide_fate, group_state
from interlink_kueue.index import Index
from interlink_kueue.informers import Informers
from interlink_kueue.inventory import take_inventory
from interlink_kueue.jobs import job_object
from interlink_kueue.labels import ObjectRef
from interlink_kueue.podview import EarlierRun, PodView, RecordedPod
from interlink_kueue.queues import QueuePositions, Queues
from interlink_kueue.removal import Removal, delete_run
from interlink_kueue.settings import KueueSettings
from interlink_kueue.translate import build_objects, choose_target
from interlink_kueue.upkeep import Upkeep
from interlink_kueue.volumes import require_mapped
from interlink_kueue.workerclusters import WorkerClusters


class KueueBackend(Backend):
    """Pods on remote Kubernetes clusters: one remote Pod, or Job, for each run of a pod."""

    name: ClassVar[str] = "kueue"
    settings_type: ClassVar[type[PluginSettings]] = KueueSettings
    capabilities: Capabilities = Capabilities(
        init_containers=Support.YES,
        sidecars=Support.YES,
        several_containers=Support.YES,
        restart_policies=frozenset({"Never", "OnFailure", "Always"}),
        probes=Support.YES,
        hooks=Support.YES,
        files_volumes=Support.YES,
        empty_dir=Support.YES,
        host_path=Support.YES,
        external_volume_kinds=frozenset({"persistentVolumeClaim", "nfs", "csi", "image", "ephemeral"}),
        cvmfs=Support.YES,
        mount_propagation=Support.YES,
        sub_path=Support.YES,
        device_resources=frozenset({"*/*"}),
        ephemeral_storage=Support.YES,
        active_deadline=Support.YES,
        tty=Support.YES,
        stdin=Support.YES,
        host_ports=Support.YES,
        host_namespaces=Support.YES,
        privileged=Support.YES,
        run_as=Support.YES,
        capabilities=Support.YES,
        read_only_root_filesystem=Support.YES,
        seccomp=Support.YES,
        fs_group=Support.YES,
        sysctls=Support.YES,
        host_aliases=Support.YES,
        dns_config=Support.YES,
        share_process_namespace=Support.YES,
        image_pull_secrets=Support.YES,
        runtime_class=Support.YES,
    )

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self._settings = cast(KueueSettings, settings)
        self._clusters = {name: Cluster(name, cluster) for name, cluster in self._settings.clusters.items()}
        self._queues = {name: Queues(cluster) for name, cluster in self._clusters.items()}
        self._index = Index(self._report_later)
        self._informers = Informers(self._clusters, self._queues, self._settings, self._index, self._wake_observer)
        self._removal = Removal(self._clusters, self._index)
        self._workers = WorkerClusters(self._clusters, self._index, self._settings)
        self._upkeep = Upkeep(self._clusters, self._index, self._workers, self._settings)
        self._positions = QueuePositions(self._queues, self._index)
        self._tasks = Tasks()
        self._recorded: dict[str, RecordedPod] = {}
        self._submitting: set[str] = set()
        self._cancelling: set[str] = set()
        self._changed_pods: dict[str, None] = {}
        self._news = asyncio.Event()

    async def start(self, jobs: Sequence[Job]) -> None:
        await asyncio.gather(*(cluster.connect() for cluster in self._clusters.values()))
        async for some in in_slices(jobs):
            for job in some:
                with suppress(ValueError):
                    self._recorded[job.pod_uid] = RecordedPod.of(job.workload, ObjectRef.parse(job.jid))
        with_jobs = {(recorded.ref.cluster, recorded.ref.namespace) for recorded in self._recorded.values() if recorded.ref.is_job}
        for cluster, namespace in self._namespaces():
            self._informers.follow(cluster, namespace, has_jobs=(cluster, namespace) in with_jobs)
        period_seconds = self._settings.queues.positions_seconds
        if period_seconds is not None:
            self._tasks.forever("read queue positions", lambda: self._positions.keep_reading(period_seconds))

    async def close(self) -> None:
        await self._tasks.close()
        await self._upkeep.close()
        await self._informers.close()
        await asyncio.gather(*(cluster.close() for cluster in self._clusters.values()))

    def admit(self, workload: Workload) -> None:
        choose_target(workload, self._settings)
        policy.require_allowed(workload, self._settings.security)
        for volume in workload.volumes:
            require_mapped(volume, workload, self._settings)

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        objects = build_objects(workload, choose_target(workload, self._settings), self._settings)
        return [job_object(objects.pod) if objects.as_job else objects.pod, *objects.owned]

    async def submit(self, workload: Workload) -> str:
        target = choose_target(workload, self._settings)
        cluster = self._clusters[target.cluster]
        await cluster.connect()
        namespace = target.namespace or cluster.namespace
        if target.queue:
            await self._queues[target.cluster].require_covered(workload, namespace, target.queue, self._settings)
        objects = build_objects(workload, target, self._settings)
        ref = ObjectRef(target.cluster, namespace, objects.pod["metadata"]["name"], is_job=objects.as_job)
        self._submitting.add(workload.uid)
        try:
            created = await creating.create_run(cluster, namespace, objects)
            self._informers.follow(target.cluster, namespace, has_queue=bool(target.queue), has_jobs=objects.as_job)
            self._index.add_created(target.cluster, created)
        finally:
            self._submitting.discard(workload.uid)
        self._recorded[workload.uid] = RecordedPod.of(workload, ref)
        self._report_later(workload.uid)
        return str(ref)

    async def inventory(self) -> Sequence[FoundJob]:
        """Also removes what interrupted creations have left: nothing of it ever ran."""
        inventory = await take_inventory(
            self._clusters,
            self._namespaces(),
            self._settings.instance,
            lists_jobs=self._informers.watches_jobs,
            is_being_created=self._is_being_created,
        )
        for cluster, namespace in inventory.with_jobs:  # of pods that the settings no longer lead to
            self._informers.follow(cluster, namespace, has_jobs=True)
        for pod_uid, ref in inventory.leftovers:
            if not self._is_being_created(pod_uid):
                await delete_run(self._clusters[ref.cluster], ref)
        return inventory.jobs

    async def observe(self) -> AsyncIterator[Observation]:
        while not self._informers.tried:
            self._news.clear()
            await self._news.wait()
        self._changed_pods |= dict.fromkeys((*self._recorded, *self._index.pod_uids()))
        while True:
            if outage := self._informers.outage:
                raise BackendUnavailable(outage)
            while self._changed_pods:
                pod_uid = next(iter(self._changed_pods))
                del self._changed_pods[pod_uid]
                if (view := self._view(pod_uid)) is not None:
                    self._upkeep.begin_due_actions(view)
                if (report := self._report(pod_uid, view)) is not None:
                    yield Observation(pod_uid, report)
            self._news.clear()
            if not self._changed_pods:
                await self._news.wait()

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        run = self._index.latest(job.pod_uid)
        if run is None or run.gone:
            raise NotFound(f"the remote pod of {job.workload.name} is gone, and its logs with it")
        async for chunk in self._workers.read_log(run, query):
            yield chunk

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        pod_uid = job.pod_uid
        self._cancelling.add(pod_uid)
        try:
            await self._upkeep.stop_rerun(pod_uid)
            refs = {run.ref for run in self._index.runs(pod_uid) if not run.gone}
            with suppress(ValueError):
                refs.add(ObjectRef.parse(job.jid))
            await self._removal.remove_runs(pod_uid, refs, grace_seconds)
            self._recorded.pop(pod_uid, None)
            self._upkeep.forget(pod_uid)
            self._index.forget(pod_uid)
        finally:
            self._cancelling.discard(pod_uid)

    async def capacity(self) -> NodeCapacity:
        return await capacity.capacity(self._clusters, self._queues, self._settings)

    async def check(self) -> list[CheckResult]:
        return await check.results(self._clusters, self._queues, self._settings)

    def _is_being_created(self, pod_uid: str) -> bool:
        return pod_uid in self._submitting or self._upkeep.is_rerunning(pod_uid)

    def _namespaces(self) -> list[tuple[str, str]]:
        return self._informers.namespaces(recorded.ref for recorded in self._recorded.values())

    def _report_later(self, pod_uid: str) -> None:
        """Leaves it to `observe` to report the pod's state."""
        self._changed_pods[pod_uid] = None
        self._wake_observer()

    def _wake_observer(self) -> None:
        self._news.set()

    def _view(self, pod_uid: str) -> PodView | None:
        """What is known of the pod now; None if nothing is, or while a call works on it that knows better."""
        run = self._index.latest(pod_uid)
        if run is None or pod_uid in self._cancelling or pod_uid in self._submitting or self._upkeep.refusal(pod_uid):
            return None
        recorded = self._recorded.get(pod_uid)
        group = group_state(run.pod, self._index.group_members(run.pod), self._is_repeatable)
        fate = decide_fate(
            run.pod,
            gone=run.gone,
            on_deletion=self._settings.evictions.deleted,
            is_repeatable=self._is_repeatable(pod_uid),
            group=group,
        )
        earlier = tuple(
            EarlierRun(run, bool(run.pod.group) and all(member.ended for member in self._index.group_run(run.pod)))
            for run in self._index.runs(pod_uid)[:-1]
        )
        return PodView(run, fate, recorded, self._index.kueue_workload(run), earlier)

    def _is_repeatable(self, pod_uid: str) -> bool:
        """Whether the pod's contents are known, so that it could be started again."""
        recorded = self._recorded.get(pod_uid)
        return recorded is not None and recorded.is_repeatable

    def _report(self, pod_uid: str, view: PodView | None) -> PodReport | None:
        if view is not None:
            position = self._positions.get(view.kueue_workload.name) if view.kueue_workload else None
            return states.report(view.run.pod, view.kueue_workload, view.fate, position=position, hint=self._upkeep.hint(pod_uid))
        recorded = self._recorded.get(pod_uid)
        if recorded is None or pod_uid in self._cancelling or pod_uid in self._submitting:
            return None
        if refusal := self._upkeep.refusal(pod_uid):
            return states.not_repeated(recorded.containers, recorded.init_containers, refusal)
        # Only a complete list shows that the cluster has nothing of the pod.
        return states.vanished(recorded.containers, recorded.init_containers) if self._informers.is_synced(recorded.ref) else None
