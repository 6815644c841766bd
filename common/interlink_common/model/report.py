"""The report of a pod: v1.ContainerStatus in the neutral form that every backend produces. Times are unix seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union


@dataclass(frozen=True)
class Waiting:
    """Not started, or between two attempts. `reason` is one CamelCase word, `message` a sentence for `kubectl describe`."""

    reason: str
    message: str = ""


@dataclass(frozen=True)
class Running:
    started_at: float


@dataclass(frozen=True)
class Terminated:
    exit_code: int
    reason: str = ""
    message: str = ""
    started_at: Optional[float] = None
    finished_at: Optional[float] = None
    container_id: str = ""


ContainerState = Union[Waiting, Running, Terminated]


@dataclass(frozen=True)
class ContainerReport:
    """`message`: why a running container is not ready, as a sentence for `kubectl describe`; may be empty."""

    name: str
    state: ContainerState
    last_state: Optional[Terminated] = None
    ready: bool = False
    started: bool = False
    restart_count: int = 0
    image: str = ""
    image_id: str = ""
    container_id: str = ""
    message: str = ""


@dataclass(frozen=True)
class PodReport:
    """One entry per container of the workload, in the workload's order; `init_containers` includes native sidecars.

    `finished`: the pod has ended for good and every entry of `containers` is Terminated. Only then does the library
    report to interLink that the pod has ended.
    """

    containers: tuple[ContainerReport, ...]
    init_containers: tuple[ContainerReport, ...] = ()
    finished: bool = False
