"""Settings of the Kueue plugin: which clusters, which pods go where, and what the operator lets pods do there.

What a pod may do on the remote cluster is decided there (Pod Security, quota, webhooks); the settings here only deny more.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from interlink_common.model.site import split_export
from interlink_common.settings import PATTERN_KEYS, Group, HostPathAllow, PluginSettings, map_of_exports, map_of_names

ANY = "*"
NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
INSTANCE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")


def is_name(target: str) -> bool:
    """Of an object in Kubernetes."""
    return bool(NAME.fullmatch(target))


def is_export(target: str) -> bool:
    try:
        return split_export(target)[0] == ""
    except ValueError:
        return False


OnEviction = Literal["rerun", "fail"]
RemoteKind = Literal["pod", "job"]


class ClusterSettings(Group):
    """One remote cluster, or one identity on it."""

    kubeconfig: Path | None = Field(
        None, description="File with the credentials. null: KUBECONFIG, else ~/.kube/config, else the pod's own account in the cluster."
    )
    context: str = Field("", description="Context of that file. Empty: its current one.")
    request_timeout_seconds: float = Field(30.0, gt=0, description="How long one call may take before the cluster counts as unreachable.")
    watch_idle_seconds: float = Field(
        90.0, gt=0, description="After this time without an event or bookmark, the plugin starts a watch again."
    )
    connections: int = Field(32, gt=0, le=1000, description="Largest number of calls at the same time, besides watches and followed logs.")


class TenantSettings(Group):
    """Where the pods of one virtual namespace run."""

    renamed: ClassVar[dict[str, str]] = {"carrier": "remote_kind"}

    cluster: str = Field("default", description="Name of an entry of clusters.")
    namespace: str = Field("", description="Namespace there; {namespace} in it is the virtual one. Empty: that of the credentials.")
    queue: str = Field("", description="LocalQueue of that namespace. Empty: no queue, the pods run at once.")
    service_account: str = Field("", description="Account that the pods run under. Empty: the namespace's default, without a token.")
    image_pull_secrets: list[str] = Field(default_factory=list, description="Secrets of that namespace with registry logins.")
    remote_kind: RemoteKind = Field(
        "pod",
        description="What a queued pod becomes. pod: a Pod, with its exact states. job: a suspended Job, which Kueue itself starts again"
        " after an eviction; only for restartPolicy Never, other pods become a Pod.",
    )
    on_eviction: OnEviction | None = Field(None, description="Overrides evictions.policy; null: as there.")


class QueueSettings(Group):
    """How pods go through Kueue's queues."""

    renamed: ClassVar[dict[str, str]] = {"carrier_annotation": "remote_kind_annotation"}

    annotation: bool = Field(
        True, description="Let pods choose a LocalQueue of their namespace by the annotation kueue.interlink.eu/queue-name."
    )
    remote_kind_annotation: bool = Field(
        False, description="Let pods choose tenants.*.remote_kind by the annotation kueue.interlink.eu/remote-kind."
    )
    borrowing: bool = Field(False, description="The node offers what the ClusterQueue may borrow, in addition to its nominal quota.")
    positions_seconds: float | None = Field(
        15.0, gt=0, description="How often the plugin asks the visibility API for the positions of waiting pods. null: never."
    )
    worker_clusters: dict[str, str] = Field(
        default_factory=dict, description="Name of a MultiKueueCluster -> entry of clusters with credentials for it, for files and logs."
    )
    group_owners: dict[str, str] = Field(
        default_factory=dict,
        description="Kind of an owner whose pods are admitted as one group (Job, PyTorchJob) -> variable of the pods that says how many"
        " there are; the annotation kueue.x-k8s.io/pod-group-total-count wins. An empty name: only the annotation says it.",
    )
    priority_class: str = Field("", description="WorkloadPriorityClass of every queued pod. Empty: none.")


class EvictionSettings(Group):
    """What happens to a pod that Kueue or the scheduler evicts. The annotation interlink.eu/on-eviction overrides it."""

    policy: OnEviction = Field(
        "rerun", description="What to do with an evicted pod. rerun: run it from the start, when its turn comes again. fail: it has failed."
    )
    deleted: OnEviction = Field(
        "fail", description="What to do with a pod whose remote pod somebody deleted: as in policy. No annotation changes it."
    )


class PlacementSettings(Group):
    """How the plugin maps a pod's choice of nodes to the remote cluster. What has no entry has no effect, and the pod has a warning."""

    node_selector: dict[str, dict[str, str]] = Field(
        default_factory=dict, description="key=value or key of a pod's nodeSelector -> labels of remote nodes."
    )
    add_node_selector: dict[str, str] = Field(default_factory=dict, description="Labels that the remote node of every pod must have.")
    add_tolerations: list[dict[str, str | int]] = Field(default_factory=list, description="v1.Toleration objects that every pod gets.")
    keep_tolerations: list[str] = Field(
        default_factory=list, description="Taint keys whose tolerations the plugin copies unchanged; * for all."
    )
    keep_affinity: bool = Field(False, description="Copy affinity unchanged. Use it only if both clusters have the same labels.")
    priority_classes: dict[str, str] = Field(
        default_factory=dict, description="PriorityClass of the virtual cluster -> PriorityClass of the remote cluster."
    )
    runtime_classes: dict[str, str] = Field(
        default_factory=dict, description="RuntimeClass of the virtual cluster -> RuntimeClass of the remote cluster."
    )
    resources: dict[str, str] = Field(default_factory=dict, description="Resource name (nvidia.com/gpu) -> its name on the remote nodes.")


