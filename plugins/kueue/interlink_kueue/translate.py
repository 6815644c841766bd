"""A Workload as objects of the remote cluster: one Pod for each run, with its ConfigMaps, Secrets and Services. Pure."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from interlink_common.contract.answers import sentence
from interlink_common.errors import Refused
from interlink_common.model.patterns import fit
from interlink_common.model.workload import NEVER, Container, Workload
from interlink_kueue import history, labels
from interlink_kueue.containers import container_object
from interlink_kueue.history import EndedRun
from interlink_kueue.placement import map_placement
from interlink_kueue.settings import NAMESPACE, KueueSettings, OnEviction, RemoteKind
from interlink_kueue.volumes import remote_mount, remote_volume

Json = dict[str, Any]


@dataclass(frozen=True)
class Group:
    """Pods that Kueue admits as one. `key` tells the group from all others: those of two virtual namespaces never meet."""

    key: tuple[str, ...]
    total: int


@dataclass(frozen=True)
class Target:
    """Where a pod runs, and how. An empty `namespace` is that of the credentials; without a `queue` the pod runs at once."""

    cluster: str
    namespace: str
    queue: str
    on_eviction: OnEviction
    service_account: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    group: Group | None = None
    remote_kind: RemoteKind = "pod"


@dataclass(frozen=True)
class RunObjects:
    """The objects of one run. The Pod will own `owned`, which are created later because its UID is not known before. `as_job`: the Pod
    becomes the template of a Job."""

    pod: Json
    owned: list[Json] = field(default_factory=list)
    as_job: bool = False


def choose_target(workload: Workload, settings: KueueSettings) -> Target:
    """Follows the virtual namespace and the pod's annotations. Raises Refused."""
    tenant = fit(settings.tenants, workload.namespace)
    if tenant is None:
        raise Refused(f"metadata.namespace {workload.namespace} is not served here; the operator can add it to the setting tenants")
    namespace = tenant.namespace.replace("{namespace}", workload.namespace)
    if namespace and not NAMESPACE.fullmatch(namespace):
        raise Refused(f"metadata.namespace {workload.namespace} makes {namespace}, which is no name for a remote namespace")
    queue = _choose_queue(workload, tenant.queue, settings)
    group = _group(workload, settings.queues.group_owners) if queue else None
    may_be_job = bool(queue and not group and workload.restart_policy == NEVER)
    return Target(
        cluster=tenant.cluster,
        namespace=namespace,
        queue=queue,
        on_eviction=_choose_on_eviction(workload, tenant.on_eviction or settings.evictions.policy),
        service_account=tenant.service_account,
        image_pull_secrets=tuple(tenant.image_pull_secrets),
        group=group,
        remote_kind=_choose_remote_kind(workload, tenant.remote_kind, settings, may_be_job=may_be_job),
    )


def _group(workload: Workload, owners: Mapping[str, str]) -> Group | None:
    """The group of the pod's label, else that of its owner where the operator says so. Raises Refused."""
    owner, variable = workload.controller, ""
    if name := workload.labels.get(labels.GROUP_NAME, ""):
        key, group = [name], f"the group {name}"
    elif owner and owner.kind in owners:
        key, group, variable = [owner.name, owner.uid], f"{owner.kind} {owner.name}", owners[owner.kind]
    else:
        return None
    values = (container.env[variable] for container in workload.containers if variable in container.env)
    count = workload.annotations.get(labels.GROUP_COUNT) or next(values, "")
    if not (count.isascii() and count.isdecimal() and 0 < int(count[:6]) == int(count)):
        other = f", or the variable {variable} of its containers," if variable else ""
        raise Refused(f"metadata.annotations {labels.GROUP_COUNT}{other} must say how many pods {group} has")
    return Group((workload.namespace, *key), int(count))


