"""A stand-in for Kueue's manager on a real control plane: its API types, its webhook for pods, and a controller that admits by quota.

What it says and does was seen of the real one (plain pods, pod groups, Jobs; v1beta2), in its own words. Tests evict, hold and break it
by hand. It knows one flavor for each queue, no cohorts, no preemption of its own.
"""

from __future__ import annotations

import base64
import hashlib
import ssl
import threading
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import httpx

from tests.servers.kubernetes import Cluster, free_port
from tests.servers.kubernetes_plugin import Api
from tests.servers.kueue import API_SERVICES, DEFINITIONS, MERGE, MUTATING, Json, Kueue, condition
from tests.servers.kueue_carriers import as_pod, is_stopped, parsed, requests, text
from tests.servers.kueue_webhook import GATE, GROUP, MANAGED, QUEUE, VISIBILITY_GROUP, Server, configuration, visibility

GROUP_NAME, GROUP_COUNT = f"{GROUP}/pod-group-name", f"{GROUP}/pod-group-total-count"
KINDS = {
    "Workload": ("workloads", "Namespaced"),
    "LocalQueue": ("localqueues", "Namespaced"),
    "ClusterQueue": ("clusterqueues", "Cluster"),
    "ResourceFlavor": ("resourceflavors", "Cluster"),
    "Cohort": ("cohorts", "Cluster"),
    "WorkloadPriorityClass": ("workloadpriorityclasses", "Cluster"),
}
VERSIONS = ("v1beta1", "v1beta2")
STRATEGIC, JSON_PATCH = "application/strategic-merge-patch+json", "application/json-patch+json"
PERIOD_SECONDS = 0.05


