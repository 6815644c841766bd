"""Carries out what is due for a pod: its next run after an eviction, the release of an ended run, the removal of earlier runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

import structlog
from tenacity import RetryCallState

from interlink_common.background import Pauses, Tasks, retried
from interlink_common.errors import BackendUnavailable, NotFound, Refused
from interlink_kueue import creating, history, labels, policy
from interlink_kueue.client import Cluster
from interlink_kueue.index import Index
from interlink_kueue.podview import Action, DueAction, PodView, RecordedPod, due_actions, rerun_task
from interlink_kueue.remotepod import DELETED_REASON, RemoteRun, runs_before_next
from interlink_kueue.removal import delete_object, delete_run, free_group, remove_finalizer
from interlink_kueue.settings import KueueSettings, RemoteKind
from interlink_kueue.translate import build_objects, choose_target
from interlink_kueue.workerclusters import WorkerClusters

log = structlog.get_logger(__name__)

RELEASE_SECONDS = 5.0
"""How long a pod that somebody deletes stays readable after its end was reported: the library stores reports in batches."""
SHORTEST_DELAY_SECONDS, LONGEST_DELAY_SECONDS = 1.0, 10.0
RERUN_SECONDS = (0.0, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0)
"""Pauses before the second run, the third, ...; the last one holds for all further runs."""


class Upkeep:
    """Acts on pods in background tasks, each repeated until it has worked."""

    def __init__(self, clusters: Mapping[str, Cluster], index: Index, workers: WorkerClusters, settings: KueueSettings) -> None:
        self._clusters, self._index, self._workers, self._settings = clusters, index, workers, settings
        self._tasks = Tasks()
        self._refusals: dict[str, str] = {}
        """UID of a pod that cannot run again -> why."""
        self._hints: dict[str, str] = {}
        """UID of a pod that waits -> what its worker cluster lacks."""
        self._brought: dict[str, str] = {}
        """UID of a pod -> UID of the remote pod whose files are on its worker cluster."""

    def refusal(self, pod_uid: str) -> str:
        """Why the pod cannot run again, "" if nothing is known against it."""
        return self._refusals.get(pod_uid, "")

    def hint(self, pod_uid: str) -> str:
        """What a person should know while the pod waits."""
        return self._hints.get(pod_uid, "")

    def is_rerunning(self, pod_uid: str) -> bool:
        """Whether its next run is being created now."""
        return self._tasks.is_running(rerun_task(pod_uid))

    async def stop_rerun(self, pod_uid: str) -> None:
        await self._tasks.end(rerun_task(pod_uid))

    def forget(self, pod_uid: str) -> None:
        for kept in (self._refusals, self._hints, self._brought):
            kept.pop(pod_uid, None)

    async def close(self) -> None:
        await self._tasks.close()

    def begin_due_actions(self, view: PodView) -> None:
        """Begins what is due and not under way already."""
        for due in due_actions(view):
            if due.action is Action.BRING_FILES and self._brought.get(due.run.pod.pod_uid) == due.run.pod.uid:
                continue
            self._tasks.unless_running(due.task, lambda due=due: self._perform(due, view.recorded))  # type: ignore[misc]

    async def _perform(self, due: DueAction, recorded: RecordedPod | None) -> None:
        run, cluster = due.run, self._clusters[due.run.cluster]
        match due.action:
            case Action.RECORD_SUPERSEDED:
                await self._record_superseded(run)
            case Action.STOP_JOB:  # its pod stays until its end is reported
                await _until_done(lambda: delete_object(cluster, run.ref.path, propagation="Background"))
            case Action.RELEASE:
                await asyncio.sleep(RELEASE_SECONDS)
                await _until_done(lambda: remove_finalizer(cluster, run.pod_path))
            case Action.REMOVE:
                await _until_done(lambda: delete_run(cluster, run.ref))
            case Action.FREE_GROUP:
                await _until_done(lambda: free_group(self._clusters, self._index, run))
            case Action.BRING_FILES if recorded is not None:
                await self._bring_files(run, recorded)
            case Action.RERUN if recorded is not None:
                await self._rerun(run, recorded)

    async def _record_superseded(self, run: RemoteRun) -> None:
        """Writes the ends of a Job's superseded pods into its annotation, and releases the pods. Kueue may still say why they ended."""
        if self._index.kueue_workload(run) is None:
            await asyncio.sleep(RELEASE_SECONDS)
        now = next((latest for latest in self._index.runs(run.pod.pod_uid) if latest.ref == run.ref), run)
        cluster = self._clusters[now.cluster]

        async def record_and_release() -> None:
            await creating.annotate(cluster, now.ref, {labels.EARLIER_RUNS: history.to_annotation(now.pod.earlier_runs)})
            for pod in now.pod.superseded:
                await remove_finalizer(cluster, replace(now, pod=pod).pod_path)

        await _until_done(record_and_release)

    async def _bring_files(self, run: RemoteRun, recorded: RecordedPod) -> None:
        workload = recorded.workload()
        policy.require_allowed(workload, self._settings.security)
        objects = build_objects(workload, choose_target(workload, self._settings), self._settings, run.pod.run_number)

        async def bring() -> None:
            now = self._index.latest(workload.uid)
            if now is not None and not now.gone and now.pod.is_waiting:
                await self._workers.bring_files(now, objects)

        try:
            await _until_done(bring)
            self._hints.pop(workload.uid, None)
        except (NotFound, Refused) as error:
            if objects.owned:
                self._hints[workload.uid] = f"Its files cannot be brought there: {error}"
        self._brought[workload.uid] = run.pod.uid
        self._index.report_change(workload.uid)

    async def _rerun(self, ended: RemoteRun, recorded: RecordedPod) -> None:
        """Creates the next run where the pod ran before. The ended run is removed when the next one is there."""
        workload, run_number = recorded.workload(), ended.pod.run_number + 1
        await asyncio.sleep(RERUN_SECONDS[min(ended.pod.run_number, len(RERUN_SECONDS) - 1)])
        remote_kind: RemoteKind = "job" if ended.pod.job else "pod"
        reason = ended.pod.eviction or DELETED_REASON

        async def create() -> None:
            try:
                policy.require_allowed(workload, self._settings.security)
                target = choose_target(workload, self._settings)
                target = replace(target, namespace=ended.pod.namespace, queue=ended.pod.queue, remote_kind=remote_kind)
                objects = build_objects(workload, target, self._settings, run_number, runs_before_next(ended.pod))
                created = await creating.create_run(self._clusters[ended.cluster], ended.pod.namespace, objects)
            except Refused as error:
                self._refusals[workload.uid] = f"run {run_number} ended ({reason}), and the pod cannot run again: {error}"
                self._index.report_change(workload.uid)
                return
            self._index.add_created(ended.cluster, created)

        log.info("pod runs again", pod_uid=workload.uid, namespace=workload.namespace, pod=workload.name, run=run_number, reason=reason)
        await _until_done(create)


async def _until_done(action: Callable[[], Awaitable[object]]) -> None:
    """Repeats an action while the cluster is unavailable."""

    def log_failure(state: RetryCallState) -> None:
        log.warning("repeated later", error=str(state.outcome.exception() if state.outcome is not None else ""))

    pauses = Pauses(SHORTEST_DELAY_SECONDS, LONGEST_DELAY_SECONDS)
    await retried(action, log_failure, pauses=pauses, errors=BackendUnavailable)
