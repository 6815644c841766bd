"""Nodes that are none, for a `kubernetes.Cluster` with a scheduler: kwok says of every pod that it runs, and ends it when it is deleted."""

from __future__ import annotations

from typing import Any

from scripts import kwok_program
from tests.servers import kubernetes_node
from tests.servers.kubernetes import Cluster
from tests.servers.kubernetes_plugin import Api

PODS_PER_NODE = 1_000


def unavailable() -> str:
    """ "" or why kwok can't be started here."""
    if kwok_program.missing():
        return "kwok is not built (python -m scripts.test_servers does it, with Go)"
    return kubernetes_node.unavailable(node=False)


def start(cluster: Cluster, nodes: int) -> None:
    """Returns when the nodes are ready. It ends with the cluster."""
    stages = kwok_program.MODULE / "stages.yaml"
    # Without leases the nodes would count as lost after 40 seconds.
    options = [f"--config={stages}", "--manage-all-nodes", "--node-lease-duration-seconds=40"]
    kwok = cluster.process("kwok", [str(kwok_program.path()), f"--kubeconfig={cluster.admin}", *options])
    api = Api(cluster)
    try:
        room = {"cpu": "1000", "memory": "4Ti", "pods": str(PODS_PER_NODE)}
        for number in range(nodes):
            node = {"metadata": {"name": f"fake-{number}"}, "status": {"capacity": room, "allocatable": room}}
            api.call("POST", "/api/v1/nodes", node)
        kwok.until(lambda: all(ready(node) for node in api.items("/api/v1/nodes")))
    finally:
        api.close()


def ready(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions") or ()
    return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)
