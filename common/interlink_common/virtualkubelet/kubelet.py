"""What the real virtual kubelet makes of one status answer: its own code in Python, with its bugs.

Follows checkPodsStatus, handleInitContainersUpdate and handleContainersUpdate of interLink pkg/virtualkubelet/execute.go
branch by branch. Where the Go code dereferences nil, the process ends; here that is `KubeletCrashError`.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]


class KubeletCrashError(Exception):
    """The virtual kubelet would end here, and again after each restart until the pod is gone."""


@dataclass
class _Inits:
    waiting: bool = False
    running: bool = False
    failed_reason: str = ""
    terminated: int = 0


@dataclass
class _Mains:
    running: bool = False
    failed_reason: str = ""
    terminated: int = 0


def apply_answer(status: Document, answer: Document) -> None:
    """Updates a v1.PodStatus in place from one element of a plugin's answer. Raises KubeletCrashError."""
    init_entries = answer.get("initContainers") or []
    entries = answer.get("containers") or []
    inits = _update_inits(status, init_entries)
    mains = _update_mains(status, entries, inits, len(init_entries))
    if mains.terminated == len(entries):
        _finish(status, inits, mains)
        return
    if inits.running:
        status.update(phase="Pending", reason="Init")
    if inits.waiting:
        status.update(phase="Pending", reason="Waiting for init containers")
    if mains.running and status.get("phase") != "Running":
        status.update(phase="Running", reason="Running", conditions=[_ready(True)])


def _finish(status: Document, inits: _Inits, mains: _Mains) -> None:
    reason = mains.failed_reason or inits.failed_reason
    if not reason:
        status["conditions"] = [*(status.get("conditions") or []), _ready(False)]
        status.update(phase="Succeeded", reason="Completed")
        return
    status.update(phase="Failed", reason=reason)
    for entry in status.get("containerStatuses") or []:
        _terminated(entry)["reason"] = reason


def _ready(value: bool) -> Document:
    return {"type": "Ready", "status": str(value), "lastProbeTime": None, "lastTransitionTime": None}


def _terminated(entry: Document) -> Document:
    terminated = entry["state"].get("terminated")
    if terminated is None:
        raise KubeletCrashError(f"container {entry['name']} has no state.terminated")
    found: Document = terminated
    return found


def _store(entries: list[Document], entry: Document) -> int:
    """Puts the entry in its place, or at the end; returns its index, and 0 for a new one: the bug of the original."""
    copy = {**deepcopy(entry), "state": deepcopy(entry.get("state") or {})}
    for index, known in enumerate(entries):
        if known["name"] == entry.get("name"):
            entries[index] = copy
            return index
    entries.append(copy)
    return 0


def _update_inits(status: Document, entries: list[Document]) -> _Inits:
    found = _Inits()
    if not entries:
        return found
    kept: list[Document] = status.setdefault("initContainerStatuses", [])
    for entry in entries:
        index = _store(kept, entry)
        state = entry.get("state") or {}
        if state.get("terminated") is not None:
            found.terminated += 1
            exit_code = state["terminated"].get("exitCode", 0)
            target = _terminated(kept[index])
            target.update(exitCode=exit_code, reason="Completed")
            if exit_code != 0:
                found.failed_reason = target["reason"] = f"Error: {exit_code}"
        elif state.get("waiting") is not None:
            found.waiting = True
            kept[index]["state"]["waiting"] = deepcopy(state["waiting"])
        elif state.get("running") is not None:
            found.running = True
            kept[index]["state"]["running"] = deepcopy(state["running"])
            kept[index]["state"].pop("waiting", None)
    if found.terminated == len(entries):
        found.waiting = False
    return found


def _update_mains(status: Document, entries: list[Document], inits: _Inits, init_count: int) -> _Mains:
    found = _Mains()
    kept: list[Document] = status.setdefault("containerStatuses", [])
    for entry in entries:
        index = _store(kept, entry)
        state = entry.get("state") or {}
        if inits.waiting or inits.running:
            reason = f"Init:{inits.terminated}/{init_count}" if inits.running else "PodInitializing"
            kept[index]["state"] = {"waiting": {"reason": reason}}
        elif state.get("terminated") is not None:
            found.terminated += 1
            exit_code = state["terminated"].get("exitCode", 0)
            target = _terminated(kept[index])
            target["reason"] = "Completed"
            if exit_code != 0:
                found.failed_reason = target["reason"] = f"Error: {exit_code}"
        elif state.get("running") is not None and state.get("waiting") is None:
            found.running = True
            kept[index]["ready"] = True
            kept[index]["state"]["running"] = deepcopy(state["running"])
    return found
