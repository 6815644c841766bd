"""What a pool offers, the order of its queue, and why a job waits in it."""

from __future__ import annotations

from typing import Any

import pytest

from interlink_common.backend import NodeCapacity
from interlink_htcondor import states
from interlink_htcondor.ads import HELD, IDLE, JobAd
from interlink_htcondor.backend import HTCondorBackend
from interlink_htcondor.capacity import offered
from tests.unit.htcondor.pods import settings

SLOTS: list[dict[str, Any]] = [
    {"PartitionableSlot": True, "TotalSlotCpus": 8, "TotalSlotMemory": 1024, "TotalSlotGPUs": 2, "TotalSlotFPGAs": 1, "Cpus": 2},
    {"DynamicSlot": True, "TotalSlotCpus": 6, "TotalSlotMemory": 512, "Cpus": 6},
    {"Cpus": 1, "Memory": 100, "TotalSlotCpus": 1, "TotalSlotMemory": 100},
]


def test_a_partitionable_slot_counts_whole() -> None:
    devices = {"custom": {"intel.com/fpga": "FPGAs"}}
    assert offered(SLOTS, settings(devices=devices)) == NodeCapacity(9000, 1124 * 2**20, 1000, {"nvidia.com/gpu": 2, "intel.com/fpga": 1})


async def test_fixed_capacity_is_not_asked_for() -> None:
    fixed = {"source": "fixed", "cpu_millis": 5, "devices": {"nvidia.com/gpu": 1}, "pods": 3}
    assert await HTCondorBackend(settings(capacity=fixed)).capacity() == NodeCapacity(5, None, 3, {"nvidia.com/gpu": 1})


def job(number: int, status: int = IDLE, **fields: Any) -> JobAd:
    return JobAd(f"{number}.0", "uid", status, {"ClusterId": number, "ProcId": 0, **fields})


def test_the_order_of_the_queue() -> None:
    jobs = [job(1, QDate=5), job(2, QDate=4), job(3, QDate=9, JobPrio=1), job(4, HELD)]
    assert states.count_ahead(jobs) == {"3.0": 0, "2.0": 1, "1.0": 2}


@pytest.mark.parametrize(
    ("ad", "reason"),
    [
        (job(1, RequestCpus=9), "no slot of the pool has 9 cpus, the largest has 8"),
        (job(1, RequestMemory=2048), "no slot of the pool has 2048 MiB of memory, the largest has 1024"),
        (job(1, RequestGPUs=3), "no slot of the pool has 3 GPUs, the largest has 2"),
        (job(1, RequestCpus=8, LastRejMatchReason="no match found "), "no match found"),
        (job(1, HELD, RequestCpus=9), ""),
        (job(1), ""),
    ],
)
def test_why_a_job_waits(ad: JobAd, reason: str) -> None:
    assert states.why_unmatched(ad, SLOTS) == reason
