"""podman for tests: its own storage, and a configuration for machines where root may not raise limits, or cgroups are of version 1."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path

from tests.servers.docker_engine import busybox_archive, find

IMAGE = "localhost/busybox:1"


def unavailable() -> str:
    if find("podman") is None:
        return "podman is not installed"
    if os.geteuid() != 0:
        return "the tests of podman run as root"
    return ""


def configuration(folder: Path) -> dict[str, str]:
    """Variables for a podman that runs here, whose storage is in `folder`."""
    limits = [("nofile", resource.RLIMIT_NOFILE), ("nproc", resource.RLIMIT_NPROC)]
    hard = {name: resource.getrlimit(kind)[1] for name, kind in limits}
    # podman lowers its own nproc to this, whatever it is just then, and no container can be given more by a root that may not raise limits.
    highest_pid = int(Path("/proc/sys/kernel/pid_max").read_text())
    hard["nproc"] = highest_pid if hard["nproc"] == resource.RLIM_INFINITY else min(hard["nproc"], highest_pid)
    ulimits = ", ".join(f'"{name}={limit}:{limit}"' for name, limit in hard.items() if limit != resource.RLIM_INFINITY)
    runtime = "runc" if find("runc") else "crun"
    containers = folder / "containers.conf"
    engine = f'[engine]\nruntime = "{runtime}"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
    containers.write_text(f"{engine}[containers]\ndefault_ulimits = [{ulimits}]\n")
    return {"CONTAINERS_CONF": str(containers)}


class Storage:
    """A podman storage as podrunner's cache directory has it."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.cache = folder / "cache"
        self._environment = {**os.environ, **environment}
        (self.cache / str(os.getuid())).mkdir(parents=True)

    def run(self, *arguments: str, stdin: bytes = b"") -> str:
        command = [find("podman") or "podman", "--root", f"{self.cache}/{os.getuid()}/podman", *arguments]
        done = subprocess.run(command, env=self._environment, input=stdin, check=False, capture_output=True)
        if done.returncode != 0:
            raise RuntimeError(f"podman {arguments[0]} failed: {done.stderr.decode(errors='replace')[-2000:]}")
        return done.stdout.decode()

    def add_image(self, name: str = IMAGE, *changes: str) -> None:
        """busybox under that name, with Dockerfile instructions."""
        options = [word for change in ("ENV PATH=/bin", *changes) for word in ("--change", change)]
        self.run("import", *options, "-", name, stdin=busybox_archive())

    def push(self, name: str, target: str, *options: str) -> None:
        self.run("push", "--quiet", "--tls-verify=false", *options, name, f"docker://{target}")

    def containers(self) -> list[str]:
        return self.run("ps", "--all", "--format", "{{.Names}}").split()

    def secrets(self) -> list[str]:
        return self.run("secret", "ls", "--quiet").split()
