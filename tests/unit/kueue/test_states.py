"""The table from a remote pod (and Kueue's Workload) to the virtual pod's report: every row, whole reports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_kueue.fate import GroupState, decide_fate
from interlink_kueue.history import ContainerEnd, EndedRun, count_restarts, from_annotation, shorten
from interlink_kueue.kueue import KueueWorkload
from interlink_kueue.remotepod import DELETED_REASON, RemotePod, runs_before_next, with_remembered_states, with_worker_eviction
from interlink_kueue.states import not_repeated, report, vanished
from tests.unit.kueue.remotepods import (
    DEACTIVATED,
    DELETION,
    GATED,
    PREEMPTED,
    QUEUED,
    QUEUED_AGAIN,
    RUNNING,
    T0,
    member,
    remote,
    status,
    terminated,
)


def reported(
    pod: RemotePod, kueue_workload: KueueWorkload | None = None, *, position: int | None = None, hint: str = "", **facts: Any
) -> PodReport:
    """The report of a pod, with the fate that follows from it and from `facts`."""
    fate = decide_fate(pod, **{"gone": False, "on_deletion": "fail", **facts})
    return report(pod, kueue_workload, fate, position=position, hint=hint)


def one(pod: RemotePod, kueue_workload: KueueWorkload | None = None, **how: Any) -> ContainerReport:
    (found,) = reported(pod, kueue_workload, **how).containers
    return found


@pytest.mark.parametrize(
    ("pod", "kueue_workload", "expected"),
    [
        (remote(phase="Pending", spec={"nodeName": ""}), None, Waiting("ContainerCreating", "waiting for a node")),
        (remote(phase="Pending"), None, Waiting("ContainerCreating", "on node n")),
        (
            remote(
                phase="Pending",
                spec={"nodeName": ""},
                conditions=[{"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no gpu"}],
            ),
            None,
            Waiting("Unschedulable", "no gpu"),
        ),
        (remote(metadata=QUEUED, spec=GATED), None, Waiting("Queued", "queue q: Kueue has not taken the pod up yet")),
        (
            remote(metadata=QUEUED, spec=GATED),
            KueueWorkload("w", "q", (), reason="WaitingForQuota", message="200m more needed"),
            Waiting("Queued", "queue q: 200m more needed"),
        ),
        (
            remote(metadata=QUEUED, spec=GATED),
            KueueWorkload("w", "q", (), active=False, reason="Deactivated", message="by an administrator"),
            Waiting("Queued", "queue q: the workload is deactivated (Deactivated): by an administrator"),
        ),
        (
            remote(spec={"schedulingGates": [{"name": "other.example.org/gate"}]}),
            None,
            Waiting("SchedulingGated", "held by other.example.org/gate"),
        ),
        (
            remote(status({"waiting": {"reason": "ImagePullBackOff", "message": "no such image"}}), phase="Pending"),
            None,
            Waiting("ImagePullBackOff", "no such image"),
        ),
        (remote(status(RUNNING), phase="Running"), None, Running(T0)),
        (remote(status(RUNNING), phase="Unknown", reason="NodeLost"), None, Running(T0)),
        (
            remote(status(terminated(3, reason="Error")), phase="Failed"),
            None,
            Terminated(3, "Error", "", T0, T0 + 5, "containerd://1"),
        ),
        (
            remote(
                status(RUNNING),
                phase="Failed",
                conditions=[{"type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": "no node"}],
            ),
            None,
            Terminated(137, "DeletionByPodGC", "no node"),
        ),
        (
            remote(phase="Failed", reason="Evicted", message="The node was low on memory"),
            None,
            Terminated(137, "Evicted", "The node was low on memory"),
        ),
        (
            remote(status(terminated(0)), phase="Failed", reason="DeadlineExceeded", message="too long"),
            None,
            Terminated(137, "DeadlineExceeded", "too long", T0, T0 + 5, "containerd://1"),
        ),
        (
            remote(status(terminated(0)), phase="Succeeded", metadata=DELETION),
            None,
            Terminated(137, DELETED_REASON, "the remote pod was deleted by somebody", T0, T0 + 5, "containerd://1"),
        ),
    ],
)
def test_states(pod: RemotePod, kueue_workload: KueueWorkload | None, expected: Any) -> None:
    found = one(pod, kueue_workload=kueue_workload)
    assert found.state == expected
    assert reported(pod, kueue_workload).finished == isinstance(expected, Terminated)


def test_what_multikueue_evicts_from_a_worker_cluster() -> None:
    """The pod here stays as it was, with the status of a copy that is gone."""
    mirrored = remote(status(RUNNING), phase="Running", metadata=QUEUED_AGAIN, spec=GATED)
    evicted = KueueWorkload("w", "q", (), evicted="Preempted", evicted_message="made room")
    assert with_worker_eviction(mirrored, KueueWorkload("w", "q", (), admitted=True)) is mirrored
    pod = with_worker_eviction(mirrored, evicted)
    assert one(pod).state == Waiting("Preempted", "run 1 ended: made room; it runs again")
    assert runs_before_next(pod) == (EndedRun("Preempted", "made room", (ContainerEnd("main", 137, T0),), {"main": 0}, "remote-uid"),)
    assert with_remembered_states(mirrored, pod) == pod
    begun = remote(status(RUNNING), phase="Running")
    assert with_worker_eviction(begun, evicted) is begun


def test_a_copy_that_had_not_begun_waits_in_the_queue_again() -> None:
    pod = remote(status({"waiting": {"reason": "ContainerCreating"}}), phase="Pending", metadata=QUEUED_AGAIN, spec=GATED)
    evicted = KueueWorkload("w", "q", (), evicted="Preempted", evicted_message="made room", message="200m more needed")
    assert with_worker_eviction(pod, evicted) is pod
    assert one(pod, kueue_workload=evicted).state == Waiting("Queued", "queue q: 200m more needed")
    admitted = KueueWorkload("w", "q", (), admitted=True)
    assert one(pod, admitted, hint="No files.").state == Waiting("ContainerCreating", "No files.")


def test_a_position_in_the_queue_is_reported() -> None:
    pod, waits = remote(metadata=QUEUED, spec=GATED), KueueWorkload("w", "q", (), reason="WaitingForQuota", message="200m more needed")
    assert one(pod, kueue_workload=waits, position=2).state == Waiting("Queued", "queue q, 2 ahead: 200m more needed")
    assert one(pod, kueue_workload=waits, position=0).state == Waiting("Queued", "queue q, next: 200m more needed")


def test_a_pod_is_running_while_its_deletion_is_under_way() -> None:
    lost = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "deleting due to NoExecute taint"}
    found = one(remote(status(RUNNING, ready=True), phase="Running", metadata=DELETION, conditions=[lost]))
    assert (found.state, found.ready, found.message) == (
        Running(T0), False, "being stopped: DeletionByTaintManager: deleting due to NoExecute taint"
    )  # fmt: skip


def test_what_ended_before_somebody_deleted_it_keeps_its_end() -> None:
    """The kubelet's last call sets deletionTimestamp to now: only who has seen the pod before knows what came first."""
    late = {**DELETION, "deletionTimestamp": "2026-11-26T01:01:00Z"}
    assert one(remote(status(terminated(0)), phase="Succeeded", metadata=late)).state == Terminated(0, "", "", T0, T0 + 5, "containerd://1")
    last_call = {"deletionTimestamp": "2026-11-26T01:01:00Z", "deletionGracePeriodSeconds": 0}
    unsure = remote(status(terminated(0)), phase="Succeeded", metadata=last_call)
    assert one(unsure).state == Terminated(137, DELETED_REASON, "the remote pod was deleted by somebody", T0, T0 + 5, "containerd://1")
    before = remote(status(terminated(0)), phase="Succeeded")
    assert one(with_remembered_states(unsure, before)).state == Terminated(0, "", "", T0, T0 + 5, "containerd://1")
    dying = remote(status(RUNNING), phase="Running", metadata=DELETION)
    ended = with_remembered_states(remote(status(terminated(0)), phase="Succeeded", metadata=late), dying)
    assert one(ended).state == Terminated(137, DELETED_REASON, "the remote pod was deleted by somebody", T0, T0 + 5, "containerd://1")


