"""Kueue's real manager in front of a test cluster: a binary and its manifests that somebody else has built.

::

    KUEUE_MANAGER   the program that Kueue's image holds as /manager, linked statically (CGO_ENABLED=0)
    KUEUE_CRDS      a folder of YAML files with its CRDs, webhook configurations and APIServices: a release's manifests.yaml will do,
                    or what `kubectl kustomize config/default` prints

It runs in a root directory of its own, as in its image, because it reads certificates from fixed paths.
"""

from __future__ import annotations

import base64
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.servers.kubernetes import Cluster, Process, free_port
from tests.servers.kubernetes_node import BUSYBOX_IMAGE
from tests.servers.kueue import API_SERVICES, DEFINITIONS, MUTATING, Json, Kueue, condition
from tests.servers.kueue_webhook import GROUP

VALIDATING = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
PATHS = {
    "CustomResourceDefinition": DEFINITIONS,
    "MutatingWebhookConfiguration": MUTATING,
    "ValidatingWebhookConfiguration": VALIDATING,
    "APIService": API_SERVICES,
}
SYSTEM = "kueue-system"


def given() -> bool:
    """Whether somebody names a manager to test with."""
    return bool(os.environ.get("KUEUE_MANAGER") and os.environ.get("KUEUE_CRDS"))


