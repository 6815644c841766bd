"""The table from a remote pod (and Kueue's word of it) to the virtual one: every row, whole reports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_kueue.groups import Whole, whole
from interlink_kueue.history import End, Past, folded, read, restarts
from interlink_kueue.kueue import Admission
from interlink_kueue.remotepod import RemotePod, as_evicted, read_pod, remembering
from interlink_kueue.states import DELETED, Fate, fate, next_past, report, vanished

STARTED, ENDED = "2026-11-26T01:00:00Z", "2026-11-26T01:00:05Z"
T0 = 1795654800.0
RUNNING = {"running": {"startedAt": STARTED}}


def terminated(code: int, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "startedAt": STARTED, "finishedAt": ENDED, "containerID": "containerd://1", **more}}


def status(state: dict[str, Any], name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "lastState": {}, "ready": False, "restartCount": 0, "image": "x", "imageID": "", **more}


def remote(*statuses: dict[str, Any], metadata: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **more: Any) -> RemotePod:
    """A v1.Pod of one container, as the API server would give it."""
    return read_pod(
        {
            "metadata": {
                "name": "r",
                "namespace": "ns",
                "uid": "remote-uid",
                "labels": {"interlink.eu/pod-uid": "uid", "interlink.eu/run": "0"},
                "annotations": {"interlink.eu/on-eviction": "rerun"},
                "finalizers": ["interlink.eu/outcome"],
                **(metadata or {}),
            },
            "spec": {"containers": [{"name": "main", "image": "x"}], "nodeName": "n", **(spec or {})},
            "status": {"containerStatuses": list(statuses), **more},
        }
    )


def one(pod: RemotePod, **how: Any) -> ContainerReport:
    (found,) = report(pod, how.pop("admission", None), **how).containers
    return found


GATED = {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}], "nodeName": ""}
QUEUED = {"labels": {"interlink.eu/pod-uid": "uid", "kueue.x-k8s.io/queue-name": "q"}}
QUEUED_AGAIN = {**QUEUED, "annotations": {"interlink.eu/on-eviction": "rerun"}}
DELETION = {"deletionTimestamp": "2026-11-26T01:00:34Z", "deletionGracePeriodSeconds": 30}
"""Asked for at 01:00:04."""
PREEMPTED = {"type": "TerminationTarget", "status": "True", "reason": "WorkloadEvictedDueToPreempted", "message": "made room"}
BY_SCHEDULER = {**PREEMPTED, "type": "DisruptionTarget", "reason": "PreemptionByScheduler"}
IN_A_GROUP = {"interlink.eu/pod-uid": "uid", "interlink.eu/group": "g"}
DEACTIVATED = {**PREEMPTED, "reason": "WorkloadEvictedDueToDeactivated", "message": "by an administrator"}


@pytest.mark.parametrize(
    ("pod", "admission", "expected"),
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
            Admission("w", "q", (), reason="WaitingForQuota", message="200m more needed"),
            Waiting("Queued", "queue q: 200m more needed"),
        ),
        (
            remote(metadata=QUEUED, spec=GATED),
            Admission("w", "q", (), active=False, reason="Deactivated", message="by an administrator"),
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
            Terminated(137, DELETED, "the remote pod was deleted by somebody", T0, T0 + 5, "containerd://1"),
        ),
    ],
)
def test_states(pod: RemotePod, admission: Admission | None, expected: Any) -> None:
    found = one(pod, admission=admission)
    assert found.state == expected
    assert report(pod, admission).finished == isinstance(expected, Terminated)


def test_what_multikueue_evicts_from_a_worker_cluster() -> None:
    """The pod here stays as it was, with the status of a copy that is gone."""
    mirrored = remote(status(RUNNING), phase="Running", metadata=QUEUED_AGAIN, spec=GATED)
    evicted = Admission("w", "q", (), evicted="Preempted", evicted_message="made room")
    assert as_evicted(mirrored, Admission("w", "q", (), admitted=True)) is mirrored
    pod = as_evicted(mirrored, evicted)
    assert one(pod).state == Waiting("Preempted", "run 1 ended: made room; it runs again")
    assert next_past(pod) == (Past("Preempted", "made room", (End("main", 137, T0),), {"main": 0}, "remote-uid"),)
    assert remembering(mirrored, pod) == pod
    begun = remote(status(RUNNING), phase="Running")
    assert as_evicted(begun, evicted) is begun


def test_a_copy_that_had_not_begun_waits_in_the_queue_again() -> None:
    pod = remote(status({"waiting": {"reason": "ContainerCreating"}}), phase="Pending", metadata=QUEUED_AGAIN, spec=GATED)
    evicted = Admission("w", "q", (), evicted="Preempted", evicted_message="made room", message="200m more needed")
    assert as_evicted(pod, evicted) is pod
    assert one(pod, admission=evicted).state == Waiting("Queued", "queue q: 200m more needed")
    assert one(pod, admission=Admission("w", "q", (), admitted=True), hint="No files.").state == Waiting("ContainerCreating", "No files.")


def test_a_position_in_the_queue_is_told() -> None:
    pod, waits = remote(metadata=QUEUED, spec=GATED), Admission("w", "q", (), reason="WaitingForQuota", message="200m more needed")
    assert one(pod, admission=waits, position=2).state == Waiting("Queued", "queue q, 2 ahead: 200m more needed")
    assert one(pod, admission=waits, position=0).state == Waiting("Queued", "queue q, next: 200m more needed")


def test_a_pod_is_running_while_its_deletion_is_under_way() -> None:
    lost = {"type": "DisruptionTarget", "status": "True", "reason": "DeletionByTaintManager", "message": "deleting due to NoExecute taint"}
    found = one(remote(status(RUNNING, ready=True), phase="Running", metadata=DELETION, conditions=[lost]))
    assert (found.state, found.ready, found.message) == (
        Running(T0), False, "being ended: DeletionByTaintManager: deleting due to NoExecute taint"
    )  # fmt: skip


def test_what_ended_before_somebody_deleted_it_keeps_its_end() -> None:
    """The kubelet's last call sets deletionTimestamp to now: only who has seen the pod before knows what came first."""
    late = {**DELETION, "deletionTimestamp": "2026-11-26T01:01:00Z"}
    assert one(remote(status(terminated(0)), phase="Succeeded", metadata=late)).state == Terminated(0, "", "", T0, T0 + 5, "containerd://1")
    last_call = {"deletionTimestamp": "2026-11-26T01:01:00Z", "deletionGracePeriodSeconds": 0}
    unsure = remote(status(terminated(0)), phase="Succeeded", metadata=last_call)
    assert one(unsure).state == Terminated(137, DELETED, "the remote pod was deleted by somebody", T0, T0 + 5, "containerd://1")
    before = remote(status(terminated(0)), phase="Succeeded")
    assert one(remembering(unsure, before)).state == Terminated(0, "", "", T0, T0 + 5, "containerd://1")
    dying = remote(status(RUNNING), phase="Running", metadata=DELETION)
    ended = remembering(remote(status(terminated(0)), phase="Succeeded", metadata=late), dying)
    assert one(ended).state == Terminated(137, DELETED, "the remote pod was deleted by somebody", T0, T0 + 5, "containerd://1")