def test_an_evicted_member_says_what_it_waits_for() -> None:
    pod = member("a", PREEMPTED, phase="Failed", metadata=DELETION)
    message = "run 1 ended: made room; it runs again if all pods of its group do"
    assert one(pod, group=GroupState.UNDECIDED).state == Waiting("Preempted", message)
    broken = Terminated(137, "Preempted", "made room; not all pods of its group can run again")
    assert one(pod, group=GroupState.CANNOT_RERUN).state == broken


def test_a_pod_whose_contents_are_not_known_has_ended() -> None:
    pod = remote(status(terminated(143)), phase="Failed", conditions=[PREEMPTED], metadata=DELETION)
    assert reported(pod, is_repeatable=False).finished


def test_an_eviction_never_looks_like_a_success() -> None:
    """Although the container ended with 0."""
    pod = remote(status(terminated(0)), phase="Succeeded", conditions=[DEACTIVATED], metadata=DELETION)
    assert one(pod).state == Terminated(137, "Deactivated", "by an administrator", T0, T0 + 5, "containerd://1")
    again = remote(status(terminated(0)), phase="Succeeded", conditions=[PREEMPTED], metadata=DELETION)
    assert reported(again, None) == PodReport(
        (ContainerReport("main", Waiting("Preempted", "run 1 ended: made room; it runs again"), image="x"),)
    )


