"""A real node for a `kubernetes.Cluster`: a kubelet and a containerd of its own, a bridge for its pods, an image made of busybox.

Needs root. Everything lies below the cluster's directory, so that neither Docker nor a system's kubelet is disturbed.
"""

from __future__ import annotations

import hashlib
import io
import itertools
import json
import os
import shutil
import subprocess
import tarfile
import time
from contextlib import suppress
from pathlib import Path

import yaml

from scripts import kubernetes_programs
from tests.servers.docker_engine import busybox_archive, find, free_subnet, unmount
from tests.servers.kubernetes import Cluster, Process

BUSYBOX_IMAGE = "localhost/busybox:1.36"
PAUSE_IMAGE = "localhost/pause:1"
NODE = "node-1"
COUNTER = itertools.count()
CGROUPS = Path("/sys/fs/cgroup")


def unavailable(*, node: bool = True) -> str:
    """ "" or why no cluster (with a node) can be started here."""
    programs = (*kubernetes_programs.CONTROL_PLANE, *(kubernetes_programs.NODE if node else ()))
    if missing := kubernetes_programs.missing(*programs):
        return f"{', '.join(missing)} of Kubernetes not built (python -m scripts.test_servers does it, with Go) nor in KUBEBUILDER_ASSETS"
    if os.geteuid() != 0 and node:
        return "a kubelet needs root"
    for program in ("openssl", *(("containerd", "ctr", "runc", "busybox", "ip") if node else ())):
        if not find(program):
            return f"{program} is not installed"
    if node and not Path("/usr/lib/cni/bridge").exists():
        return "the CNI plugins are not installed in /usr/lib/cni"
    return ""


