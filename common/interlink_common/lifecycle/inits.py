"""Init containers in order, each exiting with 0 before the next; native sidecars started on the way and kept running.

Source: Kubernetes "Init Containers" and "Sidecar Containers": a sidecar lets the next container start once it has started, that is, its
postStart hook is done and its startup probe has passed.
"""

from __future__ import annotations

from typing import Optional

from interlink_common.lifecycle.interface import EXITED
from interlink_common.lifecycle.memory import PodMemory
from interlink_common.lifecycle.probing import is_started
from interlink_common.lifecycle.starting import start, wants_restart
from interlink_common.lifecycle.sync import Sync
from interlink_common.model.workload import Container, Workload


def advance(sync: Sync) -> bool:
    """Starts what is due among the init containers; True when the mains may start."""
    blocker = blocking(sync.workload, sync.memory)
    for container in sync.workload.init_containers:
        if (container.sidecar or container is blocker) and not sync.alive(container):
            start(sync, container)
        if container is blocker:
            return False
    return True


def completed(workload: Workload, memory: PodMemory, index: int) -> bool:
    """Whether that regular init container has exited with 0; true, too, of an unknown one if a later container has started."""
    latest = memory.latest(workload.init_containers[index].name)
    if latest is None:
        return _began_after(workload, memory, index)
    return latest.state == EXITED and latest.exit_code == 0


def failed(workload: Workload, memory: PodMemory) -> Optional[Container]:
    """The regular init container whose failure ends the pod, if one did."""
    for container in workload.init_containers:
        latest = memory.latest(container.name)
        if container.sidecar or latest is None or latest.state != EXITED or latest.exit_code == 0:
            continue
        if not wants_restart(workload, memory, container, latest):
            return container
    return None


def blocking(workload: Workload, memory: PodMemory) -> Optional[Container]:
    """The init container that the mains wait for, None once they may start."""
    for index, container in enumerate(workload.init_containers):
        if container.sidecar:
            if not (_began_after(workload, memory, index) or is_started(memory, container)):
                return container
        elif not completed(workload, memory, index):
            return container
    return None


def _began_after(workload: Workload, memory: PodMemory, index: int) -> bool:
    later = workload.all_containers[index + 1 :]
    return any(memory.latest(container.name) is not None for container in later)