class KueueDouble(Kueue):
    """Takes itself away when it is closed, so that the real one can follow."""

    name = "double"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True, name="kueue-double")
        self._server: Server | None = None
        self._port = free_port()
        self._lock = threading.Lock()
        self._workers: dict[str, dict[str, Api]] = {}
        self._handed: dict[str, tuple[str, Api]] = {}
        """Path of a pod -> UID of the one here, and the worker cluster on which its copy is."""

    def start(self) -> None:
        for kind, (plural, scope) in KINDS.items():
            self._api.call("POST", DEFINITIONS, definition(kind, plural, scope))
        self._cluster.issue("kueue", "/CN=kueue", "IP:127.0.0.1")
        self.serve_webhook()
        self.install_webhook()
        self._on_loopback("default", "kueue-visibility-server")
        service = {"namespace": "default", "name": "kueue-visibility-server", "port": self._port}
        self._api.call("POST", API_SERVICES, visibility(service))
        for plural, _ in KINDS.values():
            self._until_served(f"{self.base}/{plural}")
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(30)
        self.stop_webhook()
        self.remove_webhook()
        self._api.call("DELETE", f"{API_SERVICES}/v1beta2.{VISIBILITY_GROUP}")
        for plural, _ in KINDS.values():
            self._api.call("DELETE", f"{DEFINITIONS}/{plural}.{GROUP}")
        for plural, _ in KINDS.values():
            self._until_served(f"{DEFINITIONS}/{plural}.{GROUP}", served=False)
        for api in (self._api, *(worker for workers in self._workers.values() for worker in workers.values())):
            api.close()

    # What tests do.

    def serve(self, *versions: str) -> None:
        """Has the API server offer only those versions of Kueue's API."""
        self.version = versions[-1]
        for plural, _ in KINDS.values():
            patch = [
                {"op": "replace", "path": f"/spec/versions/{index}/served", "value": version in versions}
                for index, version in enumerate(VERSIONS)
            ]
            self._api.call("PATCH", f"{DEFINITIONS}/{plural}.{GROUP}", patch, JSON_PATCH)
        for version in VERSIONS:
            self._until_served(f"/apis/{GROUP}/{version}", served=version in versions)

    def evict(self, namespace: str, workload: str) -> None:
        message = "Preempted to accommodate a workload (UID: 1, JobUID: 2) due to prioritization in the ClusterQueue"
        with self._lock:
            self._evict(self._api.call("GET", f"{self.base}/namespaces/{namespace}/workloads/{workload}"), "Preempted", message)

    def deactivate(self, namespace: str, workload: str) -> None:
        with self._lock:
            super().deactivate(namespace, workload)
            found = self._api.call("GET", f"{self.base}/namespaces/{namespace}/workloads/{workload}")
            self._evict(found, "Deactivated", "The workload is deactivated")

    def hand_on(self, check: str, workers: Mapping[str, Cluster]) -> None:
        self._workers[check] = {name: Api(cluster) for name, cluster in workers.items()}

    # The webhook.

    def install_webhook(self) -> None:
        ca = base64.b64encode((self._cluster.pki / "ca.crt").read_bytes()).decode()
        self._api.call("POST", MUTATING, configuration(f"https://127.0.0.1:{self._port}/mutate--v1-pod", ca))

    def serve_webhook(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self._cluster.pki / "kueue.crt", self._cluster.pki / "kueue.key")
        server = Server(self._port, self._pending)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True, name="kueue-webhook").start()
        self._server = server

    def stop_webhook(self) -> None:
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()

    def _pending(self, namespace: str, queue: str) -> list[str]:
        found = [one for one in self.workloads(namespace) if one["spec"]["queueName"] == queue]
        waiting = [one for one in found if "True" not in (condition(one, kind) for kind in ("Admitted", "Finished", "Evicted"))]
        return [one["metadata"]["name"] for one in sorted(waiting, key=lambda one: str(one["metadata"]["creationTimestamp"]))]

    # The controller.

    def _run(self) -> None:
        while not self._stopping.wait(PERIOD_SECONDS):
            with suppress(httpx.HTTPError), self._lock:
                self._round()

    def _round(self) -> None:
        pods = self._api.items("/api/v1/pods", f"{MANAGED}=true")
        jobs = [as_pod(job) for job in self._api.items("/apis/batch/v1/jobs", QUEUE)]
        by_uid = {one["metadata"]["uid"]: one for one in (*pods, *jobs)}
        workloads = self._api.items(f"{self.base}/workloads")
        owned = {owner["uid"] for workload in workloads for owner in workload["metadata"]["ownerReferences"]}
        self._make_workloads([one for uid, one in by_uid.items() if uid not in owned and "deletionTimestamp" not in one["metadata"]])
        queues = {(one["metadata"]["namespace"], one["metadata"]["name"]): one for one in self._api.items(f"{self.base}/localqueues")}
        cluster_queues = {one["metadata"]["name"]: one for one in self._api.items(f"{self.base}/clusterqueues")}
        used: dict[tuple[str, str], int] = {}
        for workload in sorted(workloads, key=lambda one: (condition(one, "Admitted") != "True", one["metadata"]["creationTimestamp"])):
            members = [by_uid[owner["uid"]] for owner in workload["metadata"]["ownerReferences"] if owner["uid"] in by_uid]
            queue = queues.get((workload["metadata"]["namespace"], workload["spec"]["queueName"]))
            cluster_queue = cluster_queues.get(queue["spec"]["clusterQueue"]) if queue else None
            self._settle(workload, members, cluster_queue, used)
        grouped = {uid for uid in owned if uid in by_uid and GROUP_NAME in by_uid[uid]["metadata"]["labels"]}
        for pod in pods:
            self._let_go(pod, held=pod["metadata"]["uid"] in grouped)
        for path, (uid, worker) in list(self._handed.items()):
            if uid not in by_uid or "deletionTimestamp" in by_uid[uid]["metadata"]:
                with suppress(httpx.HTTPStatusError):
                    worker.call("DELETE", path)
                del self._handed[path]

    def _make_workloads(self, pods: list[Json]) -> None:
        groups: dict[tuple[str, str], list[Json]] = {}
        for pod in pods:
            metadata = pod["metadata"]
            group = metadata["labels"].get(GROUP_NAME)
            if group is None:
                suffix = hashlib.sha256(metadata["uid"].encode()).hexdigest()[:5]
                self._make_workload(f"{pod.get('kind', 'Pod').lower()}-{metadata['name'][:53]}-{suffix}", [pod])
            else:
                groups.setdefault((metadata["namespace"], group), []).append(pod)
        for (_, name), members in groups.items():
            if len(members) >= int(members[0]["metadata"]["annotations"][GROUP_COUNT]):
                self._make_workload(name, members)

    def _make_workload(self, name: str, pods: list[Json]) -> None:
        metadata = pods[0]["metadata"]
        owners = [
            {
                "apiVersion": pod.get("apiVersion", "v1"),
                "kind": pod.get("kind", "Pod"),
                "name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"],
                "controller": len(pods) == 1,
            }
            for pod in pods
        ]
        body = self._object("Workload", name, {"active": True, "queueName": metadata["labels"][QUEUE]})
        body["metadata"] |= {"ownerReferences": owners, "finalizers": []}
        self._api.call("POST", f"{self.base}/namespaces/{metadata['namespace']}/workloads", body)

    def _settle(self, workload: Json, members: list[Json], queue: Json | None, used: dict[tuple[str, str], int]) -> None:
        if condition(workload, "Finished") == "True" or not members:
            return
        phases = {pod["status"].get("phase") for pod in members}
        if phases <= {"Succeeded", "Failed"}:
            self._conditions(workload, Finished=("True", "Failed" if "Failed" in phases else "Succeeded", "Pods finished"))
            return
        asked = requests(members)
        if queue is not None and "pods" in queue["spec"]["resourceGroups"][0]["coveredResources"]:
            asked["pods"] = len(members)
        if condition(workload, "Admitted") == "True":
            if queue is None or queue["spec"].get("stopPolicy") == "HoldAndDrain":
                self._evict(workload, "ClusterQueueStopped", "The ClusterQueue is stopped")
                return
            for resource, amount in asked.items():
                key = queue["metadata"]["name"], resource
                used[key] = used.get(key, 0) + amount
            self._start(workload, members, queue)
        elif queue is not None and condition(workload, "QuotaReserved") == "True" and condition(workload, "Evicted") != "True":
            self._start(workload, members, queue)
        elif workload["spec"].get("active", True) and (condition(workload, "Evicted") != "True" or is_stopped(members[0])):
            self._try(workload, members, queue, asked, used)

    def _try(
        self, workload: Json, members: list[Json], queue: Json | None, asked: dict[str, int], used: dict[tuple[str, str], int]
    ) -> None:
        if queue is None:
            message = f"LocalQueue {workload['spec']['queueName']} doesn't exist or has no active ClusterQueue"
            self._conditions(workload, QuotaReserved=("False", "Misconfigured", message))
            return
        name = queue["metadata"]["name"]
        if queue["spec"].get("stopPolicy", "None") != "None":
            self._conditions(workload, QuotaReserved=("False", "Suspended", f"ClusterQueue {name} is inactive: stopped"))
            return
        (group,) = queue["spec"]["resourceGroups"]
        if not set(asked) <= set(group["coveredResources"]):
            return  # the real one says nothing either
        nominal = {one["name"]: parsed(one["name"], one["nominalQuota"]) for one in group["flavors"][0]["resources"]}
        for resource, amount in asked.items():
            before = "couldn't assign flavors to pod set main: "
            if amount > nominal[resource]:
                sums = f"previously considered podsets requests (0) + current podset request ({text(resource, amount)})"
                words = f"insufficient quota for {resource} in flavor default, {sums}"
                told = f"{before}{words} > maximum capacity ({text(resource, nominal[resource])})"
                self._conditions(workload, QuotaReserved=("False", "ExceedsMaxQuota", told))
                return
            lacking = used.get((name, resource), 0) + amount - nominal[resource]
            if lacking > 0:
                words = f"insufficient unused quota for {resource} in flavor default, {text(resource, lacking)} more needed"
                self._conditions(workload, QuotaReserved=("False", "WaitingForQuota", before + words))
                return
        for resource, amount in asked.items():
            used[name, resource] = used.get((name, resource), 0) + amount
        reserved = f"Quota reserved in ClusterQueue {name}, wait time since queued was 1s"
        self._conditions(workload, QuotaReserved=("True", "QuotaReserved", reserved), **_previously(workload))
        self._start(workload, members, queue)

    def _start(self, workload: Json, members: list[Json], queue: Json) -> None:
        """What has its quota begins, unless MultiKueue is asked first: then it begins where a worker cluster admits it."""
        checks = (queue["spec"].get("admissionChecksStrategy") or {}).get("admissionChecks") or ()
        admitted = f"Admitted by ClusterQueue {queue['metadata']['name']}, wait time since reservation was 0s"
        if not checks:
            self._conditions(workload, Admitted=("True", "Admitted", admitted))
            self._ungate(members)
            return
        name, worker = next(iter(self._workers[checks[0]["name"]].items()))
        copies_admitted = [self._mirror(pod, worker) for pod in members]
        if all(copies_admitted):
            if workload["status"].get("clusterName") != name:
                self._tell(workload, {"nominatedClusterNames": None, "clusterName": name})
            self._conditions(workload, Admitted=("True", "Admitted", admitted))
        elif "nominatedClusterNames" not in workload["status"]:
            check = {"name": checks[0]["name"], "state": "Pending", "message": ""}
            self._tell(workload, {"admissionChecks": [check], "nominatedClusterNames": [name]})

    def _mirror(self, pod: Json, worker: Api) -> bool:
        """The copy on a worker cluster is made with the gates and without the finalizers; the pod here gets its status. Tells whether
        the copy was admitted there."""
        metadata = pod["metadata"]
        pods = f"/api/v1/namespaces/{metadata['namespace']}/pods"
        path = f"{pods}/{metadata['name']}"
        if "deletionTimestamp" in metadata:
            return False
        if path not in self._handed:
            kept = {key: metadata[key] for key in ("name", "namespace", "labels", "annotations") if key in metadata}
            gates = [gate for gate in pod["spec"].get("schedulingGates") or () if gate["name"] != GATE]
            worker.call("POST", pods, {"metadata": kept, "spec": {**pod["spec"], "schedulingGates": gates}})
            self._handed[path] = metadata["uid"], worker
        there = worker.call("GET", path)
        if there["status"] != pod["status"]:
            self._api.call("PATCH", f"{path}/status", {"status": there["status"]}, MERGE)
        return not there["spec"].get("schedulingGates")

    def _ungate(self, pods: Iterable[Json]) -> None:
        for pod in pods:
            if is_stopped(pod):
                self._suspend(pod["metadata"]["namespace"], pod["metadata"]["name"], suspend=False)
            if any(gate["name"] == GATE for gate in pod["spec"].get("schedulingGates") or ()):
                self._patch(pod, {"spec": {"schedulingGates": [{"name": GATE, "$patch": "delete"}]}})

    def _suspend(self, namespace: str, job: str, *, suspend: bool) -> None:
        with suppress(httpx.HTTPStatusError):
            self._api.call("PATCH", f"/apis/batch/v1/namespaces/{namespace}/jobs/{job}", {"spec": {"suspend": suspend}}, MERGE)

    def _evict(self, workload: Json, reason: str, message: str) -> None:
        """As the real one ends an admitted workload of pods: conditions, the pods' TerminationTarget, their deletion. Jobs stop."""
        self._conditions(
            workload,
            Evicted=("True", reason, message),
            QuotaReserved=("False", "Pending", message),
            Admitted=("False", "NoReservation", "The workload has no reservation"),
            Requeued=("True", reason, message),
        )
        namespace = workload["metadata"]["namespace"]
        for owner in workload["metadata"]["ownerReferences"]:
            if owner["kind"] == "Job":
                self._suspend(namespace, owner["name"], suspend=True)
                continue
            path = f"/api/v1/namespaces/{namespace}/pods/{owner['name']}"
            if path in self._handed:  # the pod here is left as it is
                _, worker = self._handed.pop(path)
                worker.call("DELETE", path)
                continue
            target = {"type": "TerminationTarget", "status": "True", "reason": f"WorkloadEvictedDueTo{reason}", "message": message}
            with suppress(httpx.HTTPStatusError):
                self._api.call("PATCH", f"{path}/status", {"status": {"conditions": [{**target, "lastTransitionTime": _now()}]}}, STRATEGIC)
                self._api.call("DELETE", path)

    def _let_go(self, pod: Json, *, held: bool) -> None:
        """Its finalizer goes when the pod ended, or is deleted without having started; of a group only after the workload."""
        metadata = pod["metadata"]
        ended = pod["status"].get("phase") in ("Succeeded", "Failed")
        deleted = "deletionTimestamp" in metadata
        if (
            MANAGED in (metadata.get("finalizers") or ())
            and not (held and deleted)
            and (ended or (deleted and not pod["spec"].get("nodeName")))
        ):
            self._patch(pod, {"metadata": {"$deleteFromPrimitiveList/finalizers": [MANAGED]}})

    def _patch(self, pod: Json, patch: Json) -> None:
        with suppress(httpx.HTTPStatusError):
            self._api.call("PATCH", f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}", patch, STRATEGIC)

    def _conditions(self, workload: Json, **new: tuple[str, str, str]) -> None:
        old = {one["type"]: one for one in (workload.get("status") or {}).get("conditions") or ()}
        if all(name in old and tuple(old[name][key] for key in ("status", "reason", "message")) == told for name, told in new.items()):
            return
        for name, (status, reason, message) in new.items():
            old[name] = {"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": _now()}
        self._tell(workload, {"conditions": list(old.values())})

    def _tell(self, workload: Json, status: Json) -> None:
        metadata = workload["metadata"]
        path = f"{self.base}/namespaces/{metadata['namespace']}/workloads/{metadata['name']}/status"
        workload["status"] = self._api.call("PATCH", path, {"status": status}, MERGE)["status"]


def definition(kind: str, plural: str, scope: str) -> Json:
    """A CustomResourceDefinition that takes everything, in both versions."""
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    versions = [
        {"name": name, "served": True, "storage": name == "v1beta2", "subresources": {"status": {}}, "schema": schema} for name in VERSIONS
    ]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}", "annotations": {"api-approved.kubernetes.io": "unapproved, test double"}},
        "spec": {"group": GROUP, "scope": scope, "names": {"kind": kind, "plural": plural}, "versions": versions},
    }


def _previously(workload: Json) -> dict[str, tuple[str, str, str]]:
    """What becomes of the condition Evicted of what is admitted again."""
    for one in (workload.get("status") or {}).get("conditions") or ():
        if (one["type"], one["status"]) == ("Evicted", "True"):
            return {"Evicted": ("False", "QuotaReserved", f"Previously: {one['message']}")}
    return {}


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
