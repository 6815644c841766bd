"""A status answer made of what interLink knew before our restart, with the outage in the messages. Pure.

After a restart our record of a pod may be older than the last answer that the former process gave. While the backend can't be reached
nobody knows more, so the answer repeats the states in the request, and changes only the messages of containers that wait.
"""

from __future__ import annotations

from typing import Any

import msgspec

from interlink_common.tracking.composition import Subject, entry_of
from interlink_common.tracking.outage import without_outage

Status = dict[str, Any]
_decoder = msgspec.json.Decoder(list[dict[str, Any]] | None)


def last_known_entry(subject: Subject, statuses: bytes, init_statuses: bytes, outage: str) -> bytes | None:
    """The wire entry with the v1.ContainerStatuses of the request (JSON), or None where that could do harm or would say nothing new.

    It could do harm where a container has no status yet (2, 7), where an init container failed (5), and where all main containers ended:
    the pod would then end for ever (9). It says nothing new where no container waits, because no other state carries a message.
    """
    try:
        mains, inits = _named(statuses, subject.containers), _named(init_statuses, subject.init_containers)
    except msgspec.DecodeError:
        return None
    if mains is None or inits is None or any(_code(status) for status in inits) or all(_ended(status) for status in mains):
        return None
    if not any("waiting" in status["state"] for status in (*mains, *inits)):
        return None
    return entry_of(subject, [_with(status, outage) for status in mains], [_with(status, outage) for status in inits])


def _named(statuses: bytes, names: tuple[str, ...]) -> list[Status] | None:
    """Those of the named containers, in that order; None if one is missing or has no state."""
    found = {status.get("name"): status for status in _decoder.decode(statuses) or []}
    if not all(isinstance(found.get(name, {}).get("state"), dict) and found[name]["state"] for name in names):
        return None
    return [found[name] for name in names]


def _ended(status: Status) -> bool:
    return "terminated" in status["state"]


def _code(status: Status) -> Any:
    return (status["state"].get("terminated") or {}).get("exitCode")


def _with(status: Status, outage: str) -> Status:
    waiting = status["state"].get("waiting")
    if not isinstance(waiting, dict):
        return status
    message = f"{without_outage(str(waiting.get('message') or ''))} {outage}".strip()
    return {**status, "state": {"waiting": {**waiting, "message": message}}}
