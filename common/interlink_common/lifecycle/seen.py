"""What is seen of a pod's containers on a container runtime: the lifecycle's only source of facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

CREATED, RUNNING, EXITED = "created", "running", "exited"

SANDBOX = ""
"""Container name under which a runtime may tell of the pod's sandbox, if it has one."""


@dataclass(frozen=True)
class Seen:
    """One attempt of one container, as the runtime tells it. `attempt` counts from 0 and equals restartCount.

    `backoff_seconds` is the delay that preceded this attempt: it is stored with the attempt (a label), so that the back-off
    survives a restart of the plugin. `state` is created, running or exited. `message` is the termination message.
    """

    container: str
    attempt: int
    state: str
    id: str = ""
    image_id: str = ""
    started_at: Optional[float] = None
    finished_at: Optional[float] = None
    exit_code: Optional[int] = None
    oom_killed: bool = False
    reason: str = ""
    message: str = ""
    backoff_seconds: float = 0.0