@pytest.mark.parametrize(
    ("condition", "metadata", "on_deletion", "expected"),
    [
        (PREEMPTED, {}, "fail", Fate.RERUN),
        (BY_SCHEDULER, {}, "fail", Fate.RERUN),
        (PREEMPTED, {"annotations": {"interlink.eu/on-eviction": "fail"}}, "rerun", Fate.RELEASE),
        (PREEMPTED, {"labels": IN_A_GROUP}, "fail", Fate.RERUN),
        (None, {**DELETION, "labels": IN_A_GROUP}, "rerun", Fate.RELEASE),
        (DEACTIVATED, {}, "rerun", Fate.RELEASE),
        ({**PREEMPTED, "type": "DisruptionTarget", "reason": "DeletionByTaintManager"}, DELETION, "fail", Fate.RELEASE),
        (None, DELETION, "fail", Fate.RELEASE),
        (None, DELETION, "rerun", Fate.RERUN),
        (None, {}, "rerun", Fate.RELEASE),
    ],
)
def test_fates_of_ended_pods(condition: dict[str, Any] | None, metadata: dict[str, Any], on_deletion: str, expected: Fate) -> None:
    pod = remote(status(terminated(143)), phase="Failed", metadata=metadata, conditions=[condition] if condition else [])
    assert fate(pod, gone=True, on_deletion=on_deletion) is expected
    if condition or "deletionTimestamp" in metadata:
        assert fate(pod, gone=False, on_deletion=on_deletion) is expected


