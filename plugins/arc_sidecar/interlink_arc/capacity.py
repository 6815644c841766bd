"""What the virtual node offers: what the computing elements publish, or the operator's numbers. Pure.

Source: GLUE Specification v. 2.0 (GFD.147), ComputingManager and ExecutionEnvironment, as A-REX renders it in JSON.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from interlink_arc.settings import ArcSettings
from interlink_common.backend import NodeCapacity
from interlink_common.batchsystem.settings import MEBIBYTE

PLACEHOLDER = 999_999_999
"""What GLUE2 has for a number that is not known."""


def offered(services: Sequence[dict[str, Any]], settings: ArcSettings) -> NodeCapacity:
    """`services`: of each computing element what `Element.service` gave. What none of them tells is left as it is."""
    capacity = settings.capacity
    cpus = [count for service in services for count in _cpus(service)]
    memory = [size for service in services for size in _memory(service)]
    return NodeCapacity(
        cpu_millis=capacity.cpu_millis if capacity.cpu_millis is not None else (sum(cpus) * 1000 or None),
        memory_bytes=capacity.memory_bytes if capacity.memory_bytes is not None else (sum(memory) * MEBIBYTE or None),
        pods=capacity.pods,
        devices=devices(settings),
    )


def devices(settings: ArcSettings) -> dict[str, int]:
    """Of accelerators the operator tells how many there are, whatever the computing elements publish."""
    return {resource: device.capacity for resource, device in settings.devices.items() if device.capacity}


def runtime_environments(service: dict[str, Any]) -> list[str]:
    """Names of those that the computing element has."""
    managers = _managers(service)
    return [
        str(each.get("AppName", ""))
        for manager in managers
        for each in _listed(manager, "ApplicationEnvironments", "ApplicationEnvironment")
    ]


def queues(service: dict[str, Any]) -> list[str]:
    """Names of the queues that the computing element has."""
    return [str(share.get("MappingQueue") or share.get("Name", "")) for share in _entries(_computing(service).get("ComputingShare"))]


def version(service: dict[str, Any]) -> str:
    """Of the software, or "" if it does not tell."""
    endpoints = _entries(_computing(service).get("ComputingEndpoint"))
    return next((str(each["ImplementationVersion"]) for each in endpoints if each.get("ImplementationVersion")), "")


def _cpus(service: dict[str, Any]) -> Iterator[int]:
    for manager in _managers(service):
        yield _number(manager.get("TotalLogicalCPUs")) or _number(manager.get("TotalSlots"))


def _memory(service: dict[str, Any]) -> Iterator[int]:
    """MiB of each kind of node, where both its size and the number of such nodes are published."""
    for manager in _managers(service):
        for kind in _listed(manager, "ExecutionEnvironments", "ExecutionEnvironment"):
            yield _number(kind.get("MainMemorySize")) * _number(kind.get("TotalInstances"))


def _computing(service: dict[str, Any]) -> dict[str, Any]:
    found = service
    for name in ("Domains", "AdminDomain", "Services", "ComputingService"):
        found = next(iter(_entries(found.get(name))), {})
    return found


def _managers(service: dict[str, Any]) -> list[dict[str, Any]]:
    return _entries(_computing(service).get("ComputingManager"))


def _listed(manager: dict[str, Any], group: str, name: str) -> list[dict[str, Any]]:
    return [entry for inner in _entries(manager.get(group)) for entry in _entries(inner.get(name))]


def _entries(value: Any) -> list[dict[str, Any]]:
    """An element of XML as JSON: a list, or one alone, as releases of ARC differ."""
    values = value if isinstance(value, list) else [value]
    return [each for each in values if isinstance(each, dict)]


def _number(value: Any) -> int:
    text = str(value or "")
    return int(text) if text.isdecimal() and int(text) != PLACEHOLDER else 0
