"""A Workload as objects of the remote cluster: one Pod for each run, and the ConfigMaps, Secrets and Services that go with it. Pure."""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from interlink_common.contract.sentences import sentence
from interlink_common.errors import Refused
from interlink_common.model.workload import NEVER, Workload
from interlink_kueue import history, labels
from interlink_kueue.containers import container_object, literal
from interlink_kueue.history import Past
from interlink_kueue.placement import place
from interlink_kueue.settings import ANY, NAMESPACE, Carrier, KueueSettings, OnEviction
from interlink_kueue.volumes import carry, mounted

Json = dict[str, Any]

__all__ = ["Objects", "Target", "literal", "objects", "target"]


@dataclass(frozen=True)
class Group:
    """Pods that Kueue admits as one. `key` tells it from all others: those of two virtual namespaces never meet."""

    key: tuple[str, ...]
    total: int


@dataclass(frozen=True)
class Target:
    """Where a pod goes, and how. An empty `namespace` is that of the credentials; no `queue` means that it runs at once."""

    cluster: str
    namespace: str
    queue: str
    on_eviction: OnEviction
    service_account: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    group: Group | None = None
    carrier: Carrier = "pod"


@dataclass(frozen=True)
class Objects:
    """One run of a pod. `others` are objects that it will own: its UID is not known before it is created. `as_job`: a Job will carry it."""

    pod: Json
    others: list[Json] = field(default_factory=list)
    as_job: bool = False


def target(pod: Workload, settings: KueueSettings) -> Target:
    """By the virtual namespace and the pod's annotations. Raises Refused."""
    tenant = settings.tenants.get(pod.namespace) or settings.tenants.get(ANY)
    if tenant is None:
        raise Refused(f"metadata.namespace {pod.namespace} is not served here; the operator can add it to the setting tenants")
    namespace = tenant.namespace.replace("{namespace}", pod.namespace)
    if namespace and not NAMESPACE.fullmatch(namespace):
        raise Refused(f"metadata.namespace {pod.namespace} makes {namespace}, which is no name for a remote namespace")
    queue = _queue(pod, tenant.queue, settings)
    group = _group(pod, settings.queues.group_owners) if queue else None
    return Target(
        cluster=tenant.cluster,
        namespace=namespace,
        queue=queue,
        on_eviction=_reaction(pod, tenant.on_eviction or settings.evictions.policy),
        service_account=tenant.service_account,
        image_pull_secrets=tuple(tenant.image_pull_secrets),
        group=group,
        carrier=_carrier(pod, tenant.carrier, settings, may_be_job=bool(queue and not group and pod.restart_policy == NEVER)),
    )


def _group(pod: Workload, owners: Mapping[str, str]) -> Group | None:
    """By the pod's label, else by its owner where the operator says so. Raises Refused."""
    owner, variable = pod.controller, ""
    if named := pod.labels.get(labels.GROUP_NAME, ""):
        key, whose = [named], f"the group {named}"
    elif owner and owner.kind in owners:
        key, whose, variable = [owner.name, owner.uid], f"{owner.kind} {owner.name}", owners[owner.kind]
    else:
        return None
    told = (container.env[variable] for container in pod.containers if variable in container.env)
    count = pod.annotations.get(labels.GROUP_COUNT) or next(told, "")
    if not (count.isascii() and count.isdecimal() and 0 < int(count[:6]) == int(count)):
        other = f", or the variable {variable} of its containers," if variable else ""
        raise Refused(f"metadata.annotations {labels.GROUP_COUNT}{other} must say how many pods {whose} has")
    return Group((pod.namespace, *key), int(count))


def _queue(pod: Workload, default: str, settings: KueueSettings) -> str:
    chosen = pod.annotations.get(labels.CHOSEN_QUEUE, "")
    if not chosen:
        return default
    if not settings.queues.annotation:
        raise Refused(f"metadata.annotations {labels.CHOSEN_QUEUE}: the operator does not let pods choose their queue")
    if not NAMESPACE.fullmatch(chosen):
        raise Refused(f"metadata.annotations {labels.CHOSEN_QUEUE} must be the name of a LocalQueue")
    return chosen


def _carrier(pod: Workload, default: Carrier, settings: KueueSettings, *, may_be_job: bool) -> Carrier:
    """Raises Refused where the pod chooses what can't be."""
    match pod.annotations.get(labels.CARRIER):
        case None:
            return default if may_be_job else "pod"
        case "pod":
            return "pod"
        case "job" if not settings.queues.carrier_annotation:
            raise Refused(f"metadata.annotations {labels.CARRIER}: the operator does not let pods choose it")
        case "job" if may_be_job:
            return "job"
        case "job":
            needs = "a queue, no group, and restartPolicy Never"
            raise Refused(f"metadata.annotations {labels.CARRIER}: to become a Job, a pod needs {needs}")
    raise Refused(f"metadata.annotations {labels.CARRIER} must be pod or job")


def _reaction(pod: Workload, default: OnEviction) -> OnEviction:
    match pod.annotations.get(labels.ON_EVICTION):
        case None:
            return default
        case "rerun":
            return "rerun"
        case "fail":
            return "fail"
    raise Refused(f"metadata.annotations {labels.ON_EVICTION} must be rerun or fail")


