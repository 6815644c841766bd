"""v1.Pod as interLink sends it, without apiVersion and kind: the parts that this suite reads, and everything else kept."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from interlink_common.contract.containers import CommonSecurity, Container, ResourceRequirements
from interlink_common.contract.volumes import Volume
from interlink_common.contract.wire import Metadata, NonEmpty, Quantity, Uid, Wire


class OwnerReference(Wire):
    kind: str
    name: str
    uid: str
    controller: bool | None = None


class PodMetadata(Metadata):
    name: NonEmpty
    namespace: NonEmpty
    uid: Uid
    owner_references: list[OwnerReference] | None = None
    deletion_grace_period_seconds: int | None = None


class Sysctl(Wire):
    name: str
    value: str


class PodSecurityContext(CommonSecurity):
    supplemental_groups: list[int] | None = None
    fs_group: int | None = None
    sysctls: list[Sysctl] | None = None


class HostAlias(Wire):
    ip: str
    hostnames: list[str] | None = None


class DnsOption(Wire):
    name: str
    value: str | None = None


class DnsConfig(Wire):
    nameservers: list[str] | None = None
    searches: list[str] | None = None
    options: list[DnsOption] | None = None


class LocalReference(Wire):
    name: str | None = None


class PodSpec(Wire):
    containers: list[Container] | None = None
    init_containers: list[Container] | None = None
    volumes: list[Volume] | None = None
    restart_policy: str | None = None
    termination_grace_period_seconds: int | None = None
    active_deadline_seconds: int | None = None
    service_account_name: str | None = None
    node_name: str | None = None
    hostname: str | None = None
    subdomain: str | None = None
    host_aliases: list[HostAlias] | None = None
    dns_policy: str | None = None
    dns_config: DnsConfig | None = None
    host_network: bool | None = None
    host_pid: bool | None = Field(None, alias="hostPID")
    host_ipc: bool | None = Field(None, alias="hostIPC")
    share_process_namespace: bool | None = None
    security_context: PodSecurityContext | None = None
    image_pull_secrets: list[LocalReference] | None = None
    overhead: dict[str, Quantity] | None = None
    resources: ResourceRequirements | None = None
    node_selector: dict[str, str] | None = None
    affinity: dict[str, Any] | None = None
    tolerations: list[dict[str, Any]] | None = None
    priority_class_name: str | None = None
    runtime_class_name: str | None = None


class IpAddress(Wire):
    ip: str | None = None


class PodStatus(Wire):
    host_ip: str | None = Field(None, alias="hostIP")
    pod_ip: str | None = Field(None, alias="podIP")
    host_ips: list[IpAddress] | None = Field(None, alias="hostIPs")
    pod_ips: list[IpAddress] | None = Field(None, alias="podIPs")


class Pod(Wire):
    metadata: PodMetadata
    spec: PodSpec
    status: PodStatus | None = None