def _choose_queue(workload: Workload, default: str, settings: KueueSettings) -> str:
    chosen = workload.annotations.get(labels.CHOSEN_QUEUE, "")
    if not chosen:
        return default
    if not settings.queues.annotation:
        raise Refused(f"metadata.annotations {labels.CHOSEN_QUEUE}: the operator does not let pods choose their queue")
    if not NAMESPACE.fullmatch(chosen):
        raise Refused(f"metadata.annotations {labels.CHOSEN_QUEUE} must be the name of a LocalQueue")
    return chosen


def _choose_remote_kind(workload: Workload, default: RemoteKind, settings: KueueSettings, *, may_be_job: bool) -> RemoteKind:
    """Raises Refused where the pod chooses what is not possible."""
    if labels.OLD_REMOTE_KIND in workload.annotations:
        raise Refused(f"metadata.annotations {labels.OLD_REMOTE_KIND} was renamed: write {labels.REMOTE_KIND}")
    match workload.annotations.get(labels.REMOTE_KIND):
        case None:
            return default if may_be_job else "pod"
        case "pod":
            return "pod"
        case "job" if not settings.queues.remote_kind_annotation:
            raise Refused(f"metadata.annotations {labels.REMOTE_KIND}: the operator does not let pods choose it")
        case "job" if may_be_job:
            return "job"
        case "job":
            needs = "a queue, no group, and restartPolicy Never"
            raise Refused(f"metadata.annotations {labels.REMOTE_KIND}: to become a Job, a pod needs {needs}")
    raise Refused(f"metadata.annotations {labels.REMOTE_KIND} must be pod or job")


def _choose_on_eviction(workload: Workload, default: OnEviction) -> OnEviction:
    match workload.annotations.get(labels.ON_EVICTION):
        case None:
            return default
        case "rerun":
            return "rerun"
        case "fail":
            return "fail"
    raise Refused(f"metadata.annotations {labels.ON_EVICTION} must be rerun or fail")


def build_objects(
    workload: Workload, target: Target, settings: KueueSettings, run: int = 0, earlier_runs: tuple[EndedRun, ...] = ()
) -> RunObjects:
    """Builds everything that is created for one run of the pod. Raises Refused."""
    volumes = {volume.name: remote_volume(volume, workload, run, settings) for volume in workload.volumes}
    login_secrets = _registry_secret(workload, settings, run)
    owned = [item for volume in volumes.values() for item in volume.objects] + login_secrets + _services(workload, settings)
    placement, warnings = map_placement(workload.placement, settings.placement)

    def remote_container(container: Container) -> Json:
        mounts = tuple(remote_mount(mount, volumes[mount.volume]) for mount in container.mounts)
        return container_object(dataclasses.replace(container, mounts=mounts), settings.placement.resources)

    spec: Json = {
        "restartPolicy": workload.restart_policy,
        "terminationGracePeriodSeconds": workload.grace_seconds,
        "enableServiceLinks": False,
        "hostname": workload.hostname.replace(".", "-"),
        "containers": [remote_container(container) for container in workload.containers],
        **placement,
    }
    pull_secrets = [{"name": name} for name in (*(secret["metadata"]["name"] for secret in login_secrets), *target.image_pull_secrets)]
    optional: Json = {
        "initContainers": [remote_container(container) for container in workload.init_containers],
        "volumes": [{"name": name, **volume.source} for name, volume in volumes.items()],
        "activeDeadlineSeconds": workload.active_deadline_seconds,
        "serviceAccountName": target.service_account,
        "imagePullSecrets": pull_secrets,
        "subdomain": workload.subdomain,
        "hostAliases": [{"ip": address, "hostnames": list(names)} for address, names in workload.host_aliases],
        "hostNetwork": workload.host_network,
        "hostPID": workload.host_pid,
        "hostIPC": workload.host_ipc,
        "shareProcessNamespace": workload.share_process_namespace,
        "securityContext": _security(workload),
        "schedulingGates": [{"name": labels.GATE}] if owned or target.queue else [],
        **_dns(workload, settings),
    }
    spec |= {name: value for name, value in optional.items() if value not in (None, "", False, [], {})}
    if not target.service_account:
        spec["automountServiceAccountToken"] = False
    return RunObjects(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": _metadata(workload, target, settings, run=run, earlier_runs=earlier_runs, warnings=warnings),
            "spec": spec,
        },
        owned,
        as_job=target.remote_kind == "job",
    )


