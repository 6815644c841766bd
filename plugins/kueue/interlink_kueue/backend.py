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
from interlink_common.errors import BackendUnavailable, NotFound
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings
from interlink_kueue import capacity, check, creating, groups, labels, policy, states
from interlink_kueue.client import Cluster
from interlink_kueue.jobs import job_object, read_job
from interlink_kueue.labels import Place
from interlink_kueue.logs import read_log
from interlink_kueue.mirror import Known, Mirror
from interlink_kueue.queues import Queues
from interlink_kueue.remotepod import RemotePod, read_pod
from interlink_kueue.removing import Removing
from interlink_kueue.settings import KueueSettings
from interlink_kueue.translate import objects, target
from interlink_kueue.upkeep import Carried, Tasks, Upkeep, is_repeatable, rerun_task
from interlink_kueue.volumes import require_mapped
from interlink_kueue.workers import Workers

KUEUE_RETRY_SECONDS = 5.0


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
        self._clusters = {name: Cluster(name, chosen) for name, chosen in self._settings.clusters.items()}
        self._queues = {name: Queues(cluster) for name, cluster in self._clusters.items()}
        self._mirror = Mirror(self._settings.instance, self._changed, self._stirred)
        self._removing = Removing(self._clusters, self._mirror)
        self._tasks = Tasks()
        self._workers = Workers(self._clusters, self._mirror, self._settings)
        self._upkeep = Upkeep(self._clusters, self._mirror, self._workers, self._settings, self._tasks)
        self._jobs: dict[str, Carried] = {}
        self._submitting: set[str] = set()
        self._cancelling: set[str] = set()
        self._positions: dict[str, int] = {}
        self._dirty: dict[str, None] = {}
        self._news = asyncio.Event()

    async def start(self, jobs: Sequence[Job]) -> None:
        await asyncio.gather(*(cluster.connect() for cluster in self._clusters.values()))
        async for some in in_slices(jobs):
            for job in some:
                with suppress(ValueError):
                    self._jobs[job.pod_uid] = Carried.of(job.workload, Place.parse(job.jid))
        as_jobs = {(carried.place.cluster, carried.place.namespace) for carried in self._jobs.values() if carried.place.is_job}
        for cluster, namespace in self._sites():
            self._follow(cluster, namespace, jobs=(cluster, namespace) in as_jobs)
        period_seconds = self._settings.queues.positions_seconds
        if period_seconds is not None:
            self._tasks.begin("positions", lambda: self._keep_positions(period_seconds))

    async def close(self) -> None:
        await self._tasks.end()
        await self._mirror.close()
        await asyncio.gather(*(cluster.close() for cluster in self._clusters.values()))

    def admit(self, workload: Workload) -> None:
        target(workload, self._settings)
        policy.require_allowed(workload, self._settings.security)
        for volume in workload.volumes:
            require_mapped(volume, workload, self._settings)

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        made = objects(workload, target(workload, self._settings), self._settings)
        return [job_object(made.pod) if made.as_job else made.pod, *made.others]

    async def submit(self, workload: Workload) -> str:
        where = target(workload, self._settings)
        cluster = self._clusters[where.cluster]
        await cluster.connect()
        namespace = where.namespace or cluster.namespace
        if where.queue:
            await self._queues[where.cluster].require_covered(workload, namespace, where.queue, self._settings)
        made = objects(workload, where, self._settings)
        place = Place(where.cluster, namespace, made.pod["metadata"]["name"], is_job=made.as_job)
        self._submitting.add(workload.uid)
        try:
            created = await creating.create(cluster, namespace, made)
            self._follow(where.cluster, namespace, queued=bool(where.queue), jobs=made.as_job)
            self._mirror.note(where.cluster, created)
        finally:
            self._submitting.discard(workload.uid)
        self._jobs[workload.uid] = Carried.of(workload, place)
        self._changed(workload.uid)
        return str(place)

    async def inventory(self) -> Sequence[FoundJob]:
        """By one list for each namespace and kind. What was not created completely is undone: nothing of it ever ran."""
        found: dict[str, tuple[int, FoundJob]] = {}
        for name, namespace in self._sites():
            async for pod, item in self._there(name, namespace):
                place = Known(name, pod).place
                if place.is_job:  # the settings may speak of none any more
                    self._follow(name, namespace, jobs=True)
                if not pod.complete and not self._is_at_work(pod.pod_uid):
                    await creating.remove(self._clusters[name], place)
                elif pod.pod_uid and pod.run >= found.get(pod.pod_uid, (0,))[0]:
                    workload = labels.adoptable(item["metadata"].get("annotations") or {})
                    found[pod.pod_uid] = pod.run, FoundJob(pod.pod_uid, str(place), workload)
        return [job for _, job in found.values()]

    async def _there(self, name: str, namespace: str) -> AsyncIterator[tuple[RemotePod, dict[str, Any]]]:
        """Every Pod of ours in that namespace, and every Job as the pod that it makes."""
        selector = {"labelSelector": f"{labels.INSTANCE}={self._settings.instance}"}
        async for items, _ in self._clusters[name].listed(labels.pods_path(namespace), selector):
            for item in items:
                yield read_pod(item), item
        if self._mirror.sites[name, namespace].has_jobs:
            async for items, _ in self._clusters[name].listed(labels.jobs_path(namespace), selector):
                for item in items:
                    yield read_job(item).pod, item

    async def observe(self) -> AsyncIterator[Observation]:
        while not all(site.tried for site in self._mirror.sites.values()):
            self._news.clear()
            await self._news.wait()
        self._dirty |= dict.fromkeys((*self._jobs, *self._mirror.pod_uids()))
        while True:
            if words := self._down():
                raise BackendUnavailable(words)
            while self._dirty:
                uid = next(iter(self._dirty))
                del self._dirty[uid]
                if (told := self._told(uid)) is not None:
                    yield told
            self._news.clear()
            if not self._dirty:
                await self._news.wait()

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        known = self._mirror.latest(job.pod_uid)
        if known is None or known.gone:
            raise NotFound(f"the remote pod of {job.workload.name} is gone, and its logs with it")
        async for chunk in read_log(self._workers.cluster(known), known.pod, query):
            yield chunk

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        uid = job.pod_uid
        self._cancelling.add(uid)
        try:
            await self._tasks.end(rerun_task(uid))
            places = {known.place for known in self._mirror.runs(uid) if not known.gone}
            with suppress(ValueError):
                places.add(Place.parse(job.jid))
            await self._removing.remove(uid, places, grace_seconds)
            self._jobs.pop(uid, None)
            self._upkeep.forget(uid)
            self._mirror.forget(uid)
        finally:
            self._cancelling.discard(uid)

    async def capacity(self) -> NodeCapacity:
        return await capacity.capacity(self._clusters, self._queues, self._settings)

    async def check(self) -> list[CheckResult]:
        return await check.results(self._clusters, self._queues, self._settings)

    def _is_at_work(self, uid: str) -> bool:
        """Whether a run of that pod is being created now."""
        return uid in self._submitting or self._tasks.running(rerun_task(uid))

    def _sites(self) -> list[tuple[str, str]]:
        """(cluster, namespace) of the settings, and of the pods on record."""
        named = [
            (tenant.cluster, tenant.namespace or self._clusters[tenant.cluster].namespace)
            for tenant in self._settings.tenants.values()
            if "{namespace}" not in tenant.namespace
        ]
        recorded = [(carried.place.cluster, carried.place.namespace) for carried in self._jobs.values()]
        return [site for site in dict.fromkeys((*named, *recorded, *self._mirror.sites)) if site[0] in self._clusters]

    def _follow(self, name: str, namespace: str, *, queued: bool = False, jobs: bool = False) -> None:
        """`queued`, `jobs`: a pod there is, besides those that the settings tell of."""
        cluster = self._clusters[name]
        queues = [
            tenant
            for tenant in self._settings.tenants.values()
            if tenant.cluster == name and tenant.queue and (tenant.namespace or cluster.namespace) == namespace
        ]
        jobs = jobs or any(self._settings.may_be_job(tenant) for tenant in queues)
        site = self._mirror.follow(cluster, namespace, jobs=jobs)
        if not site.kueue and (queued or queues):
            self._tasks.begin(f"find Kueue for {name}/{namespace}", lambda: self._follow_workloads(name, namespace))

    async def _follow_workloads(self, name: str, namespace: str) -> None:
        """As soon as it is known which API Kueue speaks there."""
        version = ""
        while not version:
            with suppress(BackendUnavailable):
                version = await self._queues[name].version()
            await asyncio.sleep(0 if version else KUEUE_RETRY_SECONDS)
        self._mirror.follow(self._clusters[name], namespace, kueue=version)

    def _down(self) -> str:
        """Why there is no news of any pod, "" while there is: one cluster that is away does not hide the others."""
        sites = list(self._mirror.sites.values())
        return sites[0].down if sites and all(site.down for site in sites) else ""

    def _changed(self, pod_uid: str) -> None:
        self._dirty[pod_uid] = None
        self._stirred()

    def _stirred(self) -> None:
        self._news.set()

    def _told(self, uid: str) -> Observation | None:
        """The pod's state now, with what is due because of it begun. None: nothing is to be told."""
        if uid in self._cancelling or uid in self._submitting:
            return None
        known, carried = self._mirror.latest(uid), self._jobs.get(uid)
        if known is None:
            return self._vanished(uid)
        if carried is not None and (why := self._upkeep.refused.get(uid)):
            return Observation(uid, states.vanished(carried.containers, carried.init_containers, why))
        whole = groups.whole(known.pod, self._mirror.members(known.pod), lambda other: is_repeatable(self._jobs.get(other)))
        self._upkeep.act(uid, known, carried, whole)
        admission = self._mirror.admission(known)
        position = self._positions.get(admission.name) if admission else None
        report = states.report(
            known.pod,
            admission,
            gone=known.gone,
            on_deletion=self._settings.evictions.deleted,
            repeatable=is_repeatable(carried),
            whole=whole,
            position=position,
            hint=self._upkeep.hints.get(uid, ""),
        )
        return Observation(uid, report)

    def _vanished(self, uid: str) -> Observation | None:
        """A pod on record of which the cluster knows nothing. Only a complete list can tell that."""
        carried = self._jobs.get(uid)
        site = self._mirror.sites.get((carried.place.cluster, carried.place.namespace)) if carried else None
        if carried is None or site is None or not site.synced:
            return None
        return Observation(uid, states.vanished(carried.containers, carried.init_containers))

    async def _keep_positions(self, period_seconds: float) -> None:
        """Positions in the queues that somebody waits in."""
        while True:
            await asyncio.sleep(period_seconds)
            waiting = [known for known in self._mirror.all_latest() if labels.KUEUE_GATE in known.pod.gates and not known.gone]
            found: dict[str, int] = {}
            for cluster, namespace, queue in {(known.cluster, known.pod.namespace, known.pod.queue) for known in waiting}:
                with suppress(BackendUnavailable):
                    found |= await self._queues[cluster].positions(namespace, queue)
            if found != self._positions:
                self._positions = found
                for known in waiting:
                    self._changed(known.pod.pod_uid)
