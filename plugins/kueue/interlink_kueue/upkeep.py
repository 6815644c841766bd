"""What is due because of what is seen: the next run of an evicted pod, the release of an ended one, the removal of earlier runs."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from interlink_common.errors import BackendUnavailable, NotFound, Refused
from interlink_common.model import codec
from interlink_common.model.workload import Container, Workload
from interlink_kueue import creating, history, labels, policy, states
from interlink_kueue.client import Cluster
from interlink_kueue.groups import Whole
from interlink_kueue.labels import Place
from interlink_kueue.mirror import Known, Mirror
from interlink_kueue.remotepod import eviction
from interlink_kueue.removing import free_group
from interlink_kueue.settings import Carrier, KueueSettings
from interlink_kueue.states import Fate
from interlink_kueue.translate import objects, target
from interlink_kueue.workers import Workers

log = structlog.get_logger(__name__)

RELEASE_SECONDS = 5.0
"""How long an ended pod that somebody deletes stays readable after its end was told: the library stores reports in batches."""
RETRY_SECONDS = 2.0
RERUN_SECONDS = (0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Pauses before the second run, the third, ...; the last one for all that follow."""


@dataclass(frozen=True, slots=True)
class Carried:
    """What is kept of a pod on record: enough to tell that it vanished, and, packed, to start it again."""

    place: Place
    containers: tuple[tuple[str, str], ...]
    init_containers: tuple[tuple[str, str], ...]
    packed: bytes
    adopted: bool

    @classmethod
    def of(cls, pod: Workload, place: Place) -> Carried:
        def named(containers: tuple[Container, ...]) -> tuple[tuple[str, str], ...]:
            return tuple((container.name, container.image) for container in containers)

        return cls(
            place,
            named(pod.containers),
            named(pod.init_containers),
            zlib.compress(codec.to_json(pod).encode(), 1),
            labels.ADOPTED in pod.annotations,
        )

    def workload(self) -> Workload:
        return codec.from_json(zlib.decompress(self.packed).decode())


