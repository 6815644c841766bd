"""What is known of remote pods, whoever tells of them first."""

from __future__ import annotations

from typing import Any

from interlink_kueue.client import Cluster
from interlink_kueue.mirror import Mirror, Site
from interlink_kueue.reflector import Kind
from interlink_kueue.settings import ClusterSettings


def remote(phase: str, uid: str = "remote-uid") -> dict[str, Any]:
    labels = {"interlink.eu/pod-uid": "uid", "interlink.eu/run": "0"}
    return {
        "kind": "Pod",
        "metadata": {"name": "r", "namespace": "ns", "uid": uid, "labels": labels},
        "spec": {},
        "status": {"phase": phase},
    }


def test_an_answer_that_comes_after_the_watch_is_old_news() -> None:
    """The watch may have told of a pod's start before the call that created it returned."""
    changed: list[str] = []
    mirror = Mirror("node-1", changed.append, lambda: None)
    watch = mirror._pods(Site(Cluster("default", ClusterSettings()), "ns"))
    mirror.note("default", remote("Pending"))
    watch(Kind.PRESENT, remote("Running"))
    mirror.note("default", remote("Pending"))
    known = mirror.latest("uid")
    assert known is not None
    assert (known.pod.phase, known.gone) == ("Running", False)
    watch(Kind.GONE, remote("Running"))
    mirror.note("default", remote("Pending"))
    known = mirror.latest("uid")
    assert known is not None
    assert known.gone
    assert set(changed) == {"uid"}
