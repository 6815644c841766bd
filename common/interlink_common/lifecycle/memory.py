"""What the agent must remember of a pod between two decisions; its durable half is the checkpoint, as JSON.

The runtime alone does not know it: when the pod began, that it is being terminated and why, which postStart hooks ran, and that a
container existed which somebody has since removed. The volatile half is rebuilt by asking the runtime again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Optional

from interlink_common.lifecycle.interface import Action, AttemptStatus

DELETED, DEADLINE_EXCEEDED, EVICTED, NOT_RESTARTABLE = "Deleted", "DeadlineExceeded", "Evicted", "NotRestartable"
VERSION = 1


@dataclass(frozen=True)
class PodTermination:
    """The whole pod is to end. `reason` is one of the constants above; `message` goes to the containers that it ends."""

    reason: str
    message: str
    at: float
    grace_seconds: float


@dataclass(frozen=True)
class ContainerTermination:
    """One attempt is being terminated in order: preStop, TERM, and KILL at `deadline` (unix seconds).

    `reason` and `message` say why. `restart`: it restarts even if it exits with 0 (a probe or hook failed).
    """

    attempt: int
    since: float
    deadline: float
    reason: str = ""
    message: str = ""
    restart: bool = False
    pre_stop_done: bool = False
    term_at: Optional[float] = None
    kill_at: Optional[float] = None


@dataclass(frozen=True)
class PostStart:
    """The postStart hook of one attempt is over; `failure` is empty or says what went wrong."""

    attempt: int
    failure: str = ""


@dataclass(frozen=True)
class BackOff:
    """The last try of a step (the action's class name) failed; the next is at `since + delay_seconds`."""

    step: str
    reason: str
    message: str
    since: float
    delay_seconds: float

    @property
    def halfway(self) -> float:
        """From here on a failed pull is reported as the kubelet's ImagePullBackOff."""
        return self.since + self.delay_seconds / 2

    @property
    def until(self) -> float:
        return self.since + self.delay_seconds


@dataclass(frozen=True)
class ProbeState:
    """One probe of one attempt. `run` counts equal results in a row, `last` is that result; `passed` is past the thresholds."""

    attempt: int
    due_at: float
    run: int = 0
    last: bool = False
    passed: Optional[bool] = None
    message: str = ""


@dataclass(frozen=True)
class PodMemory:
    """Everything up to `post_starts` survives a restart of the agent. Mappings are by container name and never changed in place.

    `adopted`: the workload is a stub that was read from labels; the pod can be observed and stopped, but nothing of it started.
    `attempts`: the newest two of each container as last reported; ended ones carry their cause in the message.
    """

    started_at: Optional[float] = None
    adopted: bool = False
    finished: bool = False
    termination: Optional[PodTermination] = None
    attempts: tuple[AttemptStatus, ...] = ()
    container_terminations: Mapping[str, ContainerTermination] = field(default_factory=dict)
    post_starts: Mapping[str, PostStart] = field(default_factory=dict)

    prepared: bool = False
    images: frozenset[tuple[str, int]] = frozenset()
    backoffs: Mapping[str, BackOff] = field(default_factory=dict)
    progress: Mapping[str, str] = field(default_factory=dict)
    probes: Mapping[tuple[str, str], ProbeState] = field(default_factory=dict)
    pruned: Mapping[str, int] = field(default_factory=dict)
    storage_due_at: float = 0.0
    in_flight: frozenset[Action] = frozenset()

    def latest(self, container: str) -> Optional[AttemptStatus]:
        """The newest attempt of the container, if there was one."""
        found = [attempt for attempt in self.attempts if attempt.container == container]
        return found[-1] if found else None

    def termination_of(self, attempt: AttemptStatus) -> Optional[ContainerTermination]:
        """How that attempt is being terminated, if it is."""
        termination = self.container_terminations.get(attempt.container)
        return termination if termination is not None and termination.attempt == attempt.attempt else None

    def post_start(self, attempt: AttemptStatus) -> Optional[PostStart]:
        done = self.post_starts.get(attempt.container)
        return done if done is not None and done.attempt == attempt.attempt else None

    def probe(self, attempt: AttemptStatus, kind: str) -> Optional[ProbeState]:
        state = self.probes.get((attempt.container, kind))
        return state if state is not None and state.attempt == attempt.attempt else None

    def with_container_termination(self, container: str, termination: ContainerTermination) -> PodMemory:
        return replace(self, container_terminations={**self.container_terminations, container: termination})

    def with_backoff(self, container: str, backoff: Optional[BackOff]) -> PodMemory:
        """`container` "" is the pod itself. None ends the back-off."""
        backoffs = {name: old for name, old in self.backoffs.items() if name != container}
        if backoff is not None:
            backoffs[container] = backoff
        return replace(self, backoffs=backoffs)


def to_checkpoint(memory: PodMemory) -> str:
    """The durable half, compact and with sorted keys: equal memories give equal texts."""
    durable = {
        "version": VERSION,
        "started_at": memory.started_at,
        "adopted": memory.adopted,
        "finished": memory.finished,
        "stop": asdict(memory.termination) if memory.termination else None,
        "ledger": [asdict(attempt) for attempt in memory.attempts],
        "endings": {name: asdict(termination) for name, termination in memory.container_terminations.items()},
        "post_starts": {name: asdict(done) for name, done in memory.post_starts.items()},
    }
    return json.dumps(durable, separators=(",", ":"), sort_keys=True)


def from_checkpoint(text: str) -> PodMemory:
    """Inverse of `to_json`; "" is a new pod. Raises ValueError for anything this version did not write."""
    if not text:
        return PodMemory()
    try:
        durable: dict[str, Any] = json.loads(text)
        if durable["version"] != VERSION:
            raise ValueError(f"checkpoint of version {durable['version']}, expected {VERSION}")
        return PodMemory(
            started_at=durable["started_at"],
            adopted=durable["adopted"],
            finished=durable["finished"],
            termination=PodTermination(**durable["stop"]) if durable["stop"] else None,
            attempts=tuple(AttemptStatus(**attempt) for attempt in durable["ledger"]),
            container_terminations={name: ContainerTermination(**termination) for name, termination in durable["endings"].items()},
            post_starts={name: PostStart(**done) for name, done in durable["post_starts"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("the checkpoint is not what this version writes") from error
