"""What Kueue's manager serves to the API server, as its double does: the webhook for pods, and the visibility API."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Json = dict[str, Any]

GROUP = "kueue.x-k8s.io"
VISIBILITY_GROUP = f"visibility.{GROUP}"
QUEUE, MANAGED, GATE = f"{GROUP}/queue-name", f"{GROUP}/managed", f"{GROUP}/admission"


class Server(ThreadingHTTPServer):
    """`pending` gives the names of the workloads that wait in a LocalQueue (namespace, name), the next one first."""

    def __init__(self, port: int, pending: Callable[[str, str], list[str]]) -> None:
        super().__init__(("127.0.0.1", port), Webhook)
        self.pending = pending


class Webhook(BaseHTTPRequestHandler):
    """One connection for each call (HTTP/1.0), so that stopping it stops it."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        answer: Json = {"uid": request["uid"], "allowed": True}
        if patch := mutation(request["object"]):
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        self._answer({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer})

    def do_GET(self) -> None:
        """.../namespaces/NAMESPACE/localqueues/NAME/pendingworkloads; everything else is taken for discovery."""
        assert isinstance(self.server, Server)
        found = self.path.partition("?")[0].split("/")
        version = f"{VISIBILITY_GROUP}/v1beta2"
        if found[-1] != "pendingworkloads":
            kind = {"name": "localqueues/pendingworkloads", "namespaced": True, "kind": "PendingWorkloadsSummary", "verbs": ["get"]}
            self._answer({"apiVersion": "v1", "kind": "APIResourceList", "groupVersion": version, "resources": [kind]})
            return
        names = self.server.pending(found[-4], found[-2])
        items = [{"metadata": {"name": name}, "positionInLocalQueue": place} for place, name in enumerate(names)]
        self._answer({"apiVersion": version, "kind": "PendingWorkloadsSummary", "items": items})

    def _answer(self, told: Json) -> None:
        body = json.dumps(told).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def mutation(pod: Json) -> list[Json]:
    """What the real webhook does to a pod with a queue: label, finalizer, gate."""
    metadata, spec = pod["metadata"], pod["spec"]
    if QUEUE not in (metadata.get("labels") or {}):
        return []
    gates = [*(spec.get("schedulingGates") or ()), {"name": GATE}]
    finalizers = [*(metadata.get("finalizers") or ()), MANAGED]
    return [
        {"op": "add", "path": "/metadata/labels/kueue.x-k8s.io~1managed", "value": "true"},
        {"op": "add", "path": "/metadata/finalizers", "value": finalizers},
        {"op": "add", "path": "/spec/schedulingGates", "value": gates},
    ]


def configuration(url: str, ca: str) -> Json:
    """A MutatingWebhookConfiguration: of every pod outside of the system's namespaces, as the real one."""
    system = ["kube-system", "kueue-system"]
    webhook = {
        "name": "mpod.kb.io",
        "clientConfig": {"url": url, "caBundle": ca},
        "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}],
        "namespaceSelector": {"matchExpressions": [{"key": "kubernetes.io/metadata.name", "operator": "NotIn", "values": system}]},
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 10,
    }
    return {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "MutatingWebhookConfiguration",
        "metadata": {"name": "kueue-mutating-webhook-configuration"},
        "webhooks": [webhook],
    }


def visibility(service: Json) -> Json:
    """The APIService of the visibility API."""
    spec = {"group": VISIBILITY_GROUP, "version": "v1beta2", "groupPriorityMinimum": 100, "versionPriority": 100}
    return {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta2.{VISIBILITY_GROUP}"},
        "spec": {**spec, "insecureSkipTLSVerify": True, "service": service},
    }
