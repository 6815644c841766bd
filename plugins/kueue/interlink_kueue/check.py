"""The rows of `interlink-plugin check kueue`: what is wrong between this plugin and its clusters, and what the operator does about it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from importlib.resources import files
from typing import Any

import yaml

from interlink_common.backend import CheckResult, Verdict
from interlink_common.errors import BackendUnavailable
from interlink_kueue.client import ApiRefusal, Cluster
from interlink_kueue.kueue import GROUP
from interlink_kueue.queues import Queues
from interlink_kueue.settings import KueueSettings, TenantSettings

Json = dict[str, Any]

OLDEST = (1, 28)
RBAC = files("interlink_kueue") / "rbac"
"""The rights that the plugin needs, as manifests that an operator applies. The checks read them from there."""


async def results(clusters: Mapping[str, Cluster], queues: Mapping[str, Queues], settings: KueueSettings) -> list[CheckResult]:
    """All rows. A cluster that cannot be reached has only one."""
    rows: list[CheckResult] = []
    for name, cluster in clusters.items():
        row = await _check_version(cluster)
        rows.append(row)
        if row.verdict is Verdict.FAILED:
            continue
        for virtual, tenant in settings.tenants.items():
            if tenant.cluster == name and "{namespace}" not in tenant.namespace:
                may_be_job = settings.may_be_job(tenant)
                rows += [row async for row in _check_tenant(virtual, tenant, cluster, queues[name], may_be_job=may_be_job)]
        for worker in (worker for worker, entry in settings.queues.worker_clusters.items() if entry == name):
            for virtual, tenant in settings.tenants.items():
                if tenant.queue and "{namespace}" not in tenant.namespace:
                    namespace = tenant.namespace or clusters[tenant.cluster].namespace
                    rows.append(await _check_rights(f"tenant {virtual} on worker {worker}", namespace, cluster))
    return rows


async def _check_version(cluster: Cluster) -> CheckResult:
    label = f"cluster {cluster.name}"
    try:
        await cluster.connect()
        version = await cluster.call("GET", "/version")
    except (BackendUnavailable, ApiRefusal) as error:
        return CheckResult(label, Verdict.FAILED, str(error), f"Correct the kubeconfig, or the setting clusters.{cluster.name}")
    found = tuple(int("".join(filter(str.isdigit, version[part])) or 0) for part in ("major", "minor"))
    if found < OLDEST:
        return CheckResult(label, Verdict.FAILED, f"Kubernetes {version['gitVersion']} is too old", "Use Kubernetes 1.28 or later")
    return CheckResult(label, Verdict.OK, f"Kubernetes {version['gitVersion']}")


async def _check_tenant(
    virtual: str, tenant: TenantSettings, cluster: Cluster, queues: Queues, *, may_be_job: bool
) -> AsyncIterator[CheckResult]:
    namespace = tenant.namespace or cluster.namespace
    label = f"tenant {virtual}"
    yield await _check_rights(label, namespace, cluster, queued=bool(tenant.queue), may_be_job=may_be_job)
    try:
        if tenant.queue:
            yield await _check_queue(label, namespace, tenant.queue, cluster, queues)
    except (BackendUnavailable, ApiRefusal) as error:
        yield CheckResult(label, Verdict.FAILED, f"namespace {namespace}: {error}", "Look for the cause on the remote cluster")


async def _check_rights(label: str, namespace: str, cluster: Cluster, *, queued: bool = False, may_be_job: bool = False) -> CheckResult:
    try:
        missing = [
            f"{verb} {resource}{f'.{group}' if group else ''}"
            for group, resource, verb in needed_rights(queued=queued, may_be_job=queued and may_be_job)
            if not await is_allowed(cluster, namespace, group, resource, verb)
        ]
    except (BackendUnavailable, ApiRefusal) as error:
        return CheckResult(label, Verdict.FAILED, f"namespace {namespace}: {error}", "Look for the cause on the remote cluster")
    if missing:
        remedy = f"Apply the files of `interlink_kueue/rbac` to namespace {namespace}"
        return CheckResult(label, Verdict.FAILED, f"namespace {namespace}: the plugin has no right to {', '.join(missing)}", remedy)
    return CheckResult(label, Verdict.OK, f"namespace {namespace}: the plugin has every right that it needs")


def needed_rights(*, queued: bool, may_be_job: bool) -> list[tuple[str, str, str]]:
    """(API group, resource, verb) of the Role. Those of Kueue only where there is a queue, those of Jobs where pods may become one."""
    (role,) = (item for item in yaml.safe_load_all((RBAC / "role.yaml").read_text()) if item["kind"] == "Role")
    return [
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if (queued or not group.endswith(GROUP)) and (may_be_job or group != "batch")
    ]


async def is_allowed(cluster: Cluster, namespace: str, group: str, resource: str, verb: str) -> bool:
    """Asks the API server, which answers everybody."""
    resource, _, subresource = resource.partition("/")
    attributes = {"namespace": namespace, "group": group, "resource": resource, "subresource": subresource, "verb": verb}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    answer = await cluster.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
    return bool(answer["status"]["allowed"])


async def _check_queue(label: str, namespace: str, queue: str, cluster: Cluster, queues: Queues) -> CheckResult:
    label = f"{label} queue"
    version = await queues.version()
    if not version:
        return CheckResult(label, Verdict.FAILED, "there is no Kueue on the cluster", f"Install Kueue, or remove the queue {queue}")
    try:
        local_queue = await cluster.call("GET", f"/apis/{GROUP}/{version}/namespaces/{namespace}/localqueues/{queue}")
    except ApiRefusal as error:
        remedy = f"Create the LocalQueue {queue} in namespace {namespace}"
        return CheckResult(label, Verdict.FAILED if error.is_missing else Verdict.WARNING, str(error), remedy)
    conditions = {condition["type"]: condition for condition in (local_queue.get("status") or {}).get("conditions") or ()}
    active = conditions.get("Active") or {}
    if active.get("status") == "False":
        return CheckResult(label, Verdict.WARNING, f"{queue} is not active: {active.get('message', '')}", "Correct its ClusterQueue")
    return CheckResult(label, Verdict.OK, f"LocalQueue {queue} of {local_queue['spec']['clusterQueue']}, Kueue {version}")