class KueueManager(Kueue):
    """What tests ask of it is done as users and administrators would."""

    name = "manager"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster)
        self._root = cluster.directory / "kueue"
        self._webhook_port, self._health_port, self._visibility_port = free_port(), free_port(), free_port()
        self._process: Process | None = None

    def start(self) -> None:
        self._cluster.issue("kueue-manager", "/CN=kueue-manager", "IP:127.0.0.1,DNS:localhost")
        self._lay_out()
        self._api.call("POST", "/api/v1/namespaces", {"metadata": {"name": SYSTEM}})
        manifests = list(self._manifests())
        for manifest in manifests:
            self._api.call("POST", PATHS[manifest["kind"]], manifest)
        for name in {one["spec"]["service"]["name"] for one in manifests if one["kind"] == "APIService"}:
            self._on_loopback(SYSTEM, name)
        self._until_discovered()
        self.serve_webhook()
        self._api.call("POST", f"{self.base}/resourceflavors", self._object("ResourceFlavor", "default", {}))

    def close(self) -> None:
        self.stop_webhook()
        self._api.close()

    def serve_webhook(self) -> None:
        command = ["chroot", str(self._root), "/manager", "--config=/config.yaml", "--kubeconfig=/kubeconfig", "--zap-log-level=2"]
        if self._process is None:
            self._process = self._cluster.process("kueue-manager", command, env={"PATH": os.environ["PATH"]})
        else:
            self._process.start()
        self._process.until(self._ready)

    def stop_webhook(self) -> None:
        if self._process is not None:
            self._process.kill()

    def install_webhook(self) -> None:
        (mutating,) = (one for one in self._manifests() if one["kind"] == "MutatingWebhookConfiguration")
        self._api.call("POST", MUTATING, mutating)

    def evict(self, namespace: str, workload: str) -> None:
        """By a workload that is more urgent and wants all of the queue; it goes as soon as it has had that effect."""
        workloads = f"{self.base}/namespaces/{namespace}/workloads"
        queue = self._api.call("GET", f"{workloads}/{workload}")["spec"]["queueName"]
        container = {"name": "main", "image": BUSYBOX_IMAGE, "resources": {"requests": {"cpu": "1"}}}
        template = {"spec": {"restartPolicy": "Never", "containers": [container]}}
        urgent = {"queueName": queue, "priority": 1000, "podSets": [{"name": "main", "count": 1, "template": template}]}
        self._api.call("POST", workloads, self._object("Workload", f"urgent-{workload}", urgent))
        assert self._process is not None
        self._process.until(lambda: condition(self._api.call("GET", f"{workloads}/{workload}"), "Evicted") == "True")
        self._api.call("DELETE", f"{workloads}/urgent-{workload}")

    def hand_on(self, check: str, workers: Mapping[str, Cluster]) -> None:
        for name, worker in workers.items():
            secret = {"metadata": {"name": name}, "stringData": {"kubeconfig": worker.admin.read_text()}}
            self._api.call("POST", f"/api/v1/namespaces/{SYSTEM}/secrets", secret)
            source = {"kubeConfig": {"locationType": "Secret", "location": name}}
            self._api.call("POST", f"{self.base}/multikueueclusters", self._object("MultiKueueCluster", name, {"clusterSource": source}))
        self._api.call("POST", f"{self.base}/multikueueconfigs", self._object("MultiKueueConfig", check, {"clusters": list(workers)}))
        parameters = {"apiGroup": GROUP, "kind": "MultiKueueConfig", "name": check}
        spec = {"controllerName": f"{GROUP}/multikueue", "parameters": parameters}
        self._api.call("POST", f"{self.base}/admissionchecks", self._object("AdmissionCheck", check, spec))
        assert self._process is not None
        self._process.until(lambda: condition(self._api.call("GET", f"{self.base}/admissionchecks/{check}"), "Active") == "True")

    def _until_discovered(self) -> None:
        """The manager ends if its kinds are not in the API server's aggregated discovery, which comes after their being served."""
        self._until_served(f"{self.base}/workloads")
        kinds = {"workloads", "localqueues", "clusterqueues", "resourceflavors", "cohorts", "admissionchecks", "workloadpriorityclasses"}
        self._cluster.apiserver.until(
            lambda: kinds <= {line.split(".")[0] for line in self._cluster.kubectl(
                "api-resources", f"--api-group={GROUP}", "-o", "name", check=False).split()}
        )  # fmt: skip

    def _ready(self) -> bool:
        try:
            return httpx.get(f"http://127.0.0.1:{self._health_port}/readyz", trust_env=False).is_success
        except httpx.HTTPError:
            return False

    def _lay_out(self) -> None:
        for folder in ("etc/kueue/metrics/certs", "visibility", "webhook"):
            (self._root / folder).mkdir(parents=True)
            for kind in ("crt", "key"):
                shutil.copy(self._cluster.pki / f"kueue-manager.{kind}", self._root / folder / f"tls.{kind}")
        (self._root / "tmp").mkdir()
        shutil.copy(os.environ["KUEUE_MANAGER"], self._root / "manager")
        shutil.copy(self._cluster.admin, self._root / "kubeconfig")
        (self._root / "config.yaml").write_text(yaml.safe_dump(self._configuration()))

    def _configuration(self) -> Json:
        return {
            "apiVersion": "config.kueue.x-k8s.io/v1beta2",
            "kind": "Configuration",
            "namespace": SYSTEM,
            "health": {"healthProbeBindAddress": f"127.0.0.1:{self._health_port}"},
            "metrics": {"bindAddress": "0"},
            "webhook": {"host": "127.0.0.1", "port": self._webhook_port, "certDir": "/webhook"},
            "visibilityServer": {"bindAddress": "127.0.0.1", "bindPort": self._visibility_port},
            "leaderElection": {"leaderElect": False},
            "internalCertManagement": {"enable": False},
            "clientConnection": {"qps": 300, "burst": 500},
            "integrations": {"frameworks": ["batch/job", "pod"]},
        }

    def _manifests(self) -> Iterator[Json]:
        """Those that the API server needs, with the addresses that are this manager's."""
        for path in sorted(Path(os.environ["KUEUE_CRDS"]).glob("*.y*ml")):
            for manifest in yaml.load_all(path.read_bytes(), yaml.CSafeLoader):
                if not manifest or manifest["kind"] not in PATHS:
                    continue
                spec = manifest.get("spec") or {}
                if manifest["kind"] == "APIService":
                    spec["service"]["port"] = self._visibility_port
                for holder in (*(manifest.get("webhooks") or ()), (spec.get("conversion") or {}).get("webhook")):
                    if holder:
                        holder["clientConfig"] = self._client_config(holder["clientConfig"])
                yield manifest

    def _client_config(self, config: dict[str, Any]) -> Json:
        ca = base64.b64encode((self._cluster.pki / "ca.crt").read_bytes()).decode()
        return {"url": f"https://127.0.0.1:{self._webhook_port}{config['service']['path']}", "caBundle": ca}
