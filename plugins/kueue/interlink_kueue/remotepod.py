"""A pod on the remote cluster as this plugin keeps it: only what counts of a v1.Pod, because it keeps thousands of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from interlink_common.model.report import ContainerReport, Running, Terminated, Waiting
from interlink_kueue import history, labels
from interlink_kueue.history import ContainerEnd, EndedRun
from interlink_kueue.kueue import KueueWorkload
from interlink_kueue.labels import ObjectRef

KILLED_CODE = 137
DELETED_REASON = "DeletedRemotely"
"""Reason of the end of a pod that somebody has deleted on the remote cluster."""
TERMINAL = ("Succeeded", "Failed")
EVICTED_BY_KUEUE = "WorkloadEvictedDueTo"
PREEMPTED_BY_SCHEDULER = "PreemptionByScheduler"


def eviction_reason(reason: str) -> str:
    """Of a disruption: why Kueue or the scheduler evicted the pod, "" for any other disruption."""
    if reason.startswith(EVICTED_BY_KUEUE):
        return reason.removeprefix(EVICTED_BY_KUEUE)
    return reason if reason == PREEMPTED_BY_SCHEDULER else ""


@dataclass(frozen=True, slots=True)
class RemotePod:
    """What counts of a v1.Pod, or of a Job as the pod that it stands for."""

    name: str
    namespace: str
    uid: str
    pod_uid: str
    """UID of the virtual pod."""
    run_number: int
    gates: tuple[str, ...]
    queue: str
    group: str
    group_count: int
    on_eviction: str
    phase: str
    reason: str
    message: str
    node: str
    deleted: bool
    """Whether somebody has asked for its deletion."""
    stopped: bool
    """Whether it ended because somebody deleted or evicted it, or must be taken to have ended so."""
    disruption: tuple[str, str]
    """(reason, message) of whoever ends it."""
    unschedulable: str
    """The scheduler's message, "" unless it found no node."""
    containers: tuple[ContainerReport, ...]
    init_containers: tuple[ContainerReport, ...]
    earlier_runs: tuple[EndedRun, ...]
    warnings: str
    finalizers: tuple[str, ...]
    created_at: str
    job: str
    """Name of the Job that made it, "" for none."""
    workload_owner: str
    """UID of the object that Kueue's Workload belongs to: the pod, or its Job."""
    superseded: tuple[RemotePod, ...] = ()
    """Of a Job: those of its pods whose ends do not count; see `jobs`."""

    @property
    def nth_run(self) -> int:
        """The run's number as people count, from 1. Kueue may start a Job several times; these starts are counted as runs, too."""
        return 1 + (history.count_restarts(self.earlier_runs, self.containers[0].name) if self.job else self.run_number)

    @property
    def is_complete(self) -> bool:
        """Whether everything that belongs to it was created; see `labels.GATE`."""
        return labels.GATE not in self.gates

    @property
    def is_waiting(self) -> bool:
        """Whether no container has started yet, and one still may."""
        containers = (*self.init_containers, *self.containers)
        return not self.ended and not self.deleted and all(isinstance(container.state, Waiting) for container in containers)

    @property
    def ended(self) -> bool:
        """Whether its phase is a final one."""
        return self.phase in TERMINAL

    @property
    def ended_by_itself(self) -> bool:
        """Whether it ended, and nobody had deleted or evicted it."""
        return self.ended and not self.stopped

    @property
    def eviction(self) -> str:
        """The reason for which Kueue or the scheduler evicted it, "" if nobody did. Those of Kueue come without its prefix."""
        return eviction_reason(self.disruption[0])

    @property
    def disruption_message(self) -> str:
        """Who ended it, of a pod that did not end by itself."""
        reason, message = self.disruption
        if reason:
            return message or reason
        return "the remote pod was deleted by somebody"


@dataclass(frozen=True, slots=True)
class RemoteRun:
    """One run of a virtual pod as last seen. `gone`: it was on the remote cluster, and is no longer there."""

    cluster: str
    pod: RemotePod
    gone: bool = False

    @property
    def ref(self) -> ObjectRef:
        """The Pod or the Job that the run consists of."""
        return ObjectRef(self.cluster, self.pod.namespace, self.pod.job or self.pod.name, is_job=bool(self.pod.job))

    @property
    def pod_path(self) -> str:
        """The remote pod in the Kubernetes API."""
        return ObjectRef(self.cluster, self.pod.namespace, self.pod.name).path


def with_worker_eviction(pod: RemotePod, kueue_workload: KueueWorkload | None) -> RemotePod:
    """The pod as evicted, where Kueue has evicted it from a worker cluster.

    MultiKueue then deletes the copy on the worker cluster and leaves the pod of the manager's cluster as it is: held by the gate, with
    the last status of its copy.
    """
    if kueue_workload is None or not kueue_workload.evicted or labels.KUEUE_GATE not in pod.gates or pod.is_waiting or pod.ended:
        return pod

    def killed(container: ContainerReport) -> ContainerReport:
        if isinstance(container.state, Terminated):
            return container
        started_at = container.state.started_at if isinstance(container.state, Running) else None
        state = Terminated(KILLED_CODE, kueue_workload.evicted, kueue_workload.evicted_message, started_at)
        return replace(container, state=state, ready=False)

    return replace(
        pod,
        phase="Failed",
        stopped=True,
        disruption=(EVICTED_BY_KUEUE + kueue_workload.evicted, kueue_workload.evicted_message),
        containers=tuple(killed(container) for container in pod.containers),
        init_containers=tuple(killed(container) for container in pod.init_containers),
    )


def with_remembered_states(pod: RemotePod, before: RemotePod) -> RemotePod:
    """The pod, completed by what `before` showed and the API server no longer does.

    That is last states that the kubelet has cleaned up, whether the pod had ended before somebody deleted it, and its eviction from a
    worker cluster.
    """
    if labels.KUEUE_GATE in pod.gates and before.eviction:
        return replace(before, deleted=pod.deleted, finalizers=pod.finalizers)
    if before.ended:
        pod = replace(pod, stopped=before.stopped)
    elif before.deleted or before.eviction:
        pod = replace(pod, stopped=True)

    def with_last_state(now: ContainerReport, then: ContainerReport) -> ContainerReport:
        if now.last_state is not None or now.restart_count == 0:
            return now
        ended = then.state if then.restart_count < now.restart_count else then.last_state
        return replace(now, last_state=ended if isinstance(ended, Terminated) else None)

    def merged(now: tuple[ContainerReport, ...], then: tuple[ContainerReport, ...]) -> tuple[ContainerReport, ...]:
        return tuple(with_last_state(*pair) for pair in zip(now, then, strict=True)) if len(now) == len(then) else now

    return replace(
        pod,
        containers=merged(pod.containers, before.containers),
        init_containers=merged(pod.init_containers, before.init_containers),
    )


def ended_run(pod: RemotePod, reason: str) -> EndedRun:
    """What the next run keeps of this one."""
    containers = (*pod.init_containers, *pod.containers)
    ends = tuple(
        ContainerEnd(c.name, c.state.exit_code, c.state.started_at or 0.0, c.state.finished_at or 0.0, c.state.container_id)
        for c in containers
        if isinstance(c.state, Terminated)
    )
    return EndedRun(reason, pod.disruption_message, ends, {c.name: c.restart_count for c in containers}, pod.uid)


def runs_before_next(pod: RemotePod) -> tuple[EndedRun, ...]:
    """The history that the next run is created with."""
    return history.shorten((*pod.earlier_runs, ended_run(pod, pod.eviction or DELETED_REASON)))
