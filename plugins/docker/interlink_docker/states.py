"""The engine's inspect of a container as the agent's AttemptStatus. Pure; a state that is not in the table changes nothing."""

from __future__ import annotations

import dataclasses
from typing import Any

from interlink_common.agent.runtime import SANDBOX, AttemptStatus
from interlink_common.contract.answers import sentence
from interlink_common.logselect import unix_nanoseconds
from interlink_docker import labels

Json = dict[str, Any]

STATES = {
    "created": "created",  # or a start that failed: then it carries an error
    "running": "running",
    "paused": "running",  # somebody paused it on the engine; it is alive
    "restarting": "running",  # never by us: no engine restart policy
    "exited": "exited",
    "dead": "exited",  # ended, and the engine could not clean it up
}
"""State.Status of the engine -> AttemptStatus.state. One that is `removing` counts as gone."""

NO_SANDBOX = AttemptStatus(SANDBOX, 0, "exited")

START_FAILED = "StartError"
START_FAILED_CODE = 128
"""Reason and exit code of an attempt that the engine could not start (containerd and the kubelet call it so)."""

STOPPED = "EngineStopped"
STOPPED_CODE = 143
KILLED_CODE = 137
SKEW_SECONDS = 1.0
SHUTDOWN_SECONDS = 60.0
"""How far from the sandbox's end a container's end may be to have the same cause; the engine allows 15 s by default."""


def attempt_status(inspected: Json) -> AttemptStatus | None:
    """One attempt, from GET /containers/{id}/json; None if it is none of ours or its state is unknown. The message is not in it."""
    engine_state = inspected["State"]
    mine = inspected["Config"].get("Labels") or {}
    state = STATES.get(engine_state.get("Status", ""))
    if state is None or labels.CONTAINER not in mine:
        return None
    failed_start = bool(engine_state.get("Error")) and state != "running" and moment(engine_state.get("StartedAt")) is None
    ended = state == "exited" or failed_start
    exit_code = int(engine_state.get("ExitCode") or 0) or (START_FAILED_CODE if failed_start else 0)
    started_at = moment(engine_state.get("StartedAt"))
    finished_at = (moment(engine_state.get("FinishedAt")) or moment(inspected.get("Created"))) if ended else None
    if started_at and finished_at:  # the engine may say that a short attempt ended before it began
        started_at = min(started_at, finished_at)
    oom_killed = bool(engine_state.get("OOMKilled")) and exit_code != 0
    return AttemptStatus(
        container=mine[labels.CONTAINER],
        attempt=int(mine.get(labels.ATTEMPT, "0")),
        state="exited" if ended else state,
        id=f"docker://{inspected['Id']}",
        image_id=inspected.get("Image", ""),
        started_at=started_at,
        finished_at=finished_at,
        exit_code=exit_code if ended else None,
        oom_killed=oom_killed,
        reason=reason(exit_code, failed_start=failed_start, oom_killed=oom_killed) if ended else "",
        message=sentence(engine_state["Error"]) if failed_start else "",
        backoff_seconds=float(mine.get(labels.BACKOFF_SECONDS, "0")),
    )


def sandbox_status(inspected: Json) -> AttemptStatus:
    """The sandbox, from GET /containers/{id}/json: all that counts is whether it holds the namespaces."""
    return AttemptStatus(SANDBOX, 0, "running" if inspected["State"]["Running"] else "exited")


def ended_with_sandbox(found: AttemptStatus, sandbox: Json) -> AttemptStatus:
    """An attempt that ended because the engine stopped everything, by GET /containers/{id}/json of its sandbox.

    An engine that stops (without live-restore) asks every container to end, and one that does so politely exits with 0, as if its
    work were done. The sandbox, which nobody else stops, dates that moment; such an end never counts as success. We ourselves kill the
    sandbox of a pod that has ended, where the engine asks it to end: so nothing that ended before a kill ended because of it.
    """
    ended = moment(sandbox["State"].get("FinishedAt"))
    if ended is None or found.started_at is None or found.finished_at is None:
        return found
    earliest = 0.0 if sandbox["State"].get("ExitCode") == KILLED_CODE else -SKEW_SECONDS
    if not (found.started_at < ended and earliest <= found.finished_at - ended <= SHUTDOWN_SECONDS):
        return found
    message = "The container ended because the engine or the pod sandbox was stopped."
    return dataclasses.replace(found, exit_code=found.exit_code or STOPPED_CODE, reason=STOPPED, message=found.message or message)


def ended_without_sandbox(found: AttemptStatus) -> AttemptStatus:
    """An attempt that ended and whose sandbox somebody removed: a failure says so, a success needs no excuse."""
    return dataclasses.replace(found, message="The pod sandbox was removed by somebody else.") if found.exit_code else found


def reason(exit_code: int, *, failed_start: bool, oom_killed: bool) -> str:
    """v1.ContainerStateTerminated.reason as the kubelet words it."""
    if failed_start:
        return START_FAILED
    if oom_killed:
        return "OOMKilled"
    return "Completed" if exit_code == 0 else "Error"


def moment(text: str | None) -> float | None:
    """Unix seconds of the engine's RFC 3339 with nanoseconds; None for its zero time."""
    if not text or text.startswith("0001-"):
        return None
    return unix_nanoseconds(text) / 10**9
