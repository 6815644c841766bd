"""Whether a container that ended starts again, and when: restartPolicy and the kubelet's back-off.

The first restart is immediate; the delay counts from the end of the attempt before (kubelet: doBackOff).
"""

from __future__ import annotations

from interlink_common.lifecycle.memory import PodMemory
from interlink_common.lifecycle.seen import EXITED, Seen
from interlink_common.lifecycle.timing import Timing
from interlink_common.model.workload import ALWAYS, NEVER, Container, Workload


def restarts(pod: Workload, memory: PodMemory, container: Container, ended: Seen) -> bool:
    """Whether the policy wants another attempt. A regular init container that exited with 0 is done, whatever the policy."""
    if container.sidecar:
        return True
    if pod.restart_policy == NEVER:
        return False
    ending = memory.ending(ended)
    if ending is not None and ending.restart:
        return True
    if ended.exit_code != 0:
        return True
    return pod.restart_policy == ALWAYS and container not in pod.init_containers


def settled(pod: Workload, memory: PodMemory, container: Container) -> bool:
    """The container has ended and will not start again."""
    latest = memory.latest(container.name)
    return latest is not None and latest.state == EXITED and not restarts(pod, memory, container, latest)


def backoff_seconds(ended: Seen, timing: Timing) -> float:
    """The delay before the attempt that follows `ended`; 0 for the first, and after a long enough run."""
    ran = (ended.finished_at or 0.0) - ended.started_at if ended.started_at is not None else 0.0
    if ended.attempt == 0 or ran >= timing.backoff_reset_seconds:
        return 0.0
    return timing.backoff_after(ended.backoff_seconds)


def restart_at(ended: Seen, timing: Timing) -> float:
    """Unix seconds from which the next attempt may start."""
    return (ended.finished_at or 0.0) + backoff_seconds(ended, timing)