class Node:
    """One node. `images` are more names for the busybox image."""

    def __init__(self, cluster: Cluster, assets: Path, *, images: tuple[str, ...] = (), config: dict[str, object] | None = None) -> None:
        self._cluster, self._assets, self._images, self._config = cluster, assets, images, config or {}
        self.directory = cluster.directory / "node"
        self.socket = self.directory / "containerd.sock"
        self.bridge = f"ilk{os.getpid()}x{next(COUNTER)}"
        self._address = free_subnet().removesuffix("/24")
        self._cgroup = f"interlink-{os.getpid()}-{self.bridge}"
        self.kubelet: Process
        self.containerd: Process

    def start(self) -> None:
        """Returns when the node is Ready. Raises RuntimeError."""
        for name in ("cni", "kubelet", "pod-logs", "plugins"):
            (self.directory / name).mkdir(parents=True, exist_ok=True)
        self._network()
        self._cgroup_root()
        self._cluster.issue("kubelet", f"/O=system:nodes/CN=system:node:{NODE}")
        pair = {"client-certificate": str(self._cluster.pki / "kubelet.crt"), "client-key": str(self._cluster.pki / "kubelet.key")}
        kubeconfig = self._cluster.kubeconfig("kubelet", pair)
        (self.directory / "containerd.toml").write_text(self._containerd_toml())
        containerd = find("containerd") or "containerd"
        self.containerd = self._cluster.process("containerd", [containerd, "--config", str(self.directory / "containerd.toml")])
        self.containerd.until(lambda: self._ctr("version").returncode == 0)
        archive = busybox_archive()
        self.import_image(PAUSE_IMAGE, archive, ["/bin/sleep", "1000000"])
        for name in (BUSYBOX_IMAGE, *self._images):
            self.import_image(name, archive, ["/bin/sh"])
        (self.directory / "kubelet.yaml").write_text(yaml.safe_dump(self._kubelet_config()))
        self.kubelet = self._cluster.process(
            "kubelet",
            [
                str(self._assets / "kubelet"), f"--config={self.directory / 'kubelet.yaml'}", f"--kubeconfig={kubeconfig}",
                f"--root-dir={self.directory / 'kubelet'}", f"--cert-dir={self.directory / 'kubelet-pki'}",
                f"--hostname-override={NODE}", f"--node-ip={self._address}",
                # By default a kubelet forgets all attempts of an ended container but the last, and their logs.
                "--maximum-dead-containers-per-container=2",
            ],
        )  # fmt: skip
        self.kubelet.until(self._ready)

    def _ready(self) -> bool:
        conditions = self._cluster.get("node", NODE).get("status", {}).get("conditions", [])
        return any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)

    def import_image(self, name: str, rootfs: bytes, command: list[str]) -> None:
        """A one-layer image; no registry is asked. Names should begin with a host."""
        digest = hashlib.sha256(rootfs).hexdigest()
        config = {
            "architecture": subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip(),
            "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
            "config": {"Cmd": command, "Env": ["PATH=/bin"]},
        }
        files = {
            "manifest.json": json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode(),
            "config.json": json.dumps(config).encode(),
            "layer.tar": rootfs,
        }
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            for path, data in files.items():
                entry = tarfile.TarInfo(path)
                entry.size = len(data)
                archive.addfile(entry, io.BytesIO(data))
        done = self._ctr("-n", "k8s.io", "images", "import", "-", stdin=buffer.getvalue())
        if done.returncode:
            raise RuntimeError(f"image {name}: {done.stderr.decode(errors='replace')}")

    def close(self) -> None:
        """Pods first, while the kubelet is there to take their networks and volumes apart; then whatever is left."""
        self._cluster.kubectl(
            "delete", "pods", "-A", "--all", "--force", "--grace-period=0", "--wait=false", check=False
        )  # fmt: skip
        deadline = time.monotonic() + 20
        while self._tasks() and time.monotonic() < deadline:
            time.sleep(0.2)
        for process in ("kubelet", "containerd"):
            if process == "containerd":
                for task in self._tasks():
                    self._ctr("-n", "k8s.io", "tasks", "kill", "-s", "KILL", "-a", task)
                    self._ctr("-n", "k8s.io", "tasks", "rm", "-f", task)
            with suppress(AttributeError):
                getattr(self, process).stop()
        unmount(self.directory)
        subprocess.run([find("ip") or "ip", "link", "del", self.bridge], check=False, capture_output=True)
        for root in (CGROUPS, *CGROUPS.glob("*/")):
            for folder in sorted((root / self._cgroup).rglob("*/"), reverse=True):
                with suppress(OSError):
                    folder.rmdir()
            with suppress(OSError):
                (root / self._cgroup).rmdir()
        for link in Path("/var/log/containers").glob("*.log"):
            # The kubelet links its logs there, whatever podLogsDir says.
            if link.is_symlink() and str(link.readlink()).startswith(str(self.directory)):
                link.unlink()
        shutil.rmtree(self.directory, ignore_errors=True)

    def _tasks(self) -> list[str]:
        return self._ctr("-n", "k8s.io", "tasks", "ls", "-q").stdout.decode().split()

    def _ctr(self, *arguments: str, stdin: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [find("ctr") or "ctr", "-a", str(self.socket), *arguments], input=stdin, capture_output=True, check=False, timeout=120
        )  # fmt: skip

    def _network(self) -> None:
        """The kubelet refuses a loopback address as the node's own, so that is the address of the pods' bridge."""
        ip = find("ip") or "ip"
        subprocess.run([ip, "link", "add", self.bridge, "type", "bridge"], check=True, capture_output=True)
        subprocess.run([ip, "addr", "add", f"{self._address}/24", "dev", self.bridge], check=True, capture_output=True)
        subprocess.run([ip, "link", "set", self.bridge, "up"], check=True, capture_output=True)
        subnet = self._address.rpartition(".")[0] + ".0/24"
        ipam = {
            "type": "host-local",
            "dataDir": str(self.directory / "cni-data"),
            "ranges": [[{"subnet": subnet}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        plugins = [{"type": "bridge", "bridge": self.bridge, "isGateway": True, "ipam": ipam}]
        config = {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}
        (self.directory / "cni/10-pods.conflist").write_text(json.dumps(config))

    def _cgroup_root(self) -> None:
        """One of its own, there before the kubelet is: two kubelets on one machine would reap each other's pods."""
        roots = [CGROUPS] if (CGROUPS / "cgroup.controllers").exists() else [path for path in CGROUPS.iterdir() if path.is_dir()]
        for root in roots:
            with suppress(OSError):
                (root / self._cgroup).mkdir(exist_ok=True)
        for file in ("cpuset.cpus", "cpuset.mems"):
            if (CGROUPS / "cpuset" / file).exists():
                (CGROUPS / "cpuset" / self._cgroup / file).write_text((CGROUPS / "cpuset" / file).read_text())

    def _containerd_toml(self) -> str:
        where = self.directory
        return f"""version = 2
root = "{where}/containerd"
state = "{where}/containerd-run"
[grpc]
  address = "{self.socket}"
[plugins."io.containerd.internal.v1.opt"]
  path = "{where}/containerd-opt"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE_IMAGE}"
  restrict_oom_score_adj = {str(not may_lower_oom_score()).lower()}
  netns_mounts_under_state_dir = true
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "{where}/cni"
"""

    def _kubelet_config(self) -> dict[str, object]:
        """No eviction: a full disk of this machine must not fail tests. failCgroupV1 is what a host with cgroup v1 needs from 1.35 on."""
        client_ca = {"clientCAFile": str(self._cluster.pki / "ca.crt")}
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": self._address,
            "healthzPort": 0,
            "containerRuntimeEndpoint": f"unix://{self.socket}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self._cgroup}",
            "failCgroupV1": False,
            "failSwapOn": False,
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": client_ca},
            "authorization": {"mode": "Webhook"},
            "makeIPTablesUtilChains": False,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%", "nodefs.inodesFree": "1%"},
            "imageGCHighThresholdPercent": 100,
            "podLogsDir": str(self.directory / "pod-logs"),
            "volumePluginDir": str(self.directory / "plugins"),
            "maxPods": 250,
            "registryPullQPS": 0,
            "nodeStatusUpdateFrequency": "5s",
            **self._config,
        }


def may_lower_oom_score() -> bool:
    """Without CAP_SYS_RESOURCE nobody can, and every sandbox would fail for it."""
    return subprocess.run(["sh", "-c", "echo -998 > /proc/self/oom_score_adj"], check=False, capture_output=True).returncode == 0
