"""The state of a remote pod, and what Kueue shows of it, as the report of the virtual pod. Pure; one table.

::

    the remote pod                                            the virtual pod
    held by a gate                                            waiting: Queued, with the queue's own message
    Pending, no node                                          waiting: Unschedulable, with the scheduler's message
    Pending or Running                                        as the remote kubelet reports each container
    Unknown, or its node does not answer                      unchanged: nothing is known to have ended
    being deleted by somebody else                            not ready, with the reason
    Succeeded or Failed                                       ended, with the remote exit codes, reasons and messages
    Failed without a container's end (evicted, node lost)     ended with 137 and the pod's reason, or that of its disruption
    evicted by Kueue or the scheduler, ended                  waiting for the next run, or ended with 137, by setting; a group as a whole
    deleted by somebody, ended or gone                        ended with 137 (or waiting for the next run, by setting); never a success
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_kueue import history, labels
from interlink_kueue.fate import Fate
from interlink_kueue.kueue import KueueWorkload, waiting_message
from interlink_kueue.remotepod import DELETED_REASON, KILLED_CODE, RemotePod


def report(
    pod: RemotePod, kueue_workload: KueueWorkload | None, fate: Fate = Fate.GOES_ON, *, position: int | None = None, hint: str = ""
) -> PodReport:
    """The virtual pod's report. Its containers are those of the remote spec, which has every container of the virtual pod.

    `position`: in the queue, from 0. `hint`: what else a person should know while the pod waits.
    """
    if fate in (Fate.RERUN, Fate.UNDECIDED):
        condition = "" if fate is Fate.RERUN else " if all pods of its group do"
        message = f"run {pod.nth_run} ended: {pod.disruption_message}; it runs again{condition}"
        return _going_on(pod, Waiting(pod.eviction or DELETED_REASON, message), all_wait=True)
    if fate.is_final and not pod.ended_by_itself:
        reason = pod.eviction or pod.disruption[0] or DELETED_REASON
        group = "; not all pods of its group can run again" if fate is Fate.FINAL_WITH_GROUP else ""
        return _ended(pod, Terminated(KILLED_CODE, reason, pod.disruption_message + group), override_success=True)
    if pod.ended:
        reason, disruption_message = pod.disruption
        message = pod.message or disruption_message or f"the remote pod is {pod.phase} and has no status of this container"
        code = 0 if pod.phase == "Succeeded" else KILLED_CODE
        return _ended(pod, Terminated(code, pod.reason or reason, message), override_success=pod.phase == "Failed")
    is_requeued = labels.KUEUE_GATE in pod.gates and kueue_workload is not None and not kueue_workload.admitted and pod.is_waiting
    return _going_on(pod, _waiting_for(pod, kueue_workload, position), all_wait=is_requeued, hint=hint)


def _waiting_for(pod: RemotePod, kueue_workload: KueueWorkload | None, position: int | None) -> Waiting:
    """What containers without a status of their own wait for."""
    again = f"run {pod.nth_run} after {pod.earlier_runs[-1].reason}, " if pod.earlier_runs else ""
    if labels.KUEUE_GATE in pod.gates:
        return Waiting("Queued", again + waiting_message(pod.queue, kueue_workload, position))
    if not pod.is_complete:
        return Waiting("ContainerCreating", f"{again}being created")
    if pod.gates:
        return Waiting("SchedulingGated", f"{again}held by {', '.join(pod.gates)}")
    if pod.unschedulable:
        return Waiting("Unschedulable", again + pod.unschedulable)
    return Waiting("ContainerCreating", f"{again}on node {pod.node}" if pod.node else f"{again}waiting for a node")


def _going_on(pod: RemotePod, default: Waiting, *, all_wait: bool = False, hint: str = "") -> PodReport:
    """A pod that has not ended. `default` is the state of containers without a status, or with `all_wait` of all containers."""

    def entry(container: ContainerReport) -> ContainerReport:
        state = container.state
        if all_wait or (isinstance(state, Waiting) and not state.reason):
            state = default
        if isinstance(state, Waiting):
            state = replace(state, message=" ".join(filter(None, (state.message, hint, pod.warnings))))
        if isinstance(state, Running) and pod.deleted:
            # Its kubelet may be stopping it, or the node may be away: then this stays so until somebody gives the node up.
            message = f"being stopped: {pod.disruption[0] or DELETED_REASON}: {pod.disruption_message}"
            container = replace(container, ready=False, message=message)
        return _with_earlier_runs(pod, replace(container, state=state))

    return PodReport(
        containers=tuple(entry(container) for container in pod.containers),
        init_containers=tuple(entry(container) for container in pod.init_containers),
    )


def _ended(pod: RemotePod, default: Terminated, *, override_success: bool) -> PodReport:
    """A pod that has ended. `default` is the state of containers that are not reported as ended. With `override_success` a pod whose
    containers all succeeded gets failed ones, because the pod itself has failed."""
    any_failed = any(isinstance(c.state, Terminated) and c.state.exit_code for c in (*pod.containers, *pod.init_containers))

    def entry(container: ContainerReport) -> ContainerReport:
        state = container.state
        if not isinstance(state, Terminated):
            state = default
        elif override_success and not any_failed and state.exit_code == 0:
            state = replace(state, exit_code=default.exit_code, reason=default.reason, message=default.message)
        elif state.exit_code and default.reason and not state.message:
            state = replace(state, message=f"{default.reason}: {default.message}")
        return _with_earlier_runs(pod, replace(container, state=state, ready=False))

    def init_entry(container: ContainerReport) -> ContainerReport:
        return _with_earlier_runs(pod, container if isinstance(container.state, Terminated) else replace(container, state=default))

    return PodReport(
        containers=tuple(entry(container) for container in pod.containers),
        init_containers=tuple(init_entry(container) for container in pod.init_containers),
        finished=True,
    )


def _with_earlier_runs(pod: RemotePod, container: ContainerReport) -> ContainerReport:
    """Earlier runs count as restarts, and the end of the last one is the last state."""
    if not pod.earlier_runs:
        return container
    before, last = pod.earlier_runs[-1], container.last_state
    if last is None and (end := next((end for end in before.ends if end.container == container.name), None)):
        message = f"{before.reason}: {before.message}"
        last = Terminated(end.exit_code, before.reason, message, end.started_at or None, end.finished_at or None, end.container_id)
    restarts = container.restart_count + history.count_restarts(pod.earlier_runs, container.name)
    return replace(container, restart_count=restarts, last_state=last)


def vanished(containers: Iterable[tuple[str, str]], init_containers: Iterable[tuple[str, str]]) -> PodReport:
    """The report of a pod on record of which the remote cluster has nothing. The arguments are (name, image) of each container."""
    message = "the remote pod is gone: somebody deleted it, and its end was not seen"
    return _all_ended(containers, init_containers, Terminated(KILLED_CODE, DELETED_REASON, message))


def not_repeated(containers: Iterable[tuple[str, str]], init_containers: Iterable[tuple[str, str]], message: str) -> PodReport:
    """The report of a pod that should run again, and whose next run was refused."""
    return _all_ended(containers, init_containers, Terminated(KILLED_CODE, "NotRepeated", message))


def _all_ended(containers: Iterable[tuple[str, str]], init_containers: Iterable[tuple[str, str]], state: Terminated) -> PodReport:
    return PodReport(
        containers=tuple(ContainerReport(name, state, image=image) for name, image in containers),
        init_containers=tuple(ContainerReport(name, state, image=image) for name, image in init_containers),
        finished=True,
    )
