"""interLink's mesh script and tunnel commands on a real engine. The script here is of the shape that the virtual kubelet makes; it
needs no download and no peer, for its interface is a tun device. tests/e2e runs the virtual kubelet's own."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from interlink_common.model.report import Running
from interlink_common.model.workload import Network, Workload
from interlink_docker.labels import network_name
from tests.live.docker.conftest import StartNode
from tests.live.docker.node import PATIENCE_SECONDS, Node, a_pod, container, ended, shell, waiting
from tests.servers.docker_engine import DockerEngine, busybox_archive

TOOLS = "localhost/network-tools:1"

MESH = r"""cat <<'EOFMESH' > $TMPDIR/mesh.sh
#!/bin/bash
set -e
set -m
cd $TMPDIR
cat <<'EOFSLIRP' > $TMPDIR/slirp.sh
#!/bin/bash
set -e
mkdir -p /tmp/etc-override
echo "nameserver 192.0.2.53" > /tmp/etc-override/resolv.conf
mount --bind /tmp/etc-override/resolv.conf /etc/resolv.conf
mount --make-rprivate / 2>/dev/null || true
mkdir -p $TMPDIR/var-run/wireguard
mount --bind $TMPDIR/var-run /var/run
test -d /var/run/wireguard
sleep 1
ip tuntap add dev mesh0 mode tun
ip link set mesh0 up
ip addr add 10.7.0.2/32 dev mesh0
ip route add 10.96.0.0/16 dev mesh0
$@
EOFSLIRP
chmod +x $TMPDIR/slirp.sh
unshare --user --map-root-user --net --mount $TMPDIR/slirp.sh "$@" &
sleep 0.1
fg 1
EOFMESH
SOMETHING=for-slurm
"""
LOOK = "ip -4 -o addr show mesh0; ip route; cat /etc/resolv.conf"


@pytest.fixture(scope="module", autouse=True)
def tools(engine: DockerEngine) -> Iterator[None]:
    with engine.client() as client:
        client.import_image_from_data(
            busybox_archive("bash", "ip"), repository="localhost/network-tools", tag="1", changes=["ENV PATH=/bin"]
        )
        yield
        client.remove_image(TOOLS)


@pytest.fixture
async def carrying(start_node: StartNode) -> Node:
    return await start_node(network={"image": TOOLS})


def carriers(node: Node, workload: Workload) -> list[str]:
    """Ids of the pod's network container."""
    with node.engine.client() as client:
        return [found["Id"] for found in client.containers(all=True, filters={"name": network_name(workload.uid)})]


async def test_every_container_is_in_the_mesh(carrying: Node) -> None:
    first = shell(LOOK, "first")
    pod = a_pod(shell(LOOK), init_containers=(first,), network=Network(mesh_script=MESH))
    report = await carrying.run(pod)
    assert ended(report).exit_code == 0
    for name in ("first", "main"):
        told = await carrying.log(pod, name)
        assert "10.7.0.2/32" in told
        assert "10.96.0.0/16 dev mesh0" in told
        assert "nameserver 192.0.2.53" in told
    async with asyncio.timeout(PATIENCE_SECONDS):  # it goes in the background, when the pod has ended
        while carriers(carrying, pod):  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.2)


async def test_a_mesh_outlives_a_restart_of_the_plugin(carrying: Node) -> None:
    pod = a_pod(shell(f"trap '{LOOK}; exit 0' TERM; sleep 600 & wait"), network=Network(mesh_script=MESH))
    await carrying.running(pod)
    before = carriers(carrying, pod)
    await carrying.restart()
    await carrying.until(pod, lambda report: isinstance(container(report).state, Running))
    assert carriers(carrying, pod) == before != []


async def test_a_mesh_that_fails_says_why_and_starts_nothing(carrying: Node) -> None:
    script = MESH.replace("sleep 1\n", "echo 'ERROR: Failed to download wstunnel'; exit 1\n")
    pod = await carrying.submit(a_pod(shell("exit 0"), network=Network(mesh_script=script)))
    report = await carrying.until(pod, lambda report: "not set up" in getattr(waiting(report), "message", ""))
    told = waiting(report)
    assert told is not None
    assert "ERROR: Failed to download wstunnel" in told.message
    assert container(report).restart_count == 0


async def test_a_mesh_that_hangs_is_given_up_in_time(start_node: StartNode) -> None:
    node = await start_node(network={"image": TOOLS, "ready_seconds": 1})
    pod = await node.submit(a_pod(shell("exit 0"), network=Network(mesh_script=MESH.replace("sleep 1\n", "echo waiting; sleep 600\n"))))
    await node.until(pod, lambda report: "not set up in time: waiting" in getattr(waiting(report), "message", ""))


async def test_tunnel_commands_run_in_the_pods_network_and_again_when_they_end(carrying: Node) -> None:
    commands = "nc -l -p 7070 -e echo through the tunnel &"
    ask = "until nc 127.0.0.1 7070 </dev/null 2>/dev/null; do sleep 0.2; done"
    pod = a_pod(shell(f"{ask}; {ask}"), network=Network(tunnel_commands=commands))
    report = await carrying.run(pod)
    assert ended(report).exit_code == 0
    assert await carrying.log(pod) == "through the tunnel\n" * 2
