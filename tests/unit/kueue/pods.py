"""Pods and settings that the Kueue plugin's unit tests translate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlink_common.model.workload import Container, Workload
from interlink_kueue.settings import KueueSettings

UID = "7b1d0f0e-0000-4000-8000-000000000001"
NAME = "team-demo-7b1d0f0e-0000-4000-8000-000000000001-71c2c8c9f5"
MAIN = Container(name="main", image="busybox:1.36")


def pod(*containers: Container, **fields: Any) -> Workload:
    return Workload(uid=UID, name="demo", namespace="team", containers=containers or (MAIN,), **{"hostname": "demo", **fields})


def settings(**groups: Any) -> KueueSettings:
    return KueueSettings(state_dir=Path("/state"), instance="node-1", **groups)
