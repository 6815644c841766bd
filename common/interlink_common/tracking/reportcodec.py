"""`PodReport` as JSON and back, for the record: the last known states must survive a restart while the backend is down.

The standard library's JSON, because a container's message may hold lone surrogates, which msgspec refuses.
"""

from __future__ import annotations

import json
from typing import Any

from interlink_common.model.report import ContainerReport, ContainerState, PodReport, Running, Terminated, Waiting

_KINDS: dict[str, type[ContainerState]] = {"waiting": Waiting, "running": Running, "terminated": Terminated}
_TAGS = {kind: tag for tag, kind in _KINDS.items()}


def encode_report(report: PodReport) -> str:
    """JSON; a state is a pair [waiting | running | terminated, fields]."""
    return json.dumps(
        {
            "containers": [_container(c) for c in report.containers],
            "init_containers": [_container(c) for c in report.init_containers],
            "finished": report.finished,
        },
        separators=(",", ":"),
    )


def decode_report(data: str) -> PodReport:
    """The inverse of `encode_report`."""
    raw = json.loads(data)
    return PodReport(
        containers=tuple(_read(c) for c in raw["containers"]),
        init_containers=tuple(_read(c) for c in raw["init_containers"]),
        finished=raw["finished"],
    )


def _container(report: ContainerReport) -> dict[str, Any]:
    fields = dict(vars(report))
    fields["state"] = (_TAGS[type(report.state)], vars(report.state))
    fields["last_state"] = report.last_state and vars(report.last_state)
    return fields


def _read(fields: dict[str, Any]) -> ContainerReport:
    tag, state = fields.pop("state")
    last = fields.pop("last_state")
    return ContainerReport(state=_KINDS[tag](**state), last_state=Terminated(**last) if last else None, **fields)
