"""Pods that Kueue admits as one: whether an evicted group runs again, which it does as a whole or not at all. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import StrEnum

from interlink_kueue.kueue import is_final
from interlink_kueue.remotepod import PREEMPTED_BY_SCHEDULER, RemotePod, ended_by_itself, eviction


class Whole(StrEnum):
    """What becomes of an evicted pod's group. A pod without one is whole by itself."""

    AGAIN = "again"
    UNDECIDED = "undecided"
    """Some of its members go on still: Kueue ends one after the other."""
    BROKEN = "broken"
    """A member has ended, was deleted, or does not want to run again: the others would wait for it for ever."""


def whole(pod: RemotePod, members: Iterable[RemotePod], repeatable: Callable[[str], bool]) -> Whole:
    """`members`: the last run of each pod of its group, with `deleted` set if it is gone; `repeatable` by the UID of the carried pod."""
    if not pod.group:
        return Whole.AGAIN
    found = [_member(member, pod.run, repeatable) for member in members]
    if Whole.BROKEN in found or len(found) < pod.group_count:
        return Whole.BROKEN
    return Whole.UNDECIDED if Whole.UNDECIDED in found else Whole.AGAIN


def _member(member: RemotePod, run: int, repeatable: Callable[[str], bool]) -> Whole:
    if member.run > run:
        return Whole.AGAIN
    if evicted := eviction(member):
        wanted = member.on_eviction == "rerun" and not is_final(evicted) and evicted != PREEMPTED_BY_SCHEDULER
        return Whole.AGAIN if wanted and not ended_by_itself(member) and repeatable(member.pod_uid) else Whole.BROKEN
    return Whole.BROKEN if member.ended or member.deleted else Whole.UNDECIDED