def objects(pod: Workload, where: Target, settings: KueueSettings, run: int = 0, past: tuple[Past, ...] = ()) -> Objects:
    """What is created for one run of the pod. `past` tells of the runs before. Raises Refused."""
    carried = {volume.name: carry(volume, pod, run, settings) for volume in pod.volumes}
    credentials = _registry_secret(pod, settings, run)
    others = [made for volume in carried.values() for made in volume.objects] + credentials + _services(pod, settings)
    placed, warnings = place(pod.placement, settings.placement)

    def container(source: Any) -> Json:
        mounts = tuple(mounted(mount, carried[mount.volume]) for mount in source.mounts)
        return container_object(dataclasses.replace(source, mounts=mounts), settings.placement.resources)

    spec: Json = {
        "restartPolicy": pod.restart_policy,
        "terminationGracePeriodSeconds": pod.grace_seconds,
        "enableServiceLinks": False,
        "hostname": pod.hostname.replace(".", "-"),
        "containers": [container(source) for source in pod.containers],
        **placed,
    }
    pull_secrets = [{"name": name} for name in (*(made["metadata"]["name"] for made in credentials), *where.image_pull_secrets)]
    optional: Json = {
        "initContainers": [container(source) for source in pod.init_containers],
        "volumes": [{"name": name, **volume.source} for name, volume in carried.items()],
        "activeDeadlineSeconds": pod.active_deadline_seconds,
        "serviceAccountName": where.service_account,
        "imagePullSecrets": pull_secrets,
        "subdomain": pod.subdomain,
        "hostAliases": [{"ip": address, "hostnames": list(names)} for address, names in pod.host_aliases],
        "hostNetwork": pod.host_network,
        "hostPID": pod.host_pid,
        "hostIPC": pod.host_ipc,
        "shareProcessNamespace": pod.share_process_namespace,
        "securityContext": _security(pod),
        "schedulingGates": [{"name": labels.GATE}] if others or where.queue else [],
        **_dns(pod, settings),
    }
    spec |= {name: value for name, value in optional.items() if value not in (None, "", False, [], {})}
    if not where.service_account:
        spec["automountServiceAccountToken"] = False
    return Objects(
        {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": _metadata(pod, where, settings, run=run, past=past, warnings=warnings),
            "spec": spec,
        },
        others,
        as_job=where.carrier == "job",
    )


def _metadata(
    pod: Workload, where: Target, settings: KueueSettings, *, run: int, past: tuple[Past, ...], warnings: tuple[str, ...]
) -> Json:
    named: dict[str, str] = {**labels.ours(settings.instance, pod, run), labels.ROLE: "pod"}
    annotations = {**labels.told(pod), labels.ON_EVICTION: where.on_eviction}
    if pod.subdomain:
        named[labels.SUBDOMAIN] = labels.subdomain(pod)
    if where.queue:
        named[labels.QUEUE_NAME] = where.queue
        if settings.queues.priority_class:
            named[labels.PRIORITY_CLASS] = settings.queues.priority_class
        if group := where.group:
            named |= {labels.GROUP_NAME: labels.group_name(group.key, run), labels.GROUP: labels.group_name(group.key, 0)}
            annotations |= {labels.GROUP_COUNT: str(group.total), labels.RETRIABLE: "false"}
    if past:
        annotations[labels.PAST] = history.written(past)
    if warnings:
        annotations[labels.WARNINGS] = sentence("; ".join(warnings))
    return {
        "name": labels.pod_name(pod, run),
        "labels": named,
        "annotations": annotations,
        "finalizers": [labels.FINALIZER],
    } | ({"namespace": where.namespace} if where.namespace else {})


def _security(pod: Workload) -> Json:
    """The part of v1.PodSecurityContext that no container can hold."""
    groups = sorted({group for container in pod.all_containers for group in container.security.supplemental_groups})
    made: Json = {}
    if pod.fs_group is not None:
        made["fsGroup"] = pod.fs_group
    if groups:
        made["supplementalGroups"] = groups
    if pod.sysctls:
        made["sysctls"] = [{"name": name, "value": value} for name, value in pod.sysctls.items()]
    return made


def _dns(pod: Workload, settings: KueueSettings) -> Json:
    dns = pod.dns
    policy_name = settings.network.dns_policy if dns.policy == "ClusterFirst" and settings.network.dns_policy else dns.policy
    options = [dict(zip(("name", "value"), option.split(":", 1), strict=False)) for option in dns.options]
    config = {"nameservers": list(dns.nameservers), "searches": list(dns.searches), "options": options}
    return {"dnsPolicy": policy_name, "dnsConfig": {name: value for name, value in config.items() if value}}


def _services(pod: Workload, settings: KueueSettings) -> list[Json]:
    """The headless Service by which the pods of one subdomain find each other; they share it."""
    if not pod.subdomain or not settings.network.services:
        return []
    chosen = {labels.INSTANCE: settings.instance, labels.SUBDOMAIN: labels.subdomain(pod)}
    spec = {"clusterIP": "None", "publishNotReadyAddresses": True, "selector": chosen}
    return [{"apiVersion": "v1", "kind": "Service", "metadata": {"name": pod.subdomain, "labels": chosen}, "spec": spec}]


def _registry_secret(pod: Workload, settings: KueueSettings, run: int) -> list[Json]:
    """The logins that came with the pod, as one image pull secret."""
    if not pod.registry_credentials:
        return []
    auths = {
        login.server: {"auth": base64.b64encode(f"{login.username}:{login.password}".encode()).decode()}
        for login in pod.registry_credentials
    }
    return [
        {
            "apiVersion": "v1",
            "kind": "Secret",
            "type": "kubernetes.io/dockerconfigjson",
            "metadata": {"name": labels.files_name(pod, run, "registries"), "labels": labels.ours(settings.instance, pod, run)},
            "data": {".dockerconfigjson": base64.b64encode(json.dumps({"auths": auths}).encode()).decode()},
        }
    ]