class Tasks:
    """Named background work: one task of a name at a time. What fails is logged."""

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[None]] = {}

    def begin(self, name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if name in self._running:
            return
        task = asyncio.get_running_loop().create_task(work(), name=name)
        self._running[name] = task

        def ended(task: asyncio.Task[None]) -> None:
            self._running.pop(name, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                log.error("task failed", task=name, exc_info=error)

        task.add_done_callback(ended)

    def running(self, name: str) -> bool:
        return name in self._running

    async def end(self, *names: str) -> None:
        """Cancels those tasks, all of them if none is named, and waits for their end."""
        tasks = [task for name, task in self._running.items() if not names or name in names]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Upkeep:
    """Acts on one pod at a time, in the background, again and again until it worked."""

    def __init__(self, clusters: Mapping[str, Cluster], mirror: Mirror, workers: Workers, settings: KueueSettings, tasks: Tasks) -> None:
        self._clusters, self._mirror, self._workers, self._settings, self._tasks = clusters, mirror, workers, settings, tasks
        self._on_deletion = settings.evictions.deleted
        self.refused: dict[str, str] = {}
        """UID of a pod that can't run again -> why."""
        self.hints: dict[str, str] = {}
        """UID of a pod that waits -> what its worker cluster lacks."""
        self._completed: dict[str, str] = {}
        """UID of a pod -> UID of the remote pod whose files were brought to its worker cluster."""

    def forget(self, uid: str) -> None:
        for kept in (self.refused, self.hints, self._completed):
            kept.pop(uid, None)

    def act(self, uid: str, known: Known, carried: Carried | None, whole: Whole) -> None:
        """Begins what is due for a pod whose last run is `known`."""
        repeatable = is_repeatable(carried)
        if known.pod.over:
            self._tasks.begin(f"count {known.place}", lambda: self._count(known))
        if known.pod.job and not known.gone and states.is_last(known.pod):
            self._tasks.begin(f"stop {known.place}", lambda: self._stop(known))
        decided = states.fate(known.pod, gone=known.gone, on_deletion=self._on_deletion, repeatable=repeatable, whole=whole)
        if decided is Fate.RERUN and carried is not None:
            self._tasks.begin(rerun_task(uid), lambda: self._rerun(known, carried))
        elif decided is Fate.RELEASE and not known.gone and known.pod.deleted and labels.FINALIZER in known.pod.finalizers:
            self._tasks.begin(f"release {known.pod.name}", lambda: self._release(known))
        elif decided is Fate.RELEASE and not known.gone and eviction(known.pod) and labels.KUEUE_GATE in known.pod.gates:
            self._tasks.begin(f"remove {known.pod.name}", lambda: self._remove(known))  # MultiKueue would run it again
        worker = "" if known.pod.job else self._workers.of(known)
        if worker and carried is not None and repeatable and known.pod.waits and self._completed.get(uid) != known.pod.uid:
            self._tasks.begin(f"complete {known.pod.name} on {worker}", lambda: self._complete(uid, known, carried))
        for earlier in self._mirror.runs(uid)[:-1]:
            if not earlier.gone and known.pod.complete:
                self._tasks.begin(f"remove {earlier.pod.name}", lambda earlier=earlier: self._remove(earlier))  # type: ignore[misc]
                if earlier.pod.group and all(member.ended for member in self._mirror.group_run(earlier.pod)):
                    self._tasks.begin(f"free {earlier.pod.group} {earlier.pod.run}", lambda earlier=earlier: self._free(earlier))  # type: ignore[misc]

    async def _release(self, known: Known) -> None:
        await asyncio.sleep(RELEASE_SECONDS)
        await _until_done(lambda: creating.release(self._clusters[known.cluster], known.path))

    async def _remove(self, known: Known) -> None:
        await _until_done(lambda: creating.remove(self._clusters[known.cluster], known.place))

    async def _count(self, known: Known) -> None:
        """Lets those pods of a Job go whose ends are now told of by the Job. Kueue's workload may know why they ended."""
        if self._mirror.admission(known) is None:
            await asyncio.sleep(RELEASE_SECONDS)
        now = next((one for one in self._mirror.runs(known.pod.pod_uid) if one.place == known.place), known)

        async def keep() -> None:
            cluster = self._clusters[now.cluster]
            await creating.annotate(cluster, now.place, {labels.PAST: history.written(now.pod.past)})
            for pod in now.pod.over:
                await creating.release(cluster, replace(now, pod=pod).path)

        await _until_done(keep)

    async def _stop(self, known: Known) -> None:
        """Kueue would start that Job again. Its pod stays until its end is told."""
        await _until_done(lambda: creating.delete(self._clusters[known.cluster], known.place.path, propagation="Background"))

    async def _free(self, known: Known) -> None:
        await _until_done(lambda: free_group(self._clusters, self._mirror, known))

    async def _complete(self, uid: str, known: Known, carried: Carried) -> None:
        pod = carried.workload()
        policy.require_allowed(pod, self._settings.security)
        made = objects(pod, target(pod, self._settings), self._settings, known.pod.run)

        async def bring() -> None:
            now = self._mirror.latest(uid)
            if now is not None and not now.gone and now.pod.waits:
                await self._workers.complete(now, made)

        try:
            await _until_done(bring)
            self.hints.pop(uid, None)
        except (NotFound, Refused) as error:
            if made.others:
                self.hints[uid] = f"Its files can not be brought there: {error}"
        self._completed[uid] = known.pod.uid
        self._mirror.stir(uid)

    async def _rerun(self, ended: Known, carried: Carried) -> None:
        """The next run of an evicted pod, where it ran before. The ended one goes when the next is there."""
        pod = carried.workload()
        policy.require_allowed(pod, self._settings.security)
        await asyncio.sleep(RERUN_SECONDS[min(ended.pod.run, len(RERUN_SECONDS) - 1)])
        carrier: Carrier = "job" if ended.pod.job else "pod"
        where = replace(target(pod, self._settings), namespace=ended.pod.namespace, queue=ended.pod.queue, carrier=carrier)
        made = objects(pod, where, self._settings, ended.pod.run + 1, states.next_past(ended.pod))

        async def create() -> None:
            try:
                created = await creating.create(self._clusters[ended.cluster], ended.pod.namespace, made)
            except Refused as error:
                self.refused[pod.uid] = f"run {ended.pod.run + 1} ended ({reason}), and the pod can not run again: {error}"
                self._mirror.stir(pod.uid)
                return
            self._mirror.note(ended.cluster, created)

        reason = eviction(ended.pod) or states.DELETED
        log.info("pod runs again", pod_uid=pod.uid, namespace=pod.namespace, pod=pod.name, run=ended.pod.run + 1, reason=reason)
        await _until_done(create)


def is_repeatable(carried: Carried | None) -> bool:
    """Whether the pod's contents are known: not those of a pod that was adopted from its labels."""
    return carried is not None and not carried.adopted


def rerun_task(uid: str) -> str:
    return f"rerun {uid}"


async def _until_done(action: Callable[[], Awaitable[object]]) -> None:
    """Repeats what failed for want of the cluster."""
    while True:
        try:
            await action()
            return
        except BackendUnavailable as error:
            log.warning("repeated later", error=str(error))
            await asyncio.sleep(error.retry_after_seconds or RETRY_SECONDS)
