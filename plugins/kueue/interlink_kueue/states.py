"""A remote pod, and what Kueue says of it, as the report of the virtual pod. Pure; one table.

::

    the remote pod                                            the virtual pod
    held by a gate                                            waiting: Queued, in the queue's own words
    Pending, no node                                          waiting: Unschedulable, the scheduler's words
    Pending or Running                                        as the remote kubelet tells of each container
    Unknown, or its node does not answer                      as it was: nothing is known to have ended
    Succeeded or Failed                                       ended, with the remote codes, reasons and messages
    Failed without a container's status (evicted, rejected)   ended with 137 and the pod's reason
    evicted by Kueue or the scheduler, ended                  waiting for the next run, or ended with 137, by setting
    deleted by somebody, ended or gone                        ended with 137 (or the next run, by setting); never a success
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from interlink_common.lifecycle.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting
from interlink_kueue import history, labels
from interlink_kueue.history import End, Past
from interlink_kueue.kueue import Admission, is_final, waiting_message

Json = dict[str, Any]

KILLED_CODE = 137
TERMINAL = ("Succeeded", "Failed")
EVICTED_BY_KUEUE = "WorkloadEvictedDueTo"
PREEMPTED_BY_SCHEDULER = "PreemptionByScheduler"
DELETED = "DeletedRemotely"


class Fate(StrEnum):
    """What is to become of a remote pod, besides being told of."""

    STAYS = "stays"
    RELEASE = "release"
    """It ended and somebody deletes it: what there was to know is known, our finalizer may go."""
    RERUN = "rerun"
    """It ended by an eviction: another run begins, then it may go."""


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
    on_preemption: str
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

    @property
    def complete(self) -> bool:
        """Whether everything of it was created; see `labels.GATE`."""
        return labels.GATE not in self.gates

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
    run = named.get(labels.RUN, "0")
    return RemotePod(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        pod_uid=named.get(labels.POD_UID, ""),
        run=int(run) if run.isascii() and run.isdecimal() else 0,
        gates=tuple(gate["name"] for gate in spec.get("schedulingGates") or ()),
        queue=named.get(labels.QUEUE_NAME, ""),
        group=named.get(labels.GROUP, ""),
        on_preemption=annotations.get(labels.CHOSEN_REACTION, ""),
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
    )


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


def remembering(pod: RemotePod, before: RemotePod) -> RemotePod:
    """The pod, with what can't be read from it any more: last states that its kubelet has cleaned up, and whether it had ended before
    somebody deleted it."""
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


def eviction(pod: RemotePod) -> str:
    """The reason, "" if nobody evicted the pod. Kueue's are told without its prefix."""
    return _eviction(pod.disruption[0])


def _eviction(reason: str) -> str:
    if reason.startswith(EVICTED_BY_KUEUE):
        return reason.removeprefix(EVICTED_BY_KUEUE)
    return reason if reason == PREEMPTED_BY_SCHEDULER else ""


def fate(pod: RemotePod, *, gone: bool, on_deletion: str) -> Fate:
    """What is to be done about a pod that is not being deleted by us. `gone`: it is not on the remote cluster any more."""
    if not pod.complete or (not gone and _goes_on(pod)):
        return Fate.STAYS
    if _ended_by_itself(pod):
        return Fate.RELEASE
    if evicted := eviction(pod):
        again = pod.on_preemption == "rerun" and not is_final(evicted) and not pod.group
    else:
        again = on_deletion == "rerun" and not pod.group
    return Fate.RERUN if again else Fate.RELEASE


def _goes_on(pod: RemotePod) -> bool:
    """Whether its kubelet still has something to tell, or nobody wants it to go."""
    if pod.ended:
        return not pod.deleted and not eviction(pod)
    return not pod.deleted or bool(pod.node)


def _ended_by_itself(pod: RemotePod) -> bool:
    return pod.ended and not pod.succumbed


def report(
    pod: RemotePod, admission: Admission | None, *, gone: bool = False, on_deletion: str = "fail", position: int | None = None
) -> PodReport:
    """What is told of the pod. Its entries are those of the remote spec, which has every container of the virtual one."""
    decided = fate(pod, gone=gone, on_deletion=on_deletion)
    if decided is Fate.RERUN:
        reason = eviction(pod) or DELETED
        return _told(pod, Waiting(reason, f"run {pod.run + 1} ended: {_why(pod)}; it runs again"), finished=False)
    if pod.complete and (gone or decided is Fate.RELEASE) and not _ended_by_itself(pod):
        reason = eviction(pod) or pod.disruption[0] or DELETED
        return _ended(pod, Terminated(KILLED_CODE, reason, _why(pod)), override_success=True)
    if pod.ended:
        words = pod.message or f"the remote pod ended as {pod.phase} without telling of this container"
        code = 0 if pod.phase == "Succeeded" else KILLED_CODE
        return _ended(pod, Terminated(code, pod.reason, words), override_success=pod.phase == "Failed")
    return _told(pod, _not_yet(pod, admission, position), finished=False)


