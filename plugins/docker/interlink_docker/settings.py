"""Settings of the Docker plugin: which engine, and what the operator lets pods do on it. The defaults deny what reaches the host."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from interlink_common.model.site import is_path
from interlink_common.settings import Group, HostPathAllow, ImageMap, PluginSettings, map_of_exports, map_of_names

ENGINE_DEFAULT_CAPABILITIES = [
    "AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD",
    "NET_BIND_SERVICE", "NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT",
]  # fmt: skip
"""What the engine gives a container that asks for nothing, so asking for it by name is no more than that."""

SAFE_SYSCTLS = [
    "kernel.shm_rmid_forced", "net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.ping_group_range", "net.ipv4.tcp_fin_timeout", "net.ipv4.tcp_keepalive_intvl", "net.ipv4.tcp_keepalive_probes",
    "net.ipv4.tcp_keepalive_time", "net.ipv4.tcp_rmem", "net.ipv4.tcp_syncookies", "net.ipv4.tcp_wmem",
]  # fmt: skip
"""Kubernetes: "Using sysctls in a Kubernetes Cluster", safe and unsafe sysctls."""

TARGET = "an absolute path or the name of an engine volume"
ENGINE_VOLUME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


def is_target(text: str) -> bool:
    return is_path(text) or bool(ENGINE_VOLUME.fullmatch(text))


TargetsOfNames = Annotated[dict[str, str], map_of_names(is_target, TARGET)]
TargetsOfExports = Annotated[dict[str, str], map_of_exports(is_target, TARGET)]
PullPolicy = Literal["Always", "IfNotPresent", "Never"]


class EngineSettings(Group):
    """The Docker engine."""

    url: str = Field("", description="unix:///path.sock, tcp://host:port or https://host:port. Empty: DOCKER_HOST, else the usual socket.")
    tls_ca_file: Path | None = Field(
        None, description="Certificate of the authority that signed the engine's certificate. With it, tcp:// means TLS."
    )
    tls_cert_file: Path | None = Field(None, description="Client certificate of the plugin.")
    tls_key_file: Path | None = Field(None, description="Key of the client certificate.")
    timeout_seconds: float = Field(60.0, gt=0, description="How long one engine call may take before the engine counts as unreachable.")
    threads: int = Field(16, gt=0, le=256, description="Largest number of calls to the engine at the same time.")
    retry_seconds: float = Field(2.0, gt=0, description="Pause between two attempts to reach an engine that is away.")
    ping_seconds: float = Field(15.0, gt=0, description="After this time without an event, the plugin pings the engine.")
    resync_seconds: float = Field(
        60.0, gt=0, description="How often the plugin compares every pod with the engine, in addition to reading its events."
    )

    @field_validator("url")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        url = url or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
        if not url.startswith(("unix://", "tcp://", "http://", "https://")):
            raise ValueError("engine.url must start with unix://, tcp://, http:// or https://")
        return url


class SandboxSettings(Group):
    """The container that holds a pod's network and IPC namespaces."""

    image: str = Field("registry.k8s.io/pause:3.10", description="An image that does nothing, reaps zombies and ends on SIGTERM.")
    network: str = Field("", description="Docker network of the pods. Empty: the engine's default bridge.")
    cluster_domain: str = Field("cluster.local", description="Last part of the full name of a pod that has a subdomain.")
    dns_nameservers: list[str] = Field(default_factory=list, description="Name servers of every pod. Empty: the engine's own choice.")
    dns_searches: list[str] = Field(default_factory=list, description="Search domains of every pod.")
    shm_bytes: int = Field(64 * 1024 * 1024, gt=0, description="Size of /dev/shm, which the pod's containers share.")


class NetworkSettings(Group):
    """interLink's mesh network and tunnels. They run in a container of the operator's image, in the pod's network namespace.

    The scripts come in annotations, which a pod's owner can write too. They run as root of that container, with NET_ADMIN in the
    pod's own network namespace for a mesh.
    """

    image: str = Field(
        "",
        description="Image with bash, curl, tar, ip, grep, awk and ping, which interLink's scripts call. Empty: pods run without"
        " mesh and tunnels, with a warning.",
    )
    ready_seconds: float = Field(120.0, gt=0, description="How long the mesh script may take before the plugin runs it again.")
    memory_bytes: int = Field(256 * 1024 * 1024, ge=6 * 1024 * 1024, description="Memory limit of that container.")


class ImageSettings(Group):
    """Where images come from."""

    pull_policy: PullPolicy | None = Field(None, description="Overrides every container's imagePullPolicy; null: the pod decides.")
    mirrors: ImageMap = Field(
        default_factory=dict, description="Image name, or the front of one (docker.io, quay.io/org), -> name that replaces it."
    )
    credentials_file: Path | None = Field(
        None, description="A docker config.json whose auths are tried after the pod's imagePullSecrets; credential helpers are not run."
    )
    concurrent_pulls: int = Field(4, gt=0, description="Largest number of images that the plugin pulls at the same time.")

    @field_validator("mirrors")
    @classmethod
    def _names(cls, mirrors: dict[str, str]) -> dict[str, str]:
        for key, target in mirrors.items():
            if target.startswith("/"):
                raise ValueError(f"images.mirrors: {key} must map to a name, not to a path")
        return mirrors


