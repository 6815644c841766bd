"""What the agent must remember of a pod between two decisions; the durable half of it as JSON.

The runtime alone can't tell it: when the pod began, that it is being stopped and why, which postStart hooks ran, and that a
container existed which somebody has since removed. The volatile half is rebuilt by asking the runtime again.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Optional

from interlink_common.lifecycle.actions import Action
from interlink_common.lifecycle.seen import Seen

DELETED, DEADLINE_EXCEEDED, EVICTED, NOT_RESTARTABLE = "Deleted", "DeadlineExceeded", "Evicted", "NotRestartable"
VERSION = 1


@dataclass(frozen=True)
class Stop:
    """The whole pod is to end. `reason` is one of the constants above; `message` goes to the containers it ends."""

    reason: str
    message: str
    at: float
    grace_seconds: float


@dataclass(frozen=True)
class Ending:
    """One attempt is being ended in order: preStop, TERM, and KILL at `deadline` (unix seconds).

    `reason` and `message` say why. `restart`: it starts anew although it may exit with 0 (a failed probe or hook).
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
class Hold:
    """The last try of a step (the action's class name) failed; the next is at `since + delay_seconds`."""

    step: str
    reason: str
    message: str
    since: float
    delay_seconds: float

    @property
    def halfway(self) -> float:
        """From here on a failed pull is told as the kubelet's ImagePullBackOff."""
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
    `ledger`: the newest two attempts of each container as last seen, ended ones with their cause composed in.
    """

    started_at: Optional[float] = None
    adopted: bool = False
    finished: bool = False
    stop: Optional[Stop] = None
    ledger: tuple[Seen, ...] = ()
    endings: Mapping[str, Ending] = field(default_factory=dict)
    post_starts: Mapping[str, PostStart] = field(default_factory=dict)

    prepared: bool = False
    images: frozenset[tuple[str, int]] = frozenset()
    holds: Mapping[str, Hold] = field(default_factory=dict)
    progress: Mapping[str, str] = field(default_factory=dict)
    probes: Mapping[tuple[str, str], ProbeState] = field(default_factory=dict)
    pruned: Mapping[str, int] = field(default_factory=dict)
    storage_due_at: float = 0.0
    in_flight: frozenset[Action] = frozenset()

    def latest(self, container: str) -> Optional[Seen]:
        """The newest attempt on the ledger."""
        found = [s for s in self.ledger if s.container == container]
        return found[-1] if found else None

    def ending(self, attempt: Seen) -> Optional[Ending]:
        """How that attempt is being ended, if it is."""
        ending = self.endings.get(attempt.container)
        return ending if ending is not None and ending.attempt == attempt.attempt else None

    def post_start(self, attempt: Seen) -> Optional[PostStart]:
        done = self.post_starts.get(attempt.container)
        return done if done is not None and done.attempt == attempt.attempt else None

    def probe(self, attempt: Seen, kind: str) -> Optional[ProbeState]:
        state = self.probes.get((attempt.container, kind))
        return state if state is not None and state.attempt == attempt.attempt else None

    def with_ending(self, container: str, ending: Ending) -> PodMemory:
        return replace(self, endings={**self.endings, container: ending})

    def with_hold(self, container: str, hold: Optional[Hold]) -> PodMemory:
        """`container` "" is the pod itself. None lifts the hold."""
        holds = {name: old for name, old in self.holds.items() if name != container}
        if hold is not None:
            holds[container] = hold
        return replace(self, holds=holds)


def to_json(memory: PodMemory) -> str:
    """The durable half, compact and with sorted keys: equal memories give equal texts."""
    durable = {
        "version": VERSION,
        "started_at": memory.started_at,
        "adopted": memory.adopted,
        "finished": memory.finished,
        "stop": asdict(memory.stop) if memory.stop else None,
        "ledger": [asdict(attempt) for attempt in memory.ledger],
        "endings": {name: asdict(ending) for name, ending in memory.endings.items()},
        "post_starts": {name: asdict(done) for name, done in memory.post_starts.items()},
    }
    return json.dumps(durable, separators=(",", ":"), sort_keys=True)


def from_json(text: str) -> PodMemory:
    """Inverse of `to_json`; "" is a pod never seen before. Raises ValueError for anything this version did not write."""
    if not text:
        return PodMemory()
    try:
        durable: dict[str, Any] = json.loads(text)
        if durable["version"] != VERSION:
            raise ValueError(f"pod memory of version {durable['version']}, expected {VERSION}")
        return PodMemory(
            started_at=durable["started_at"],
            adopted=durable["adopted"],
            finished=durable["finished"],
            stop=Stop(**durable["stop"]) if durable["stop"] else None,
            ledger=tuple(Seen(**attempt) for attempt in durable["ledger"]),
            endings={name: Ending(**ending) for name, ending in durable["endings"].items()},
            post_starts={name: PostStart(**done) for name, done in durable["post_starts"].items()},
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("pod memory is not what this version writes") from error
