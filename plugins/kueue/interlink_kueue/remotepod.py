"""What counts of a v1.Pod on a remote cluster: read from it once, so that the rest need not be kept for thousands of pods. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from interlink_common.model.report import ContainerReport, ContainerState, Running, Terminated, Waiting
from interlink_kueue import history, labels
from interlink_kueue.history import End, Past
from interlink_kueue.kueue import Admission

Json = dict[str, Any]

KILLED_CODE = 137
TERMINAL = ("Succeeded", "Failed")
EVICTED_BY_KUEUE = "WorkloadEvictedDueTo"
PREEMPTED_BY_SCHEDULER = "PreemptionByScheduler"


@dataclass(frozen=True, slots=True)
class RemotePod:
    """What counts of a v1.Pod. `succumbed`: it ended because somebody deleted or evicted it, or so it must be taken."""

    name: str
    namespace: str
    uid: str
    pod_uid: str
    run: int
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
    succumbed: bool
    disruption: tuple[str, str]
    unscheduled: str
    containers: tuple[ContainerReport, ...]
    init_containers: tuple[ContainerReport, ...]
    past: tuple[Past, ...]
    warnings: str
    finalizers: tuple[str, ...]
    created_at: str
    job: str
    """Name of the Job that made it, "" for none."""
    owner: str
    """UID of what Kueue's workload stands for: the pod, or its Job."""
    over: tuple[RemotePod, ...] = ()
    """Of a Job: its pods that count for nothing; see `jobs`."""

    @property
    def number(self) -> int:
        """Which run it is, from 1. Kueue may start a Job several times; its containers are never started again otherwise."""
        return 1 + (history.restarts(self.past, self.containers[0].name) if self.job else self.run)

    @property
    def complete(self) -> bool:
        """Whether everything of it was created; see `labels.GATE`."""
        return labels.GATE not in self.gates

    @property
    def waits(self) -> bool:
        """Whether none of its containers has begun, and it may still begin."""
        everyone = (*self.init_containers, *self.containers)
        return not self.ended and not self.deleted and all(isinstance(one.state, Waiting) for one in everyone)

    @property
    def ended(self) -> bool:
        return self.phase in TERMINAL