class VolumeSettings(Group):
    """What volumes may reach. A target is an absolute path of the host or the name of an engine volume; `:ro` at its end: read-only."""

    engine_state_dir: Path | None = Field(
        None, description="The state directory as the engine sees it, when the plugin runs in a container; null: the same path."
    )
    host_path_allow: HostPathAllow = Field(
        default_factory=list, description="Directories below which hostPath volumes are allowed; `:ro` at the end: only read-only."
    )
    claims: TargetsOfNames = Field(
        default_factory=dict,
        description="PVC name, or namespace/name, or a pattern of them -> target; `{user}` of a pattern may stand in the target."
        " The most specific key counts.",
    )
    nfs: TargetsOfExports = Field(
        default_factory=dict, description="server:/path, or namespace/server:/path, -> target, including what is below."
    )
    csi: TargetsOfNames = Field(default_factory=dict, description="CSI driver name, or namespace/name, or a pattern -> target.")


class SecuritySettings(Group):
    """What a pod's securityContext may ask for. Everything that reaches beyond the container is denied unless allowed here."""

    allow_privileged: bool = Field(False, description="Allow privileged: true, which is root on the host.")
    allow_root: bool = Field(
        True,
        description="Allow uid 0 of the host, inside the engine's default confinement. false also sets no-new-privileges on every"
        " container.",
    )
    allow_host_network: bool = Field(False, description="Allow hostNetwork: true.")
    allow_host_pid: bool = Field(False, description="Allow hostPID: true.")
    allow_host_ipc: bool = Field(False, description="Allow hostIPC: true.")
    allow_host_ports: bool = Field(True, description="Allow ports[].hostPort.")
    allow_seccomp_unconfined: bool = Field(False, description="Allow seccompProfile.type: Unconfined.")
    allow_capabilities: list[str] = Field(
        default_factory=lambda: list(ENGINE_DEFAULT_CAPABILITIES), description="Capabilities that capabilities.add may name, without CAP_."
    )
    allow_sysctls: list[str] = Field(
        default_factory=lambda: list(SAFE_SYSCTLS), description="Sysctls that pods may set; a name may end with *."
    )
    allow_bidirectional_mounts: bool = Field(
        False, description="Allow mountPropagation: Bidirectional; as in Kubernetes, the container must also be privileged."
    )
    seccomp_profiles: dict[str, Path] = Field(
        default_factory=dict, description="Name of a localhostProfile -> JSON file that the plugin reads and sends to the engine."
    )
    apparmor_profiles: list[str] = Field(
        default_factory=list, description="AppArmor profiles that pods may name; they must be loaded on the host."
    )
    no_new_privileges: bool = Field(False, description="Set no-new-privileges on every container, even if the pod does not ask for it.")


class LimitSettings(Group):
    """Limits of every container."""

    pids: int = Field(16384, gt=0, description="Largest number of processes and threads of a container.")
    log_bytes: int = Field(64 * 1024 * 1024, gt=0, description="Size at which a container's log is rotated.")
    log_files: int = Field(2, gt=0, description="Number of log files that the engine keeps for a container.")
    enforce_storage_quota: bool = Field(
        False,
        description="Also set ephemeral-storage limits as the engine's quota. This needs overlay2 on xfs with pquota, or btrfs, or zfs.",
    )


class CapacitySettings(Group):
    """What the virtual node offers: the engine's host less a reserve."""

    reserve_cpu_millis: int = Field(0, ge=0, description="CPU that is kept for the host, in thousandths of a CPU.")
    reserve_memory_bytes: int = Field(0, ge=0, description="Memory that is kept for the host.")
    pods: int = Field(110, gt=0, description="Number of pods that the node offers.")


class CvmfsSettings(Group):
    """CernVM-FS on the engine's host."""

    path: Path = Field(
        Path("/cvmfs"), description="Where the host mounts CVMFS. It must be a shared mount, so that autofs' mounts appear in pods."
    )
    probe: bool = Field(True, description="Look into each repository before a container starts. The plugin must see /cvmfs.")
    probe_timeout_seconds: float = Field(20.0, gt=0, description="A repository that does not answer in this time is missing.")
    give_up_seconds: float = Field(
        300.0, ge=0, description="How long a container waits for a missing repository before it fails; restartPolicy then applies."
    )


class DockerSettings(PluginSettings):
    """Settings of `interlink-plugin serve docker`."""

    plugin_name: ClassVar[str] = "docker"

    instance: str = Field(
        "", description="Label that marks this plugin's containers on a shared engine. Empty: the state directory's path."
    )
    engine: EngineSettings = EngineSettings()
    sandbox: SandboxSettings = SandboxSettings()
    network: NetworkSettings = NetworkSettings()
    images: ImageSettings = ImageSettings()
    volumes: VolumeSettings = VolumeSettings()
    security: SecuritySettings = SecuritySettings()
    limits: LimitSettings = LimitSettings()
    capacity: CapacitySettings = CapacitySettings()
    cvmfs: CvmfsSettings = CvmfsSettings()

    def model_post_init(self, context: object, /) -> None:
        super().model_post_init(context)
        if not self.instance:
            self.instance = str(self.volumes.engine_state_dir or self.state_dir)
