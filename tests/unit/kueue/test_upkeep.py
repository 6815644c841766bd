"""What is due for Jobs' pods whose ends do not count, where Kueue says nothing any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interlink_kueue import labels, upkeep
from interlink_kueue.client import Cluster
from interlink_kueue.fate import Fate
from interlink_kueue.index import Index
from interlink_kueue.podview import PodView
from interlink_kueue.reflector import Event, EventKind
from interlink_kueue.remotepod import RemoteRun
from interlink_kueue.settings import ClusterSettings
from interlink_kueue.workerclusters import WorkerClusters
from tests.unit.kueue.pods import settings

ENDED = {"name": "main", "state": {"terminated": {"exitCode": 143}}, "lastState": {}, "ready": False, "restartCount": 0, "image": "x"}
NAMED = {labels.POD_UID: "uid", labels.RUN: "0"}
SPEC = {"containers": [{"name": "main", "image": "x"}]}
WISH = {labels.ON_EVICTION: "rerun"}


class Recorder(Cluster):
    """A cluster that accepts every call."""

    def __init__(self) -> None:
        super().__init__("default", ClusterSettings())
        self.patched: list[tuple[str, Any]] = []

    async def call(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        self.patched.append((path, how["body"]))
        return {}


async def test_the_pods_of_a_job_go_even_if_kueue_never_says_why_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """And when its Job goes too, the pod is gone, and does not wait for ever."""
    monkeypatch.setattr(upkeep, "RELEASE_SECONDS", 0.0)
    cluster, index = Recorder(), Index(lambda _: None)
    store = index.store("default", "ns")
    jobs, pods = index.jobs_updater(store), index.pods_updater(store)
    job = {
        "metadata": {"name": "j", "namespace": "ns", "uid": "job-uid", "labels": {**NAMED, labels.QUEUE_NAME: "q"}, "annotations": WISH},
        "spec": {"suspend": True, "template": {"spec": SPEC}},
    }
    metadata = {
        "name": "j-a",
        "namespace": "ns",
        "uid": "pod-uid",
        "finalizers": [labels.FINALIZER],
        "deletionTimestamp": "2026-11-26T01:00:05Z",
    }
    pod = {
        "metadata": {
            **metadata,
            "deletionTimestamp": "2026-11-26T01:00:05Z",
            "labels": {**NAMED, labels.JOB_NAME: "j"},
            "annotations": WISH,
        },
        "spec": SPEC,
        "status": {"phase": "Failed", "containerStatuses": [ENDED]},
    }
    for kind, item in ((EventKind.LIST_BEGINS, {}), (EventKind.PRESENT, job), (EventKind.SYNCED, {})):
        jobs.apply(Event(kind, item))
    pods.apply(Event(EventKind.PRESENT, pod))

    def latest() -> RemoteRun:
        run = index.latest("uid")
        assert run is not None
        return run

    assert latest().pod.is_waiting
    clusters = {"default": cluster}
    work = upkeep.Upkeep(clusters, index, WorkerClusters(clusters, index, settings()), settings())
    work.begin_due_actions(PodView(latest(), Fate.GOES_ON))
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "record superseded pods of default/ns/jobs/j"))
    (job_path, annotated), (pod_path, released) = cluster.patched
    assert (job_path, list(annotated["metadata"]["annotations"])) == ("/apis/batch/v1/namespaces/ns/jobs/j", [labels.EARLIER_RUNS])
    assert (pod_path, released) == (
        "/api/v1/namespaces/ns/pods/j-a",
        {"metadata": {"$deleteFromPrimitiveList/finalizers": [labels.FINALIZER]}},
    )
    jobs.apply(Event(EventKind.GONE, job))
    assert not latest().gone
    pods.apply(Event(EventKind.GONE, pod))
    assert latest().gone