def test_a_pod_that_was_never_seen_to_end() -> None:
    assert one(remote(status(RUNNING), phase="Running"), gone=True).state == Terminated(
        137, DELETED_REASON, "the remote pod was deleted by somebody"
    )
    ended = Terminated(137, DELETED_REASON, "the remote pod is gone: somebody deleted it, and its end was not seen")
    assert vanished([("a", "x")], [("i", "y")]) == PodReport(
        (ContainerReport("a", ended, image="x"),), (ContainerReport("i", ended, image="y"),), finished=True
    )


def test_a_run_that_is_refused_says_why() -> None:
    (found,) = not_repeated([("a", "x")], [], "it cannot run again").containers
    assert found.state == Terminated(137, "NotRepeated", "it cannot run again")


def test_earlier_runs_count_as_restarts() -> None:
    first = remote(status(terminated(143), restartCount=2), phase="Failed", conditions=[PREEMPTED], metadata=DELETION)
    past = runs_before_next(first)
    carried = {
        "annotations": {
            "interlink.eu/past": json.dumps(
                [{"reason": p.reason, "message": p.message, "ends": [vars(e) for e in p.ends], "restarts": p.restarts} for p in past]
            )
        }
    }
    found = one(remote(status(RUNNING, restartCount=1), phase="Running", metadata=carried))
    assert found.restart_count == 2 + 1 + 1
    assert found.last_state == Terminated(143, "Preempted", "Preempted: made room", T0, T0 + 5, "containerd://1")


def test_a_long_history_is_folded_and_still_counts() -> None:
    past: tuple[EndedRun, ...] = ()
    for number in range(12):
        past = shorten((*past, EndedRun("Preempted", str(number), (), {"main": 1})))
    assert len(past) == 5
    assert count_restarts(past, "main") == 12 * 2
    assert from_annotation("not json") == from_annotation('[{"x": 1}]') == ()


def test_last_states_that_a_kubelet_forgets_are_remembered() -> None:
    before = remote(status(terminated(5)), phase="Running")
    now = remote(status(terminated(0), restartCount=1), phase="Succeeded")
    last = one(with_remembered_states(now, before)).last_state
    assert last is not None
    assert last.exit_code == 5


def test_warnings_stand_in_the_waiting_message() -> None:
    pod = remote(phase="Pending", metadata={"annotations": {"interlink.eu/warnings": "spec.affinity has no effect"}})
    assert one(pod).state == Waiting("ContainerCreating", "on node n spec.affinity has no effect")
