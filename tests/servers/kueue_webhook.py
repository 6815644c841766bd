"""Kueue's webhook for pods, as its double serves it."""

from __future__ import annotations

import base64
import json
from http.server import BaseHTTPRequestHandler
from typing import Any

Json = dict[str, Any]

GROUP = "kueue.x-k8s.io"
QUEUE, MANAGED, GATE = f"{GROUP}/queue-name", f"{GROUP}/managed", f"{GROUP}/admission"


class Webhook(BaseHTTPRequestHandler):
    """One connection for each call (HTTP/1.0), so that stopping it stops it."""

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        answer: Json = {"uid": request["uid"], "allowed": True}
        if patch := mutation(request["object"]):
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        body = json.dumps({"apiVersion": review["apiVersion"], "kind": review["kind"], "response": answer}).encode()
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
