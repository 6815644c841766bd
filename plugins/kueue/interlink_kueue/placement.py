"""Which remote nodes a pod may run on: its choice of virtual nodes, mapped by the operator's settings. Pure.

What only led the pod to the virtual node is dropped. Everything else that no setting maps is dropped with a warning.
"""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from interlink_common.model.workload import Placement
from interlink_kueue.settings import PlacementSettings

Json = dict[str, Any]

UNIVERSAL_LABELS = ("kubernetes.io/arch", "kubernetes.io/os")
"""These labels mean the same on every cluster."""
VIRTUAL_LABELS = ("kubernetes.io/hostname", "kubernetes.io/role", "node-role.kubernetes.io/*", "type", "agent", "*virtual-*", "*interlink*")
VIRTUAL_TAINTS = ("node.kubernetes.io/*", "*virtual-*", "*interlink*", "")


def map_placement(placement: Placement, settings: PlacementSettings) -> tuple[Json, tuple[str, ...]]:
    """Returns fields of v1.PodSpec, and warnings."""
    selector, warnings = _map_selector(placement.node_selector, settings)
    tolerations, dropped = _map_tolerations(json.loads(placement.tolerations_json or "[]"), settings)
    warnings += dropped
    fields: Json = {"nodeSelector": selector, "tolerations": tolerations}
    if placement.affinity_json:
        if settings.keep_affinity:
            fields["affinity"] = json.loads(placement.affinity_json)
        else:
            warnings.append("spec.affinity has no effect on the remote cluster")
    classes = (
        ("priorityClassName", placement.priority_class, settings.priority_classes),
        ("runtimeClassName", placement.runtime_class, settings.runtime_classes),
    )
    for field, name, mapped in classes:
        if name in mapped:
            fields[field] = mapped[name]
        elif name:
            warnings.append(f"spec.{field} {name} has no counterpart on the remote cluster")
    return {name: value for name, value in fields.items() if value}, tuple(warnings)


def _map_selector(wanted: dict[str, str], settings: PlacementSettings) -> tuple[dict[str, str], list[str]]:
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


def _map_tolerations(wanted: list[Json], settings: PlacementSettings) -> tuple[list[Json], list[str]]:
    kept: list[Json] = []
    warnings: list[str] = []
    for toleration in wanted:
        key = toleration.get("key", "")
        if _matches(key, settings.keep_tolerations):
            kept.append(toleration)
        elif not _matches(key, VIRTUAL_TAINTS):
            warnings.append(f"spec.tolerations {key} has no effect on the remote cluster")
    return kept + [dict(toleration) for toleration in settings.add_tolerations], warnings


def _matches(key: str, patterns: list[str] | tuple[str, ...]) -> bool:
    return any(fnmatchcase(key, pattern) for pattern in patterns)
