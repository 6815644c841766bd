"""Pods and settings that the Docker plugin's unit tests translate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlink_common.model.workload import Container, Workload
from interlink_docker.settings import DockerSettings

UID = "7b1d0f0e-0000-4000-8000-000000000001"
MAIN = Container(name="main", image="busybox:1.36")


def pod(*containers: Container, **fields: Any) -> Workload:
    return Workload(uid=UID, name="demo", namespace="team", containers=containers or (MAIN,), **fields)


def settings(**groups: Any) -> DockerSettings:
    return DockerSettings(state_dir=Path("/state"), instance="node-1", **groups)
