"""Requests and limits as plain numbers, devices by resource name, and the effective size of a pod.

Source: Kubernetes, "Sidecar Containers", resource sharing within containers (KEP-753), "Pod Overhead", and "Extended resources".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from interlink_common.contract.containers import ResourceRequirements
from interlink_common.contract.pod import PodSpec
from interlink_common.model.workload import Container, Resources
from interlink_common.translation.checks import invalid
from interlink_common.translation.quantities import exact_whole, milli, whole

NATIVE = frozenset({"cpu", "memory", "ephemeral-storage"})
_DEVICE = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?|hugepages-[1-9][0-9]*[KMGTPE]i")
_AMOUNTS = {"cpu_millis": "cpu", "memory_bytes": "memory", "ephemeral_storage_bytes": "ephemeral-storage"}


def resources(requirements: ResourceRequirements | None, where: str) -> tuple[Resources, Resources]:
    """(requests, limits) of one container; a request that is not set is the limit, as the API server defaults it. Raises BadRequest."""
    if requirements is None:
        return Resources(), Resources()
    requests, limits = requirements.requests or {}, requirements.limits or {}
    counts = devices(requests, limits, where)
    limited = replace(_amounts(limits, f"{where}.limits"), devices=counts)
    asked = replace(_amounts({**limits, **requests}, f"{where}.requests"), devices=dict(counts))
    for attribute, name in _AMOUNTS.items():
        request, limit = getattr(asked, attribute), getattr(limited, attribute)
        if request is not None and limit is not None and request > limit:
            raise invalid(f"{where}.requests.{name}", "must not be larger than the limit")
    return asked, limited


def devices(requests: Mapping[str, object], limits: Mapping[str, object], where: str) -> dict[str, int]:
    """Number of each device that one container gets, by resource name, sorted; zeros are left out. Raises BadRequest.

    A device is any resource that Kubernetes can't overcommit (nvidia.com/gpu, hugepages-2Mi): a whole number, request and limit equal.
    """
    counts: dict[str, int] = {}
    for name in sorted((requests.keys() | limits.keys()) - NATIVE):
        if not _DEVICE.fullmatch(name):
            raise invalid(f"{where}.limits.{name}", "is not the name of a resource: cpu, memory, ephemeral-storage or domain/name")
        if name not in limits:
            raise invalid(f"{where}.limits.{name}", "is missing: this resource needs a limit equal to its request")
        limit = exact_whole(str(limits[name]), f"{where}.limits.{name}")
        if name in requests and exact_whole(str(requests[name]), f"{where}.requests.{name}") != limit:
            raise invalid(f"{where}.requests.{name}", "must equal the limit of the same resource")
        if limit:
            counts[name] = limit
    return counts


def pod_size(spec: PodSpec, containers: Iterable[Container], init_containers: Iterable[Container]) -> Resources:
    """The effective request: what runs together at the worst moment, plus overhead. None: no container asks for that resource.

    `spec.resources` (pod-level resources) replaces what the containers add up to. Raises BadRequest.
    """
    sidecars = peak = Resources()
    for container in init_containers:
        if container.sidecar:
            sidecars = _combine(sidecars, container.requests, sum)
            peak = _combine(peak, sidecars, max)
        else:
            peak = _combine(peak, _combine(sidecars, container.requests, sum), max)
    running = sidecars
    for container in containers:
        running = _combine(running, container.requests, sum)
    size = _combine(running, peak, max)
    pod_level, _ = resources(spec.resources, "pod.spec.resources")
    size = replace(size, **{name: value for name in _AMOUNTS if (value := getattr(pod_level, name)) is not None})
    return _combine(size, _amounts(spec.overhead or {}, "pod.spec.overhead"), sum)


def _amounts(quantities: Mapping[str, str | float], where: str) -> Resources:
    return Resources(
        cpu_millis=milli(quantities["cpu"], f"{where}.cpu") if "cpu" in quantities else None,
        memory_bytes=whole(quantities["memory"], f"{where}.memory") if "memory" in quantities else None,
        ephemeral_storage_bytes=(
            whole(quantities["ephemeral-storage"], f"{where}.ephemeral-storage") if "ephemeral-storage" in quantities else None
        ),
    )


def _combine(a: Resources, b: Resources, operation: Callable[[list[int]], int]) -> Resources:
    def either(x: int | None, y: int | None) -> int | None:
        set_values = [v for v in (x, y) if v is not None]
        return operation(set_values) if set_values else None

    names = sorted(a.devices.keys() | b.devices.keys())
    return Resources(
        cpu_millis=either(a.cpu_millis, b.cpu_millis),
        memory_bytes=either(a.memory_bytes, b.memory_bytes),
        ephemeral_storage_bytes=either(a.ephemeral_storage_bytes, b.ephemeral_storage_bytes),
        devices={name: operation([a.devices.get(name, 0), b.devices.get(name, 0)]) for name in names},
    )
