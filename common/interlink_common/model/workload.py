"""The backend-neutral `Workload`: what a pod asks for, with every Kubernetes reference already resolved.

Standard library only and Python 3.9, because it travels to worker nodes. All values are final: variables are expanded,
keys of ConfigMaps and Secrets are files, names were validated, quantities are plain numbers in the unit of their name.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Optional, Union

NEVER, ON_FAILURE, ALWAYS = "Never", "OnFailure", "Always"


@dataclass(frozen=True)
class File:
    """One file of a volume. `path` is relative, normalised and never leaves the volume. `mode` is e.g. 0o644."""

    path: str
    mode: int
    data: bytes


@dataclass(frozen=True)
class FilesVolume:
    """configMap, secret, projected or downwardAPI: a directory of files. `secret` asks for the strictest storage."""

    name: str
    files: tuple[File, ...] = ()
    secret: bool = False


@dataclass(frozen=True)
class EmptyDirVolume:
    """A directory shared by the pod's containers and gone with the pod. `in_memory`: medium Memory (tmpfs)."""

    name: str
    in_memory: bool = False
    size_limit_bytes: Optional[int] = None


@dataclass(frozen=True)
class HostPathVolume:
    """A path of the node. `type` is Kubernetes' check: "", Directory, DirectoryOrCreate, File, FileOrCreate, Socket, ..."""

    name: str
    path: str
    type: str = ""


@dataclass(frozen=True)
class ExternalVolume:
    """Storage that only the operator's map can realise.

    `kind` is the field of v1.Volume (persistentVolumeClaim, nfs, csi, ephemeral, ...), `key` what the operator maps:
    the claim's name, "server:/path" for nfs, the driver's name for csi, the storage class for ephemeral ("": none is named),
    else the volume's name.
    """

    name: str
    kind: str
    key: str
    read_only: bool = False
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CvmfsVolume:
    """CernVM-FS, however the pod asked for it. No `repositories` means all of /cvmfs; `sub_path` is below /cvmfs."""

    name: str
    repositories: tuple[str, ...] = ()
    sub_path: str = ""


Volume = Union[FilesVolume, EmptyDirVolume, HostPathVolume, ExternalVolume, CvmfsVolume]


@dataclass(frozen=True)
class Mount:
    """A volume in a container. `sub_path` is expanded, relative and normalised; `propagation` as in v1.VolumeMount ("" = None)."""

    volume: str
    path: str
    read_only: bool = False
    sub_path: str = ""
    propagation: str = ""


@dataclass(frozen=True)
class Resources:
    """Requests or limits. None: not set. `devices` are whole numbers by resource name (nvidia.com/gpu, ...)."""

    cpu_millis: Optional[int] = None
    memory_bytes: Optional[int] = None
    ephemeral_storage_bytes: Optional[int] = None
    devices: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class ExecAction:
    command: tuple[str, ...]


@dataclass(frozen=True)
class HttpAction:
    """`port` is resolved to a number. An empty `host` is the pod's own address."""

    port: int
    path: str = "/"
    host: str = ""
    scheme: str = "HTTP"
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class TcpAction:
    port: int
    host: str = ""


@dataclass(frozen=True)
class GrpcAction:
    port: int
    service: str = ""


@dataclass(frozen=True)
class SleepAction:
    seconds: int


ProbeAction = Union[ExecAction, HttpAction, TcpAction, GrpcAction]
HookAction = Union[ExecAction, HttpAction, TcpAction, SleepAction]


@dataclass(frozen=True)
class Probe:
    """v1.Probe with Kubernetes' defaults filled in."""

    action: ProbeAction
    initial_delay_seconds: int = 0
    period_seconds: int = 10
    timeout_seconds: int = 1
    success_threshold: int = 1
    failure_threshold: int = 3
    grace_seconds: Optional[int] = None


@dataclass(frozen=True)
class Security:
    """v1.SecurityContext with the pod's v1.PodSecurityContext already merged in. None: not set, the image decides."""

    run_as_user: Optional[int] = None
    run_as_group: Optional[int] = None
    run_as_non_root: bool = False
    privileged: bool = False
    allow_privilege_escalation: Optional[bool] = None
    read_only_root_filesystem: bool = False
    capabilities_add: tuple[str, ...] = ()
    capabilities_drop: tuple[str, ...] = ()
    seccomp_type: str = ""
    seccomp_profile: str = ""
    apparmor_profile: str = ""
    supplemental_groups: tuple[int, ...] = ()


@dataclass(frozen=True)
class Port:
    container_port: int
    protocol: str = "TCP"
    name: str = ""
    host_port: Optional[int] = None
    host_ip: str = ""


