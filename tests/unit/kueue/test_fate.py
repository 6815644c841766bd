"""What is to become of a remote pod, alone and as a member of a group."""

from __future__ import annotations

from typing import Any

import pytest

from interlink_kueue.fate import Fate, GroupState, decide_fate, group_state, must_stop_job
from interlink_kueue.remotepod import RemotePod
from tests.unit.kueue.remotepods import (
    BY_SCHEDULER,
    DEACTIVATED,
    DELETION,
    FAILS_ON_EVICTION,
    IN_A_GROUP,
    INCOMPLETE,
    PREEMPTED,
    RUNNING,
    member,
    remote,
    status,
    terminated,
)


@pytest.mark.parametrize(
    ("condition", "metadata", "on_deletion", "expected"),
    [
        (PREEMPTED, {}, "fail", Fate.RERUN),
        (BY_SCHEDULER, {}, "fail", Fate.RERUN),
        (PREEMPTED, {"annotations": {"interlink.eu/on-eviction": "fail"}}, "rerun", Fate.FINAL),
        (PREEMPTED, {"labels": IN_A_GROUP}, "fail", Fate.RERUN),
        (None, {**DELETION, "labels": IN_A_GROUP}, "rerun", Fate.FINAL),
        (DEACTIVATED, {}, "rerun", Fate.FINAL),
        ({**PREEMPTED, "type": "DisruptionTarget", "reason": "DeletionByTaintManager"}, DELETION, "fail", Fate.FINAL),
        (None, DELETION, "fail", Fate.FINAL),
        (None, DELETION, "rerun", Fate.RERUN),
        (None, {}, "rerun", Fate.FINAL),
    ],
)
def test_fates_of_ended_pods(condition: dict[str, Any] | None, metadata: dict[str, Any], on_deletion: str, expected: Fate) -> None:
    pod = remote(status(terminated(143)), phase="Failed", metadata=metadata, conditions=[condition] if condition else [])
    assert decide_fate(pod, gone=True, on_deletion=on_deletion) is expected
    if condition or "deletionTimestamp" in metadata:
        assert decide_fate(pod, gone=False, on_deletion=on_deletion) is expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (member("b", PREEMPTED), GroupState.CAN_RERUN),
        (member("b", PREEMPTED, phase="Succeeded"), GroupState.CAN_RERUN),
        (member("b", run=1), GroupState.CAN_RERUN),
        (member("b", phase="Running"), GroupState.UNDECIDED),
        (member("b", phase="Succeeded"), GroupState.CANNOT_RERUN),
        (member("b", phase="Failed"), GroupState.CANNOT_RERUN),
        (member("b", metadata=DELETION), GroupState.CANNOT_RERUN),
        (member("b", PREEMPTED, on_eviction="fail"), GroupState.CANNOT_RERUN),
        (member("b", DEACTIVATED), GroupState.CANNOT_RERUN),
        (member("b", BY_SCHEDULER), GroupState.CANNOT_RERUN),
        (member("adopted", PREEMPTED), GroupState.CANNOT_RERUN),
        (None, GroupState.CANNOT_RERUN),
    ],
)
def test_an_evicted_group_runs_again_as_a_whole_or_not_at_all(other: RemotePod | None, expected: GroupState) -> None:
    pod = member("a", PREEMPTED, phase="Failed")
    assert group_state(pod, [pod, *([other] if other else [])], lambda uid: uid != "adopted") is expected


def test_a_pod_without_a_group_is_whole_by_itself() -> None:
    assert group_state(remote(), [], lambda _: True) is GroupState.CAN_RERUN


@pytest.mark.parametrize(("group", "expected"), [(GroupState.UNDECIDED, Fate.UNDECIDED), (GroupState.CANNOT_RERUN, Fate.FINAL_WITH_GROUP)])
def test_an_evicted_member_shares_the_fate_of_its_group(group: GroupState, expected: Fate) -> None:
    pod = member("a", PREEMPTED, phase="Failed", metadata=DELETION)
    assert decide_fate(pod, gone=False, on_deletion="fail", group=group) is expected


def test_a_pod_whose_contents_are_not_known_cannot_run_again() -> None:
    pod = remote(status(terminated(143)), phase="Failed", conditions=[PREEMPTED], metadata=DELETION)
    assert decide_fate(pod, gone=False, on_deletion="rerun", is_repeatable=False) is Fate.FINAL


@pytest.mark.parametrize(
    ("pod", "gone", "expected"),
    [
        (remote(status(RUNNING), phase="Running"), False, Fate.GOES_ON),
        (remote(status(RUNNING), phase="Running"), True, Fate.FINAL),
        (remote(status(RUNNING), phase="Running", metadata=DELETION), False, Fate.GOES_ON),
        (remote(phase="Pending", metadata=DELETION, spec={"nodeName": ""}), False, Fate.FINAL),
        (remote(status(terminated(0)), phase="Succeeded"), False, Fate.GOES_ON),
        (remote(status(terminated(0)), phase="Succeeded"), True, Fate.FINAL),
        (remote(phase="Pending", spec=INCOMPLETE), True, Fate.GOES_ON),
    ],
)
def test_fates_of_pods_that_nobody_evicts(pod: RemotePod, gone: bool, expected: Fate) -> None:
    assert decide_fate(pod, gone=gone, on_deletion="fail") is expected


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (remote(status(RUNNING), phase="Running"), False),
        (remote(status(terminated(1)), phase="Failed"), False),
        (remote(status(RUNNING), phase="Running", conditions=[PREEMPTED]), False),
        (remote(status(RUNNING), phase="Running", conditions=[DEACTIVATED]), True),
        (remote(status(RUNNING), phase="Running", conditions=[PREEMPTED], metadata=FAILS_ON_EVICTION), True),
        (remote(status(RUNNING), phase="Running", metadata={**FAILS_ON_EVICTION, **DELETION}), True),
    ],
)
def test_a_job_is_stopped_when_its_pod_is_ended_for_good(pod: RemotePod, expected: bool) -> None:
    assert must_stop_job(pod) is expected
