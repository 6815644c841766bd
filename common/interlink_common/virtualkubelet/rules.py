"""The rules by which a status answer is judged: one function per numbered point under "GET /status" of interLink's plugin contract.

Each looks at one answer for one pod and yields the faults it finds; the order of `RULES` is the order of judgement, and a rule
may rely on what the rules before it have made sure of.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from interlink_common.virtualkubelet.bodies import NOT_OFFLOADED

Document = dict[str, Any]
Fault = tuple[int, str]
"""The number of the point, and what is wrong."""

POINTS = {
    0: "the answer is a list of entries with name, UID, namespace, JID, containers, initContainers",
    1: "an empty containers list means Succeeded: always one entry per container",
    2: "a container of the pod without an entry crashes the virtual kubelet or hangs the pod",
    3: "terminated without exitCode means success",
    4: "terminated.reason is overwritten: the cause must be in terminated.message",
    5: "a failed init fails the pod only when all mains are terminated non-zero and no init is waiting or running",
    6: "mains of a pod that initialises must not be ready",
    7: "an init entry that is new to the virtual kubelet is handled as index 0; native sidecars do not belong among initContainers",
    8: "running forces ready: what is not ready is shown as waiting",
    9: "terminal is for ever, whatever the restartPolicy: between restarts report waiting",
    10: "an answer that cannot be read keeps the last state",
    11: "timestamps are RFC 3339 in UTC; restartCount, lastState, image, containerID are filled",
}

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_ATTEMPT_REASONS = re.compile(r"|Completed|Error(: -?\d+)?|OOMKilled|ContainerCannotRun|StartError")
"""Reasons by which one attempt ends; any other (DeadlineExceeded, Evicted, ...) tells that the pod itself was ended."""


@dataclass(frozen=True)
class Case:
    """One answer to judge. `pod` is what the request carried: the pod as the virtual kubelet holds it."""

    pod: Document
    answer: Document

    @property
    def spec(self) -> Document:
        return dict(self.pod["spec"])

    @property
    def inits(self) -> list[Document]:
        return list(self.answer.get("initContainers") or [])

    @property
    def mains(self) -> list[Document]:
        return list(self.answer.get("containers") or [])

    @property
    def not_offloaded(self) -> set[str]:
        """Containers that interLink keeps in the cluster: the plugin is asked for them all the same, and can only guess."""
        annotations = self.pod["metadata"].get("annotations") or {}
        texts = (annotations.get(annotation, "") for annotation in NOT_OFFLOADED.values())
        return {name.strip() for text in texts for name in text.split(",")}

    @property
    def init_failed(self) -> bool:
        return any(_failed(entry) for entry in self.inits)

    @property
    def initialising(self) -> bool:
        return any(_state(entry, "terminated") is None for entry in self.inits)


def _state(entry: Document, kind: str) -> Document | None:
    return (entry.get("state") or {}).get(kind)


def _failed(entry: Document) -> bool:
    terminated = _state(entry, "terminated")
    return terminated is not None and terminated.get("exitCode", 0) != 0


def _names(entries: list[Document] | None) -> list[str]:
    return [entry["name"] for entry in entries or []]


def _shape(case: Case) -> Iterator[Fault]:
    for key in ("name", "namespace"):
        found, expected = case.answer.get(key), case.pod["metadata"][key]
        if found != expected:
            yield 0, f"{key} is {found!r}, so the virtual kubelet does not find pod {expected!r}"
    if not isinstance(case.answer.get("JID"), str):
        yield 0, f"JID is {case.answer.get('JID')!r}, not text"
    for key in ("containers", "initContainers"):
        entries = case.answer.get(key) or []
        if not isinstance(entries, list):
            yield 0, f"{key} is not a list"
            return
        for entry in entries:
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                yield 0, f"{key} holds an element without a name"
                return
            yield from _entry_shape(entry)


def _entry_shape(entry: Document) -> Iterator[Fault]:
    """Types that Go's decoder insists on: one wrong value, and the whole answer is lost."""
    name = entry["name"]
    types: dict[str, type | tuple[type, ...]] = {
        "ready": bool,
        "image": str,
        "imageID": str,
        "containerID": str,
        "state": dict,
        "lastState": dict,
        "started": (bool, type(None)),
        "restartCount": int,
    }
    for key, expected in types.items():
        if key in entry and not isinstance(entry[key], expected):
            yield 10, f"{name}: {key} is {entry[key]!r}, which Go does not decode"
            return
    states = [kind for kind in ("waiting", "running", "terminated") if _state(entry, kind) is not None]
    if len(states) != 1:
        yield 0, f"{name}: state has {states or 'nothing'}, not one of waiting, running, terminated"
    for group in ("state", "lastState"):
        exit_code = ((entry.get(group) or {}).get("terminated") or {}).get("exitCode", 0)
        if not isinstance(exit_code, int) or isinstance(exit_code, bool) or abs(exit_code) >= 2**31:
            yield 10, f"{name}: exitCode {exit_code!r} is not a 32 bit number"


