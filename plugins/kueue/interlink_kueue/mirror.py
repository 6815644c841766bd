"""What is known of the remote pods and of Kueue's workloads, kept by watches: one for each kind and namespace, never a call per pod."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from interlink_common.errors import BackendUnavailable
from interlink_kueue import labels
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.jobs import Book, read_job
from interlink_kueue.kueue import GROUP, Admission, read_workload
from interlink_kueue.labels import Place
from interlink_kueue.reflector import Kind, news
from interlink_kueue.remotepod import RemotePod, as_evicted, read_pod, remembering

log = structlog.get_logger(__name__)

Json = dict[str, Any]
SHORTEST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 0.2, 10.0


@dataclass(frozen=True, slots=True)
class Known:
    """One run of a pod, as last seen. `gone`: it was there, and is not any more."""

    cluster: str
    pod: RemotePod
    gone: bool = False

    @property
    def place(self) -> Place:
        """Of what carries the run."""
        return Place(self.cluster, self.pod.namespace, self.pod.job or self.pod.name, is_job=bool(self.pod.job))

    @property
    def path(self) -> str:
        """Of the remote pod."""
        return Place(self.cluster, self.pod.namespace, self.pod.name).path


@dataclass(eq=False)
class Site:
    """One namespace of one cluster, and how its watches are doing."""

    cluster: Cluster
    namespace: str
    pods: dict[str, tuple[str, Place]] = field(default_factory=dict)
    """Name of a remote pod that is there -> UID of the pod it carries, and the place of what carries that."""
    jobs: dict[str, tuple[str, Place]] = field(default_factory=dict)
    """The same of Jobs."""
    book: Book = field(default_factory=Book)
    workloads: dict[str, Admission] = field(default_factory=dict)
    kueue: str = ""
    """Version of Kueue's API whose workloads are watched, "" for none."""
    state: dict[str, str | None] = field(default_factory=dict)
    """Path of a watch that states depend on -> why it has no news, "" while it has; None before it has been tried."""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def synced(self) -> bool:
        """Whether everything that is there is known."""
        return not any(self.state.values()) and None not in self.state.values()

    @property
    def tried(self) -> bool:
        return None not in self.state.values()

    @property
    def down(self) -> str:
        """Why there is no news, "" while there is."""
        return next(filter(None, self.state.values()), "")

    @property
    def has_jobs(self) -> bool:
        """Whether Jobs are watched."""
        return labels.jobs_path(self.namespace) in self.state


