"""A grpc readiness probe of a running pod, against grpcio's own health service: on the host's network, so the server can be ours."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc  # type: ignore[import-untyped]  # grpcio ships no types
import pytest_asyncio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc  # type: ignore[import-untyped]  # nor does this

from interlink_common.model.workload import GrpcAction, Probe
from tests.live.docker.conftest import StartNode
from tests.live.docker.node import a_pod, container, shell

UP, DOWN = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class Health:
    def __init__(self, port: int, servicer: health.aio.HealthServicer) -> None:
        self.port, self._servicer = port, servicer

    async def set(self, state: int) -> None:
        await self._servicer.set("web", state)


@pytest_asyncio.fixture
async def service() -> AsyncIterator[Health]:
    server = grpc.aio.server()
    servicer = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield Health(port, servicer)
    await server.stop(None)


async def test_a_grpc_probe_follows_the_service(start_node: StartNode, service: Health) -> None:
    node = await start_node(security={"allow_host_network": True})
    await service.set(DOWN)
    probe = Probe(GrpcAction(service.port, "web"), period_seconds=1, failure_threshold=1)
    pod = await node.submit(a_pod(shell("sleep 600", readiness_probe=probe), host_network=True))
    await node.until(pod, lambda report: "Readiness probe failed" in container(report).message)
    await service.set(UP)
    await node.until(pod, lambda report: container(report).ready)
    await service.set(DOWN)
    await node.until(pod, lambda report: not container(report).ready)
