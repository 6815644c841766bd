"""v1.Container: environment, mounts, resources, ports, probes, hooks, security."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from interlink_common.contract.wire import FieldRef, IntOrString, KeyRef, Quantity, ResourceFieldRef, Wire


class EnvVarSource(Wire):
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    config_map_key_ref: KeyRef | None = None
    secret_key_ref: KeyRef | None = None


class EnvVar(Wire):
    name: str
    value: str | None = None
    value_from: EnvVarSource | None = None


class VolumeMount(Wire):
    name: str
    mount_path: str
    read_only: bool | None = None
    sub_path: str | None = None
    sub_path_expr: str | None = None
    mount_propagation: str | None = None


class ResourceRequirements(Wire):
    requests: dict[str, Quantity] | None = None
    limits: dict[str, Quantity] | None = None


class ContainerPort(Wire):
    container_port: int
    name: str | None = None
    protocol: str | None = None
    host_port: int | None = None
    host_ip: str | None = Field(None, alias="hostIP")


class ExecAction(Wire):
    command: list[str] | None = None


class HttpHeader(Wire):
    name: str
    value: str | None = None


class HttpGetAction(Wire):
    port: IntOrString
    path: str | None = None
    host: str | None = None
    scheme: str | None = None
    http_headers: list[HttpHeader] | None = None


class TcpSocketAction(Wire):
    port: IntOrString
    host: str | None = None


class GrpcAction(Wire):
    port: int
    service: str | None = None


class SleepAction(Wire):
    seconds: int


class Handler(Wire):
    exec: ExecAction | None = None
    http_get: HttpGetAction | None = None
    tcp_socket: TcpSocketAction | None = None


class Probe(Handler):
    grpc: GrpcAction | None = None
    initial_delay_seconds: int | None = None
    period_seconds: int | None = None
    timeout_seconds: int | None = None
    success_threshold: int | None = None
    failure_threshold: int | None = None
    termination_grace_period_seconds: int | None = None


class LifecycleHandler(Handler):
    sleep: SleepAction | None = None


class Lifecycle(Wire):
    post_start: LifecycleHandler | None = None
    pre_stop: LifecycleHandler | None = None
    stop_signal: str | None = None


class LinuxCapabilities(Wire):
    add: list[str] | None = None
    drop: list[str] | None = None


class Profile(Wire):
    """v1.SeccompProfile and v1.AppArmorProfile."""

    type: str
    localhost_profile: str | None = None


class CommonSecurity(Wire):
    run_as_user: int | None = None
    run_as_group: int | None = None
    run_as_non_root: bool | None = None
    seccomp_profile: Profile | None = None
    app_armor_profile: Profile | None = None


class SecurityContext(CommonSecurity):
    privileged: bool | None = None
    allow_privilege_escalation: bool | None = None
    read_only_root_filesystem: bool | None = None
    capabilities: LinuxCapabilities | None = None


class Container(Wire):
    name: str
    image: str | None = None
    command: list[str] | None = None
    args: list[str] | None = None
    working_dir: str | None = None
    env: list[EnvVar] | None = None
    env_from: list[dict[str, Any]] | None = None
    resources: ResourceRequirements | None = None
    volume_mounts: list[VolumeMount] | None = None
    ports: list[ContainerPort] | None = None
    startup_probe: Probe | None = None
    readiness_probe: Probe | None = None
    liveness_probe: Probe | None = None
    lifecycle: Lifecycle | None = None
    security_context: SecurityContext | None = None
    image_pull_policy: str | None = None
    termination_message_path: str | None = None
    termination_message_policy: str | None = None
    restart_policy: str | None = None
    tty: bool | None = None
    stdin: bool | None = None
    stdin_once: bool | None = None