def _metadata(
    workload: Workload,
    target: Target,
    settings: KueueSettings,
    *,
    run: int,
    earlier_runs: tuple[EndedRun, ...],
    warnings: tuple[str, ...],
) -> Json:
    pod_labels: dict[str, str] = {**labels.run_labels(settings.instance, workload, run), labels.ROLE: "pod"}
    annotations = {**labels.identity_annotations(workload), labels.ON_EVICTION: target.on_eviction}
    if workload.subdomain:
        pod_labels[labels.SUBDOMAIN] = labels.subdomain(workload)
    if target.queue:
        pod_labels[labels.QUEUE_NAME] = target.queue
        if settings.queues.priority_class:
            pod_labels[labels.PRIORITY_CLASS] = settings.queues.priority_class
        if group := target.group:
            pod_labels |= {labels.GROUP_NAME: labels.group_name(group.key, run), labels.GROUP: labels.group_name(group.key, 0)}
            annotations |= {labels.GROUP_COUNT: str(group.total), labels.RETRIABLE: "false"}
    if earlier_runs:
        annotations[labels.EARLIER_RUNS] = history.to_annotation(earlier_runs)
    if warnings:
        annotations[labels.WARNINGS] = sentence("; ".join(warnings))
    return {
        "name": labels.pod_name(workload, run),
        "labels": pod_labels,
        "annotations": annotations,
        "finalizers": [labels.FINALIZER],
    } | ({"namespace": target.namespace} if target.namespace else {})


def _security(workload: Workload) -> Json:
    """The fields of v1.PodSecurityContext that no container can have."""
    groups = sorted({group for container in workload.all_containers for group in container.security.supplemental_groups})
    fields: Json = {}
    if workload.fs_group is not None:
        fields["fsGroup"] = workload.fs_group
    if groups:
        fields["supplementalGroups"] = groups
    if workload.sysctls:
        fields["sysctls"] = [{"name": name, "value": value} for name, value in workload.sysctls.items()]
    return fields


def _dns(workload: Workload, settings: KueueSettings) -> Json:
    dns = workload.dns
    policy_name = settings.network.dns_policy if dns.policy == "ClusterFirst" and settings.network.dns_policy else dns.policy
    options = [dict(zip(("name", "value"), option.split(":", 1), strict=False)) for option in dns.options]
    config = {"nameservers": list(dns.nameservers), "searches": list(dns.searches), "options": options}
    return {"dnsPolicy": policy_name, "dnsConfig": {name: value for name, value in config.items() if value}}


def _services(workload: Workload, settings: KueueSettings) -> list[Json]:
    """The headless Service by which the pods of one subdomain find each other. They share it."""
    if not workload.subdomain or not settings.network.services:
        return []
    selector = {labels.INSTANCE: settings.instance, labels.SUBDOMAIN: labels.subdomain(workload)}
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": selector}
    return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": workload.subdomain, "labels": selector}, "spec": spec}]


def _registry_secret(workload: Workload, settings: KueueSettings, run: int) -> list[Json]:
    """The registry logins that came with the pod, as one image pull secret."""
    if not workload.registry_credentials:
        return []
    auths = {
        login.server: {"auth": base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}
        for login in workload.registry_credentials
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/dockerconfigjson",
            "metadata": {
                "name": labels.files_name(workload, run, "registries"),
                "labels": labels.run_labels(settings.instance, workload, run),
            },
            "data": {".dockerconfigjson": base64.b64encode(json.dumps({"auths": auths}).encode()).decode()},
        }
    ]
