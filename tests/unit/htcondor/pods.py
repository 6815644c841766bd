"""Pods and settings for these tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from interlink_common.model.workload import Container, Resources, Workload
from interlink_htcondor.settings import HTCondorSettings

UID = "0266151f-3486-47f5-8383-9fcc9877a359"


def a_pod(*containers: Container, **fields: Any) -> Workload:
    fields = {"uid": UID, "name": "p", "namespace": "default", "restart_policy": "Never", "size": Resources(500, 2**26), **fields}
    return Workload(containers=containers or (Container("main", "busybox:1.36"),), **fields)


def settings(**groups: Any) -> HTCondorSettings:
    return HTCondorSettings(**{"state_dir": Path("/state"), "instance": "here", **groups})
