"""Kueue on a test cluster, as tests drive it: by a double, or by its real manager (`kueue_double`, `kueue_manager`). One suite, both."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, ClassVar

import httpx

from tests.servers.kubernetes import Cluster
from tests.servers.kubernetes_plugin import Api
from tests.servers.kueue_webhook import GROUP

Json = dict[str, Any]

MUTATING = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
DEFINITIONS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
API_SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
MERGE = "application/merge-patch+json"
PATIENCE_SECONDS = 60.0


class Kueue(ABC):
    """One for a cluster. `start` returns when queues and queued pods can be created."""

    name: ClassVar[str]

    def __init__(self, cluster: Cluster) -> None:
        self._cluster, self._api = cluster, Api(cluster)
        self.version = "v1beta2"
        """Of Kueue's API, as it is spoken here."""

    @property
    def base(self) -> str:
        return f"/apis/{GROUP}/{self.version}"

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def close(self) -> None: ...

    @abstractmethod
    def install_webhook(self) -> None: ...

    @abstractmethod
    def serve_webhook(self) -> None: ...

    @abstractmethod
    def stop_webhook(self) -> None:
        """As when the manager is down: no pod can be created at all."""

    @abstractmethod
    def evict(self, namespace: str, workload: str) -> None:
        """Preempts an admitted workload of a queue with 1 cpu."""

    @abstractmethod
    def hand_on(self, check: str, workers: Mapping[str, Cluster]) -> None:
        """MultiKueue: queues with an admission check of that name have their pods run on those clusters, by MultiKueueCluster's name."""

    def remove_webhook(self) -> None:
        """As where Kueue's pod integration is off: queued pods would simply run."""
        self._api.call("DELETE", f"{MUTATING}/kueue-mutating-webhook-configuration")

    def queue(self, namespace: str, name: str, quota: dict[str, str], *, check: str = "") -> None:
        """A LocalQueue in front of a ClusterQueue of the same name with that nominal quota, and admission check if there is one."""
        spec: Json = {
            "namespaceSelector": {},
            "resourceGroups": resource_groups(quota),
            "preemption": {"withinClusterQueue": "LowerPriority"},
        }
        if check:
            spec["admissionChecksStrategy"] = {"admissionChecks": [{"name": check}]}
        self._api.call("POST", f"{self.base}/clusterqueues", self._object("ClusterQueue", name, spec))
        self._api.call("POST", f"{self.base}/namespaces/{namespace}/localqueues", self._object("LocalQueue", name, {"clusterQueue": name}))

    def set_quota(self, name: str, quota: dict[str, str]) -> None:
        self._api.call("PATCH", f"{self.base}/clusterqueues/{name}", {"spec": {"resourceGroups": resource_groups(quota)}}, MERGE)

    def hold(self, name: str, policy: str = "HoldAndDrain") -> None:
        """Stops a ClusterQueue; HoldAndDrain evicts what it had admitted. Policy None lets it go on."""
        self._api.call("PATCH", f"{self.base}/clusterqueues/{name}", {"spec": {"stopPolicy": policy}}, MERGE)

    def deactivate(self, namespace: str, workload: str) -> None:
        self._api.call("PATCH", f"{self.base}/namespaces/{namespace}/workloads/{workload}", {"spec": {"active": False}}, MERGE)

    def workload_of(self, pod: Json) -> str:
        """The name of the workload that owns a remote pod. Raises LookupError."""
        for workload in self.workloads(pod["metadata"]["namespace"]):
            if any(owner["uid"] == pod["metadata"]["uid"] for owner in workload["metadata"].get("ownerReferences") or ()):
                return str(workload["metadata"]["name"])
        raise LookupError(f"no workload of {pod['metadata']['name']}")

    def workloads(self, namespace: str) -> list[Json]:
        return self._api.items(f"{self.base}/namespaces/{namespace}/workloads")

    def _on_loopback(self, namespace: str, name: str) -> None:
        """A Service by which the API server finds an APIService on this machine."""
        service = {"metadata": {"name": name}, "spec": {"type": "ExternalName", "externalName": "localhost"}}
        self._api.call("POST", f"/api/v1/namespaces/{namespace}/services", service)

    def _object(self, kind: str, name: str, spec: Json) -> Json:
        return {"apiVersion": f"{GROUP}/{self.version}", "kind": kind, "metadata": {"name": name}, "spec": spec}

    def _until_served(self, path: str, *, served: bool = True) -> None:
        """Until a GET succeeds, or does not any more. Raises RuntimeError."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            there = False
            with suppress(httpx.HTTPStatusError):
                self._api.call("GET", path)
                there = True
            if there == served:
                return
            time.sleep(0.1)
        raise RuntimeError(f"{path} is {'not' if served else 'still'} served")


def resource_groups(quota: dict[str, str]) -> list[Json]:
    flavor = {"name": "default", "resources": [{"name": name, "nominalQuota": amount} for name, amount in quota.items()]}
    return [{"coveredResources": list(quota), "flavors": [flavor]}]


def condition(workload: Json, kind: str) -> str:
    """The status of a condition, "" if there is none."""
    conditions = (workload.get("status") or {}).get("conditions") or ()
    return next((str(one["status"]) for one in conditions if one["type"] == kind), "")
