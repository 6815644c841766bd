"""Rows of `interlink-plugin check kueue`: what is wrong between this plugin and its clusters, and what to do about it."""

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
"""The rights that the plugin needs, as manifests that an operator applies; what is checked is read from them."""


async def results(clusters: Mapping[str, Cluster], queues: Mapping[str, Queues], settings: KueueSettings) -> list[CheckResult]:
    """Every row; a cluster that can't be reached leaves one."""
    rows: list[CheckResult] = []
    for name, cluster in clusters.items():
        row = await reachable(cluster)
        rows.append(row)
        if row.verdict is Verdict.FAILED:
            continue
        for virtual, tenant in settings.tenants.items():
            if tenant.cluster == name and "{namespace}" not in tenant.namespace:
                rows += [one async for one in _of_tenant(virtual, tenant, cluster, queues[name], jobs=settings.may_be_job(tenant))]
        for worker in (worker for worker, entry in settings.queues.worker_clusters.items() if entry == name):
            for virtual, tenant in settings.tenants.items():
                if tenant.queue and "{namespace}" not in tenant.namespace:
                    namespace = tenant.namespace or clusters[tenant.cluster].namespace
                    rows.append(await _rights(f"tenant {virtual} on worker {worker}", namespace, cluster))
    return rows


async def reachable(cluster: Cluster) -> CheckResult:
    label = f"cluster {cluster.name}"
    try:
        await cluster.connect()
        told = await cluster.call("GET", "/version")
    except (BackendUnavailable, ApiRefusal) as error:
        return CheckResult(label, Verdict.FAILED, str(error), f"Mend the kubeconfig, or the setting clusters.{cluster.name}")
    found = tuple(int("".join(filter(str.isdigit, told[part])) or 0) for part in ("major", "minor"))
    if found < OLDEST:
        return CheckResult(label, Verdict.FAILED, f"Kubernetes {told['gitVersion']} is too old", "Use Kubernetes 1.28 or later")
    return CheckResult(label, Verdict.OK, f"Kubernetes {told['gitVersion']}")


async def _of_tenant(virtual: str, tenant: TenantSettings, cluster: Cluster, queues: Queues, *, jobs: bool) -> AsyncIterator[CheckResult]:
    namespace = tenant.namespace or cluster.namespace
    label = f"tenant {virtual}"
    yield await _rights(label, namespace, cluster, queued=bool(tenant.queue), jobs=jobs)
    try:
        if tenant.queue:
            yield await _queue(label, namespace, tenant.queue, cluster, queues)
    except (BackendUnavailable, ApiRefusal) as error:
        yield CheckResult(label, Verdict.FAILED, f"namespace {namespace}: {error}", "Look at the remote cluster")


async def _rights(label: str, namespace: str, cluster: Cluster, *, queued: bool = False, jobs: bool = False) -> CheckResult:
    try:
        missing = [
            words
            for group, resource, verb in needed(queued=queued, jobs=queued and jobs)
            if not await allowed(cluster, namespace, group, resource, verb)
            for words in (f"{verb} {resource}{f'.{group}' if group else ''}",)
        ]
    except (BackendUnavailable, ApiRefusal) as error:
        return CheckResult(label, Verdict.FAILED, f"namespace {namespace}: {error}", "Look at the remote cluster")
    if missing:
        remedy = f"Apply the files of `interlink_kueue/rbac` to namespace {namespace}"
        return CheckResult(label, Verdict.FAILED, f"namespace {namespace}: no right to {', '.join(missing)}", remedy)
    return CheckResult(label, Verdict.OK, f"namespace {namespace}: every right that is needed")


def needed(*, queued: bool, jobs: bool) -> list[tuple[str, str, str]]:
    """(API group, resource, verb) of the Role; Kueue's only where there is a queue, those of Jobs where pods may become one."""
    (role,) = (one for one in yaml.safe_load_all((RBAC / "role.yaml").read_text()) if one["kind"] == "Role")
    return [
        (group, resource, verb)
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
        if (queued or not group.endswith(GROUP)) and (jobs or group != "batch")
    ]


async def allowed(cluster: Cluster, namespace: str, group: str, resource: str, verb: str) -> bool:
    """Asks the API server itself; everybody may."""
    resource, _, subresource = resource.partition("/")
    attributes = {"namespace": namespace, "group": group, "resource": resource, "subresource": subresource, "verb": verb}
    review = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview", "spec": {"resourceAttributes": attributes}}
    answer = await cluster.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", body=review)
    return bool(answer["status"]["allowed"])


async def _queue(label: str, namespace: str, queue: str, cluster: Cluster, queues: Queues) -> CheckResult:
    label = f"{label} queue"
    version = await queues.version()
    if not version:
        return CheckResult(label, Verdict.FAILED, "there is no Kueue on the cluster", f"Install Kueue, or remove the queue {queue}")
    try:
        found = await cluster.call("GET", f"/apis/{GROUP}/{version}/namespaces/{namespace}/localqueues/{queue}")
    except ApiRefusal as error:
        remedy = f"Create the LocalQueue {queue} in namespace {namespace}"
        return CheckResult(label, Verdict.FAILED if error.is_missing else Verdict.WARNING, str(error), remedy)
    conditions = {one["type"]: one for one in (found.get("status") or {}).get("conditions") or ()}
    active = conditions.get("Active") or {}
    if active.get("status") == "False":
        return CheckResult(label, Verdict.WARNING, f"{queue} is not active: {active.get('message', '')}", "Mend its ClusterQueue")
    return CheckResult(label, Verdict.OK, f"LocalQueue {queue} of {found['spec']['clusterQueue']}, Kueue {version}")
