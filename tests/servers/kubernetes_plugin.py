"""The Kueue plugin as a process with exactly the rights of its RBAC files, and what its pods have left on the remote cluster."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import httpx

from interlink_kueue import labels
from tests.servers.kubernetes import Cluster
from tests.servers.plugin import PluginProcess

RBAC = files("interlink_kueue") / "rbac"


class Api:
    """The API server as its administrator sees it, for looking at a cluster from outside."""

    def __init__(self, cluster: Cluster) -> None:
        context = ssl.create_default_context(cafile=str(cluster.pki / "ca.crt"))
        context.load_cert_chain(cluster.pki / "admin.crt", cluster.pki / "admin.key")
        self._http = httpx.Client(base_url=cluster.server, verify=context, timeout=30, trust_env=False)

    def close(self) -> None:
        self._http.close()

    def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json", **query: str) -> dict[str, Any]:
        """The answer's JSON. Raises httpx.HTTPStatusError with the API server's words."""
        answer = self._http.request(method, path, json=body, params=query, headers={"Content-Type": content_type})
        if not answer.is_success:
            raise httpx.HTTPStatusError(f"{method} {path}: {answer.text}", request=answer.request, response=answer)
        return dict(answer.json())

    def items(self, path: str, selector: str = "") -> list[dict[str, Any]]:
        found = self.call("GET", path, labelSelector=selector)
        return list(found["items"])


def tenant_kubeconfig(cluster: Cluster, namespace: str) -> Path:
    """A namespace with the plugin's account in it, and a kubeconfig that reads that account's token from a file."""
    cluster.kubectl("create", "namespace", namespace)
    cluster.kubectl("apply", "-n", namespace, "-f", str(RBAC / "role.yaml"))
    capacity = (RBAC / "capacity.yaml").read_text().replace("namespace: interlink}", f"namespace: {namespace}}}")
    cluster.kubectl("apply", "-f", "-", stdin=capacity.replace("interlink-capacity", f"capacity-{namespace}"))
    token = cluster.directory / f"{namespace}.token"
    token.touch(mode=0o600)
    token.write_text(cluster.kubectl("create", "token", "interlink", "-n", namespace, "--duration=24h"))
    return cluster.kubeconfig(namespace, {"tokenFile": str(token)}, namespace)


def left(api: Api, namespace: str, pod_uid: str = "") -> list[str]:
    """Every object of a pod (of all pods of the plugin), as kind/name."""
    selector = f"{labels.POD_UID}={pod_uid}" if pod_uid else labels.POD_UID
    paths = [f"/api/v1/namespaces/{namespace}/{kind}" for kind in ("pods", "configmaps", "secrets")] + [labels.jobs_path(namespace)]
    return [f"{path.rpartition('/')[2]}/{item['metadata']['name']}" for path in paths for item in api.items(path, selector)]


class KubernetesPlugin(PluginProcess):
    """`settings` as in `PluginProcess`. Pods without a DNS service: the test clusters have none."""

    def __init__(self, kubeconfig: Path, api: Api, namespace: str, directory: Path, settings: Mapping[str, object] | None = None) -> None:
        clusters = {"default": {"kubeconfig": str(kubeconfig)}}
        super().__init__("kueue", directory, {"clusters": clusters, "network.dns_policy": "Default", **(settings or {})})
        self._api, self._namespace = api, namespace

    async def leftovers(self, pod_uid: str) -> list[str]:
        if not labels.UID.fullmatch(pod_uid):
            return []
        return await asyncio.to_thread(left, self._api, self._namespace, pod_uid)

    async def grace_seconds(self, pod_uid: str) -> int | None:
        """Which grace the remote pod is being ended with; None if it is not."""
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        (pod,) = await asyncio.to_thread(self._api.items, path, f"{labels.POD_UID}={pod_uid}")
        grace: int | None = pod["metadata"].get("deletionGracePeriodSeconds")
        return grace
