"""A Workload as the engine's own JSON: the sandbox that holds the pod's namespaces, and each attempt of each container in it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from interlink_common.model.workload import Container, Dns, EmptyDirVolume, Mount, Resources, Workload
from interlink_docker import labels
from interlink_docker.confinement import confinement, engine_user
from interlink_docker.locations import (
    EngineVolume,
    Location,
    as_engine_sees,
    network_directory,
    network_ready_file,
    termination_file,
)
from interlink_docker.settings import DockerSettings

Json = dict[str, Any]

PROPAGATION = {"": "rprivate", "None": "rprivate", "HostToContainer": "rslave", "Bidirectional": "rshared"}
"""v1.VolumeMount.mountPropagation -> the engine's words."""

SANDBOX_VOLUMES = "/interlink.eu/volumes"
NETWORK_SCRIPTS, NETWORK_READY, TUN = "/interlink.eu/network", "/interlink.eu/ready", "/dev/net/tun"
"""Paths of the network container; its scripts know them too."""
CPU_PERIOD_MICROSECONDS = 100_000
MIN_CPU_SHARES, MAX_CPU_SHARES, MIN_CPU_QUOTA = 2, 262_144, 1_000


def sandbox_config(workload: Workload, locations: Mapping[str, Location], settings: DockerSettings, image: str) -> Json:
    """Body of POST /containers/create for the sandbox. `image` is the name after the mirror map.

    It also mounts the engine's volumes of the pod: a tmpfs would lose its data with the last container that has it mounted.
    """
    host: Json = {
        "NetworkMode": "host" if workload.host_network else settings.sandbox.network or "default",
        "IpcMode": "host" if workload.host_ipc else "shareable",
        "LogConfig": {"Type": "none"},
        "Mounts": [
            mount_config(SANDBOX_VOLUMES + "/" + volume.name, location, settings, workload=workload)
            for volume in workload.volumes
            if isinstance(volume, EmptyDirVolume) and isinstance(location := locations[volume.name], EngineVolume)
        ],
        "PidsLimit": settings.limits.pids,
        "ReadonlyRootfs": False,
        "RestartPolicy": {"Name": "no"},
        "SecurityOpt": ["no-new-privileges"],
        "Sysctls": dict(workload.sysctls),
    }
    if not workload.host_ipc:
        host["ShmSize"] = settings.sandbox.shm_bytes
    if workload.host_pid:
        host["PidMode"] = "host"
    config: Json = {
        "Image": image,
        "Labels": labels.sandbox_labels(settings.instance, workload),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
    if not workload.host_network:
        hostname = workload.hostname or workload.name
        config["Hostname"] = hostname[:63].rstrip("-.")
        if workload.subdomain:
            config["Domainname"] = f"{workload.subdomain}.{workload.namespace}.svc.{settings.sandbox.cluster_domain}"
        bindings = port_bindings(workload)
        config["ExposedPorts"] = {port: {} for port in bindings}
        host["PortBindings"] = bindings
    host["ExtraHosts"] = [f"{name}:{address}" for address, names in workload.host_aliases for name in names]
    host.update(dns_config(workload.dns, settings))
    return config


def network_config(workload: Workload, settings: DockerSettings, image: str) -> Json:
    """Body of POST /containers/create for the container that carries interLink's network scripts; see `network`.

    Only a mesh needs more than a container has anyway: to make its interface.
    """
    scripts, ready = network_directory(settings, workload.uid), network_ready_file(settings, workload.uid)
    host: Json = {
        "NetworkMode": f"container:{labels.sandbox_name(workload.uid)}",
        "LogConfig": log_config(settings),
        "Mounts": [
            bind(NETWORK_SCRIPTS, as_engine_sees(settings, str(scripts)), read_only=True),
            bind(NETWORK_READY, as_engine_sees(settings, str(ready)), read_only=False),
        ],
        "Memory": settings.network.memory_bytes,
        "MemorySwap": settings.network.memory_bytes,
        "PidsLimit": settings.limits.pids,
        "RestartPolicy": {"Name": "on-failure"},
        "SecurityOpt": ["no-new-privileges"],
    }
    if workload.network.mesh_script:
        host["CapAdd"] = ["NET_ADMIN"]
        host["Devices"] = [{"PathOnHost": TUN, "PathInContainer": TUN, "CgroupPermissions": "rw"}]
    return {
        "Image": image,
        "Labels": labels.pod_labels(settings.instance, labels.NETWORK_ROLE, workload),
        "User": "0",
        "Entrypoint": ["sh", f"{NETWORK_SCRIPTS}/main.sh"],
        "Cmd": [],
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }


def port_bindings(workload: Workload) -> Json:
    """Only what asks for a hostPort: everything else is reached at the pod's own address."""
    bindings: Json = {}
    for container in workload.all_containers:
        for port in container.ports:
            if port.host_port:
                binding = {"HostIp": port.host_ip, "HostPort": str(port.host_port)}
                bindings.setdefault(f"{port.container_port}/{port.protocol.lower()}", []).append(binding)
    return bindings


def dns_config(dns: Dns, settings: DockerSettings) -> Json:
    """v1.PodDNSConfig; policy None takes nothing of the node's. An empty list means the engine's own choice."""
    own = dns.policy == "None"
    base_servers, base_searches = ([], []) if own else (settings.sandbox.dns_nameservers, settings.sandbox.dns_searches)
    searches = [*base_searches, *dns.searches]
    return {
        "Dns": list(dict.fromkeys([*base_servers, *dns.nameservers])),
        "DnsSearch": list(dict.fromkeys(searches)) or (["."] if own else []),
        "DnsOptions": list(dns.options),
    }


@dataclass(frozen=True)
class AttemptSpec:
    """One attempt of a container, with all that had to be looked up for it.

    `image` is the name after the mirror map; `image_user` is the image's own USER, needed only when the pod sets a group without a user.
    `mounts` come from `mount_config`. `seccomp_profile` is the JSON text of the operator's profile that the container names, if any.
    """

    workload: Workload
    container: Container
    attempt: int
    image: str
    mounts: tuple[Json, ...] = ()
    backoff_seconds: float = 0.0
    image_user: str = ""
    seccomp_profile: str = ""


def attempt_config(spec: AttemptSpec, settings: DockerSettings) -> Json:
    """Body of POST /containers/create for one attempt."""
    workload, container = spec.workload, spec.container
    sandbox = f"container:{labels.sandbox_name(workload.uid)}"
    host: Json = {
        "NetworkMode": "host" if workload.host_network else sandbox,
        "IpcMode": "host" if workload.host_ipc else sandbox,
        "LogConfig": log_config(settings),
        "Mounts": list(spec.mounts),
        "PidsLimit": settings.limits.pids,
        "RestartPolicy": {"Name": "no"},
        **resource_limits(container, settings),
        **confinement(workload, container, settings, spec.seccomp_profile),
    }
    if workload.host_pid:
        host["PidMode"] = "host"
    elif workload.share_process_namespace:
        host["PidMode"] = sandbox
    config: Json = {
        "Image": spec.image,
        "Env": [f"{name}={value}" for name, value in container.env.items()],
        "Labels": labels.container_labels(settings.instance, workload, container, spec.attempt, spec.backoff_seconds),
        "Tty": container.tty,
        "OpenStdin": container.stdin,
        "StdinOnce": container.stdin_once,
        "User": engine_user(container.security, spec.image_user),
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }
    if container.command:
        config["Entrypoint"] = list(container.command)
    if container.args:
        config["Cmd"] = list(container.args)
    if container.working_dir:
        config["WorkingDir"] = container.working_dir
    if container.stop_signal:
        config["StopSignal"] = container.stop_signal
    return config


def log_config(settings: DockerSettings) -> Json:
    """json-file, whatever the engine's own default is: most other drivers can't be read back, and `local` loses the newline of every
    line that the engine cut. The price: json-file itself writes U+FFFD for bytes that are not UTF-8."""
    options = {"max-size": str(settings.limits.log_bytes), "max-file": str(settings.limits.log_files)}
    return {"Type": "json-file", "Config": options}


def resource_limits(container: Container, settings: DockerSettings) -> Json:
    """Shares from requests and quota from limits, as the kubelet converts them (kubernetes/pkg/kubelet/cm, MilliCPUToShares and
    MilliCPUToQuota). No swap: a memory limit means that much memory."""
    requests, limits = container.requests, container.limits
    shares = (cpu_request(requests, limits) * 1024) // 1000
    found: Json = {"CpuShares": min(max(shares, MIN_CPU_SHARES), MAX_CPU_SHARES)}
    if limits.cpu_millis:
        found["CpuPeriod"] = CPU_PERIOD_MICROSECONDS
        found["CpuQuota"] = max(limits.cpu_millis * CPU_PERIOD_MICROSECONDS // 1000, MIN_CPU_QUOTA)
    if limits.memory_bytes:
        found["Memory"] = found["MemorySwap"] = limits.memory_bytes
    if limits.ephemeral_storage_bytes and settings.limits.enforce_storage_quota:
        found["StorageOpt"] = {"size": str(limits.ephemeral_storage_bytes)}
    return found


def cpu_request(requests: Resources, limits: Resources) -> int:
    """Milli-cpu; a limit without a request is the request too (Kubernetes: Resource Management for Pods and Containers)."""
    return requests.cpu_millis if requests.cpu_millis is not None else limits.cpu_millis or 0


def mount_config(
    target: str,
    location: Location,
    settings: DockerSettings,
    *,
    workload: Workload,
    mount: Mount | None = None,
    source: str = "",
    sub_path: str = "",
    cvmfs: bool = False,
) -> Json:
    """One entry of HostConfig.Mounts. `source` is the resolved path if it is not the location's own; `sub_path` is left to the engine."""
    read_only = location.read_only or (mount is not None and mount.read_only)
    if isinstance(location, EngineVolume) and not source:
        options: Json = {"NoCopy": True}
        if location.managed:
            options["Labels"] = labels.pod_labels(settings.instance, labels.VOLUME_ROLE, workload)
        if location.options:
            options["DriverConfig"] = {"Name": "local", "Options": dict(location.options)}
        if sub_path:
            options["Subpath"] = sub_path
        return {"Type": "volume", "Source": location.name, "Target": target, "ReadOnly": read_only, "VolumeOptions": options}
    path = source or ("" if isinstance(location, EngineVolume) else location.path)
    propagation = PROPAGATION[mount.propagation if mount else ""]
    if propagation == "rprivate" and (cvmfs or isinstance(location, EngineVolume)):
        propagation = "rslave"  # for autofs; and the engine insists on it for what is below its own directory
    return bind(target, as_engine_sees(settings, path), read_only=read_only, propagation=propagation)


def bind(target: str, engine_path: str, *, read_only: bool, propagation: str = "rprivate") -> Json:
    return {
        "Type": "bind",
        "Source": engine_path,
        "Target": target,
        "ReadOnly": read_only,
        "BindOptions": {"Propagation": propagation},
    }


def termination_mount(workload: Workload, container: Container, attempt: int, settings: DockerSettings) -> Json:
    """The file behind terminationMessagePath; every attempt has its own."""
    path = termination_file(settings, workload.uid, container.name, attempt)
    target = "/" + container.termination_message_path.lstrip("/")
    return bind(target, as_engine_sees(settings, str(path)), read_only=False)
