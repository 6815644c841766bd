"""The Kueue plugin beside the raw API of a control plane: creates, thousands of remote pods, and how soon a change there is told here.

There is no node: the pods' states are written by hand, as a kubelet would.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.library import add_pods, resident_mib, server, status_body
from benchmarks.wire import RawClient, http_request, interleaved, percentiles
from interlink_kueue.labels import POD_UID
from scripts import kubernetes_programs
from tests.servers.kubernetes import Cluster
from tests.servers.kubernetes_plugin import Api, tenant_kubeconfig

NAMESPACE = "bench"
PODS = f"/api/v1/namespaces/{NAMESPACE}/pods"
COUNT = 5_000


def creates(api: Api, plugin: RawClient, rounds: int = 100) -> dict[str, Any]:
    """Milliseconds until POST /create of a pod without files is answered, and the same remote pod's POST by itself, in turn."""
    plugin_seconds, raw_seconds = [], []
    for index in range(rounds + 10):
        uid = str(uuid.uuid4())
        pod = {
            "metadata": {"name": f"bench-{uid}", "namespace": "default", "uid": uid},
            "spec": {"containers": [{"name": "c0", "image": "busybox:1.36", "command": ["sleep", "600"]}]},
        }
        body = json.dumps({"pod": pod, "container": [{"name": "c0"}]}).encode()
        begin = time.perf_counter()
        plugin.call(http_request("POST", "/create", body))
        ours = time.perf_counter() - begin
        (made,) = api.items(PODS, f"{POD_UID}={uid}")
        raw = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": f"raw-{uid}",
                "labels": {"raw": "true"},
                "annotations": made["metadata"]["annotations"],
                "finalizers": made["metadata"]["finalizers"],
            },
            "spec": made["spec"],
        }
        begin = time.perf_counter()
        api.call("POST", PODS, raw, fieldValidation="Strict")
        if index >= 10:
            plugin_seconds.append(ours)
            raw_seconds.append(time.perf_counter() - begin)
    ours, raw_median = statistics.median(plugin_seconds), statistics.median(raw_seconds)
    return {"plugin_ms": round(ours * 1e3, 2), "raw_ms": round(raw_median * 1e3, 2), "ratio": round(ours / raw_median, 3), "rounds": rounds}


def set_running(api: Api, pod: dict[str, Any], message: str) -> None:
    """What a kubelet writes; `message` shows up in the answer."""
    waiting = [
        {"name": one["name"], "state": {"waiting": {"reason": "ContainerCreating", "message": message}}, "ready": False,
         "restartCount": 0, "image": one["image"], "imageID": ""}
        for one in pod["spec"]["containers"]
    ]  # fmt: skip
    path = f"{PODS}/{pod['metadata']['name']}/status"
    api.call("PATCH", path, {"status": {"phase": "Pending", "containerStatuses": waiting}}, "application/merge-patch+json")


def changes(api: Api, plugin: RawClient, pods: list[dict[str, Any]], rounds: int = 300) -> dict[str, float]:
    """From the API server's answer to a change until GET /status tells of it."""
    seconds = []
    for index in range(rounds):
        pod = pods[index * len(pods) // rounds]
        request = http_request("GET", "/status", status_body(pod["metadata"]["labels"][POD_UID]))
        word = f"change-{uuid.uuid4()}".encode()
        set_running(api, pod, word.decode())
        begin = time.perf_counter()
        while word not in plugin.call(request):
            time.sleep(0.001)
        seconds.append(time.perf_counter() - begin)
    return percentiles(seconds)


def measure() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        cluster = Cluster(kubernetes_programs.folder(), root / "cluster")
        try:
            cluster.start(fsync=True)
            api = Api(cluster)
            socket, state = root / "plugin.sock", root / "state"
            arguments = (str(state), str(tenant_kubeconfig(cluster, NAMESPACE)))
            today = datetime.now(UTC).strftime("%Y-%m-%d")
            result: dict[str, Any] = {"date": today, "kubernetes": kubernetes_programs.version(), "pods": COUNT}
            with server("remote", socket, *arguments) as (process, _):
                result["idle_mib"] = resident_mib(process.pid)
                client = RawClient(socket)
                result["create"] = creates(api, client)
                cluster.kubectl("delete", "pods", "-n", NAMESPACE, "-l", "raw=true", "--wait=false", seconds=300)
                there = len(api.items(PODS, POD_UID))
                result["creates_per_second"] = round(add_pods(socket, [str(uuid.uuid4()) for _ in range(COUNT - there)]), 1)
                pods = api.items(PODS, POD_UID)
                with ThreadPoolExecutor(4) as pool:
                    list(pool.map(lambda pod: set_running(api, pod, "begun"), pods))
                requests = [http_request("GET", "/status", status_body(pod["metadata"]["labels"][POD_UID])) for pod in pods[::10]]
                answer = root / "answer"
                answer.write_bytes(client.call(requests[0]))
                with server("bare", root / "bare.sock", str(answer)):
                    clients = {"bare": (RawClient(root / "bare.sock"), requests), "plugin": (RawClient(socket), requests)}
                    result["status"] = interleaved(clients, 4_000)
                result["change"] = changes(api, client, pods)
                result["mib"] = resident_mib(process.pid)
            result["loop_lag"] = percentiles(json.loads((state / "lag.json").read_text()))
            with server("remote", socket, *arguments) as (process, seconds):
                result["restart_seconds"] = round(seconds, 2)
                time.sleep(10)
                result["restarted_mib"] = resident_mib(process.pid)
            api.close()
        finally:
            cluster.close()
    return result


if __name__ == "__main__":
    print(json.dumps(measure(), indent=2))
