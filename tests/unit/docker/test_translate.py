"""Workload -> the engine's JSON, whole objects compared."""

from __future__ import annotations

from typing import Any

import pytest

from interlink_common.model.codec import stub, to_json
from interlink_common.model.workload import (
    Container,
    CvmfsVolume,
    Dns,
    EmptyDirVolume,
    ExternalVolume,
    File,
    FilesVolume,
    HostPathVolume,
    Mount,
    Network,
    Port,
    Resources,
    Security,
    Workload,
)
from interlink_docker.locations import locate, locations
from interlink_docker.planning import planned_mounts
from interlink_docker.settings import DockerSettings
from interlink_docker.translate import AttemptSpec, attempt_config, dns_config, network_config, resource_limits, sandbox_config
from tests.unit.docker.pods import MAIN, UID, pod, settings

POD_LABELS = {
    "interlink.eu/instance": "node-1",
    "interlink.eu/pod-uid": UID,
    "interlink.eu/pod-name": "demo",
    "interlink.eu/pod-namespace": "team",
}
LOG_CONFIG = {"Type": "json-file", "Config": {"max-size": "67108864", "max-file": "2"}}
SANDBOX = f"container:interlink-{UID}"
PAUSE = "registry.k8s.io/pause:3.10"


def translated(workload: Workload, container: Container, chosen: DockerSettings | None = None, **more: Any) -> dict[str, Any]:
    spec = AttemptSpec(workload, container, 2, container.image, backoff_seconds=20.0, **more)
    return attempt_config(spec, chosen or settings())


def test_least_container() -> None:
    assert translated(pod(), MAIN) == {
        "Image": "busybox:1.36",
        "Env": [],
        "Labels": {
            **POD_LABELS,
            "interlink.eu/role": "container",
            "interlink.eu/container": "main",
            "interlink.eu/attempt": "2",
            "interlink.eu/backoff-seconds": "20.0",
        },
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "User": "",
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": {
            "NetworkMode": SANDBOX,
            "IpcMode": SANDBOX,
            "LogConfig": LOG_CONFIG,
            "Mounts": [],
            "PidsLimit": 16384,
            "RestartPolicy": {"Name": "no"},
            "CpuShares": 2,
            "Privileged": False,
            "ReadonlyRootfs": False,
            "CapAdd": [],
            "CapDrop": [],
            "GroupAdd": [],
            "SecurityOpt": [],
        },
    }


def test_full_container() -> None:
    container = Container(
        name="main",
        image="registry.example.org:5000/team/app@sha256:" + "a" * 64,
        command=("sh", "-c"),
        args=("echo $HOME; 'x'\n",),
        working_dir="/work",
        env={"A": "one two", "B": 'quo"te\nline', "C": ""},
        requests=Resources(cpu_millis=250, memory_bytes=1 << 20),
        limits=Resources(cpu_millis=1500, memory_bytes=64 << 20, ephemeral_storage_bytes=1 << 30),
        stop_signal="SIGUSR1",
        tty=True,
        stdin=True,
        stdin_once=True,
        security=Security(
            run_as_user=1000,
            run_as_group=2000,
            allow_privilege_escalation=False,
            read_only_root_filesystem=True,
            capabilities_add=("NET_ADMIN",),
            capabilities_drop=("ALL",),
            seccomp_type="Localhost",
            seccomp_profile="tight.json",
            apparmor_profile="localhost/mine",
            supplemental_groups=(3000, 4000),
        ),
    )
    workload = pod(container, fs_group=3000, share_process_namespace=True)
    chosen = settings(limits={"enforce_storage_quota": True, "pids": 100})
    config = translated(workload, container, chosen, seccomp_profile='{"defaultAction": "SCMP_ACT_ERRNO"}')
    host = config.pop("HostConfig")
    del config["Labels"]
    assert config == {
        "Image": container.image,
        "Entrypoint": ["sh", "-c"],
        "Cmd": ["echo $HOME; 'x'\n"],
        "Env": ["A=one two", 'B=quo"te\nline', "C="],
        "WorkingDir": "/work",
        "StopSignal": "SIGUSR1",
        "Tty": True,
        "OpenStdin": True,
        "StdinOnce": True,
        "User": "1000:2000",
        "Healthcheck": {"Test": ["NONE"]},
    }
    assert host == {
        "NetworkMode": SANDBOX,
        "IpcMode": SANDBOX,
        "PidMode": SANDBOX,
        "LogConfig": LOG_CONFIG,
        "Mounts": [],
        "PidsLimit": 100,
        "RestartPolicy": {"Name": "no"},
        "CpuShares": 256,
        "CpuPeriod": 100_000,
        "CpuQuota": 150_000,
        "Memory": 64 << 20,
        "MemorySwap": 64 << 20,
        "StorageOpt": {"size": str(1 << 30)},
        "Privileged": False,
        "ReadonlyRootfs": True,
        "CapAdd": ["NET_ADMIN"],
        "CapDrop": ["ALL"],
        "GroupAdd": ["3000", "4000"],
        "SecurityOpt": ["no-new-privileges", 'seccomp={"defaultAction": "SCMP_ACT_ERRNO"}', "apparmor=mine"],
    }


