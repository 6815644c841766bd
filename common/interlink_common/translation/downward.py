"""The downward API: what a pod can be told about itself, by `fieldRef` and `resourceFieldRef`.

interLink resolves some of these and loses others without a word; here is what the pod itself still tells.
Source: kubernetes `pkg/fieldpath/fieldpath.go` and `pkg/api/v1/resource/helpers.go` (ExtractContainerResourceValue).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from interlink_common.contract.pod import IpAddress, Pod, PodStatus
from interlink_common.contract.wire import FieldRef, ResourceFieldRef
from interlink_common.model.workload import Resources
from interlink_common.translation.checks import invalid, refused
from interlink_common.translation.quantities import parse_quantity

_SUBSCRIPTED = re.compile(r"metadata\.(labels|annotations)\['(.*)'\]", re.DOTALL)
_ESCAPES = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r", "\t": "\\t", "\v": "\\v"}


@dataclass(frozen=True)
class DownwardApi:
    """Answers for one pod. `node_name` is for a pod that does not tell; `resources` are (requests, limits) by container."""

    pod: Pod
    node_name: str
    resources: Mapping[str, tuple[Resources, Resources]]

    def field(self, reference: FieldRef, where: str) -> str:
        """The value of a `fieldRef`. Raises Refused if the pod can't tell."""
        path = reference.field_path or ""
        metadata, spec = self.pod.metadata, self.pod.spec
        subscripted = _SUBSCRIPTED.fullmatch(path)
        if subscripted:
            entries = metadata.labels if subscripted[1] == "labels" else metadata.annotations
            return (entries or {}).get(subscripted[2], "")
        status = self.pod.status or PodStatus()
        values = {
            "metadata.name": metadata.name,
            "metadata.namespace": metadata.namespace,
            "metadata.uid": metadata.uid,
            "metadata.labels": format_map(metadata.labels or {}),
            "metadata.annotations": format_map(metadata.annotations or {}),
            "spec.nodeName": spec.node_name or self.node_name,
            "spec.serviceAccountName": spec.service_account_name or "",
            "status.hostIP": status.host_ip or "",
            "status.podIP": status.pod_ip or "",
            "status.hostIPs": _addresses(status.host_ips, status.host_ip),
            "status.podIPs": _addresses(status.pod_ips, status.pod_ip),
        }
        if path not in values:
            raise refused(f"{where}.fieldRef.fieldPath", "names a field that the pod does not have")
        return values[path]

    def resource(self, reference: ResourceFieldRef, where: str, container_name: str = "") -> str:
        """The value of a `resourceFieldRef`: the quantity divided by the divisor (default 1), rounded up. Raises BadRequest, Refused."""
        where = f"{where}.resourceFieldRef"
        container_name = reference.container_name or container_name
        if container_name not in self.resources:
            raise invalid(f"{where}.containerName", "names no container of the pod")
        requests, limits = self.resources[container_name]
        side, _, name = (reference.resource or "").partition(".")
        chosen = {"limits": limits, "requests": requests}.get(side, Resources())
        amounts = {
            "cpu": None if chosen.cpu_millis is None else Fraction(chosen.cpu_millis, 1000),
            "memory": chosen.memory_bytes,
            "ephemeral-storage": chosen.ephemeral_storage_bytes,
        }
        if side not in ("limits", "requests") or name not in amounts:
            raise refused(f"{where}.resource", "must be limits or requests of cpu, memory or ephemeral-storage")
        amount = amounts[name]
        if amount is None and side == "limits":
            raise refused(f"{where}.resource", f"needs a limit that container {container_name} does not set: set resources.limits")
        divisor = parse_quantity(reference.divisor or 0, f"{where}.divisor") or Fraction(1)
        if divisor < 0:
            raise invalid(f"{where}.divisor", "must not be negative")
        quotient = Fraction(amount or 0) / divisor
        return str(-(-quotient.numerator // quotient.denominator))


def format_map(entries: Mapping[str, str]) -> str:
    """Lines of `key="value"`, sorted, the value quoted as Go quotes (fieldpath.FormatMap)."""
    return "\n".join(f'{key}="{"".join(map(_escaped, entries[key]))}"' for key in sorted(entries))


def _escaped(character: str) -> str:
    if character in _ESCAPES or character.isprintable():
        return _ESCAPES.get(character, character)
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _addresses(listed: list[IpAddress] | None, single: str | None) -> str:
    return ",".join(a.ip or "" for a in listed) if listed else single or ""