class Mirror:
    """Follows sites. `changed` is called with the UID of a pod after each change of what is known of it, `stirred` after each outage."""

    def __init__(self, instance: str, changed: Callable[[str], None], stirred: Callable[[], None]) -> None:
        self._selector = f"{labels.INSTANCE}={instance}"
        self._tell, self._stirred = changed, stirred
        self.change = asyncio.Event()
        """Set at the next change of anything, and replaced then."""
        self.sites: dict[tuple[str, str], Site] = {}
        self._runs: dict[str, dict[int, Known]] = {}
        self._admissions: dict[str, Admission] = {}
        self._carried: dict[str, str] = {}
        """UID of a remote pod or Job -> UID of the pod it carries: Kueue names the former."""
        self._groups: dict[str, set[str]] = {}
        """Name of a group -> UIDs of the pods in it."""

    def follow(self, cluster: Cluster, namespace: str, *, jobs: bool = False, kueue: str = "") -> Site:
        """Begins to watch that namespace: its Jobs too if they are wanted, its workloads where `kueue` names the API's version. Once is
        enough."""
        site = self.sites.setdefault((cluster.name, namespace), Site(cluster, namespace))

        def watch(path: str, selector: str, take: _Taker) -> None:
            site.tasks.append(asyncio.create_task(self._keep(site, path, selector, take), name=f"watch {path}"))

        takers = {labels.pods_path(namespace): self._pods} | ({labels.jobs_path(namespace): self._jobs} if jobs else {})
        for path, taker in takers.items():
            if path not in site.state:
                site.state[path] = None
                watch(path, self._selector, taker(site))
        if kueue and not site.kueue:
            site.kueue = kueue
            watch(f"/apis/{GROUP}/{kueue}/namespaces/{namespace}/workloads", "", self._workloads(site))
        return site

    async def close(self) -> None:
        tasks = [task for site in self.sites.values() for task in site.tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def latest(self, pod_uid: str) -> Known | None:
        """The last run of the pod."""
        runs = self._runs.get(pod_uid)
        return runs[max(runs)] if runs else None

    def runs(self, pod_uid: str) -> list[Known]:
        """All runs that are still there or were seen to go, in order."""
        return [known for _, known in sorted(self._runs.get(pod_uid, {}).items())]

    def pod_uids(self) -> Iterator[str]:
        return iter(list(self._runs))

    def admission(self, known: Known) -> Admission | None:
        """What Kueue says of that run."""
        return self._admissions.get(known.pod.owner)

    def all_latest(self) -> Iterator[Known]:
        """The last run of every pod."""
        return (runs[max(runs)] for runs in list(self._runs.values()))

    def members(self, pod: RemotePod) -> list[RemotePod]:
        """The last run of each pod of its group; what is gone counts as deleted."""
        found = (self.latest(uid) for uid in self._groups.get(pod.group, ()))
        return [replace(known.pod, deleted=True) if known.gone else known.pod for known in found if known]

    def group_run(self, pod: RemotePod) -> list[RemotePod]:
        """The pods that were admitted with it and are still there."""
        runs = (self._runs.get(uid, {}).get(pod.run) for uid in self._groups.get(pod.group, ()))
        return [known.pod for known in runs if known and not known.gone]

    def has(self, place: Place) -> bool:
        """Whether that remote pod is there, or that Job or one of its pods."""
        site = self.sites.get((place.cluster, place.namespace))
        if site is None or not place.is_job:
            return site is not None and place.name in site.pods
        return place.name in site.jobs or any(name in site.pods for name in site.book.pods.get(place.name, ()))

    def forget(self, pod_uid: str) -> None:
        for known in self._runs.pop(pod_uid, {}).values():
            self._forget_run(known)
            self._leave(known.pod)

    def _forget_run(self, known: Known) -> None:
        self._carried.pop(known.pod.owner, None)
        if known.pod.job:
            self.sites[known.cluster, known.pod.namespace].book.forget(known.pod.job)

    def _leave(self, pod: RemotePod) -> None:
        if others := self._groups.get(pod.group):
            others.discard(pod.pod_uid)
            self._stir_group(pod)
            if not others:
                del self._groups[pod.group]

    def _stir_group(self, pod: RemotePod) -> None:
        """What becomes of an evicted pod depends on the others of its group."""
        for uid in self._groups.get(pod.group, ()):
            self._changed(uid)

    def _changed(self, pod_uid: str) -> None:
        self.change.set()
        self.change = asyncio.Event()
        self._tell(pod_uid)

    def stir(self, pod_uid: str) -> None:
        """Something else that counts for this pod has changed."""
        self._changed(pod_uid)

    def note(self, cluster: str, made: Json) -> None:
        """What a call has answered, a Pod or a Job, is known before the watch tells of it; if the watch was first, it may have told more
        already."""
        metadata = made["metadata"]
        if metadata["uid"] in self._carried:
            return
        if made["kind"] == "Job":
            site = self.sites[cluster, metadata["namespace"]]
            site.book.jobs.setdefault(metadata["name"], read_job(made))
            self._compose(site, metadata["name"])
        else:
            self._present(cluster, read_pod(made))

    async def _keep(self, site: Site, path: str, selector: str, take: _Taker) -> None:
        """Reads the news for ever; an outage is waited out."""
        delay = SHORTEST_DELAY_SECONDS
        while True:
            try:
                async for one in news(site.cluster, path, {"labelSelector": selector} if selector else None):
                    take(one.kind, one.object)
                    if one.kind is Kind.SYNCED:
                        delay = SHORTEST_DELAY_SECONDS
                        self._is_up(site, path)
            except (BackendUnavailable, ApiRefusal) as error:
                self._is_down(site, path, f"cluster {site.cluster.name}, namespace {site.namespace}: {error}")
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))  # noqa: S311  spreads retries
            delay = min(delay * 2, LONGEST_DELAY_SECONDS)

    def _is_up(self, site: Site, path: str) -> None:
        if path in site.state:
            if site.state[path]:
                log.info("watching again", path=path, cluster=site.cluster.name)
            site.state[path] = ""
            self._stirred()

    def _is_down(self, site: Site, path: str, words: str) -> None:
        log.warning("watch lost", path=path, cluster=site.cluster.name, error=words)
        if path in site.state:
            site.state[path] = words
            self._stirred()

    def _pods(self, site: Site) -> _Taker:
        def put(told: Json) -> None:
            pod = read_pod(told)
            site.pods[pod.name] = pod.pod_uid, Known(site.cluster.name, pod).place
            if pod.job:
                site.book.put_pod(pod, self._admission_of_job(site, pod.job))
                self._compose(site, pod.job)
            else:
                self._present(site.cluster.name, pod)

        return _following(site.pods, put, lambda name: self._lose(site, site.pods, name))

    def _jobs(self, site: Site) -> _Taker:
        def put(told: Json) -> None:
            job = read_job(told)
            site.jobs[job.pod.name] = job.pod.pod_uid, Known(site.cluster.name, job.pod).place
            site.book.jobs[job.pod.name] = job
            self._compose(site, job.pod.name)

        def synced() -> None:
            site.book.synced = True
            for name in {*site.book.jobs, *site.book.pods}:
                self._compose(site, name)

        return _following(site.jobs, put, lambda name: self._lose(site, site.jobs, name), synced)

    def _workloads(self, site: Site) -> _Taker:
        def put(told: Json) -> None:
            admission = read_workload(told)
            site.workloads[admission.name] = admission
            self._admit(site, admission)

        return _following(site.workloads, put, lambda name: self._unadmit(site.workloads.pop(name)))

    def _lose(self, site: Site, there: dict[str, tuple[str, Place]], name: str) -> None:
        pod_uid, place = there.pop(name)
        if place.is_job and there is site.pods:
            site.book.lose_pod(place.name, name)
            self._compose(site, place.name)
        if not self.has(place):
            self._gone(pod_uid, place)

    def _admission_of_job(self, site: Site, job: str) -> Admission | None:
        known = site.book.jobs.get(job)
        return self._admissions.get(known.pod.owner) if known else None

    def _compose(self, site: Site, job: str) -> None:
        """Of a Job's pods alone nothing can be told: it may have made others before."""
        if site.book.synced and (pod := site.book.carried(job, self._admission_of_job(site, job))):
            self._present(site.cluster.name, pod)

    def _present(self, cluster: str, pod: RemotePod) -> None:
        if not pod.pod_uid:
            return
        runs = self._runs.setdefault(pod.pod_uid, {})
        before = runs.get(pod.run)
        same = before is not None and before.pod.owner == pod.owner
        if not pod.job:
            if before is not None and same:
                pod = remembering(pod, before.pod)
            pod = as_evicted(pod, self._admissions.get(pod.owner))
        runs[pod.run] = Known(cluster, pod, gone=before is not None and same and before.gone)
        self._carried[pod.owner] = pod.pod_uid
        if pod.group:
            self._groups.setdefault(pod.group, set()).add(pod.pod_uid)
            if before is None or (before.pod.ended, before.pod.deleted, before.pod.disruption) != (pod.ended, pod.deleted, pod.disruption):
                self._stir_group(pod)
        self._changed(pod.pod_uid)

    def _gone(self, pod_uid: str, place: Place) -> None:
        """A run that was never complete is forgotten: it was undone."""
        runs = self._runs.get(pod_uid, {})
        for run, known in list(runs.items()):
            if known.place == place and not known.gone:
                runs[run] = replace(known, gone=True)
                if not known.pod.complete:
                    del runs[run]
                    self._forget_run(known)
                self._changed(pod_uid)
                self._stir_group(known.pod)
        if not runs:
            self._runs.pop(pod_uid, None)

    def _admit(self, site: Site, admission: Admission) -> None:
        for uid in admission.owner_uids:
            if self._admissions.get(uid) != admission:
                self._admissions[uid] = admission
                if carried := self._carried.get(uid):
                    for known in self.runs(carried):
                        if known.pod.owner == uid and known.pod.job:
                            site.book.put_admission(known.pod.job, admission)
                            self._compose(site, known.pod.job)
                        elif known.pod.owner == uid:
                            self._runs[carried][known.pod.run] = replace(known, pod=as_evicted(known.pod, admission))
                            self._stir_group(known.pod)
                    self._changed(carried)

    def _unadmit(self, admission: Admission) -> None:
        for uid in admission.owner_uids:
            self._admissions.pop(uid, None)


_Taker = Callable[[Kind, Json], None]


def _following(
    there: Mapping[str, object], put: Callable[[Json], None], lose: Callable[[str], None], synced: Callable[[], None] = lambda: None
) -> _Taker:
    """Keeps `there`, by name, as the news tell; `put` adds to it, `lose` takes from it."""
    seen: set[str] = set()

    def take(kind: Kind, told: Json) -> None:
        if kind is Kind.BEGIN:
            seen.clear()
        elif kind is Kind.SYNCED:
            for name in set(there) - seen:
                lose(name)
            synced()
        else:
            name = told["metadata"]["name"]
            seen.add(name)
            put(told)
            if kind is Kind.GONE:
                lose(name)

    return take
