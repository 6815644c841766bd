"""A virtual node in front of a plugin: interLink's own API server and virtual kubelet, in a cluster of `kubernetes`.

The programs come from the environment: INTERLINK_API, INTERLINK_VK, and KUBEBUILDER_ASSETS, a folder with Kubernetes' own.
"""

from __future__ import annotations

import os
import shutil
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.servers.kubernetes import PROGRAMS, Cluster, Process, free_port


@dataclass(frozen=True)
class Programs:
    """Where the programs are."""

    assets: Path
    api: Path
    vk: Path


def find_programs() -> Programs | str:
    """The programs, or a sentence that says what is missing."""
    names = ("KUBEBUILDER_ASSETS", "INTERLINK_API", "INTERLINK_VK")
    if missing := [name for name in names if not os.environ.get(name)]:
        return f"{', '.join(missing)} not set: no Kubernetes and interLink programs to run the chain with"
    assets, api, vk = (Path(os.environ[name]) for name in names)
    programs = [*(assets / name for name in PROGRAMS), api, vk]
    if absent := [str(program) for program in programs if not os.access(program, os.X_OK)]:
        return f"{', '.join(absent)} cannot be executed"
    if shutil.which("openssl") is None:
        return "openssl is not installed: no certificates for the chain"
    return Programs(assets, api, vk)


class Node:
    """A virtual node: interLink's API server and virtual kubelet in front of the plugin at `listen`."""

    def __init__(
        self,
        programs: Programs,
        cluster: Cluster,
        name: str,
        listen: str,
        *,
        skip_downward_api_resolution: bool = False,
        network: dict[str, Any] | None = None,
    ) -> None:
        """`network` is the virtual kubelet's own section of that name: tunnels and the mesh."""
        self._programs, self.cluster, self.name = programs, cluster, name
        self._listen, self._skip, self._network = listen, skip_downward_api_resolution, network or {}
        self._api_port, self._kubelet_port = free_port(), free_port()
        self._api: Process | None = None
        self._vk: Process | None = None

    def start(self) -> None:
        """Returns when the node is known to the cluster; pods that name it run from then on, although it is not Ready yet."""
        directory = self.cluster.directory / self.name
        (directory / "data").mkdir(parents=True)
        url: dict[str, Any] = {"SidecarURL": self._listen}
        if not self._listen.startswith("unix:"):
            host, _, port = self._listen.rpartition(":")
            url = {"SidecarURL": host, "SidecarPort": port}
        logs = {"VerboseLogging": False, "ErrorsOnlyLogging": False}
        api = {"InterlinkAddress": "http://127.0.0.1", "InterlinkPort": str(self._api_port), "DataRootFolder": f"{directory}/data/"}
        vk = {
            "InterlinkURL": "http://127.0.0.1",
            "InterlinkPort": str(self._api_port),
            "ServiceAccount": "virtual-kubelet",
            "Namespace": "default",
            "VKTokenFile": "",
            "DisableCSR": True,
            "SkipDownwardAPIResolution": self._skip,
            "Resources": {"CPU": "100", "Memory": "128Gi", "Pods": "1000", "Accelerators": []},
            "Network": self._network,
            "HTTP": {"Insecure": True},
            "KubeletHTTP": {"Insecure": True},
        }
        (directory / "interlink.yaml").write_text(yaml.safe_dump({**api, **url, **logs}))
        (directory / "vk.yaml").write_text(yaml.safe_dump({**vk, **logs}))
        env = _clean_environment() | {"INTERLINKCONFIGPATH": str(directory / "interlink.yaml")}
        self._api = self.cluster.process(f"api-{self.name}", [str(self._programs.api)], env)
        self._api.until(lambda: _listens(self._api_port))
        self._start_vk()

    @property
    def vk_runs(self) -> bool:
        return self._vk is not None and self._vk.running

    def restart_vk(self) -> None:
        """Kills the virtual kubelet and starts it again: it reads its pods anew from the cluster."""
        if self._vk is not None:
            self._vk.kill()
        self._start_vk()

    def close(self) -> None:
        for process in (self._vk, self._api):
            if process is not None:
                process.stop()

    def _start_vk(self) -> None:
        env = _clean_environment() | {
            "NODENAME": self.name,
            "CONFIGPATH": str(self.cluster.directory / self.name / "vk.yaml"),
            "KUBECONFIG": str(self.cluster.admin),
            "KUBELET_URL": "127.0.0.1",
            "KUBELET_PORT": str(self._kubelet_port),
            "POD_IP": "127.0.0.1",
        }
        self._vk = self.cluster.process(f"vk-{self.name}", [str(self._programs.vk)], env)
        self._vk.until(lambda: bool(self.cluster.get("node", self.name)) and _listens(self._kubelet_port))


def _clean_environment() -> dict[str, str]:
    """Ours, without what would override interLink's configuration files."""
    overriding = {"INTERLINKURL", "INTERLINKPORT", "SIDECARURL", "SIDECARPORT", "ENABLE_TRACING", "ENABLE_PPROF"}
    return {name: value for name, value in os.environ.items() if name not in overriding}


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
