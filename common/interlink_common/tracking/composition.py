"""A pod's status as the virtual kubelet must hear it: pure, and every rule here is one of its quirks, seen live.

The rules are the numbered points under `GET /status` in the wire contract (docs: "the interLink contract"); they are cited as (n).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting

UNKNOWN = "ContainerStatusUnknown"
ABNORMAL_EXIT_CODE = 137
"""The kubelet's code for an end that it did not see."""
_ORDINARY_ENDS = frozenset({"", "Completed", "Error"})


@dataclass(frozen=True, slots=True)
class Subject:
    """Who the entry is about, and the names it must cover: the request's, native sidecars left out (7)."""

    uid: str
    namespace: str
    name: str
    jid: str
    containers: tuple[str, ...]
    init_containers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """`hold_back`: showing `wire` before the virtual kubelet has seen all init containers would crash or mislead it (7)."""

    wire: bytes
    hold_back: bool


def compose(
    subject: Subject,
    report: PodReport | None,
    *,
    not_offloaded: frozenset[str] = frozenset(),
    warnings: Iterable[str] = (),
    frozen: str = "",
) -> Answer:
    """The wire entry of a pod whose last report is `report` (None: nothing heard yet).

    `not_offloaded` containers run in the cluster and mirror the others. `frozen` says since when the backend is unreachable.
    """
    if report is None:
        return Answer(compose_waiting(subject, "ContainerCreating", frozen, warnings), hold_back=False)
    told = {c.name: c for c in (*report.init_containers, *report.containers)}
    inits = {name: told[name].state if name in told else Waiting("PodInitializing") for name in subject.init_containers}
    mains = {name: told[name].state if name in told else Waiting(UNKNOWN, "the backend tells nothing of it") for name in subject.containers}
    failed = next((name for name, state in inits.items() if has_failed(state)), "")
    if report.finished:
        _settle_ended(mains, inits, failed, not_offloaded)
    else:
        _settle_alive(mains, inits, told, not_offloaded, sidecar_trouble=_sidecar_trouble(subject, report))
    initialized = all(isinstance(state, Terminated) for state in inits.values())
    notes = " ".join(warnings)
    wire = entry_of(
        subject,
        [_status(name, state, told.get(name), notes, frozen, ready=initialized) for name, state in mains.items()],
        [_status(name, state, told.get(name), notes, frozen, init=True) for name, state in inits.items()],
    )
    return Answer(wire, hold_back=_unsafe_if_unseen(list(inits.values())))


def compose_waiting(subject: Subject, reason: str, message: str = "", warnings: Iterable[str] = ()) -> bytes:
    """The wire entry with everything waiting; behind init containers the others wait as PodInitializing, as the kubelet says it."""
    notes = " ".join((message, *warnings)).strip()
    main_reason = "PodInitializing" if subject.init_containers and reason == "ContainerCreating" else reason
    init_reason = "PodInitializing" if reason == "ContainerCreating" else reason
    return entry_of(
        subject,
        [_status(name, Waiting(main_reason), None, notes, "") for name in subject.containers],
        [_status(name, Waiting(init_reason), None, notes, "", init=True) for name in subject.init_containers],
    )


def has_failed(state: ContainerState) -> bool:
    """Whether a container ended, and not well."""
    return isinstance(state, Terminated) and _exit_code(state) != 0


def _exit_code(state: Terminated) -> int:
    """(3) An abnormal end never looks like a success."""
    return ABNORMAL_EXIT_CODE if state.exit_code == 0 and state.reason not in _ORDINARY_ENDS else state.exit_code


def _settle_ended(
    mains: dict[str, ContainerState], inits: dict[str, ContainerState], failed_init: str, not_offloaded: frozenset[str]
) -> None:
    """(2, 5) Everything ends terminated; after a failed init container, non-zero, or the pod would never count as failed."""
    for name, state in mains.items():
        if failed_init and not has_failed(state):
            mains[name] = Terminated(ABNORMAL_EXIT_CODE, message=f"not started: init container {failed_init} failed")
        elif not isinstance(state, Terminated):
            mains[name] = Terminated(0) if name in not_offloaded else Terminated(ABNORMAL_EXIT_CODE, UNKNOWN, "its end was not seen")
    nothing_succeeded = all(has_failed(state) for state in mains.values())
    for name, state in inits.items():
        if not isinstance(state, Terminated):
            why = f"init container {failed_init} failed" if failed_init else "the pod had ended"
            inits[name] = Terminated(ABNORMAL_EXIT_CODE, UNKNOWN, f"not completed: {why}") if nothing_succeeded else Terminated(0)