@dataclass(frozen=True)
class Container:
    """One container. `command`/`args`: None leaves the image's own; env is final (nothing left to expand)."""

    name: str
    image: str
    command: Optional[tuple[str, ...]] = None
    args: Optional[tuple[str, ...]] = None
    working_dir: str = ""
    env: dict[str, str] = field(default_factory=dict)
    mounts: tuple[Mount, ...] = ()
    requests: Resources = Resources()
    limits: Resources = Resources()
    ports: tuple[Port, ...] = ()
    startup_probe: Optional[Probe] = None
    readiness_probe: Optional[Probe] = None
    liveness_probe: Optional[Probe] = None
    post_start: Optional[HookAction] = None
    pre_stop: Optional[HookAction] = None
    stop_signal: str = ""
    image_pull_policy: str = "IfNotPresent"
    termination_message_path: str = "/dev/termination-log"
    termination_message_fallback: bool = False
    tty: bool = False
    stdin: bool = False
    stdin_once: bool = False
    security: Security = Security()
    sidecar: bool = False
    """An init container with restartPolicy Always (a native sidecar)."""


@dataclass(frozen=True)
class RegistryCredential:
    """Login for one registry of imagePullSecrets."""

    server: str
    username: str
    password: str


@dataclass(frozen=True)
class Dns:
    """v1.PodDNSConfig and dnsPolicy; `options` as name or name:value."""

    policy: str = "ClusterFirst"
    nameservers: tuple[str, ...] = ()
    searches: tuple[str, ...] = ()
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Network:
    """What interLink's networking annotations carry: shell texts, by the operator's templates or by whoever wrote the pod.

    `mesh_script` writes $TMPDIR/mesh.sh, which runs its arguments as a command in a network of its own; `tunnel_commands` run beside
    the pod, in its network namespace.
    """

    mesh_script: str = ""
    tunnel_commands: str = ""
    pod_ip: str = ""
    pod_subnet: str = ""
    wireguard_snippet: str = ""
    mesh_disabled: bool = False

    @property
    def has_scripts(self) -> bool:
        return bool(self.mesh_script or self.tunnel_commands)


@dataclass(frozen=True)
class Placement:
    """Scheduling wishes of the *virtual* cluster, as the pod states them; a backend maps or drops them. JSON texts."""

    node_selector: dict[str, str] = field(default_factory=dict)
    affinity_json: str = ""
    tolerations_json: str = ""
    priority_class: str = ""
    runtime_class: str = ""


@dataclass(frozen=True)
class Controller:
    """The object of the virtual cluster that made the pod: the owner reference with `controller: true`."""

    kind: str
    name: str
    uid: str


@dataclass(frozen=True)
class Workload:
    """Everything a backend needs to run one pod.

    `size` is the pod's effective request (Kubernetes: "Sidecar containers", resource sharing): the larger of the sum over
    running containers and the peak of init containers. `warnings` are sentences for the pod's status messages.
    `not_offloaded` / `not_offloaded_init`: containers that interLink keeps in the cluster, but still asks a status for.
    """

    uid: str
    name: str
    namespace: str
    containers: tuple[Container, ...]
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
    annotations: dict[str, str] = field(default_factory=dict)
    controller: Optional[Controller] = None
    restart_policy: str = ALWAYS
    grace_seconds: int = 30
    active_deadline_seconds: Optional[int] = None
    service_account: str = ""
    hostname: str = ""
    subdomain: str = ""
    host_aliases: tuple[tuple[str, tuple[str, ...]], ...] = ()
    dns: Dns = Dns()
    host_network: bool = False
    host_pid: bool = False
    host_ipc: bool = False
    share_process_namespace: bool = False
    fs_group: Optional[int] = None
    sysctls: dict[str, str] = field(default_factory=dict)
    registry_credentials: tuple[RegistryCredential, ...] = ()
    size: Resources = Resources()
    network: Network = Network()
    placement: Placement = Placement()
    not_offloaded: tuple[str, ...] = ()
    not_offloaded_init: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def sidecars(self) -> tuple[Container, ...]:
        return tuple(c for c in self.init_containers if c.sidecar)

    @property
    def all_containers(self) -> tuple[Container, ...]:
        """Init containers first, as they start."""
        return self.init_containers + self.containers

    def container(self, name: str) -> Container:
        """The container of that name. Raises KeyError."""
        for container in self.all_containers:
            if container.name == name:
                return container
        raise KeyError(name)

    def volume(self, name: str) -> Volume:
        """The volume of that name. Raises KeyError."""
        for volume in self.volumes:
            if volume.name == name:
                return volume
        raise KeyError(name)
