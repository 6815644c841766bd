"""Whether and when a container starts or restarts, and the steps to it: prepare the pod once, have the image, start the attempt.

restartPolicy and the kubelet's back-off: the first restart is immediate, and the delay counts from the end of the attempt before
(kubelet: doBackOff). A step that failed waits for a back-off of its own.
"""

from __future__ import annotations

from typing import Optional

from interlink_common.lifecycle.interface import CREATED, EXITED, AttemptStatus, EnsureImage, Prepare, StartAttempt
from interlink_common.lifecycle.memory import NOT_RESTARTABLE, PodMemory
from interlink_common.lifecycle.sync import Sync
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.workload import ALWAYS, NEVER, Container, Workload

CANNOT_START = "the container cannot be started: the plugin lost its state and knows this pod only from its labels; create the pod again"


def wants_restart(workload: Workload, memory: PodMemory, container: Container, ended: AttemptStatus) -> bool:
    """Whether the policy wants another attempt. A regular init container that exited with 0 is done, whatever the policy."""
    if container.sidecar:
        return True
    if workload.restart_policy == NEVER:
        return False
    termination = memory.termination_of(ended)
    if termination is not None and termination.restart:
        return True
    if ended.exit_code != 0:
        return True
    return workload.restart_policy == ALWAYS and container not in workload.init_containers


def has_ended_for_good(workload: Workload, memory: PodMemory, container: Container) -> bool:
    """The container has ended and will not start again."""
    latest = memory.latest(container.name)
    return latest is not None and latest.state == EXITED and not wants_restart(workload, memory, container, latest)


def backoff_seconds(ended: AttemptStatus, timing: Timing) -> float:
    """The delay before the attempt that follows `ended`; 0 for the first, and after a long enough run."""
    ran = (ended.finished_at or 0.0) - ended.started_at if ended.started_at is not None else 0.0
    if ended.attempt == 0 or ran >= timing.backoff_reset_seconds:
        return 0.0
    return timing.backoff_after(ended.backoff_seconds)


def restart_at(ended: AttemptStatus, timing: Timing) -> float:
    """Unix seconds from which the next attempt may start."""
    return (ended.finished_at or 0.0) + backoff_seconds(ended, timing)


def start(sync: Sync, container: Container) -> None:
    """The next step towards the next attempt; `container` is neither alive nor settled."""
    if sync.memory.adopted:
        sync.terminate_pod(NOT_RESTARTABLE, CANNOT_START, sync.workload.grace_seconds)
        return
    latest = sync.memory.latest(container.name)
    attempt, delay = next_attempt(sync, latest)
    if latest is not None and latest.state != CREATED and not sync.due(restart_at(latest, sync.timing)):
        return
    if not sync.memory.prepared:
        if not is_backing_off(sync, ""):
            sync.emit(Prepare())
    elif is_backing_off(sync, container.name):
        return
    elif (container.name, attempt) in sync.memory.images:
        sync.emit(StartAttempt(container.name, attempt, delay))
    else:
        sync.emit(EnsureImage(container.name, attempt))


def next_attempt(sync: Sync, latest: Optional[AttemptStatus]) -> tuple[int, float]:
    """Number and back-off of the attempt to start. One that was created but never started is started under its number."""
    if latest is None:
        return 0, 0.0
    if latest.state == CREATED:
        return latest.attempt, latest.backoff_seconds
    return latest.attempt + 1, backoff_seconds(latest, sync.timing)


def is_backing_off(sync: Sync, container: str) -> bool:
    """A failed step waits for its back-off; on the way its waiting reason changes once."""
    backoff = sync.memory.backoffs.get(container)
    if backoff is None or sync.due(backoff.until):
        return False
    sync.due(backoff.halfway)
    return True