@pytest.mark.parametrize(
    ("command", "args", "expected"),
    [
        (None, None, {}),
        (("a", "b"), None, {"Entrypoint": ["a", "b"]}),
        (None, ("c",), {"Cmd": ["c"]}),
        (("a",), ("c", "d e"), {"Entrypoint": ["a"], "Cmd": ["c", "d e"]}),
        ((), (), {}),
    ],
)
def test_command_and_args(command: tuple[str, ...] | None, args: tuple[str, ...] | None, expected: dict[str, Any]) -> None:
    config = translated(pod(), Container(name="main", image="i", command=command, args=args))
    assert {key: config[key] for key in ("Entrypoint", "Cmd") if key in config} == expected


@pytest.mark.parametrize(
    ("requests", "limits", "expected"),
    [
        ({}, {}, {"CpuShares": 2}),
        ({"cpu_millis": 0}, {"cpu_millis": 500}, {"CpuShares": 2, "CpuPeriod": 100_000, "CpuQuota": 50_000}),
        ({}, {"cpu_millis": 500}, {"CpuShares": 512, "CpuPeriod": 100_000, "CpuQuota": 50_000}),
        ({"cpu_millis": 1}, {"cpu_millis": 1}, {"CpuShares": 2, "CpuPeriod": 100_000, "CpuQuota": 1_000}),
        ({"cpu_millis": 10**9}, {}, {"CpuShares": 262_144}),
        ({"memory_bytes": 5}, {}, {"CpuShares": 2}),
        ({}, {"memory_bytes": 9 << 20}, {"CpuShares": 2, "Memory": 9 << 20, "MemorySwap": 9 << 20}),
        ({}, {"ephemeral_storage_bytes": 5}, {"CpuShares": 2}),
    ],
)
def test_resources(requests: dict[str, Any], limits: dict[str, Any], expected: dict[str, Any]) -> None:
    container = Container(name="main", image="i", requests=Resources(**requests), limits=Resources(**limits))
    assert resource_limits(container, settings()) == expected


@pytest.mark.parametrize(
    ("user", "group", "image_user", "expected"),
    [(None, None, "app", ""), (5, None, "", "5"), (5, 6, "", "5:6"), (None, 6, "app:7", "app:6"), (None, 6, "", "0:6"), (0, None, "", "0")],
)
def test_user(user: int | None, group: int | None, image_user: str, expected: str) -> None:
    container = Container(name="main", image="i", security=Security(run_as_user=user, run_as_group=group))
    assert translated(pod(container), container, image_user=image_user)["User"] == expected


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"NetworkMode": SANDBOX, "IpcMode": SANDBOX}),
        ({"share_process_namespace": True}, {"NetworkMode": SANDBOX, "IpcMode": SANDBOX, "PidMode": SANDBOX}),
        ({"host_network": True}, {"NetworkMode": "host", "IpcMode": SANDBOX}),
        ({"host_ipc": True, "host_pid": True}, {"NetworkMode": SANDBOX, "IpcMode": "host", "PidMode": "host"}),
    ],
)
def test_namespaces(fields: dict[str, bool], expected: dict[str, str]) -> None:
    host = translated(pod(**fields), MAIN)["HostConfig"]
    assert {key: host[key] for key in ("NetworkMode", "IpcMode", "PidMode") if key in host} == expected