def _why(pod: RemotePod) -> str:
    reason, message = pod.disruption
    if reason:
        return message or reason
    return "the remote pod was deleted by somebody"


def _not_yet(pod: RemotePod, admission: Admission | None, position: int | None) -> Waiting:
    """What containers without a status of their own wait for."""
    again = f"run {pod.run + 1} after {pod.past[-1].reason}, " if pod.past else ""
    if labels.KUEUE_GATE in pod.gates:
        return Waiting("Queued", again + waiting_message(pod.queue, admission, position))
    if not pod.complete:
        return Waiting("ContainerCreating", f"{again}being created")
    if pod.gates:
        return Waiting("SchedulingGated", f"{again}held by {', '.join(pod.gates)}")
    if pod.unscheduled:
        return Waiting("Unschedulable", again + pod.unscheduled)
    return Waiting("ContainerCreating", f"{again}on node {pod.node}" if pod.node else f"{again}waiting for a node".strip())


def _told(pod: RemotePod, missing: Waiting, *, finished: bool) -> PodReport:
    def entry(found: ContainerReport, *, replaced: bool) -> ContainerReport:
        state = found.state
        if replaced or (isinstance(state, Waiting) and not state.reason):
            state = missing
        if isinstance(state, Waiting) and pod.warnings:
            state = replace(state, message=f"{state.message} {pod.warnings}".strip())
        return _with_past(pod, replace(found, state=state))

    again = missing.message.endswith("it runs again")
    return PodReport(
        containers=tuple(entry(found, replaced=again) for found in pod.containers),
        init_containers=tuple(entry(found, replaced=again) for found in pod.init_containers),
        finished=finished,
    )


def _ended(pod: RemotePod, missing: Terminated, *, override_success: bool) -> PodReport:
    """Every container is told as ended. `override_success`: a pod that failed has a container that failed."""
    failed = any(isinstance(c.state, Terminated) and c.state.exit_code for c in (*pod.containers, *pod.init_containers))

    def entry(found: ContainerReport) -> ContainerReport:
        state = found.state
        if not isinstance(state, Terminated):
            state = missing
        elif override_success and not failed and state.exit_code == 0:
            state = replace(state, exit_code=missing.exit_code, reason=missing.reason, message=missing.message)
        elif state.exit_code and missing.reason and not state.message:
            state = replace(state, message=f"{missing.reason}: {missing.message}")
        return _with_past(pod, replace(found, state=state, ready=False))

    inits = tuple(
        _with_past(pod, found if isinstance(found.state, Terminated) else replace(found, state=missing)) for found in pod.init_containers
    )
    return PodReport(containers=tuple(entry(found) for found in pod.containers), init_containers=inits, finished=True)


def _with_past(pod: RemotePod, found: ContainerReport) -> ContainerReport:
    """Earlier runs count as restarts, and the last one's end is the last state."""
    if not pod.past:
        return found
    last = found.last_state
    if last is None:
        end = next((end for end in pod.past[-1].ends if end.container == found.name), None)
        if end is not None:
            words = f"{pod.past[-1].reason}: {pod.past[-1].message}"
            last = Terminated(end.exit_code, pod.past[-1].reason, words, end.started_at or None, end.finished_at or None, end.container_id)
    return replace(found, restart_count=found.restart_count + history.restarts(pod.past, found.name), last_state=last)


def next_past(pod: RemotePod) -> tuple[Past, ...]:
    """The history that the next run carries."""
    everyone = (*pod.init_containers, *pod.containers)
    ends = tuple(
        End(c.name, c.state.exit_code, c.state.started_at or 0.0, c.state.finished_at or 0.0, c.state.container_id)
        for c in everyone
        if isinstance(c.state, Terminated)
    )
    reason = eviction(pod) or DELETED
    return history.folded((*pod.past, Past(reason, _why(pod), ends, {c.name: c.restart_count for c in everyone})))


def vanished(containers: Iterable[tuple[str, str]], init_containers: Iterable[tuple[str, str]]) -> PodReport:
    """A pod on record that is not on the remote cluster; the arguments are (name, image) of each container."""
    ended = Terminated(KILLED_CODE, DELETED, "the remote pod is gone: somebody deleted it, and its end was not seen")
    return PodReport(
        containers=tuple(ContainerReport(name, ended, image=image) for name, image in containers),
        init_containers=tuple(ContainerReport(name, ended, image=image) for name, image in init_containers),
        finished=True,
    )
