"""Devices by resource name (nvidia.com/gpu, xilinx.com/fpga-..., hugepages-2Mi): every resource that Kubernetes can't overcommit.

Source: Kubernetes, "Extended resources": whole numbers, and the request equals the limit.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from interlink_common.translation.quantities import exact_whole
from interlink_common.translation.refusals import invalid

NATIVE = frozenset({"cpu", "memory", "ephemeral-storage"})
_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?|hugepages-[1-9][0-9]*[KMGTPE]i")


def devices(requests: Mapping[str, object], limits: Mapping[str, object], where: str) -> dict[str, int]:
    """Number of each device that one container gets, by resource name, sorted; zeros are left out. Raises BadRequest."""
    counts: dict[str, int] = {}
    for name in sorted((requests.keys() | limits.keys()) - NATIVE):
        if not _NAME.fullmatch(name):
            raise invalid(f"{where}.limits.{name}", "is not the name of a resource: cpu, memory, ephemeral-storage or domain/name")
        if name not in limits:
            raise invalid(f"{where}.limits.{name}", "is missing: this resource needs a limit equal to its request")
        limit = exact_whole(str(limits[name]), f"{where}.limits.{name}")
        if name in requests and exact_whole(str(requests[name]), f"{where}.requests.{name}") != limit:
            raise invalid(f"{where}.requests.{name}", "must equal the limit of the same resource")
        if limit:
            counts[name] = limit
    return counts
