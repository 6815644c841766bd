from __future__ import annotations

from typing import Any

import pytest

from interlink_common.backend import NodeCapacity
from interlink_common.contract.node import ping_answer
from interlink_common.contract.statuses import (
    ContainerState,
    ContainerStatus,
    CreateAnswer,
    PodStatusEntry,
    StateRunning,
    StateTerminated,
    StateWaiting,
)

STARTED, ENDED = "2026-11-21T05:51:49Z", "2026-11-21T05:52:00Z"


def test_a_status_entry_is_spelled_as_kubernetes_and_interlink_spell_it() -> None:
    entry = PodStatusEntry(
        name="p",
        uid="u",
        namespace="d",
        jid="j",
        containers=[
            ContainerStatus(
                name="main",
                state=ContainerState(running=StateRunning(started_at=STARTED)),
                last_state=ContainerState(
                    terminated=StateTerminated(exit_code=0, started_at=STARTED, finished_at=ENDED, container_id="docker://1")
                ),
                ready=True,
                started=True,
                restart_count=1,
                image="busybox",
                image_id="sha256:1",
                container_id="docker://2",
            )
        ],
        init_containers=[ContainerStatus(name="init", state=ContainerState(waiting=StateWaiting(reason="PodInitializing")))],
    )
    terminated = {"exitCode": 0, "startedAt": STARTED, "finishedAt": ENDED, "containerID": "docker://1"}
    assert entry.model_dump(by_alias=True, exclude_none=True) == {
        "name": "p",
        "UID": "u",
        "namespace": "d",
        "JID": "j",
        "containers": [
            {
                "name": "main",
                "state": {"running": {"startedAt": STARTED}},
                "lastState": {"terminated": terminated},
                "ready": True,
                "started": True,
                "restartCount": 1,
                "image": "busybox",
                "imageID": "sha256:1",
                "containerID": "docker://2",
            }
        ],
        "initContainers": [
            {
                "name": "init",
                "state": {"waiting": {"reason": "PodInitializing"}},
                "lastState": {},
                "ready": False,
                "started": False,
                "restartCount": 0,
                "image": "",
                "imageID": "",
            }
        ],
    }


def test_a_create_answer_is_one_object() -> None:
    assert CreateAnswer(pod_uid="u", pod_jid="j").model_dump(by_alias=True) == {"PodUID": "u", "PodJID": "j"}


@pytest.mark.parametrize(
    ("capacity", "resources"),
    [
        (NodeCapacity(), {}),
        (NodeCapacity(cpu_millis=128_000, memory_bytes=512 << 30, pods=1000), {"cpu": "128", "memory": "512Gi", "pods": "1000"}),
        (NodeCapacity(cpu_millis=1500, memory_bytes=(1 << 30) + 1024), {"cpu": "1500m", "memory": "1048577Ki"}),
        (NodeCapacity(cpu_millis=0, memory_bytes=0, pods=0), {"cpu": "0", "memory": "0", "pods": "0"}),
        (NodeCapacity(memory_bytes=1_000_001), {"memory": "1000001"}),
        (
            NodeCapacity(devices={"nvidia.com/gpu": 8, "amd.com/gpu": 0}),
            {
                "accelerators": [
                    {"resourceType": "amd.com/gpu", "available": "0"},
                    {"resourceType": "nvidia.com/gpu", "available": "8"},
                ]
            },
        ),
    ],
)
def test_ping_answer(capacity: NodeCapacity, resources: dict[str, Any]) -> None:
    assert ping_answer(capacity) == {"status": "ok", "resources": resources}
