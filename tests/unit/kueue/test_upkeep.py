"""What is due for a Job's pods whose ends count for nothing, where Kueue tells nothing any more."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from interlink_kueue import labels, upkeep
from interlink_kueue.client import Cluster
from interlink_kueue.groups import Whole
from interlink_kueue.mirror import Known, Mirror, Site
from interlink_kueue.reflector import Kind
from interlink_kueue.settings import ClusterSettings
from interlink_kueue.workers import Workers
from tests.unit.kueue.pods import settings

ENDED = {"name": "main", "state": {"terminated": {"exitCode": 143}}, "lastState": {}, "ready": False, "restartCount": 0, "image": "x"}
NAMED = {labels.POD_UID: "uid", labels.RUN: "0"}
SPEC = {"containers": [{"name": "main", "image": "x"}]}
WISH = {labels.ON_EVICTION: "rerun"}


class Recorder(Cluster):
    """A cluster that takes everything."""

    def __init__(self) -> None:
        super().__init__("default", ClusterSettings())
        self.patched: list[tuple[str, Any]] = []

    async def call(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        self.patched.append((path, how["body"]))
        return {}


async def test_the_pods_of_a_job_go_even_if_kueue_never_tells_why_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """And when its Job goes too, the pod is gone, and does not wait for ever."""
    monkeypatch.setattr(upkeep, "RELEASE_SECONDS", 0.0)
    cluster, mirror, tasks = Recorder(), Mirror("node-1", lambda _: None, lambda: None), upkeep.Tasks()
    site = mirror.sites["default", "ns"] = Site(cluster, "ns")
    jobs, pods = mirror._jobs(site), mirror._pods(site)
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
    for kind, told in ((Kind.BEGIN, {}), (Kind.PRESENT, job), (Kind.SYNCED, {})):
        jobs(kind, told)
    pods(Kind.PRESENT, pod)

    def latest() -> Known:
        known = mirror.latest("uid")
        assert known is not None
        return known

    assert latest().pod.waits
    workers = Workers({"default": cluster}, mirror, settings())
    upkeep.Upkeep({"default": cluster}, mirror, workers, settings(), tasks).act("uid", latest(), None, Whole.AGAIN)
    await asyncio.gather(*(task for task in asyncio.all_tasks() if task.get_name() == "count default/ns/jobs/j"))
    (job_path, annotated), (pod_path, released) = cluster.patched
    assert (job_path, list(annotated["metadata"]["annotations"])) == ("/apis/batch/v1/namespaces/ns/jobs/j", [labels.PAST])
    assert (pod_path, released) == (
        "/api/v1/namespaces/ns/pods/j-a",
        {"metadata": {"$deleteFromPrimitiveList/finalizers": [labels.FINALIZER]}},
    )
    jobs(Kind.GONE, job)
    assert not latest().gone
    pods(Kind.GONE, pod)
    assert latest().gone
