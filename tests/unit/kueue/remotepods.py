"""Pods of the remote cluster, as its API server would give them."""

from __future__ import annotations

from typing import Any

from interlink_kueue.podreader import read_pod
from interlink_kueue.remotepod import RemotePod

STARTED, ENDED = "2026-11-26T01:00:00Z", "2026-11-26T01:00:05Z"
T0 = 1795654800.0
RUNNING = {"running": {"startedAt": STARTED}}


def terminated(code: int, **more: Any) -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "startedAt": STARTED, "finishedAt": ENDED, "containerID": "containerd://1", **more}}


def status(state: dict[str, Any], name: str = "main", **more: Any) -> dict[str, Any]:
    return {"name": name, "state": state, "lastState": {}, "ready": False, "restartCount": 0, "image": "x", "imageID": "", **more}


def remote(*statuses: dict[str, Any], metadata: dict[str, Any] | None = None, spec: dict[str, Any] | None = None, **more: Any) -> RemotePod:
    """A v1.Pod of one container, as the API server would give it."""
    return read_pod(
        {
            "metadata": {
                "name": "r",
                "namespace": "ns",
                "uid": "remote-uid",
                "labels": {"interlink.eu/pod-uid": "uid", "interlink.eu/run": "0"},
                "annotations": {"interlink.eu/on-eviction": "rerun"},
                "finalizers": ["interlink.eu/outcome"],
                **(metadata or {}),
            },
            "spec": {"containers": [{"name": "main", "image": "x"}], "nodeName": "n", **(spec or {})},
            "status": {"containerStatuses": list(statuses), **more},
        }
    )


GATED = {"schedulingGates": [{"name": "kueue.x-k8s.io/admission"}], "nodeName": ""}
QUEUED = {"labels": {"interlink.eu/pod-uid": "uid", "kueue.x-k8s.io/queue-name": "q"}}
QUEUED_AGAIN = {**QUEUED, "annotations": {"interlink.eu/on-eviction": "rerun"}}
INCOMPLETE = {"schedulingGates": [{"name": "interlink.eu/incomplete"}], "nodeName": ""}
FAILS_ON_EVICTION = {"annotations": {"interlink.eu/on-eviction": "fail"}}
DELETION = {"deletionTimestamp": "2026-11-26T01:00:34Z", "deletionGracePeriodSeconds": 30}
"""Asked for at 01:00:04."""
PREEMPTED = {"type": "TerminationTarget", "status": "True", "reason": "WorkloadEvictedDueToPreempted", "message": "made room"}
BY_SCHEDULER = {**PREEMPTED, "type": "DisruptionTarget", "reason": "PreemptionByScheduler"}
IN_A_GROUP = {"interlink.eu/pod-uid": "uid", "interlink.eu/group": "g"}
DEACTIVATED = {**PREEMPTED, "reason": "WorkloadEvictedDueToDeactivated", "message": "by an administrator"}


def member(uid: str, *conditions: dict[str, Any], run: int = 0, on_eviction: str = "rerun", **more: Any) -> RemotePod:
    """One of a group of two."""
    labels = {"interlink.eu/pod-uid": uid, "interlink.eu/group": "g", "interlink.eu/run": str(run)}
    annotations = {"interlink.eu/on-eviction": on_eviction, "kueue.x-k8s.io/pod-group-total-count": "2"}
    return remote(metadata={"labels": labels, "annotations": annotations, **more.pop("metadata", {})}, conditions=list(conditions), **more)