def _point_1_2(case: Case) -> Iterator[Fault]:
    names, wanted = _names(case.mains), _names(case.spec.get("containers"))
    if not names:
        yield 1, "containers is empty"
    if missing := [name for name in wanted if name not in names]:
        yield 2, f"no entry for {missing}"
    if extra := [name for name in names if name not in wanted]:
        yield 2, f"entries for {extra}, which the pod does not have"
    if len(set(names)) != len(names):
        yield 2, f"several entries for one container: {names}"


def _point_3_4(case: Case) -> Iterator[Fault]:
    for entry in case.inits + case.mains:
        terminated = _state(entry, "terminated")
        if terminated is None:
            continue
        if "exitCode" not in terminated:
            yield 3, f"{entry['name']} is terminated without exitCode"
        reason = terminated.get("reason") or ""
        if reason not in ("", "Completed", "Error") and not reason.startswith("Error: ") and not terminated.get("message"):
            yield 4, f"{entry['name']}: the reason {reason} is lost, and message is empty"


def _point_5_6(case: Case) -> Iterator[Fault]:
    if case.init_failed:
        if alive := [entry["name"] for entry in case.inits if _state(entry, "terminated") is None]:
            yield 5, f"an init failed while {alive} are not terminated"
        if unfailed := [entry["name"] for entry in case.mains if not _failed(entry)]:
            yield 5, f"an init failed while {unfailed} are not terminated non-zero"
    if case.initialising and any(entry.get("ready") for entry in case.mains):
        yield 6, "a main container is ready while an init is not terminated"


def _point_7(case: Case) -> Iterator[Fault]:
    names, declared = _names(case.inits), case.spec.get("initContainers") or []
    sidecars = {container["name"] for container in declared if container.get("restartPolicy") == "Always"}
    if found := sorted(sidecars.intersection(names)):
        yield 7, f"native sidecars {found} among initContainers"
    wanted = [name for name in _names(declared) if name not in sidecars]
    if extra := [name for name in names if name not in wanted]:
        yield 7, f"entries for {extra}, which are no init containers of the pod"
    if len(set(names)) != len(names):
        yield 7, f"several entries for one init container: {names}"
    missing = [name for name in wanted if name not in names]
    if missing and not case.init_failed:
        yield 7, f"no entry for {missing}: all inits are listed from the first answer on"
    yield from _index_0(case)


def _index_0(case: Case) -> Iterator[Fault]:
    """A later init first seen as terminated writes its exit code over that of index 0."""
    seen = _names(case.pod["status"].get("initContainerStatuses"))
    entries = {entry["name"]: entry for entry in case.inits}
    for name, entry in entries.items():
        first = entries.get(seen[0]) if seen else None
        if name not in seen and first is not None:
            kept, new = _state(first, "terminated"), _state(entry, "terminated")
            if kept is not None and new is not None and kept.get("exitCode") != new.get("exitCode"):
                yield 7, f"{name} is new and terminated: its exit code {new.get('exitCode')} overwrites that of {seen[0]}"
        seen.append(name)


def _point_8(case: Case) -> Iterator[Fault]:
    for entry in case.mains:
        if not case.initialising and _state(entry, "running") is not None and not entry.get("ready"):
            yield 8, f"{entry['name']} is running and not ready: it would be shown as ready"


def _point_9(case: Case) -> Iterator[Fault]:
    """Condemns the end of one attempt shown as the end of the container, where restartPolicy promises another attempt."""
    policy = case.spec.get("restartPolicy")
    if policy == "Never" or case.spec.get("activeDeadlineSeconds") is not None:
        return
    ended = [(entry, False) for entry in case.inits]
    if not case.init_failed:
        ended += [(entry, policy == "Always") for entry in case.mains]
    for entry, restarts_always in ended:
        terminated = _state(entry, "terminated")
        if terminated is None or not (restarts_always or _failed(entry)):
            continue
        if _ATTEMPT_REASONS.fullmatch(terminated.get("reason") or ""):
            yield 9, f"{entry['name']} is terminated although restartPolicy {policy} restarts it"


def _point_11(case: Case) -> Iterator[Fault]:
    for entry in case.inits + case.mains:
        name, running = entry["name"], _state(entry, "running")
        yield from ((11, f"{name}: {what}") for what in _bad_times(entry))
        if "restartCount" not in entry:
            yield 11, f"{name}: restartCount is missing"
        filled = (running or {}).get("startedAt") and entry.get("containerID") and entry.get("image")
        if running is not None and not filled and name not in case.not_offloaded:
            yield 11, f"{name} is running without startedAt, containerID and image"
        if entry.get("restartCount") and not (entry.get("lastState") or {}).get("terminated"):
            yield 11, f"{name}: restartCount is {entry['restartCount']} and lastState is empty"


def _bad_times(entry: Document) -> Iterator[str]:
    for group in ("state", "lastState"):
        for kind, fields in (("running", ("startedAt",)), ("terminated", ("startedAt", "finishedAt"))):
            state = (entry.get(group) or {}).get(kind) or {}
            for field in fields:
                value = state.get(field)
                if value is not None and not (isinstance(value, str) and _TIME.fullmatch(value)):
                    yield f"{group}.{kind}.{field} is {value!r}"


RULES: tuple[Callable[[Case], Iterator[Fault]], ...] = (
    _shape,
    _point_1_2,
    _point_3_4,
    _point_7,
    _point_5_6,
    _point_8,
    _point_9,
    _point_11,
)