def member(uid: str, *conditions: dict[str, Any], run: int = 0, on_eviction: str = "rerun", **more: Any) -> RemotePod:
    """One of a group of two."""
    labels = {"interlink.eu/pod-uid": uid, "interlink.eu/group": "g", "interlink.eu/run": str(run)}
    annotations = {"interlink.eu/on-eviction": on_eviction, "kueue.x-k8s.io/pod-group-total-count": "2"}
    return remote(metadata={"labels": labels, "annotations": annotations, **more.pop("metadata", {})}, conditions=list(conditions), **more)


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (member("b", PREEMPTED), Whole.AGAIN),
        (member("b", PREEMPTED, phase="Succeeded"), Whole.AGAIN),
        (member("b", run=1), Whole.AGAIN),
        (member("b", phase="Running"), Whole.UNDECIDED),
        (member("b", phase="Succeeded"), Whole.BROKEN),
        (member("b", phase="Failed"), Whole.BROKEN),
        (member("b", metadata=DELETION), Whole.BROKEN),
        (member("b", PREEMPTED, on_eviction="fail"), Whole.BROKEN),
        (member("b", DEACTIVATED), Whole.BROKEN),
        (member("b", BY_SCHEDULER), Whole.BROKEN),
        (member("adopted", PREEMPTED), Whole.BROKEN),
        (None, Whole.BROKEN),
    ],
)
def test_an_evicted_group_runs_again_as_a_whole_or_not_at_all(other: RemotePod | None, expected: Whole) -> None:
    pod = member("a", PREEMPTED, phase="Failed")
    assert whole(pod, [pod, *([other] if other else [])], lambda uid: uid != "adopted") is expected


def test_a_pod_without_a_group_is_whole_by_itself() -> None:
    assert whole(remote(), [], lambda _: True) is Whole.AGAIN


def test_an_evicted_member_says_what_it_waits_for() -> None:
    pod = member("a", PREEMPTED, phase="Failed", metadata=DELETION)
    words = "run 1 ended: made room; it runs again if all pods of its group do"
    assert one(pod, whole=Whole.UNDECIDED).state == Waiting("Preempted", words)
    assert fate(pod, gone=False, on_deletion="fail", whole=Whole.UNDECIDED) is Fate.UNDECIDED
    broken = Terminated(137, "Preempted", "made room; not all pods of its group can run again")
    assert one(pod, whole=Whole.BROKEN).state == broken
    assert fate(pod, gone=False, on_deletion="fail", whole=Whole.BROKEN) is Fate.RELEASE


def test_a_pod_whose_contents_are_not_known_can_not_run_again() -> None:
    pod = remote(status(terminated(143)), phase="Failed", conditions=[PREEMPTED], metadata=DELETION)
    assert fate(pod, gone=False, on_deletion="rerun", repeatable=False) is Fate.RELEASE
    assert report(pod, None, repeatable=False).finished


def test_an_eviction_never_looks_like_a_success() -> None:
    """Although the container ended with 0."""
    pod = remote(status(terminated(0)), phase="Succeeded", conditions=[DEACTIVATED], metadata=DELETION)
    assert one(pod).state == Terminated(137, "Deactivated", "by an administrator", T0, T0 + 5, "containerd://1")
    again = remote(status(terminated(0)), phase="Succeeded", conditions=[PREEMPTED], metadata=DELETION)
    assert report(again, None) == PodReport(
        (ContainerReport("main", Waiting("Preempted", "run 1 ended: made room; it runs again"), image="x"),)
    )


def test_a_pod_that_was_never_seen_to_end() -> None:
    assert one(remote(status(RUNNING), phase="Running"), gone=True).state == Terminated(
        137, DELETED, "the remote pod was deleted by somebody"
    )
    ended = Terminated(137, DELETED, "the remote pod is gone: somebody deleted it, and its end was not seen")
    assert vanished([("a", "x")], [("i", "y")]) == PodReport(
        (ContainerReport("a", ended, image="x"),), (ContainerReport("i", ended, image="y"),), finished=True
    )


def test_a_run_that_is_refused_says_why() -> None:
    (told,) = vanished([("a", "x")], [], "it can not run again").containers
    assert told.state == Terminated(137, "NotRepeated", "it can not run again")


def test_earlier_runs_count_as_restarts() -> None:
    first = remote(status(terminated(143), restartCount=2), phase="Failed", conditions=[PREEMPTED], metadata=DELETION)
    past = next_past(first)
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
    past: tuple[Past, ...] = ()
    for number in range(12):
        past = folded((*past, Past("Preempted", str(number), (), {"main": 1})))
    assert len(past) == 5
    assert restarts(past, "main") == 12 * 2
    assert read("not json") == read('[{"x": 1}]') == ()


def test_last_states_that_a_kubelet_forgets_are_remembered() -> None:
    before = remote(status(terminated(5)), phase="Running")
    now = remote(status(terminated(0), restartCount=1), phase="Succeeded")
    last = one(remembering(now, before)).last_state
    assert last is not None
    assert last.exit_code == 5


def test_warnings_stand_in_the_waiting_message() -> None:
    pod = remote(phase="Pending", metadata={"annotations": {"interlink.eu/warnings": "spec.affinity has no effect"}})
    assert one(pod).state == Waiting("ContainerCreating", "on node n spec.affinity has no effect")
