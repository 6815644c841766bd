"""The answer to a ping."""

from __future__ import annotations

from typing import Any

import pytest

from interlink_common.backend import NodeCapacity
from interlink_common.contract.answers import ping_answer


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
