"""What is known of remote pods, whoever shows them first."""

from __future__ import annotations

from typing import Any

from interlink_kueue.index import Index
from interlink_kueue.reflector import Event, EventKind


def remote(phase: str, uid: str = "remote-uid") -> dict[str, Any]:
    labels = {"interlink.eu/pod-uid": "uid", "interlink.eu/run": "0"}
    return {
        "kind": "Pod",
        "metadata": {"name": "r", "namespace": "ns", "uid": uid, "labels": labels},
        "spec": {},
        "status": {"phase": phase},
    }


def test_an_answer_that_comes_after_the_watch_is_old_news() -> None:
    """The watch may have shown a pod's start before the call that created it returned."""
    changed: list[str] = []
    index = Index(changed.append)
    watch = index.pods_updater(index.store("default", "ns"))
    index.add_created("default", remote("Pending"))
    watch.apply(Event(EventKind.PRESENT, remote("Running")))
    index.add_created("default", remote("Pending"))
    run = index.latest("uid")
    assert run is not None
    assert (run.pod.phase, run.gone) == ("Running", False)
    watch.apply(Event(EventKind.GONE, remote("Running")))
    index.add_created("default", remote("Pending"))
    run = index.latest("uid")
    assert run is not None
    assert run.gone
    assert set(changed) == {"uid"}


def test_what_a_list_does_not_show_is_gone() -> None:
    index = Index(lambda _: None)
    store = index.store("default", "ns")
    watch = index.pods_updater(store)
    for kind, item in ((EventKind.LIST_BEGINS, {}), (EventKind.PRESENT, remote("Running")), (EventKind.SYNCED, {})):
        watch.apply(Event(kind, item))
    (run,) = index.runs("uid")
    assert index.has(run.ref)
    for kind in (EventKind.LIST_BEGINS, EventKind.SYNCED):
        watch.apply(Event(kind, {}))
    (run,) = index.runs("uid")
    assert (run.gone, index.has(run.ref)) == (True, False)
    index.forget("uid")
    assert (index.latest("uid"), store.pods) == (None, {})
