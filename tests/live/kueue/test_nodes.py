"""Where remote pods run, and what is reported when it goes: a node by label and taint, an account of the tenant, a lost node."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from interlink_common.model.report import Running
from interlink_common.model.workload import Placement
from interlink_kueue import labels
from tests.live.kueue.conftest import NAMESPACE, StartRemote
from tests.live.kueue.remote import a_pod, container, ended, shell
from tests.servers.kubernetes_node import NODE
from tests.servers.kubernetes_plugin import Api

STRATEGIC, MERGE = "application/strategic-merge-patch+json", "application/merge-patch+json"
NODES = "/api/v1/nodes"
PRIORITIES = "/apis/scheduling.k8s.io/v1/priorityclasses"
RUNTIMES = "/apis/node.k8s.io/v1/runtimeclasses"


@pytest.fixture
def classes(api: Api) -> Iterator[str]:
    """A priority class and a runtime class of one name, and the real node marked and tainted with it."""
    name = f"nodes-{os.getpid()}"
    api.call("POST", PRIORITIES, {"metadata": {"name": name}, "value": 7})
    api.call("POST", RUNTIMES, {"metadata": {"name": name}, "handler": "runc"})
    marked = {"metadata": {"labels": {name: "yes"}}, "spec": {"taints": [{"key": name, "effect": "NoSchedule"}]}}
    api.call("PATCH", f"{NODES}/{NODE}", marked, MERGE)
    yield name
    api.call("PATCH", f"{NODES}/{NODE}", {"metadata": {"labels": {name: None}}, "spec": {"taints": None}}, MERGE)
    api.call("DELETE", f"{RUNTIMES}/{name}")
    api.call("DELETE", f"{PRIORITIES}/{name}")


@pytest.fixture
def lost(api: Api) -> Iterator[str]:
    """A node that says it is ready, and then nothing any more."""
    name = f"lost-{os.getpid()}"
    api.call("POST", NODES, {"metadata": {"name": name, "labels": {"lost": name}}})
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": now, "lastTransitionTime": now}
    capacity = {"cpu": "4", "memory": "4Gi", "pods": "10"}
    status = {"conditions": [ready], "capacity": capacity, "allocatable": capacity}
    api.call("PATCH", f"{NODES}/{name}/status", {"status": status}, STRATEGIC)
    yield name
    if any(node["metadata"]["name"] == name for node in api.items(NODES)):
        api.call("DELETE", f"{NODES}/{name}")


async def test_placement_by_the_operators_maps(start_remote: StartRemote, classes: str) -> None:
    remote = await start_remote(
        placement={
            "node_selector": {"gpu=a100": {classes: "yes"}},
            "keep_tolerations": [classes],
            "keep_affinity": True,
            "priority_classes": {"high": classes},
            "runtime_classes": {"fast": classes},
        }
    )
    terms = f'[{{"matchExpressions":[{{"key":"{classes}","operator":"In","values":["yes"]}}]}}]'
    wish = Placement(
        node_selector={"gpu": "a100"},
        tolerations_json=f'[{{"key":"{classes}","operator":"Exists"}}]',
        affinity_json=f'{{"nodeAffinity":{{"requiredDuringSchedulingIgnoredDuringExecution":{{"nodeSelectorTerms":{terms}}}}}}}',
        priority_class="high",
        runtime_class="fast",
    )
    pod = a_pod(shell("exit 3"), placement=wish)
    assert ended(await remote.run(pod)).exit_code == 3
    spec = remote.remote_pod(pod)["spec"]
    assert (spec["nodeName"], spec["priority"], spec["runtimeClassName"]) == (NODE, 7, classes)
    without = a_pod(shell("exit 0"))
    await remote.submit(without)
    await remote.until_waiting(without, "Unschedulable", "untolerated taint")


async def test_pods_run_under_their_tenants_account(start_remote: StartRemote, api: Api) -> None:
    name = f"runner-{os.getpid()}"
    accounts = f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"
    api.call("POST", accounts, {"metadata": {"name": name}})
    remote = await start_remote(tenants={"team": {"service_account": name}, "*": {}})
    pod = a_pod(shell("cut -d. -f2 /var/run/secrets/kubernetes.io/serviceaccount/token"))
    assert ended(await remote.run(pod)).exit_code == 0
    claims = base64.urlsafe_b64decode((await remote.log(pod)).strip() + "===").decode()
    assert f"system:serviceaccount:{NAMESPACE}:{name}" in claims
    await remote.delete(pod)
    api.call("DELETE", f"{accounts}/{name}")


@pytest.mark.timeout(400)
async def test_a_node_that_is_lost_keeps_its_pods_state_until_it_is_given_up(start_remote: StartRemote, api: Api, lost: str) -> None:
    """Its kubelet was played by hand; what comes then is the real control plane's."""
    remote = await start_remote(placement={"add_node_selector": {"lost": lost}})
    pod = await remote.submit(a_pod(shell("sleep 600")))
    await remote.until(pod, lambda _: remote.remote_pod(pod)["spec"].get("nodeName") == lost)
    runs = {"running": {"startedAt": "2026-11-26T01:00:00Z"}}
    status = {"name": "main", "state": runs, "ready": True, "started": True, "restartCount": 0, "image": "x", "imageID": "x"}
    status_now = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}], "containerStatuses": [status]}
    path = f"{labels.pods_path(NAMESPACE)}/{remote.remote_pod(pod)['metadata']['name']}"
    api.call("PATCH", f"{path}/status", {"status": status_now}, STRATEGIC)
    await remote.until_running(pod)

    def is_lost() -> bool:
        conditions = {one["type"]: one["status"] for one in api.call("GET", f"{NODES}/{lost}")["status"]["conditions"]}
        return bool(conditions["Ready"] == "Unknown")

    async with asyncio.timeout(120):
        while not await asyncio.to_thread(is_lost):  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(1)
    assert isinstance(container(remote.reports[pod.uid]).state, Running)
    api.call("DELETE", f"{NODES}/{lost}")
    state = ended(await remote.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason) == (137, "DeletionByPodGC")
    assert "no longer exist" in state.message