class VolumeSettings(Group):
    """What volumes become on the remote cluster."""

    renamed: ClassVar[dict[str, str]] = {"csi_drivers": "csi"}

    host_path_allow: HostPathAllow = Field(
        default_factory=list, description="Directories below which hostPath volumes are allowed; `:ro` at the end: only read-only."
    )
    claims: Annotated[dict[str, str], map_of_names(is_name, "the name of a claim")] = Field(
        default_factory=dict,
        description="PVC name, or namespace/name, or a pattern of them -> claim in the remote namespace; `{user}` of a pattern may stand"
        " in its name. The most specific key counts; `:ro` at the end: read-only.",
    )
    storage_classes: dict[str, str] = Field(
        default_factory=dict,
        description="Storage class of a generic ephemeral volume -> remote one; an empty name: none is named, or the default there.",
    )
    nfs: Annotated[dict[str, str], map_of_exports(is_export, "server:/path")] = Field(
        default_factory=dict,
        description="server:/path, or namespace/server:/path, -> server:/path as the remote nodes mount it, including what is below.",
    )
    csi: Annotated[dict[str, str], map_of_names(is_name, "the name of a CSI driver")] = Field(
        default_factory=dict,
        description="CSI driver of an inline volume, or namespace/name, or a pattern -> driver on the remote nodes.",
    )


class CvmfsSettings(Group):
    """CernVM-FS on the remote nodes."""

    claim: str = Field(
        "", description="Claim in the remote namespace whose storage class is of the driver cvmfs.csi.cern.ch. Empty: use host_path."
    )
    host_path: str = Field(
        "/cvmfs", description="Where the remote nodes mount CVMFS, if there is no claim. Empty: the plugin refuses pods that ask for CVMFS."
    )


class SecuritySettings(Group):
    """What pods may ask for; the remote cluster can deny more. The defaults deny what reaches the node."""

    allow_privileged: bool = Field(False, description="Allow privileged: true.")
    allow_host_namespaces: bool = Field(False, description="Allow hostNetwork, hostPID and hostIPC.")
    allow_host_ports: bool = Field(False, description="Allow ports[].hostPort.")
    allow_capabilities: list[str] = Field(
        default_factory=list,
        description="Capabilities that capabilities.add may name, without CAP_; * for all that the remote cluster allows.",
    )
    allow_root: bool = Field(True, description="Allow runAsUser: 0.")
    allow_sysctls: list[str] = Field(default_factory=list, description="Sysctls that pods may set; a name may end with *.")
    allow_seccomp_unconfined: bool = Field(False, description="Allow seccompProfile.type: Unconfined.")
    allow_bidirectional_mounts: bool = Field(False, description="Allow mountPropagation: Bidirectional.")


class NetworkSettings(Group):
    """Network of the remote pods."""

    services: bool = Field(True, description="Create a headless Service for each subdomain, so that its pods find each other.")
    dns_policy: Literal["", "ClusterFirst", "Default"] = Field(
        "", description="Overrides dnsPolicy ClusterFirst of pods, for clusters without a DNS service. Empty: as the pod says."
    )


class CapacitySettings(Group):
    """What the virtual node offers."""

    source: Literal["auto", "queue", "nodes", "fixed"] = Field(
        "auto",
        description="queue: the ClusterQueue's quota. nodes: what the remote nodes can allocate. auto: queue if a tenant has one,"
        " else nodes. fixed: the numbers below.",
    )
    cpu_millis: int | None = Field(None, ge=0, description="In place of what source gives.")
    memory_bytes: int | None = Field(None, ge=0, description="In place of what source gives.")
    pods: int | None = Field(None, ge=0, description="In place of what source gives.")


class KueueSettings(PluginSettings):
    """Settings of `interlink-plugin serve kueue`."""

    plugin_name: ClassVar[str] = "kueue"

    instance: str = Field("interlink", description="Marks the plugin's objects. Two plugins in one remote namespace need different values.")
    clusters: dict[str, ClusterSettings] = Field(
        default_factory=lambda: {"default": ClusterSettings()}, description="Remote clusters, or identities on them, by name."
    )
    tenants: Annotated[dict[str, TenantSettings], PATTERN_KEYS] = Field(
        default_factory=lambda: {ANY: TenantSettings()},
        description="Virtual namespace, or a pattern, -> where its pods run. The most specific key counts. Pods without one are refused.",
    )
    queues: QueueSettings = QueueSettings()
    evictions: EvictionSettings = EvictionSettings()
    placement: PlacementSettings = PlacementSettings()
    volumes: VolumeSettings = VolumeSettings()
    cvmfs: CvmfsSettings = CvmfsSettings()
    security: SecuritySettings = SecuritySettings()
    network: NetworkSettings = NetworkSettings()
    capacity: CapacitySettings = CapacitySettings()

    def may_be_job(self, tenant: TenantSettings) -> bool:
        """Whether some of the tenant's pods may become a Job."""
        return tenant.remote_kind == "job" or self.queues.remote_kind_annotation

    @field_validator("instance")
    @classmethod
    def _is_a_label(cls, instance: str) -> str:
        if not INSTANCE.fullmatch(instance):
            raise ValueError("instance must be at most 63 letters, digits, dots, dashes and underscores")
        return instance

    @model_validator(mode="after")
    def _tenants_have_clusters(self) -> KueueSettings:
        for name, tenant in self.tenants.items():
            if tenant.cluster not in self.clusters:
                raise ValueError(f"tenants.{name}.cluster names {tenant.cluster}, which is not in clusters")
            if not NAMESPACE.fullmatch(tenant.namespace.replace("{namespace}", "x") or "x"):
                raise ValueError(f"tenants.{name}.namespace must be a DNS label, with {{namespace}} for the virtual one")
        return self
