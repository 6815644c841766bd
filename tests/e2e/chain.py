"""A virtual node spoken to with kubectl: pods in, and what a person sees of them out."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tests.servers.interlink import Node

Document = dict[str, Any]
T = TypeVar("T")
PATIENCE_SECONDS = 120.0


def until(probe: Callable[[], T], what: str) -> T:
    """The first true value of `probe`. Fails with its last one."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := probe()):
        assert time.monotonic() < deadline, f"not seen: {what}"
        time.sleep(0.5)
    return found


class Chain:
    """One virtual node, spoken to with kubectl."""

    def __init__(self, node: Node, image: str) -> None:
        self.node, self.cluster, self.image = node, node.cluster, image

    def manifest(self, name: str, *containers: Document, **spec: Any) -> Document:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, **spec.pop("metadata", {})},
            "spec": {
                "nodeName": self.node.name,
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 2,
                "automountServiceAccountToken": False,
                "tolerations": [{"key": "virtual-node.interlink/no-schedule", "operator": "Exists"}],
                "containers": list(containers),
                **spec,
            },
        }

    def shell(self, name: str, script: str, **more: Any) -> Document:
        return {"name": name, "image": self.image, "imagePullPolicy": "IfNotPresent", "command": ["sh", "-c", script], **more}

    def apply(self, *documents: Document) -> None:
        self.cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}))

    def status(self, name: str) -> Document:
        return dict(self.cluster.get("pod", name).get("status") or {})

    def container(self, name: str, container: str) -> Document:
        """The container's status, {} if there is none yet."""
        status = self.status(name)
        entries = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
        return next((dict(entry) for entry in entries if entry["name"] == container), {})

    def in_phase(self, name: str, *phases: str) -> Document:
        def seen() -> Document:
            status = self.status(name)
            return status if status.get("phase") in phases else {}

        return until(seen, f"{name} in {phases}, but {json.dumps(self.status(name))}")

    def logs(self, *arguments: str) -> str:
        return self.cluster.kubectl("logs", *arguments)


def exit_codes(status: Document) -> dict[str, int | None]:
    entries = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    return {entry["name"]: entry["state"].get("terminated", {}).get("exitCode") for entry in entries}