def read_pod(pod: Json) -> RemotePod:
    """The part of a v1.Pod that counts, so that the rest need not be kept for thousands of them."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    named, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    conditions = {one["type"]: one for one in status.get("conditions") or () if one["status"] == "True"}
    unscheduled: Json = next((c for c in status.get("conditions") or () if c["type"] == "PodScheduled" and c["status"] == "False"), {})
    disruption = _disruption(conditions)
    return RemotePod(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        pod_uid=named.get(labels.POD_UID, ""),
        run=_number(named.get(labels.RUN, "")),
        gates=tuple(gate["name"] for gate in spec.get("schedulingGates") or ()),
        queue=named.get(labels.QUEUE_NAME, ""),
        group=named.get(labels.GROUP, ""),
        group_count=_number(annotations.get(labels.GROUP_COUNT, "")),
        on_eviction=annotations.get(labels.ON_EVICTION, ""),
        phase=status.get("phase", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        node=spec.get("nodeName", ""),
        deleted="deletionTimestamp" in metadata,
        succumbed=_succumbed(metadata, status, disruption),
        disruption=disruption,
        unscheduled=unscheduled.get("message", "") if unscheduled.get("reason") == "Unschedulable" else "",
        containers=_reports(spec.get("containers"), status.get("containerStatuses")),
        init_containers=_reports(spec.get("initContainers"), status.get("initContainerStatuses")),
        past=history.read(annotations.get(labels.PAST, "[]")),
        warnings=annotations.get(labels.WARNINGS, ""),
        finalizers=tuple(metadata.get("finalizers") or ()),
        created_at=metadata.get("creationTimestamp", ""),
        job=named.get(labels.JOB_NAME, ""),
        owner=metadata["uid"],
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def _succumbed(metadata: Json, status: Json, disruption: tuple[str, str]) -> bool:
    """Of a pod that is seen for the first time; `remembering` knows better of others.

    deletionTimestamp is the request's time plus the grace, until the kubelet's last call sets both to now and 0: from then on nobody can
    tell what came first (apiserver pkg/registry/rest/delete.go). Neither can be told within one second.
    """
    if "deletionTimestamp" not in metadata:
        return bool(_eviction(disruption[0]))
    grace_seconds = metadata.get("deletionGracePeriodSeconds") or 0
    ends = [_seconds((one.get("state") or {}).get("terminated", {}).get("finishedAt")) for one in status.get("containerStatuses") or ()]
    known = [end for end in ends if end is not None]
    if not grace_seconds or not ends or len(known) < len(ends):
        return True
    return max(known) >= (_seconds(metadata["deletionTimestamp"]) or 0.0) - grace_seconds


def _disruption(conditions: dict[str, Json]) -> tuple[str, str]:
    """(reason, message) of whoever ends the pod: Kueue sets TerminationTarget, Kubernetes DisruptionTarget."""
    for kind in ("TerminationTarget", "DisruptionTarget"):
        if kind in conditions:
            return conditions[kind].get("reason", ""), conditions[kind].get("message", "")
    return "", ""


def _reports(specs: Iterable[Json] | None, statuses: Iterable[Json] | None) -> tuple[ContainerReport, ...]:
    known = {status["name"]: status for status in statuses or ()}
    return tuple(_report(spec, known.get(spec["name"])) for spec in specs or ())


def _report(spec: Json, status: Json | None) -> ContainerReport:
    if status is None:
        return ContainerReport(spec["name"], Waiting(""), image=spec.get("image", ""))
    last = _state(status.get("lastState") or {})
    return ContainerReport(
        name=spec["name"],
        state=_state(status.get("state") or {}),
        last_state=last if isinstance(last, Terminated) else None,
        ready=bool(status.get("ready")),
        started=bool(status.get("started")),
        restart_count=int(status.get("restartCount", 0)),
        image=spec.get("image", ""),
        image_id=status.get("imageID", ""),
        container_id=status.get("containerID", ""),
    )


def _state(state: Json) -> ContainerState:
    if running := state.get("running"):
        return Running(_seconds(running.get("startedAt")) or 0.0)
    if ended := state.get("terminated"):
        return Terminated(
            exit_code=int(ended.get("exitCode", KILLED_CODE)),
            reason=ended.get("reason", ""),
            message=ended.get("message", ""),
            started_at=_seconds(ended.get("startedAt")),
            finished_at=_seconds(ended.get("finishedAt")),
            container_id=ended.get("containerID", ""),
        )
    waiting = state.get("waiting") or {}
    return Waiting(waiting.get("reason", ""), waiting.get("message", ""))


def _seconds(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None


def as_evicted(pod: RemotePod, admission: Admission | None) -> RemotePod:
    """MultiKueue leaves the pod of the manager's cluster as it is when it evicts it: held by the gate, with the last status of its copy
    on the worker cluster, which it deletes."""
    if admission is None or not admission.evicted or labels.KUEUE_GATE not in pod.gates or pod.waits or pod.ended:
        return pod

    def killed(found: ContainerReport) -> ContainerReport:
        if isinstance(found.state, Terminated):
            return found
        begun = found.state.started_at if isinstance(found.state, Running) else None
        return replace(found, state=Terminated(KILLED_CODE, admission.evicted, admission.evicted_message, begun), ready=False)

    return replace(
        pod,
        phase="Failed",
        succumbed=True,
        disruption=(EVICTED_BY_KUEUE + admission.evicted, admission.evicted_message),
        containers=tuple(killed(found) for found in pod.containers),
        init_containers=tuple(killed(found) for found in pod.init_containers),
    )


def remembering(pod: RemotePod, before: RemotePod) -> RemotePod:
    """The pod, with what can't be read from it any more: last states that its kubelet has cleaned up, whether it had ended before
    somebody deleted it, and that it was evicted from its worker cluster."""
    if labels.KUEUE_GATE in pod.gates and eviction(before):
        return replace(before, deleted=pod.deleted, finalizers=pod.finalizers)
    if before.ended:
        pod = replace(pod, succumbed=before.succumbed)
    elif before.deleted or eviction(before):
        pod = replace(pod, succumbed=True)

    def filled(now: ContainerReport, then: ContainerReport) -> ContainerReport:
        if now.last_state is not None or now.restart_count == 0:
            return now
        ended = then.state if then.restart_count < now.restart_count else then.last_state
        return replace(now, last_state=ended if isinstance(ended, Terminated) else None)

    def merged(now: tuple[ContainerReport, ...], then: tuple[ContainerReport, ...]) -> tuple[ContainerReport, ...]:
        return tuple(filled(*pair) for pair in zip(now, then, strict=True)) if len(now) == len(then) else now

    return replace(
        pod,
        containers=merged(pod.containers, before.containers),
        init_containers=merged(pod.init_containers, before.init_containers),
    )


def ended_by_itself(pod: RemotePod) -> bool:
    return pod.ended and not pod.succumbed


def why(pod: RemotePod) -> str:
    """In words: who ended a pod that did not end by itself."""
    reason, message = pod.disruption
    if reason:
        return message or reason
    return "the remote pod was deleted by somebody"


def end_of(pod: RemotePod, reason: str) -> Past:
    """What is kept of a run."""
    everyone = (*pod.init_containers, *pod.containers)
    ends = tuple(
        End(c.name, c.state.exit_code, c.state.started_at or 0.0, c.state.finished_at or 0.0, c.state.container_id)
        for c in everyone
        if isinstance(c.state, Terminated)
    )
    return Past(reason, why(pod), ends, {c.name: c.restart_count for c in everyone}, pod.uid)


def eviction(pod: RemotePod) -> str:
    """The reason, "" if nobody evicted the pod. Kueue's are told without its prefix."""
    return _eviction(pod.disruption[0])


def _eviction(reason: str) -> str:
    if reason.startswith(EVICTED_BY_KUEUE):
        return reason.removeprefix(EVICTED_BY_KUEUE)
    return reason if reason == PREEMPTED_BY_SCHEDULER else ""
