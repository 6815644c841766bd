"""A Kubernetes cluster for trying things: the tests' private one, with a real node and a queue of Kueue's double. Nothing of it stays."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts import kubernetes_programs
from scripts.engine import DEMO_IMAGE
from scripts.packages import Missing, busybox_packages, find_command, install, say
from tests.servers.kubernetes import Cluster
from tests.servers.kubernetes_node import Node, unavailable
from tests.servers.kubernetes_plugin import tenant_kubeconfig
from tests.servers.kueue_double import KueueDouble

NAMESPACE, QUEUE = "interlink", "demo"
QUOTA = {"cpu": "1", "memory": "512Mi", "pods": "1"}
"""One pod at a time, so that it can be seen how a second one waits."""


@dataclass(frozen=True)
class Remote:
    """How the plugin gets there."""

    kubeconfig: Path


def node_packages() -> list[str]:
    """What is missing of a node and its control plane, besides Kubernetes' own programs."""
    wanted = {"containerd": "containerd", "runc": "runc", "openssl": "openssl", "ip": "iproute2"}
    missing = [package for command, package in wanted.items() if find_command(command) is None]
    plugins = [] if Path("/usr/lib/cni/bridge").exists() else ["containernetworking-plugins"]
    return [*missing, *plugins, *busybox_packages()]


@contextmanager
def cluster() -> Iterator[Remote]:
    """A control plane, a node and a queue, for this command alone. Raises Missing, with the remedy, if there can be none."""
    if os.geteuid() != 0:
        raise Missing("A Kubernetes node of its own needs root: run this as root.")
    install(node_packages(), "A Kubernetes node")
    kubernetes_programs.build(*kubernetes_programs.CONTROL_PLANE, *kubernetes_programs.NODE)
    if reason := unavailable():
        raise Missing(reason)
    assets = kubernetes_programs.folder()
    with tempfile.TemporaryDirectory(prefix="interlink-cluster-") as folder:
        control_plane = Cluster(assets, Path(folder) / "cluster")
        node = Node(control_plane, assets, images=(DEMO_IMAGE,))
        double: KueueDouble | None = None
        try:
            control_plane.start(scheduler=True)
            node.start()
            double = KueueDouble(control_plane)
            double.start()
            remote = Remote(tenant_kubeconfig(control_plane, NAMESPACE))
            double.queue(NAMESPACE, QUEUE, QUOTA)
            say(f"Kubernetes {kubernetes_programs.version()}: a control plane and a node, for this command alone")
            say(f"Queue: {QUEUE}, by a double of Kueue, with quota for {', '.join(f'{n} {name}' for name, n in QUOTA.items())}")
            yield remote
        finally:
            if double is not None:
                double.close()
            node.close()
            control_plane.close()