def test_least_sandbox() -> None:
    workload = pod()
    assert sandbox_config(workload, {}, settings(), PAUSE) == {
        "Image": "registry.k8s.io/pause:3.10",
        "Hostname": "demo",
        "Labels": {**POD_LABELS, "interlink.eu/role": "sandbox", "interlink.eu/workload": to_json(stub(workload))},
        "Healthcheck": {"Test": ["NONE"]},
        "ExposedPorts": {},
        "HostConfig": {
            "NetworkMode": "default",
            "IpcMode": "shareable",
            "ShmSize": 64 << 20,
            "LogConfig": {"Type": "none"},
            "Mounts": [],
            "PidsLimit": 16384,
            "PortBindings": {},
            "ReadonlyRootfs": False,
            "RestartPolicy": {"Name": "no"},
            "SecurityOpt": ["no-new-privileges"],
            "Sysctls": {},
            "ExtraHosts": [],
            "Dns": [],
            "DnsSearch": [],
            "DnsOptions": [],
        },
    }


NETWORK_HOST = {
    "NetworkMode": SANDBOX,
    "LogConfig": LOG_CONFIG,
    "Mounts": [
        {
            "Type": "bind",
            "Source": f"/on-the-host/pods/{UID}/network",
            "Target": "/interlink.eu/network",
            "ReadOnly": True,
            "BindOptions": {"Propagation": "rprivate"},
        },
        {
            "Type": "bind",
            "Source": f"/on-the-host/pods/{UID}/network.ready",
            "Target": "/interlink.eu/ready",
            "ReadOnly": False,
            "BindOptions": {"Propagation": "rprivate"},
        },
    ],
    "Memory": 64 << 20,
    "MemorySwap": 64 << 20,
    "PidsLimit": 16384,
    "RestartPolicy": {"Name": "on-failure"},
    "SecurityOpt": ["no-new-privileges"],
}
MESH_HOST = {
    "CapAdd": ["NET_ADMIN"],
    "Devices": [{"PathOnHost": "/dev/net/tun", "PathInContainer": "/dev/net/tun", "CgroupPermissions": "rw"}],
}


@pytest.mark.parametrize(
    ("network", "host"),
    [(Network(tunnel_commands="wstunnel client S3CRET &"), NETWORK_HOST), (Network(mesh_script="S3CRET"), NETWORK_HOST | MESH_HOST)],
)
def test_network_container(network: Network, host: dict[str, Any]) -> None:
    chosen = settings(network={"image": "tools", "memory_bytes": 64 << 20}, volumes={"engine_state_dir": "/on-the-host"})
    assert network_config(pod(network=network), chosen, "docker.io/library/tools:latest") == {
        "Image": "docker.io/library/tools:latest",
        "Labels": {**POD_LABELS, "interlink.eu/role": "network"},
        "User": "0",
        "Entrypoint": ["sh", "/interlink.eu/network/main.sh"],
        "Cmd": [],
        "Healthcheck": {"Test": ["NONE"]},
        "HostConfig": host,
    }


def test_full_sandbox() -> None:
    container = Container(
        name="web",
        image="i",
        ports=(Port(80, host_port=8080, host_ip="192.0.2.1"), Port(80, host_port=8081), Port(53, "UDP", host_port=53), Port(9)),
    )
    workload = pod(
        container,
        hostname="www",
        subdomain="web",
        host_aliases=(("192.0.2.7", ("a", "b.example.org")), ("2001:db8::1", ("c",))),
        dns=Dns("None", ("192.0.2.53",), ("example.org",), ("ndots:2",)),
        sysctls={"net.ipv4.tcp_syncookies": "1"},
        volumes=(EmptyDirVolume("fast", in_memory=True, size_limit_bytes=1 << 20), EmptyDirVolume("disk")),
    )
    chosen = settings(sandbox={"network": "pods", "dns_nameservers": ["192.0.2.1"]})
    config = sandbox_config(workload, locations(workload, chosen, as_root=True), chosen, PAUSE)
    host = config.pop("HostConfig")
    del config["Labels"]
    assert config == {
        "Image": "registry.k8s.io/pause:3.10",
        "Hostname": "www",
        "Domainname": "web.team.svc.cluster.local",
        "Healthcheck": {"Test": ["NONE"]},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
    }
    assert host == {
        "NetworkMode": "pods",
        "IpcMode": "shareable",
        "ShmSize": 64 << 20,
        "LogConfig": {"Type": "none"},
        "Mounts": [
            {
                "Type": "volume",
                "Source": f"interlink-{UID}-fast",
                "Target": "/interlink.eu/volumes/fast",
                "ReadOnly": False,
                "VolumeOptions": {
                    "NoCopy": True,
                    "Labels": {**POD_LABELS, "interlink.eu/role": "volume"},
                    "DriverConfig": {
                        "Name": "local",
                        "Options": {"type": "tmpfs", "device": "tmpfs", "o": "size=1048576,mode=1777"},
                    },
                },
            }
        ],
        "PidsLimit": 16384,
        "PortBindings": {
            "80/tcp": [{"HostIp": "192.0.2.1", "HostPort": "8080"}, {"HostIp": "", "HostPort": "8081"}],
            "53/udp": [{"HostIp": "", "HostPort": "53"}],
        },
        "ReadonlyRootfs": False,
        "RestartPolicy": {"Name": "no"},
        "SecurityOpt": ["no-new-privileges"],
        "Sysctls": {"net.ipv4.tcp_syncookies": "1"},
        "ExtraHosts": ["a:192.0.2.7", "b.example.org:192.0.2.7", "c:2001:db8::1"],
        "Dns": ["192.0.2.53"],
        "DnsSearch": ["example.org"],
        "DnsOptions": ["ndots:2"],
    }


