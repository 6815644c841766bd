"""The virtual kubelet's own mesh script and tunnel command, carried out for pods on a Docker engine.

There is no way out of a test, so the programs that they download come from a server beside the engine, and are stand-ins that do what can
be seen from inside the pod: `wireguard-go` makes a tun device, `wstunnel` answers on a port. Everything else of the script runs as it is.
"""

from __future__ import annotations

import http.server
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.e2e.chain import Chain, until
from tests.servers.docker_engine import DockerEngine, busybox_archive, find
from tests.servers.docker_plugin import DockerPlugin
from tests.servers.interlink import Node, Programs
from tests.servers.kubernetes import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.live, pytest.mark.timeout(300), pytest.mark.xdist_group("docker")]

TOOLS = "localhost/network-tools:1"
PROGRAMS = {
    "wstunnel": 'while :; do echo "$@" | nc -l -p 9999; done',
    "wireguard-go": 'ip tuntap add dev "$1" mode tun; exec sleep 100000',
    "wg": "exit 0",
    "slirp4netns": "exit 0",
}


@pytest.fixture(scope="module")
def downloads(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where containers of the engine find the programs."""
    folder = tmp_path_factory.mktemp("downloads")
    for name, script in PROGRAMS.items():
        (folder / name).write_text(f"#!/bin/bash\n{script}\n")
    told = subprocess.run([find("ip") or "ip", "-4", "-oneline", "addr", "show", engine.bridge], capture_output=True, text=True, check=True)
    address = told.stdout.split()[3].partition("/")[0]
    handler = partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer((address, 0), handler) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        yield f"http://{address}:{server.server_address[1]}"
        server.shutdown()
        serving.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def plugin(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerPlugin]:
    with engine.client() as client:
        archive = busybox_archive("bash", "ip", "curl")
        client.import_image_from_data(archive, repository="localhost/network-tools", tag="1", changes=["ENV PATH=/bin"])
    plugin = DockerPlugin(engine, tmp_path_factory.mktemp("plugin"), {"network.image": TOOLS})
    plugin.start()
    yield plugin
    plugin.stop()


@contextmanager
def shadows_have_addresses(cluster: Cluster) -> Iterator[None]:
    """The virtual kubelet makes a pod in the cluster for the other end, and waits for its address. Here no node would give it one."""
    over = threading.Event()

    def give() -> None:
        while not over.wait(0.5):
            for pod in cluster.get("pods", "-n", "default-wstunnel").get("items", []):
                if not pod.get("status", {}).get("podIP"):
                    status = '{"status":{"podIP":"10.1.2.3","podIPs":[{"ip":"10.1.2.3"}]}}'
                    name = pod["metadata"]["name"]
                    cluster.kubectl(
                        "patch", "pod", "-n", "default-wstunnel", name, "--subresource=status", "--type=merge", "-p", status, check=False
                    )

    giving = threading.Thread(target=give)
    giving.start()
    yield
    over.set()
    giving.join()


@contextmanager
def node_with(programs: Programs, cluster: Cluster, plugin: DockerPlugin, name: str, image: str, **network: Any) -> Iterator[Chain]:
    node = Node(programs, cluster, name, plugin.listen, network={"EnableTunnel": True, "WildcardDNS": "example.org", **network})
    node.start()
    try:
        with shadows_have_addresses(cluster):
            yield Chain(node, image)
    finally:
        node.close()


def test_a_pod_is_in_the_full_mesh(programs: Programs, cluster: Cluster, plugin: DockerPlugin, image: str, downloads: str) -> None:
    urls = {
        "WSTunnelExecutable": f"{downloads}/wstunnel",
        "WireguardGoURL": f"{downloads}/wireguard-go",
        "WgToolURL": f"{downloads}/wg",
        "Slirp4netnsURL": f"{downloads}/slirp4netns",
    }
    mesh = {"FullMesh": True, "ServiceCIDR": "10.105.0.0/16", "PodCIDRCluster": "10.244.0.0/16", "DNSServiceIP": "10.105.0.10"}
    with node_with(programs, cluster, plugin, "vk-mesh", image, **urls, **mesh) as chain:
        look = "ip -4 -o addr; ip route; cat /etc/resolv.conf"
        chain.apply(chain.manifest("meshed", chain.shell("main", look, ports=[{"containerPort": 8080}])))
        chain.in_phase("meshed", "Succeeded")
        told = chain.logs("meshed")
        uid = cluster.get("pod", "meshed")["metadata"]["uid"]
        assert f"wg{uid[:13]}    inet 10.7.0.2/32" in told
        assert f"10.244.0.0/16 dev wg{uid[:13]}" in told
        assert "nameserver 10.105.0.10" in told


def test_a_tunnel_is_open_beside_the_pod(programs: Programs, cluster: Cluster, plugin: DockerPlugin, image: str, downloads: str) -> None:
    get = f"curl -s -f {downloads}/wstunnel -o wstunnel && chmod +x wstunnel"
    command = f"{get} && ./wstunnel client --http-upgrade-path-prefix %s %s ws://%s:80 &"
    with node_with(programs, cluster, plugin, "vk-tunnel", image, WstunnelCommand=command) as chain:
        ask = "until nc 127.0.0.1 9999 </dev/null 2>/dev/null; do sleep 0.2; done"
        chain.apply(chain.manifest("tunnelled", chain.shell("main", ask, ports=[{"containerPort": 8080}])))
        chain.in_phase("tunnelled", "Succeeded")
        told = chain.logs("tunnelled")
        assert "-R tcp://0.0.0.0:8080:localhost:8080 ws://tunnelled-default-default-wstunnel.example.org:80" in told
        cluster.kubectl("delete", "pod", "tunnelled", "meshed", "--ignore-not-found")
        until(lambda: not cluster.get("pod", "tunnelled"), "the pod is gone")
