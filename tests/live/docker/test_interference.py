"""Somebody else at work on the engine: what they end or remove under a pod is noticed by events alone, and is never a success."""

from __future__ import annotations

import pytest

from interlink_common.model.report import Running, Terminated
from tests.live.docker.conftest import StartNode
from tests.live.docker.node import Node, a_pod, container, ended, shell

POLITE = "trap 'exit 0' TERM; sleep 600 & wait"


@pytest.fixture
async def node(start_node: StartNode) -> Node:
    """Without a resync inside of the test's patience."""
    return await start_node(engine={"resync_seconds": 3600})


def disturb(node: Node, name: str, *, remove: bool) -> None:
    with node.engine.client() as client:
        if remove:
            client.remove_container(name, force=True)
        else:
            client.kill(name)


@pytest.mark.parametrize("shared", [False, True])
@pytest.mark.parametrize("remove", [False, True])
async def test_a_pod_that_lost_its_sandbox_failed(node: Node, remove: bool, shared: bool) -> None:
    pod = a_pod(shell(POLITE), shell(POLITE, "other"), share_process_namespace=shared)
    await node.running(pod)
    disturb(node, f"interlink-{pod.uid}", remove=remove)
    report = await node.until(pod, lambda report: report.finished)
    assert [ended(report, name).exit_code for name in ("main", "other")] == [137, 137]
    if not shared:  # else the kernel ends them before the sandbox: nothing tells why yet
        assert all("sandbox" in ended(report, name).message for name in ("main", "other"))


@pytest.mark.parametrize("remove", [False, True])
async def test_a_pod_that_lost_its_sandbox_restarts_in_a_new_one(node: Node, remove: bool) -> None:
    server = shell("trap 'exit 0' TERM; while :; do echo hello | nc -l -p 8080 127.0.0.1; done", "server")
    client = shell("until nc 127.0.0.1 8080 < /dev/null 2> /dev/null; do sleep 0.1; done; sleep 600", "client")
    pod = a_pod(server, client, restart_policy="Always")
    await node.running(pod)
    disturb(node, f"interlink-{pod.uid}", remove=remove)
    report = await node.until(pod, lambda report: all(c.restart_count == 1 and isinstance(c.state, Running) for c in report.containers))
    for name in ("server", "client"):
        last = container(report, name).last_state
        assert last is not None
        assert last.exit_code == 137
        assert "sandbox" in last.message
    assert await anext(aiter(node.log_stream(pod, "client", follow=True))) == b"hello\n"


async def test_a_removed_container_is_unknown_and_failed(node: Node) -> None:
    pod = a_pod(shell(POLITE))
    await node.running(pod)
    disturb(node, f"interlink-{pod.uid}-main-0", remove=True)
    state = ended(await node.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason) == (137, "ContainerStatusUnknown")
    assert "removed" in state.message


async def test_a_removed_container_restarts_if_the_policy_says_so(node: Node) -> None:
    pod = a_pod(shell(POLITE), restart_policy="OnFailure")
    await node.running(pod)
    disturb(node, f"interlink-{pod.uid}-main-0", remove=True)
    report = await node.until(pod, lambda report: container(report).restart_count == 1 and isinstance(container(report).state, Running))
    assert isinstance(container(report).last_state, Terminated)