def test_host_network_has_no_hostname_and_no_ports() -> None:
    container = Container(name="main", image="i", ports=(Port(80, host_port=80),))
    config = sandbox_config(pod(container, host_network=True, hostname="h"), {}, settings(), PAUSE)
    assert "Hostname" not in config
    assert "PortBindings" not in config["HostConfig"]
    assert config["HostConfig"]["NetworkMode"] == "host"


@pytest.mark.parametrize(
    ("dns", "expected"),
    [
        (Dns(), {"Dns": ["192.0.2.1"], "DnsSearch": ["site"], "DnsOptions": []}),
        (Dns("Default", ("192.0.2.2",), ("mine",)), {"Dns": ["192.0.2.1", "192.0.2.2"], "DnsSearch": ["site", "mine"], "DnsOptions": []}),
        (Dns("None", ("192.0.2.2",)), {"Dns": ["192.0.2.2"], "DnsSearch": ["."], "DnsOptions": []}),
    ],
)
def test_dns(dns: Dns, expected: dict[str, list[str]]) -> None:
    assert dns_config(dns, settings(sandbox={"dns_nameservers": ["192.0.2.1"], "dns_searches": ["site"]})) == expected


def bound(source: str, target: str, *, read_only: bool, propagation: str = "rprivate") -> dict[str, Any]:
    return {"Type": "bind", "Source": source, "Target": target, "ReadOnly": read_only, "BindOptions": {"Propagation": propagation}}


FILES = f"/state/pods/{UID}/volumes"


