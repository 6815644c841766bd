"""A pod's status as the virtual kubelet must hear it: pure, and every rule here is one of its quirks, seen live.

The rules are the numbered points under `GET /status` in the wire contract (docs: "the interLink contract"); they are cited as (n).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec

from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting

UNKNOWN = "ContainerStatusUnknown"
ABNORMAL_EXIT_CODE = 137
"""The kubelet's code for an end that it did not see."""
_UNREPORTED = "the backend does not report this container"
_ORDINARY_ENDS = frozenset({"", "Completed", "Error"})

States = dict[str, ContainerState]
"""By container name, in the request's order."""
Reports = Mapping[str, ContainerReport]


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
    notice: str = "",
) -> Answer:
    """The wire entry of a pod whose last report is `report` (None: the backend has not reported it yet).

    `not_offloaded` containers run in the cluster and mirror the others. `notice` is what every waiting message adds: since when the
    backend is unreachable, or why the pod is not submitted yet.
    """
    if report is None:
        return Answer(compose_waiting(subject, "ContainerCreating", notice, warnings), hold_back=False)
    reports = {c.name: c for c in (*report.init_containers, *report.containers)}
    inits = {name: reports[name].state if name in reports else Waiting("PodInitializing") for name in subject.init_containers}
    mains = {name: reports[name].state if name in reports else Waiting(UNKNOWN, _UNREPORTED) for name in subject.containers}
    if report.finished:
        mains, inits = _ended(mains, inits, not_offloaded)
    else:
        mains, inits = _alive(mains, inits, reports, not_offloaded, sidecar_trouble=_sidecar_trouble(subject, report))
    initialized = all(isinstance(state, Terminated) for state in inits.values())
    notes = " ".join(warnings)
    wire = entry_of(
        subject,
        [_status(name, state, reports.get(name), notes, notice, ready=initialized) for name, state in mains.items()],
        [_status(name, state, reports.get(name), notes, notice, init=True) for name, state in inits.items()],
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


def _ended(mains: States, inits: States, not_offloaded: frozenset[str]) -> tuple[States, States]:
    """(2, 5) Everything ends terminated; after a failed init container, non-zero, or the pod would never count as failed."""
    failed_init = next((name for name, state in inits.items() if has_failed(state)), "")
    mains = {name: _ended_main(state, failed_init, mirrors=name in not_offloaded) for name, state in mains.items()}
    nothing_succeeded = all(has_failed(state) for state in mains.values())
    why = f"init container {failed_init} failed" if failed_init else "the pod had ended"
    open_end = Terminated(ABNORMAL_EXIT_CODE, UNKNOWN, f"not completed: {why}") if nothing_succeeded else Terminated(0)
    return mains, {name: state if isinstance(state, Terminated) else open_end for name, state in inits.items()}


def _ended_main(state: ContainerState, failed_init: str, *, mirrors: bool) -> ContainerState:
    if failed_init and not has_failed(state):
        return Terminated(ABNORMAL_EXIT_CODE, message=f"not started: init container {failed_init} failed")
    if isinstance(state, Terminated):
        return state
    return Terminated(0) if mirrors else Terminated(ABNORMAL_EXIT_CODE, UNKNOWN, "its end was not seen")


def _alive(mains: States, inits: States, reports: Reports, not_offloaded: frozenset[str], *, sidecar_trouble: str) -> tuple[States, States]:
    """While the pod has not ended: one function for each rule."""
    started = [state for name, state in mains.items() if name in reports and not isinstance(state, Waiting)]
    mains = _mirror_mains(mains, started, reports, not_offloaded)
    mains = _show_unready_as_waiting(mains, reports)
    mains = _keep_one_unended(mains, reports)
    inits = _show_failed_inits_as_waiting(inits)
    mains, inits = (_explain_by_sidecar(states, sidecar_trouble) for states in (mains, inits))
    return mains, _mirror_inits(inits, reports, not_offloaded, mains_started=bool(started))


def _mirror_mains(mains: States, started: Sequence[ContainerState], reports: Reports, not_offloaded: frozenset[str]) -> States:
    """A main container that stays in the cluster runs as soon as one of the others does."""
    starts = [state.started_at for state in started if not isinstance(state, Waiting) and state.started_at is not None]
    mirrored = Running(min(starts)) if starts else Waiting("ContainerCreating")
    return {name: mirrored if name in not_offloaded and name not in reports else state for name, state in mains.items()}


def _show_unready_as_waiting(mains: States, reports: Reports) -> States:
    """(8) `running` means ready to the virtual kubelet."""

    def shown(state: ContainerState, report: ContainerReport | None) -> ContainerState:
        if report is None or report.ready or not isinstance(state, Running):
            return state
        why = report.message or f"the {'readiness' if report.started else 'startup'} probe has not succeeded"
        return Waiting("NotReady", f"running since {rfc3339(state.started_at)}, {why}")

    return {name: shown(state, reports.get(name)) for name, state in mains.items()}


def _keep_one_unended(mains: States, reports: Reports) -> States:
    """(9) A pod whose containers are all terminated is never asked for again, so the last of them waits until the pod has ended."""
    ends = {name: state for name, state in mains.items() if name in reports and isinstance(state, Terminated)}
    if not ends or len(ends) < len(mains.keys() & reports.keys()):
        return mains
    last = max(ends, key=lambda name: ends[name].finished_at or 0.0)
    return {**mains, last: _completing(ends[last])}


def _show_failed_inits_as_waiting(inits: States) -> States:
    """(5) A failed init container fails the pod, which has not ended yet."""
    return {name: _completing(state) if isinstance(state, Terminated) and has_failed(state) else state for name, state in inits.items()}


def _explain_by_sidecar(states: States, trouble: str) -> States:
    """(7) A native sidecar has no entry, so those who wait for it say what holds it up."""
    if not trouble:
        return states
    return {
        name: Waiting(state.reason, f"{state.message} {trouble}".strip()) if isinstance(state, Waiting) else state
        for name, state in states.items()
    }


def _mirror_inits(inits: States, reports: Reports, not_offloaded: frozenset[str], *, mains_started: bool) -> States:
    """An init container that stays in the cluster has ended as soon as one of those after it has started."""
    mirrored = dict(inits)
    passed = mains_started
    for name, state in reversed(inits.items()):
        if name in reports:
            passed = passed or not isinstance(state, Waiting)
        elif name in not_offloaded:
            mirrored[name] = Terminated(0) if passed else Waiting("PodInitializing")
    return mirrored


def _completing(state: Terminated) -> Waiting:
    return Waiting("Completing", f"ended with exit code {state.exit_code}; the rest of the pod is being stopped")


def _sidecar_trouble(subject: Subject, report: PodReport) -> str:
    """What holds a native sidecar up, \"\" if nothing does."""
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
    name: str, state: ContainerState, report: ContainerReport | None, notes: str, notice: str, *, ready: bool = True, init: bool = False
) -> dict[str, Any]:
    """One v1.ContainerStatus. `ready` is the pod's share in it: (6) false until every init container has ended."""
    running = isinstance(state, Running)
    return {
        "name": name,
        "state": _state(state, notes, notice),
        "lastState": _state(report.last_state, "", "") if report and report.last_state else {},
        "ready": ready and running and not init,
        "started": running if report is None else report.started,
        "restartCount": report.restart_count if report else 0,
        "image": report.image if report else "",
        "imageID": report.image_id if report else "",
        "containerID": report.container_id if report else "",
    }


def _state(state: ContainerState, notes: str, notice: str) -> dict[str, Any]:
    if isinstance(state, Running):
        return {"running": {"startedAt": rfc3339(state.started_at)}}
    if isinstance(state, Waiting):
        message = _text(state.message, notice, notes)
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
