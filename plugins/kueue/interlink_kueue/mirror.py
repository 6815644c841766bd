"""What is known of the remote pods and of Kueue's workloads, kept by watches: one for each kind and namespace, never a call per pod."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from interlink_common.errors import BackendUnavailable
from interlink_kueue import labels
from interlink_kueue.client import ApiRefusal, Cluster
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
    def path(self) -> str:
        return f"/api/v1/namespaces/{self.pod.namespace}/pods/{self.pod.name}"


@dataclass(eq=False)
class Site:
    """One namespace of one cluster, and how its watches are doing. `down` is why there is no news, "" while there is."""

    cluster: Cluster
    namespace: str
    pods: dict[str, str] = field(default_factory=dict)
    """Name of a remote pod -> UID of the pod it carries."""
    workloads: dict[str, Admission] = field(default_factory=dict)
    kueue: str = ""
    """Version of Kueue's API whose workloads are watched, "" for none."""
    synced: asyncio.Event = field(default_factory=asyncio.Event)
    down: str = ""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


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
        """UID of a remote pod -> UID of the pod it carries: Kueue names the former."""
        self._groups: dict[str, set[str]] = {}
        """Name of a group -> UIDs of the pods in it."""

    def follow(self, cluster: Cluster, namespace: str, *, kueue: str = "") -> Site:
        """Begins to watch that namespace; its workloads too where `kueue` names the API's version. Once is enough."""
        site = self.sites.setdefault((cluster.name, namespace), Site(cluster, namespace))
        if not site.tasks:
            pods = f"/api/v1/namespaces/{namespace}/pods"
            site.tasks.append(asyncio.create_task(self._keep(site, pods, self._selector, self._pods(site)), name=f"watch {pods}"))
        if kueue and not site.kueue:
            site.kueue = kueue
            path = f"/apis/{GROUP}/{kueue}/namespaces/{namespace}/workloads"
            site.tasks.append(asyncio.create_task(self._keep(site, path, "", self._workloads(site)), name=f"watch {path}"))
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
        return self._admissions.get(known.pod.uid)

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
        """Whether that remote pod is there."""
        site = self.sites.get((place.cluster, place.namespace))
        return site is not None and place.name in site.pods

    def forget(self, pod_uid: str) -> None:
        for known in self._runs.pop(pod_uid, {}).values():
            self._carried.pop(known.pod.uid, None)
            self._leave(known.pod)

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

    def note(self, cluster: str, pod: Json) -> None:
        """What a call has answered is known before the watch tells of it; if the watch was first, it may have told more already."""
        if pod["metadata"]["uid"] not in self._carried:
            self._present(cluster, read_pod(pod))

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
        if site.down:
            log.info("watching again", path=path, cluster=site.cluster.name)
        if path.endswith("/pods"):
            site.down = ""
            site.synced.set()
            self._stirred()

    def _is_down(self, site: Site, path: str, words: str) -> None:
        log.warning("watch lost", path=path, cluster=site.cluster.name, error=words)
        if path.endswith("/pods"):
            site.down = words
            site.synced.clear()
            self._stirred()

    def _pods(self, site: Site) -> _Taker:
        seen: set[str] = set()

        def take(kind: Kind, told: Json) -> None:
            if kind is Kind.BEGIN:
                seen.clear()
            elif kind is Kind.SYNCED:
                for name in set(site.pods) - seen:
                    self._gone(site.pods.pop(name), name)
            elif kind is Kind.GONE:
                pod = read_pod(told)
                site.pods.pop(pod.name, None)
                self._present(site.cluster.name, pod, quiet=True)
                self._gone(pod.pod_uid, pod.name)
            else:
                pod = read_pod(told)
                seen.add(pod.name)
                site.pods[pod.name] = pod.pod_uid
                self._present(site.cluster.name, pod)

        return take

    def _present(self, cluster: str, pod: RemotePod, *, quiet: bool = False) -> None:
        if not pod.pod_uid:
            return
        runs = self._runs.setdefault(pod.pod_uid, {})
        before = runs.get(pod.run)
        if before and before.pod.uid == pod.uid:
            pod = remembering(pod, before.pod)
        pod = as_evicted(pod, self._admissions.get(pod.uid))
        runs[pod.run] = Known(cluster, pod)
        self._carried[pod.uid] = pod.pod_uid
        if pod.group:
            self._groups.setdefault(pod.group, set()).add(pod.pod_uid)
            if before is None or (before.pod.ended, before.pod.deleted, before.pod.disruption) != (pod.ended, pod.deleted, pod.disruption):
                self._stir_group(pod)
        if not quiet:
            self._changed(pod.pod_uid)

    def _gone(self, pod_uid: str, name: str) -> None:
        """A run that was never complete is forgotten: it was undone."""
        runs = self._runs.get(pod_uid, {})
        for run, known in list(runs.items()):
            if known.pod.name == name and not known.gone:
                runs[run] = replace(known, gone=True)
                if not known.pod.complete:
                    del runs[run]
                    self._carried.pop(known.pod.uid, None)
                self._changed(pod_uid)
                self._stir_group(known.pod)
        if not runs:
            self._runs.pop(pod_uid, None)

    def _workloads(self, site: Site) -> _Taker:
        seen: set[str] = set()

        def take(kind: Kind, told: Json) -> None:
            if kind is Kind.BEGIN:
                seen.clear()
            elif kind is Kind.SYNCED:
                for name in set(site.workloads) - seen:
                    self._unadmit(site.workloads.pop(name))
            elif kind is Kind.GONE:
                site.workloads.pop(told["metadata"]["name"], None)
                self._unadmit(read_workload(told))
            else:
                admission = read_workload(told)
                seen.add(admission.name)
                site.workloads[admission.name] = admission
                self._admit(admission)

        return take

    def _admit(self, admission: Admission) -> None:
        for uid in admission.pod_uids:
            if self._admissions.get(uid) != admission:
                self._admissions[uid] = admission
                if carried := self._carried.get(uid):
                    for known in self.runs(carried):
                        if known.pod.uid == uid:
                            self._runs[carried][known.pod.run] = replace(known, pod=as_evicted(known.pod, admission))
                            self._stir_group(known.pod)
                    self._changed(carried)

    def _unadmit(self, admission: Admission) -> None:
        for uid in admission.pod_uids:
            self._admissions.pop(uid, None)


_Taker = Callable[[Kind, Json], None]