def _settle_alive(
    mains: dict[str, ContainerState],
    inits: dict[str, ContainerState],
    told: Mapping[str, ContainerReport],
    not_offloaded: frozenset[str],
    *,
    sidecar_trouble: str,
) -> None:
    """(5, 8, 9) While the pod has not ended, no init has failed, one container at least is not terminated, and `running` means ready."""
    offloaded = {name: state for name, state in mains.items() if name in told}
    started = [state for state in offloaded.values() if not isinstance(state, Waiting)]
    for name, state in mains.items():
        report = told.get(name)
        if report is None and name in not_offloaded:
            starts = [s.started_at for s in started if s.started_at is not None]
            mains[name] = Running(min(starts)) if starts else Waiting("ContainerCreating")
        elif report is not None and isinstance(state, Running) and not report.ready:
            why = report.message or f"the {'readiness' if report.started else 'startup'} probe has not succeeded"
            mains[name] = Waiting("NotReady", f"running since {rfc3339(state.started_at)}, {why}")
    if offloaded and all(isinstance(state, Terminated) for state in offloaded.values()):
        last = max(offloaded, key=lambda name: getattr(offloaded[name], "finished_at", None) or 0.0)
        mains[last] = _completing(offloaded[last])
    inits.update({name: _completing(state) for name, state in inits.items() if has_failed(state)})
    for states in (inits, mains):
        for name, state in states.items():
            if isinstance(state, Waiting) and sidecar_trouble:
                states[name] = Waiting(state.reason, f"{state.message} {sidecar_trouble}".strip())
    names = list(inits)
    for index, name in enumerate(names):
        if name in not_offloaded and name not in told:
            later = [inits[n] for n in names[index + 1 :] if n in told]
            passed = bool(started) or any(not isinstance(state, Waiting) for state in later)
            inits[name] = Terminated(0) if passed else Waiting("PodInitializing")


def _completing(state: ContainerState) -> Waiting:
    code = state.exit_code if isinstance(state, Terminated) else 0
    return Waiting("Completing", f"ended with exit code {code}; the rest of the pod is being stopped")


def _sidecar_trouble(subject: Subject, report: PodReport) -> str:
    """Native sidecars have no entry of their own (7), so what holds one up is said in the messages of those who wait for it."""
    for container in report.init_containers:
        state = container.state
        if container.name not in subject.init_containers and isinstance(state, Waiting) and state.message:
            return f"sidecar {container.name}: {state.reason}: {state.message}"
    return ""


def _unsafe_if_unseen(inits: list[ContainerState]) -> bool:
    """(7) An init entry that is new to the virtual kubelet overwrites the first one's exit code, and it crashes if the first has none."""
    ended = [isinstance(state, Terminated) for state in inits]
    return any(has_failed(state) for state in inits) or (any(ended) and not ended[0])


def _status(
    name: str, state: ContainerState, report: ContainerReport | None, notes: str, frozen: str, *, ready: bool = True, init: bool = False
) -> dict[str, Any]:
    """One v1.ContainerStatus. `ready` is the pod's share in it: (6) false until every init container has ended."""
    running = isinstance(state, Running)
    return {
        "name": name,
        "state": _state(state, notes, frozen),
        "lastState": _state(report.last_state, "", "") if report and report.last_state else {},
        "ready": ready and running and not init,
        "started": running if report is None else report.started,
        "restartCount": report.restart_count if report else 0,
        "image": report.image if report else "",
        "imageID": report.image_id if report else "",
        "containerID": report.container_id if report else "",
    }


def _state(state: ContainerState, notes: str, frozen: str) -> dict[str, Any]:
    if isinstance(state, Running):
        return {"running": {"startedAt": rfc3339(state.started_at)}}
    if isinstance(state, Waiting):
        message = _text(state.message, frozen, notes)
        return {"waiting": {"reason": _text(state.reason) or "ContainerCreating", "message": message}}
    code = _exit_code(state)
    cause = "" if state.reason in _ORDINARY_ENDS else state.reason
    ended: dict[str, Any] = {
        "exitCode": code,
        "reason": _text(state.reason) or ("Error" if code else "Completed"),
        "message": _text(f"{cause}: {state.message}" if cause and state.message else cause or state.message, notes),
    }
    if state.started_at is not None:
        ended["startedAt"] = rfc3339(state.started_at)
    if state.finished_at is not None:
        ended["finishedAt"] = rfc3339(state.finished_at)
    if state.container_id:
        ended["containerID"] = state.container_id
    return {"terminated": ended}


def _text(*parts: str) -> str:
    """Joined; what is no Unicode text (lone surrogates of undecodable bytes) becomes a question mark."""
    return " ".join(part for part in parts if part).encode("utf-8", "replace").decode()


def rfc3339(unix_seconds: float) -> str:
    """RFC 3339 in UTC with whole seconds, as metav1.Time is written."""
    return datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def entry_of(subject: Subject, containers: list[dict[str, Any]], init_containers: list[dict[str, Any]]) -> bytes:
    """The wire entry of these v1.ContainerStatuses."""
    return msgspec.json.encode(
        {
            "name": subject.name,
            "UID": subject.uid,
            "namespace": subject.namespace,
            "JID": subject.jid,
            "containers": containers,
            "initContainers": init_containers,
        }
    )
