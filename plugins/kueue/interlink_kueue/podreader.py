"""Reads a v1.Pod of the remote cluster into a `RemotePod`. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from interlink_common.model.report import ContainerReport, ContainerState, Running, Terminated, Waiting
from interlink_kueue import history, labels
from interlink_kueue.remotepod import KILLED_CODE, RemotePod, eviction_reason

Json = dict[str, Any]


def read_pod(pod: Json) -> RemotePod:
    """Reads a v1.Pod."""
    metadata, spec, status = pod["metadata"], pod["spec"], pod.get("status") or {}
    pod_labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
    disruption = _disruption(conditions)
    return RemotePod(
        name=metadata["name"],
        namespace=metadata["namespace"],
        uid=metadata["uid"],
        pod_uid=pod_labels.get(labels.POD_UID, ""),
        run_number=_number(pod_labels.get(labels.RUN, "")),
        gates=tuple(gate["name"] for gate in spec.get("schedulingGates") or ()),
        queue=pod_labels.get(labels.QUEUE_NAME, ""),
        group=pod_labels.get(labels.GROUP, ""),
        group_count=_number(annotations.get(labels.GROUP_COUNT, "")),
        on_eviction=annotations.get(labels.ON_EVICTION, ""),
        phase=status.get("phase", ""),
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        node=spec.get("nodeName", ""),
        deleted="deletionTimestamp" in metadata,
        stopped=_was_stopped(metadata, status, disruption),
        disruption=disruption,
        unschedulable=_unschedulable_message(conditions),
        containers=_reports(spec.get("containers"), status.get("containerStatuses")),
        init_containers=_reports(spec.get("initContainers"), status.get("initContainerStatuses")),
        earlier_runs=history.from_annotation(annotations.get(labels.EARLIER_RUNS, "[]")),
        warnings=annotations.get(labels.WARNINGS, ""),
        finalizers=tuple(metadata.get("finalizers") or ()),
        created_at=metadata.get("creationTimestamp", ""),
        job=pod_labels.get(labels.JOB_NAME, ""),
        workload_owner=metadata["uid"],
    )


def _number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() else 0


def _was_stopped(metadata: Json, status: Json, disruption: tuple[str, str]) -> bool:
    """Whether somebody stopped a pod that is seen for the first time; `with_remembered_states` knows better for other pods.

    deletionTimestamp is the time of the request plus the grace period, until the kubelet's last call sets them to now and 0: after that
    nobody can tell which came first, the end or the deletion (apiserver pkg/registry/rest/delete.go). Within one second nobody can, either.
    """
    if "deletionTimestamp" not in metadata:
        return bool(eviction_reason(disruption[0]))
    grace_seconds = metadata.get("deletionGracePeriodSeconds") or 0
    states = [entry.get("state") or {} for entry in status.get("containerStatuses") or ()]
    ends = [end for state in states if (end := _seconds(state.get("terminated", {}).get("finishedAt"))) is not None]
    if not grace_seconds or not ends or len(ends) < len(states):
        return True
    return max(ends) >= (_seconds(metadata["deletionTimestamp"]) or 0.0) - grace_seconds


def _disruption(conditions: dict[str, Json]) -> tuple[str, str]:
    """Kueue sets the condition TerminationTarget, Kubernetes itself DisruptionTarget."""
    for kind in ("TerminationTarget", "DisruptionTarget"):
        if (condition := conditions.get(kind)) and condition["status"] == "True":
            return condition.get("reason", ""), condition.get("message", "")
    return "", ""


def _unschedulable_message(conditions: dict[str, Json]) -> str:
    scheduled = conditions.get("PodScheduled") or {}
    return str(scheduled.get("message", "")) if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable" else ""


def _reports(specs: Iterable[Json] | None, statuses: Iterable[Json] | None) -> tuple[ContainerReport, ...]:
    by_name = {status["name"]: status for status in statuses or ()}
    return tuple(_report(spec, by_name.get(spec["name"])) for spec in specs or ())


def _report(spec: Json, status: Json | None) -> ContainerReport:
    if status is None:
        return ContainerReport(spec["name"], Waiting(""), image=spec.get("image", ""))
    last = _state(status.get("lastState") or {})
    return ContainerReport(
        name=spec["name"],
        state=_state(status.get("state") or {}),
        last_state=last if isinstance(last, Terminated) else None,
        ready=bool(status.get("ready")),
        started=bool(status.get("started")),
        restart_count=int(status.get("restartCount", 0)),
        image=spec.get("image", ""),
        image_id=status.get("imageID", ""),
        container_id=status.get("containerID", ""),
    )


def _state(state: Json) -> ContainerState:
    if running := state.get("running"):
        return Running(_seconds(running.get("startedAt")) or 0.0)
    if terminated := state.get("terminated"):
        return Terminated(
            exit_code=int(terminated.get("exitCode", KILLED_CODE)),
            reason=terminated.get("reason", ""),
            message=terminated.get("message", ""),
            started_at=_seconds(terminated.get("startedAt")),
            finished_at=_seconds(terminated.get("finishedAt")),
            container_id=terminated.get("containerID", ""),
        )
    waiting = state.get("waiting") or {}
    return Waiting(waiting.get("reason", ""), waiting.get("message", ""))


def _seconds(text: str | None) -> float | None:
    return datetime.fromisoformat(text).timestamp() if text else None