@pytest.mark.parametrize(
    ("volume", "mount", "expected"),
    [
        (FilesVolume("v", (File("a", 0o644, b""),)), {}, bound(f"{FILES}/v", "/m", read_only=True)),
        (FilesVolume("v"), {"sub_path": "a/b"}, bound(f"{FILES}/v/a/b", "/m", read_only=True)),
        (EmptyDirVolume("v"), {}, bound(f"{FILES}/v", "/m", read_only=False)),
        (EmptyDirVolume("v"), {"read_only": True}, bound(f"{FILES}/v", "/m", read_only=True)),
        (HostPathVolume("v", "/data/set"), {}, bound("/data/set", "/m", read_only=False)),
        (HostPathVolume("v", "/data/ro/set"), {}, bound("/data/ro/set", "/m", read_only=True)),
        (HostPathVolume("v", "/data"), {"propagation": "HostToContainer"}, bound("/data", "/m", read_only=False, propagation="rslave")),
        (HostPathVolume("v", "/data"), {"propagation": "Bidirectional"}, bound("/data", "/m", read_only=False, propagation="rshared")),
        (CvmfsVolume("v"), {}, bound("/cvmfs", "/m", read_only=True, propagation="rslave")),
        (
            CvmfsVolume("v", sub_path="a.example.org"),
            {"sub_path": "x"},
            bound("/cvmfs/a.example.org/x", "/m", read_only=True, propagation="rslave"),
        ),
        (ExternalVolume("v", "persistentVolumeClaim", "home"), {}, bound("/srv/home", "/m", read_only=False)),
        (ExternalVolume("v", "persistentVolumeClaim", "claim-bob"), {}, bound("/home/bob", "/m", read_only=False)),
        (ExternalVolume("v", "nfs", "server:/export", read_only=True), {}, bound("/srv/nfs", "/m", read_only=True)),
        (ExternalVolume("v", "nfs", "server:/export/a"), {"sub_path": ".b"}, bound("/srv/nfs/a/.b", "/m", read_only=False)),
        (
            ExternalVolume("v", "nfs", "other:/export/a"),
            {"sub_path": "b"},
            {
                "Type": "volume",
                "Source": "o",
                "Target": "/m",
                "ReadOnly": False,
                "VolumeOptions": {"NoCopy": True, "Subpath": "export/a/b"},
            },
        ),
        (
            ExternalVolume("v", "csi", "driver.example.org"),
            {},
            {"Type": "volume", "Source": "shared", "Target": "/m", "ReadOnly": True, "VolumeOptions": {"NoCopy": True}},
        ),
    ],
)
def test_mounts(volume: Any, mount: dict[str, Any], expected: dict[str, Any]) -> None:
    chosen = settings(
        volumes={
            "host_path_allow": ["/data", "/data/ro:ro"],
            "claims": {"home": "/nowhere", "team/home": "/srv/home", "claim-{user}": "/home/{user}"},
            "nfs": {"server:/export": "/srv/nfs", "other:/": "o"},
            "csi": {"driver.example.org": "shared:ro"},
        }
    )
    container = Container(name="main", image="i", mounts=(Mount("v", "/m", **mount),))
    termination = bound(f"/state/pods/{UID}/termination/main.0", "/dev/termination-log", read_only=False)
    assert planned_mounts(pod(container, volumes=(volume,)), container, chosen, as_root=True) == [expected, termination]


def test_paths_are_told_as_the_engine_sees_them() -> None:
    chosen = settings(volumes={"engine_state_dir": "/host/state", "host_path_allow": ["/state"]})
    container = Container(name="main", image="i", mounts=(Mount("files", "/f"),), termination_message_path="relative/log")
    workload = pod(container, volumes=(FilesVolume("files"),))
    assert planned_mounts(workload, container, chosen, as_root=True) == [
        bound(f"/host{FILES}/files", "/f", read_only=True),
        bound(f"/host/state/pods/{UID}/termination/main.0", "/relative/log", read_only=False),
    ]


def test_empty_dir_of_a_plugin_without_root_is_kept_by_the_engine() -> None:
    container = Container(name="main", image="i", mounts=(Mount("v", "/m"),))
    workload = pod(container, volumes=(EmptyDirVolume("v"),))
    expected = {
        "Type": "volume",
        "Source": f"interlink-{UID}-v",
        "Target": "/m",
        "ReadOnly": False,
        "VolumeOptions": {"NoCopy": True, "Labels": {**POD_LABELS, "interlink.eu/role": "volume"}},
    }
    assert planned_mounts(workload, container, settings(), as_root=False)[0] == expected
    sandbox = sandbox_config(workload, locations(workload, settings(), as_root=False), settings(), PAUSE)
    assert sandbox["HostConfig"]["Mounts"] == [{**expected, "Target": "/interlink.eu/volumes/v"}]


@pytest.mark.parametrize(
    ("limits", "size_limit", "fs_group", "expected"),
    [
        ([None], None, None, "mode=1777"),
        ([1 << 20], None, None, "size=1048576,mode=1777"),
        ([1 << 20, 1 << 20], 1 << 30, None, "size=2097152,mode=1777"),
        ([1 << 20, None], 5, None, "size=5,mode=1777"),
        ([None], None, 77, "mode=2777,gid=77"),
    ],
)
def test_memory_empty_dir_size(limits: list[int | None], size_limit: int | None, fs_group: int | None, expected: str) -> None:
    containers = [Container(name=f"c{n}", image="i", limits=Resources(memory_bytes=limit)) for n, limit in enumerate(limits)]
    volume = EmptyDirVolume("v", in_memory=True, size_limit_bytes=size_limit)
    location = locate(pod(*containers, fs_group=fs_group), volume, settings(), as_root=True)
    assert dict(location.options)["o"] == expected  # type: ignore[union-attr]  # an engine volume, or the test fails
