"""What computing elements publish, in the forms that releases of ARC give it."""

from __future__ import annotations

from typing import Any

from interlink_arc import capacity
from interlink_arc.backend import ArcBackend
from interlink_common.backend import NodeCapacity
from tests.unit.arc.pods import settings


def service(**manager: Any) -> dict[str, Any]:
    computing = {
        "ComputingEndpoint": [{"ImplementationVersion": "7.0.0"}],
        "ComputingShare": {"Name": "main", "MappingQueue": "main"},
        "ComputingManager": manager,
    }
    return {"Domains": {"AdminDomain": {"Services": {"ComputingService": computing}}}}


KINDS = {"ExecutionEnvironment": [{"MainMemorySize": "1000", "TotalInstances": "3"}, {"MainMemorySize": "999999999"}]}


def test_capacity_as_published() -> None:
    told = [service(TotalLogicalCPUs="16", ExecutionEnvironments=KINDS), service(TotalSlots="4"), {"Domains": []}]
    gpus = {"devices": {"nvidia.com/gpu": {"capacity": 4}, "a/b": {}}}
    assert capacity.offered(told, settings(**gpus)) == NodeCapacity(20_000, 3000 * 2**20, 1000, {"nvidia.com/gpu": 4})
    assert capacity.offered([], settings()) == NodeCapacity(None, None, 1000, {})


async def test_fixed_capacity_is_not_asked_for() -> None:
    fixed = {"capacity": {"source": "fixed", "cpu_millis": 7, "pods": 3}, "devices": {"nvidia.com/gpu": {"capacity": 4}}}
    assert await ArcBackend(settings(**fixed)).capacity() == NodeCapacity(7, None, 3, {"nvidia.com/gpu": 4})


def test_what_an_element_says_of_itself() -> None:
    told = service(ApplicationEnvironments={"ApplicationEnvironment": {"AppName": "ENV/PROXY"}})
    assert (capacity.queues(told), capacity.runtime_environments(told), capacity.version(told)) == (["main"], ["ENV/PROXY"], "7.0.0")
    assert (capacity.queues({}), capacity.runtime_environments({}), capacity.version({})) == ([], [], "")
