"""Debian packages that the suite installs for itself, by the command each brings: nothing is installed that is there in another way."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path

SYSTEM_PATH = f"{os.environ.get('PATH', '')}:/usr/local/sbin:/usr/sbin:/sbin:/bin"
"""Daemons live in sbin, which is not on everybody's PATH."""


class Missing(Exception):  # noqa: N818  it names a gap of this machine, not a fault
    """Something this machine lacks and we may not or cannot install; the text says what to do."""


def say(text: str) -> None:
    print(text, flush=True)


def find_command(name: str) -> str | None:
    return shutil.which(name, path=SYSTEM_PATH)


def static_busybox() -> Path | None:
    """A busybox that needs no shared library, so that it is a whole root file system; the package `busybox` has another kind."""
    found = find_command("busybox")
    if found is None:
        return None
    # The path of the dynamic loader stands in the ELF program headers, which are at the start of the file.
    with Path(found).open("rb") as binary:
        return None if b"/ld-" in binary.read(4096) else Path(found).resolve()


def is_debian() -> bool:
    try:
        lines = Path("/etc/os-release").read_text().splitlines()
    except OSError:
        return False
    identity = dict(line.split("=", 1) for line in lines if "=" in line)
    return "debian" in f"{identity.get('ID', '')} {identity.get('ID_LIKE', '')}" and find_command("apt-get") is not None


def install(packages: Iterable[str], reason: str) -> None:
    """Installs Debian packages, saying so. Raises Missing, naming them, where that is not possible."""
    names = list(packages)
    if not names:
        return
    listed = " ".join(names)
    if not is_debian():
        raise Missing(f"{reason} needs what Debian has in the packages {listed}; this is not Debian: install them in your system's way.")
    if os.geteuid() != 0:
        raise Missing(f"{reason} needs the packages {listed}: run `apt-get install {listed}` as root, or run this as root.")
    say(f"Installing from the distribution, for {reason[0].lower()}{reason[1:]}: {listed}")
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *names]):
        done = subprocess.run(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
        )
        if done.returncode != 0:
            raise Missing(f"{' '.join(command)} failed:\n{done.stdout.strip()}")


def docker_packages() -> list[str]:
    """What is missing of a Docker engine. The client alone, without dockerd, is no engine."""
    wanted = {"dockerd": "docker.io", "iptables": "iptables"}
    return [package for command, package in wanted.items() if find_command(command) is None]


def root_packages() -> list[str]:
    """What makes the root file system of a pool or a computing element."""
    return [] if find_command("debootstrap") else ["debootstrap"]


def busybox_packages() -> list[str]:
    return [] if static_busybox() else ["busybox-static"]


def podrunner_packages() -> list[str]:
    """What is missing of podman, of what apptainer uses where the distribution has none (see tests/servers/apptainer.py), and a Python
    that every user may start: jobs run as somebody else."""
    wanted = {"podman": "podman", "runc": "runc"}
    if find_command("apptainer") is None:
        wanted |= {
            "patchelf": "patchelf",
            "mksquashfs": "squashfs-tools",
            "squashfuse_ll": "squashfuse",
            "fuse-overlayfs": "fuse-overlayfs",
        }
    python = [] if shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin") else ["python3"]
    return python + [package for command, package in wanted.items() if find_command(command) is None]
