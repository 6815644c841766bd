"""What passes between the lifecycle and the agent: attempts reported, actions asked for, their outcomes.

An action stays in `PodMemory.in_flight` from the decision that asked for it until its `Outcome` is fed back, so equal
actions are never under way twice: equality is the whole lock.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Union

CREATED, RUNNING, EXITED = "created", "running", "exited"

SANDBOX = ""
"""The container name under which a runtime reports the pod's sandbox, if it has one."""

STARTUP, READINESS, LIVENESS = "startup", "readiness", "liveness"
POST_START, PRE_STOP = "postStart", "preStop"
TERM, KILL = "TERM", "KILL"


@dataclass(frozen=True)
class AttemptStatus:
    """One attempt of one container, as the runtime reports it: the lifecycle's only source of facts.

    `attempt` counts from 0 and equals restartCount. `state` is created, running or exited. `message` is the termination message.
    `backoff_seconds` is the delay that preceded this attempt: a runtime stores it with the attempt (a label), so that the back-off
    survives a restart of the plugin.
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


@dataclass(frozen=True)
class Prepare:
    """Make the pod's sandbox, volumes and network, or repair them."""


@dataclass(frozen=True)
class EnsureImage:
    """Pull the image for that attempt, if imagePullPolicy says so."""

    container: str
    attempt: int


@dataclass(frozen=True)
class StartAttempt:
    container: str
    attempt: int
    backoff_seconds: float


@dataclass(frozen=True)
class RunHook:
    """`hook` is postStart or preStop. `timeout_seconds` 0: no limit, as the kubelet has none for postStart."""

    container: str
    attempt: int
    hook: str
    timeout_seconds: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class RunProbe:
    """`kind` is startup, readiness or liveness."""

    container: str
    attempt: int
    kind: str


@dataclass(frozen=True)
class Kill:
    """`signal` is TERM (the container's own stop signal) or KILL."""

    container: str
    attempt: int
    signal: str


@dataclass(frozen=True)
class Prune:
    """Remove the attempts older than `before_attempt`."""

    container: str
    before_attempt: int


@dataclass(frozen=True)
class CheckStorage:
    """Measure the pod's size-limited volumes."""


Action = Union[Prepare, EnsureImage, StartAttempt, RunHook, RunProbe, Kill, Prune, CheckStorage]


@dataclass(frozen=True)
class Outcome:
    """How an action ended. `lost`: the runtime could not be reached, nothing is known.

    Not `ok`: `reason` is a waiting reason for Prepare, EnsureImage and StartAttempt, `message` a sentence.
    CheckStorage that is not ok found an excess, which `message` describes.
    """

    action: Action
    ok: bool = True
    reason: str = ""
    message: str = ""
    lost: bool = False
