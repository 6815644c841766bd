"""What is due because of what is known of a pod: whole lists of actions."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from interlink_kueue import labels
from interlink_kueue.fate import Fate
from interlink_kueue.kueue import KueueWorkload
from interlink_kueue.labels import ObjectRef
from interlink_kueue.podview import Action, DueAction, EarlierRun, PodView, RecordedPod, due_actions
from interlink_kueue.remotepod import RemotePod, RemoteRun
from tests.unit.kueue.pods import pod as workload
from tests.unit.kueue.remotepods import DEACTIVATED, DELETION, GATED, INCOMPLETE, PREEMPTED, RUNNING, member, remote, status, terminated

RECORDED = RecordedPod.of(workload(), ObjectRef("default", "ns", "r"))
ADOPTED = RecordedPod.of(workload(annotations={labels.ADOPTED: "true"}), ObjectRef("default", "ns", "r"))
ON_WORKER = KueueWorkload("w", "q", ("remote-uid",), admitted=True, worker="east")
WAITING = remote(phase="Pending")
EVICTED = remote(status(terminated(143)), phase="Failed", conditions=[PREEMPTED], metadata=DELETION)
RELEASED = replace(EVICTED, finalizers=())
KEPT_BY_MULTIKUEUE = remote(status(terminated(137)), phase="Failed", conditions=[DEACTIVATED], spec=GATED)
OF_A_JOB = replace(remote(status(RUNNING), phase="Running", conditions=[DEACTIVATED]), job="j")


@pytest.mark.parametrize(
    ("pod", "fate", "facts", "expected"),
    [
        (remote(status(RUNNING), phase="Running"), Fate.GOES_ON, {}, []),
        (EVICTED, Fate.RERUN, {}, [Action.RERUN]),
        (EVICTED, Fate.RERUN, {"recorded": None}, []),
        (EVICTED, Fate.UNDECIDED, {}, []),
        (EVICTED, Fate.FINAL, {}, [Action.RELEASE]),
        (EVICTED, Fate.FINAL_WITH_GROUP, {}, [Action.RELEASE]),
        (RELEASED, Fate.FINAL, {}, []),
        (KEPT_BY_MULTIKUEUE, Fate.FINAL, {}, [Action.REMOVE]),
        (OF_A_JOB, Fate.GOES_ON, {}, [Action.STOP_JOB]),
        (replace(OF_A_JOB, superseded=(EVICTED,)), Fate.GOES_ON, {}, [Action.RECORD_SUPERSEDED, Action.STOP_JOB]),
        (WAITING, Fate.GOES_ON, {"kueue_workload": ON_WORKER}, [Action.BRING_FILES]),
        (WAITING, Fate.GOES_ON, {"kueue_workload": ON_WORKER, "recorded": ADOPTED}, []),
        (replace(WAITING, job="j"), Fate.GOES_ON, {"kueue_workload": ON_WORKER}, []),
        (remote(status(RUNNING), phase="Running"), Fate.GOES_ON, {"kueue_workload": ON_WORKER}, []),
    ],
)
def test_what_is_due_for_the_latest_run(pod: RemotePod, fate: Fate, facts: dict[str, Any], expected: list[Action]) -> None:
    run = RemoteRun("default", pod)
    view = PodView(run, fate, **{"recorded": RECORDED, **facts})
    assert list(due_actions(view)) == [DueAction(action, run) for action in expected]


def test_nothing_of_a_run_that_is_gone_is_due() -> None:
    for pod in (EVICTED, KEPT_BY_MULTIKUEUE, OF_A_JOB):
        assert list(due_actions(PodView(RemoteRun("default", pod, gone=True), Fate.FINAL, RECORDED))) == []


@pytest.mark.parametrize(
    ("latest", "gone", "group_ended", "expected"),
    [
        ({}, False, False, [Action.REMOVE]),
        ({}, False, True, [Action.REMOVE, Action.FREE_GROUP]),
        ({}, True, True, []),
        (INCOMPLETE, False, True, []),
    ],
)
def test_earlier_runs_go_when_the_next_is_complete(
    latest: dict[str, Any], gone: bool, group_ended: bool, expected: list[Action]
) -> None:  # fmt: skip
    earlier = RemoteRun("default", member("uid", PREEMPTED, phase="Failed"), gone=gone)
    view = PodView(RemoteRun("default", remote(spec=latest)), Fate.GOES_ON, RECORDED, earlier=(EarlierRun(earlier, group_ended),))
    assert list(due_actions(view)) == [DueAction(action, earlier) for action in expected]


def test_what_must_not_happen_twice_at_once_has_one_name() -> None:
    """A rerun that of its pod, a group that of its run, whatever member it is."""
    one, other = (RemoteRun("default", member(uid, PREEMPTED, run=2)) for uid in "ab")
    assert DueAction(Action.FREE_GROUP, one).task == DueAction(Action.FREE_GROUP, other).task == "free group g 2"
    assert DueAction(Action.RERUN, one).task == "rerun a"
    assert DueAction(Action.REMOVE, one).task == "remove default/ns/r"
    assert DueAction(Action.STOP_JOB, RemoteRun("default", OF_A_JOB)).task == "stop default/ns/jobs/j"


def test_a_recorded_pod_can_be_started_again() -> None:
    assert RECORDED.workload() == workload()
    assert (RECORDED.containers, RECORDED.is_repeatable, ADOPTED.is_repeatable) == ((("main", "busybox:1.36"),), True, False)
