"""Which rights the check looks for."""

from __future__ import annotations

from interlink_kueue.check import needed_rights


def test_rights_are_asked_for_where_they_are_needed_rights() -> None:
    plain = set(needed_rights(queued=False, may_be_job=False))
    assert {("", "pods", "create"), ("", "secrets", "create")} <= plain
    assert not [right for right in plain if right[0]]
    queued = set(needed_rights(queued=True, may_be_job=False)) - plain
    assert {group for group, _, _ in queued} == {"kueue.x-k8s.io", "visibility.kueue.x-k8s.io"}
    verbs = ("get", "list", "watch", "create", "patch", "delete")
    assert set(needed_rights(queued=True, may_be_job=True)) - queued - plain == {("batch", "jobs", verb) for verb in verbs}
