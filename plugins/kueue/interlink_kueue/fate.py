"""What is to become of a remote pod: whether it goes on, has ended for good, or runs again, alone or with its group. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from interlink_kueue.kueue import is_final_eviction
from interlink_kueue.remotepod import PREEMPTED_BY_SCHEDULER, RemotePod


class GroupState(StrEnum):
    """Whether the evicted group of a pod can run again, which it does as a whole or not at all. A pod without a group is one by itself."""

    CAN_RERUN = "can rerun"
    UNDECIDED = "undecided"
    """Some members are still there: Kueue ends one after the other."""
    CANNOT_RERUN = "cannot rerun"
    """A member has ended, was deleted, or is not to run again: the other members would wait for it for ever."""


def group_state(pod: RemotePod, members: Iterable[RemotePod], is_repeatable: Callable[[str], bool]) -> GroupState:
    """`members`: the last run of each pod of the group, with `deleted` set if it is gone. `is_repeatable`: by the UID of the virtual pod,
    see `decide_fate`."""
    if not pod.group:
        return GroupState.CAN_RERUN
    states = [_member_state(member, pod.run_number, is_repeatable) for member in members]
    if GroupState.CANNOT_RERUN in states or len(states) < pod.group_count:
        return GroupState.CANNOT_RERUN
    return GroupState.UNDECIDED if GroupState.UNDECIDED in states else GroupState.CAN_RERUN


def _member_state(member: RemotePod, run_number: int, is_repeatable: Callable[[str], bool]) -> GroupState:
    if member.run_number > run_number:
        return GroupState.CAN_RERUN
    if member.eviction:
        is_lost = is_final_eviction(member.eviction) or member.eviction == PREEMPTED_BY_SCHEDULER or member.ended_by_itself
        reruns = member.on_eviction == "rerun" and not is_lost and is_repeatable(member.pod_uid)
        return GroupState.CAN_RERUN if reruns else GroupState.CANNOT_RERUN
    return GroupState.CANNOT_RERUN if member.ended or member.deleted else GroupState.UNDECIDED


class Fate(StrEnum):
    """What is to become of a remote pod that the plugin itself is not deleting."""

    GOES_ON = "goes on"
    """It has not ended, or it has ended and nobody wants it to go."""
    FINAL = "final"
    """This run was the last one. What there was to know is known, so the plugin's finalizer may go."""
    FINAL_WITH_GROUP = "final with its group"
    """It was evicted, and its group cannot run again."""
    RERUN = "rerun"
    """It was evicted or deleted, and the virtual pod runs again; this run may go when the next one is there."""
    UNDECIDED = "undecided"
    """It was evicted, and other pods of its group have not ended yet."""

    @property
    def is_final(self) -> bool:
        return self in (Fate.FINAL, Fate.FINAL_WITH_GROUP)


def decide_fate(
    pod: RemotePod,
    *,
    gone: bool,
    on_deletion: str,
    is_repeatable: bool = True,
    group: GroupState = GroupState.CAN_RERUN,
) -> Fate:
    """`gone`: it is no longer on the remote cluster. `on_deletion`: the setting evictions.deleted. `is_repeatable`: whether the plugin
    knows the pod's contents, so that it could start it again."""
    if not pod.is_complete or (not gone and _goes_on(pod)):
        return Fate.GOES_ON
    if pod.ended_by_itself:
        return Fate.FINAL
    if pod.eviction and group is GroupState.CANNOT_RERUN:
        return Fate.FINAL_WITH_GROUP
    reruns = (pod.on_eviction if pod.eviction else on_deletion) == "rerun" and not is_final_eviction(pod.eviction)
    if not reruns or not is_repeatable or (pod.group and not pod.eviction):
        return Fate.FINAL
    return Fate.RERUN if group is GroupState.CAN_RERUN else Fate.UNDECIDED


def must_stop_job(pod: RemotePod) -> bool:
    """Whether somebody is ending a Job's pod for good, so that its Job must not start another."""
    is_stopped = bool(pod.eviction or pod.deleted) and not pod.ended_by_itself
    return is_stopped and (pod.on_eviction != "rerun" or is_final_eviction(pod.eviction))


def _goes_on(pod: RemotePod) -> bool:
    """Whether its kubelet still has something to report, or nobody wants the pod to go."""
    if pod.ended:
        return not pod.deleted and not pod.eviction
    return not pod.deleted or bool(pod.node)
