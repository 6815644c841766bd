"""Which remote nodes a pod may run on: the virtual cluster's words by the operator's maps. Pure.

Words that only led the pod to the virtual node are dropped in silence, all others that no map names with a warning.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from interlink_common.model.workload import Placement
from interlink_kueue.settings import PlacementSettings

Json = dict[str, Any]

UNIVERSAL_LABELS = ("kubernetes.io/arch", "kubernetes.io/os")
"""They mean the same on every cluster."""
VIRTUAL_LABELS = ("kubernetes.io/hostname", "kubernetes.io/role", "node-role.kubernetes.io/*", "type", "agent", "*virtual-*", "*interlink*")
VIRTUAL_TAINTS = ("node.kubernetes.io/*", "*virtual-*", "*interlink*", "")


def place(placement: Placement, settings: PlacementSettings) -> tuple[Json, tuple[str, ...]]:
    """(fields of v1.PodSpec, warnings)."""
    selector, warnings = _selector(placement.node_selector, settings)
    tolerations, unkept = _tolerations(json.loads(placement.tolerations_json or "[]"), settings)
    warnings += unkept
    fields: Json = {"nodeSelector": selector, "tolerations": tolerations}
    if placement.affinity_json:
        if settings.keep_affinity:
            fields["affinity"] = json.loads(placement.affinity_json)
        else:
            warnings.append("spec.affinity has no effect on the remote cluster")
    named = (
        ("priorityClassName", placement.priority_class, settings.priority_classes),
        ("runtimeClassName", placement.runtime_class, settings.runtime_classes),
    )
    for field, name, mapped in named:
        if name in mapped:
            fields[field] = mapped[name]
        elif name:
            warnings.append(f"spec.{field} {name} has no counterpart on the remote cluster")
    return {name: value for name, value in fields.items() if value}, tuple(warnings)


def _selector(wanted: dict[str, str], settings: PlacementSettings) -> tuple[dict[str, str], list[str]]:
    selector: dict[str, str] = {}
    warnings: list[str] = []
    for key, value in wanted.items():
        mapped = settings.node_selector.get(f"{key}={value}", settings.node_selector.get(key))
        if mapped is not None:
            selector |= mapped
        elif key in UNIVERSAL_LABELS:
            selector[key] = value
        elif not _matches(key, VIRTUAL_LABELS):
            warnings.append(f"spec.nodeSelector {key} has no effect on the remote cluster")
    return selector | settings.add_node_selector, warnings


def _tolerations(wanted: list[Json], settings: PlacementSettings) -> tuple[list[Json], list[str]]:
    kept = [one for one in wanted if _matches(one.get("key", ""), settings.keep_tolerations)]
    lost = [one.get("key", "") for one in wanted if one not in kept and not _matches(one.get("key", ""), VIRTUAL_TAINTS)]
    warnings = [f"spec.tolerations {key} has no effect on the remote cluster" for key in lost]
    return kept + [dict(one) for one in settings.add_tolerations], warnings


def _matches(key: str, patterns: list[str] | tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)
