"""Names and labels of everything a pod has on the engine: they alone are enough to find it again.

Names are made of the pod's UID, the container's name and the attempt, so creating something twice is a conflict, never a second one.
"""

from __future__ import annotations

import json

from interlink_common.model import codec
from interlink_common.model.workload import Container, Workload

PREFIX = "interlink.eu/"
OWN_NAME = "interlink-"
INSTANCE = PREFIX + "instance"
ROLE = PREFIX + "role"
POD_UID = PREFIX + "pod-uid"
POD_NAME = PREFIX + "pod-name"
POD_NAMESPACE = PREFIX + "pod-namespace"
CONTAINER = PREFIX + "container"
ATTEMPT = PREFIX + "attempt"
BACKOFF_SECONDS = PREFIX + "backoff-seconds"
WORKLOAD = PREFIX + "workload"

SANDBOX_ROLE, NETWORK_ROLE, CONTAINER_ROLE, VOLUME_ROLE, PROBE_ROLE = "sandbox", "network", "container", "volume", "probe"


def sandbox_name(uid: str) -> str:
    """Also the pod's JID."""
    return f"interlink-{uid}"


def network_name(uid: str) -> str:
    """No container's: their names have no dots (Kubernetes: DNS labels)."""
    return f"interlink-{uid}.network"


def container_name(uid: str, container: str, attempt: int) -> str:
    return f"interlink-{uid}-{container}-{attempt}"


def volume_name(uid: str, volume: str) -> str:
    return f"{OWN_NAME}{uid}-{volume}"


def ours(instance: str, role: str | None = None, uid: str | None = None) -> dict[str, str]:
    """The labels to search for: everything of this plugin, or of one role, or of one pod."""
    wanted = {INSTANCE: instance, ROLE: role, POD_UID: uid}
    return {key: value for key, value in wanted.items() if value is not None}


def pod_labels(instance: str, role: str, workload: Workload) -> dict[str, str]:
    return {**ours(instance, role, workload.uid), POD_NAME: workload.name, POD_NAMESPACE: workload.namespace}


def sandbox_labels(instance: str, workload: Workload) -> dict[str, str]:
    """With the pod's stub, so that the pod can be adopted when our database is lost."""
    return {**pod_labels(instance, SANDBOX_ROLE, workload), WORKLOAD: codec.to_json(codec.stub(workload))}


def container_labels(instance: str, workload: Workload, container: Container, attempt: int, backoff_seconds: float) -> dict[str, str]:
    return {
        **pod_labels(instance, CONTAINER_ROLE, workload),
        CONTAINER: container.name,
        ATTEMPT: str(attempt),
        BACKOFF_SECONDS: json.dumps(backoff_seconds),
    }


def adoptable(found: dict[str, str]) -> Workload | None:
    """The stub in a sandbox's labels; None if there is none that can be read."""
    try:
        return codec.from_json(found[WORKLOAD])
    except (KeyError, ValueError):
        return None
