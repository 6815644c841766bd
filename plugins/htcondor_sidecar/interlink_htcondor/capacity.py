"""What the virtual node offers: the slots of the pool, where the operator sets no numbers. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from interlink_common.backend import NodeCapacity
from interlink_common.batchsystem.settings import MEBIBYTE
from interlink_htcondor.settings import HTCondorSettings

SLOT_PROJECTION = (
    "Name", "SlotType", "PartitionableSlot", "DynamicSlot", "Cpus", "Memory", "GPUs",
    "TotalSlotCpus", "TotalSlotMemory", "TotalSlotGPUs",
)  # fmt: skip


def projection(settings: HTCondorSettings) -> list[str]:
    """The attributes that `offered` needs: also what the slots have of custom resources."""
    return [*SLOT_PROJECTION, *(f"TotalSlot{name}" for name in settings.devices.custom.values())]


def offered(slots: Sequence[Mapping[str, Any]], settings: HTCondorSettings) -> NodeCapacity:
    """A partitionable slot counts whole, whatever is carved out of it; its dynamic slots therefore do not."""
    capacity = settings.capacity
    whole = [slot for slot in slots if slot.get("DynamicSlot") is not True]

    def total(name: str) -> int:
        return sum(int(slot.get(f"TotalSlot{name}", 0 if slot.get("PartitionableSlot") is True else slot.get(name, 0))) for slot in whole)

    devices = {resource: total(name) for resource, name in settings.devices.custom.items()}
    gpus = next(iter(settings.devices.gpus), "")
    if gpus and total("GPUs") and "*" not in gpus:
        devices[gpus] = total("GPUs")
    return NodeCapacity(
        cpu_millis=capacity.cpu_millis if capacity.cpu_millis is not None else total("Cpus") * 1000,
        memory_bytes=capacity.memory_bytes if capacity.memory_bytes is not None else total("Memory") * MEBIBYTE,
        pods=capacity.pods,
        devices={**devices, **capacity.devices},
    )
