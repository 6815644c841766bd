"""A remote pod, and what Kueue says of it, as the report of the virtual pod. Pure; one table.

::

    the remote pod                                            the virtual pod
    held by a gate                                            waiting: Queued, in the queue's own words
    Pending, no node                                          waiting: Unschedulable, the scheduler's words
    Pending or Running                                        as the remote kubelet tells of each container
    Unknown, or its node does not answer                      as it was: nothing is known to have ended
    being ended by somebody else                              not ready, with the reason
    Succeeded or Failed                                       ended, with the remote codes, reasons and messages
    Failed without a container's end (evicted, node lost)     ended with 137 and the pod's reason, or why it was disrupted
    evicted by Kueue or the scheduler, ended                  waiting for the next run, or ended with 137, by setting; a group as a whole
    deleted by somebody, ended or gone                        ended with 137 (or the next run, by setting); never a success
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum

from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_kueue import history, labels
from interlink_kueue.groups import Whole
from interlink_kueue.history import Past
from interlink_kueue.kueue import Admission, is_final, waiting_message
from interlink_kueue.remotepod import KILLED_CODE, RemotePod, end_of, ended_by_itself, eviction, why

DELETED = "DeletedRemotely"


class Fate(StrEnum):
    """What is to become of a remote pod, besides being told of."""

    STAYS = "stays"
    RELEASE = "release"
    """It ended and somebody deletes it: what there was to know is known, our finalizer may go."""
    RERUN = "rerun"
    """It ended by an eviction: another run begins, then it may go."""
    UNDECIDED = "undecided"
    """It ended by an eviction, and the pods of its group go on still."""


def fate(pod: RemotePod, *, gone: bool, on_deletion: str, repeatable: bool = True, whole: Whole = Whole.AGAIN) -> Fate:
    """What is to be done about a pod that is not being deleted by us.

    `gone`: it is not on the remote cluster any more. `repeatable`: its contents are known here.
    """
    if not pod.complete or (not gone and _goes_on(pod)):
        return Fate.STAYS
    if ended_by_itself(pod):
        return Fate.RELEASE
    evicted = eviction(pod)
    wanted = (pod.on_eviction if evicted else on_deletion) == "rerun" and not is_final(evicted)
    if not wanted or not repeatable or whole is Whole.BROKEN or (pod.group and not evicted):
        return Fate.RELEASE
    return Fate.RERUN if whole is Whole.AGAIN else Fate.UNDECIDED


def is_last(pod: RemotePod) -> bool:
    """Whether somebody has ended it, and it is not to run again."""
    evicted = eviction(pod)
    ended = bool(evicted or pod.deleted) and not ended_by_itself(pod)
    return ended and (pod.on_eviction != "rerun" or is_final(evicted))


def _goes_on(pod: RemotePod) -> bool:
    """Whether its kubelet still has something to tell, or nobody wants it to go."""
    if pod.ended:
        return not pod.deleted and not eviction(pod)
    return not pod.deleted or bool(pod.node)


def report(
    pod: RemotePod,
    admission: Admission | None,
    *,
    gone: bool = False,
    on_deletion: str = "fail",
    repeatable: bool = True,
    whole: Whole = Whole.AGAIN,
    position: int | None = None,
    hint: str = "",
) -> PodReport:
    """What is told of the pod. Its entries are those of the remote spec, which has every container of the virtual one.

    `hint`: what else somebody who waits should know.
    """
    decided = fate(pod, gone=gone, on_deletion=on_deletion, repeatable=repeatable, whole=whole)
    if decided in (Fate.RERUN, Fate.UNDECIDED):
        reason = eviction(pod) or DELETED
        then = "it runs again" if decided is Fate.RERUN else "it runs again if all pods of its group do"
        return _told(pod, Waiting(reason, f"run {pod.number} ended: {why(pod)}; {then}"), all_wait=True)
    if pod.complete and (gone or decided is Fate.RELEASE) and not ended_by_itself(pod):
        reason = eviction(pod) or pod.disruption[0] or DELETED
        words = f"{why(pod)}; not all pods of its group can run again" if eviction(pod) and whole is Whole.BROKEN else why(pod)
        return _ended(pod, Terminated(KILLED_CODE, reason, words), override_success=True)
    if pod.ended:
        reason, message = pod.disruption
        words = pod.message or message or f"the remote pod ended as {pod.phase} without telling of this container"
        code = 0 if pod.phase == "Succeeded" else KILLED_CODE
        return _ended(pod, Terminated(code, pod.reason or reason, words), override_success=pod.phase == "Failed")
    requeued = labels.KUEUE_GATE in pod.gates and admission is not None and not admission.admitted and pod.waits
    return _told(pod, _not_yet(pod, admission, position), all_wait=requeued, hint=hint)


def _not_yet(pod: RemotePod, admission: Admission | None, position: int | None) -> Waiting:
    """What containers without a status of their own wait for."""
    again = f"run {pod.number} after {pod.past[-1].reason}, " if pod.past else ""
    if labels.KUEUE_GATE in pod.gates:
        return Waiting("Queued", again + waiting_message(pod.queue, admission, position))
    if not pod.complete:
        return Waiting("ContainerCreating", f"{again}being created")
    if pod.gates:
        return Waiting("SchedulingGated", f"{again}held by {', '.join(pod.gates)}")
    if pod.unscheduled:
        return Waiting("Unschedulable", again + pod.unscheduled)
    return Waiting("ContainerCreating", f"{again}on node {pod.node}" if pod.node else f"{again}waiting for a node".strip())


def _told(pod: RemotePod, missing: Waiting, *, all_wait: bool = False, hint: str = "") -> PodReport:
    """A pod that has not ended. `missing` is what containers without a status wait for, or all of them."""

    def entry(found: ContainerReport) -> ContainerReport:
        state = found.state
        if all_wait or (isinstance(state, Waiting) and not state.reason):
            state = missing
        if isinstance(state, Waiting):
            state = replace(state, message=" ".join(filter(None, (state.message, hint, pod.warnings))))
        if isinstance(state, Running) and pod.deleted:
            # It may be ended by its node, or the node may be away: then this stays so until somebody gives the node up.
            found = replace(found, ready=False, message=f"being ended: {pod.disruption[0] or DELETED}: {why(pod)}")
        return _with_past(pod, replace(found, state=state))

    return PodReport(
        containers=tuple(entry(found) for found in pod.containers), init_containers=tuple(entry(found) for found in pod.init_containers)
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
    return history.folded((*pod.past, end_of(pod, eviction(pod) or DELETED)))


def vanished(containers: Iterable[tuple[str, str]], init_containers: Iterable[tuple[str, str]], why: str = "") -> PodReport:
    """A pod on record that is not on the remote cluster; the arguments are (name, image) of each container, and why it could not
    run again, if that is known."""
    ended = Terminated(
        KILLED_CODE, "NotRepeated" if why else DELETED, why or "the remote pod is gone: somebody deleted it, and its end was not seen"
    )
    return PodReport(
        containers=tuple(ContainerReport(name, ended, image=image) for name, image in containers),
        init_containers=tuple(ContainerReport(name, ended, image=image) for name, image in init_containers),
        finished=True,
    )
