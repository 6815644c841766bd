"""Which rights are asked for."""

from __future__ import annotations

from interlink_kueue.check import needed


def test_rights_are_asked_for_where_they_are_needed() -> None:
    plain = set(needed(queued=False, jobs=False))
    assert {("", "pods", "create"), ("", "secrets", "create")} <= plain
    assert not [right for right in plain if right[0]]
    queued = set(needed(queued=True, jobs=False)) - plain
    assert {group for group, _, _ in queued} == {"kueue.x-k8s.io", "visibility.kueue.x-k8s.io"}
    verbs = ("get", "list", "watch", "create", "patch", "delete")
    assert set(needed(queued=True, jobs=True)) - queued - plain == {("batch", "jobs", verb) for verb in verbs}
