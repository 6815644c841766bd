"""The answer to a ping (GET /status with the body `[]`): what the virtual node offers, as interLink 0.6.2 reads it."""

from __future__ import annotations

from typing import Any

from interlink_common.backend import NodeCapacity


def ping_answer(capacity: NodeCapacity) -> dict[str, Any]:
    """The answer as a JSON object. A resource that is not known is left out, which leaves the node as it is."""
    resources: dict[str, Any] = {}
    if capacity.cpu_millis is not None:
        whole, rest = divmod(capacity.cpu_millis, 1000)
        resources["cpu"] = f"{capacity.cpu_millis}m" if rest else str(whole)
    if capacity.memory_bytes is not None:
        resources["memory"] = _bytes(capacity.memory_bytes)
    if capacity.pods is not None:
        resources["pods"] = str(capacity.pods)
    if capacity.devices:
        resources["accelerators"] = [{"resourceType": name, "available": str(count)} for name, count in sorted(capacity.devices.items())]
    return {"status": "ok", "resources": resources}


def _bytes(count: int) -> str:
    """The largest binary unit that divides `count`, e.g. 512Gi."""
    for suffix, shift in (("Gi", 30), ("Mi", 20), ("Ki", 10)):
        if count and count % (1 << shift) == 0:
            return f"{count >> shift}{suffix}"
    return str(count)
