"""Root file systems with a server in them, made by debootstrap from Debian's packages; no image registry is asked.

Each is kept as one tar file, named by what it was made from, so that it is made once per machine (about half a minute, in memory).
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.servers.docker_engine import DockerEngine, find, mount_memory, unmount

INSTALL = r"""
set -eu
printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
chmod 755 /usr/sbin/policy-rc.d
apt-get install -y -qq --no-install-recommends "$@"
apt-get clean
rm -rf /var/lib/apt/lists/*
"""
BUSYBOX_IMAGE = r"""mkdir -p /images/busybox
cd /images/busybox
mkdir bin dev etc proc root sys tmp var
cp /bin/busybox bin/busybox
for applet in $(/bin/busybox --list); do [ "$applet" = busybox ] || ln -s busybox "bin/$applet"; done
chmod 1777 tmp
echo root:x:0:0:root:/root:/bin/sh > etc/passwd
echo root:x:0: > etc/group
"""
"""/images/busybox is the container image of the tests, as a directory that apptainer runs."""


@dataclass(frozen=True)
class DebianRoot:
    """What one is made of. `prepare`: a shell text that is run inside, with the packages as its arguments."""

    name: str
    suite: str
    packages: tuple[str, ...]
    prepare: str

    @property
    def key(self) -> str:
        made_from = "\n".join((self.suite, *self.packages, self.prepare))
        return hashlib.sha256(made_from.encode()).hexdigest()[:12]

    @property
    def tag(self) -> str:
        return f"{self.name}-test:{self.suite}-{self.key}"

    def archive(self) -> Path:
        """The tar file, made if it is not there."""
        directory = cache_directory()
        directory.mkdir(parents=True, exist_ok=True)
        archive = directory / f"{self.name}-{self.suite}-{self.key}.tar"
        with (directory / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not archive.exists():
                _make(self, archive)
        return archive

    def load(self, engine: DockerEngine) -> str:
        """As an image of the engine: its tag."""
        with engine.client() as client:
            if not client.images(self.tag, quiet=True):
                repository, _, tag = self.tag.partition(":")
                client.import_image_from_file(str(self.archive()), repository=repository, tag=tag)
        return self.tag


def unavailable() -> str:
    """ "" or why no root file system can be made here."""
    missing = [program for program in ("debootstrap", "unshare") if not find(program)]
    return f"{' and '.join(missing)} is not installed" if missing else ""


def cache_directory() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interlink-plugins-tests"


def _make(made_of: DebianRoot, archive: Path) -> None:
    root = Path(tempfile.mkdtemp(prefix="interlink-root-"))
    try:
        mount_memory(root)
        # Mount namespaces of their own: a /proc mounted below `root` must never be there when `root` is removed, however a command ended.
        _run("unshare", "--mount", "debootstrap", "--variant=minbase", made_of.suite, str(root))
        for name in ("hosts", "resolv.conf"):
            shutil.copy(f"/etc/{name}", root / "etc" / name)
        chroot = ["--mount", "--pid", "--fork", f"--mount-proc={root}/proc", "chroot", str(root)]
        _run("unshare", *chroot, "sh", "-c", made_of.prepare, "prepare", *made_of.packages)
        writing = archive.with_suffix(".new")
        _run("tar", "-C", str(root), "--exclude=./dev/*", "--exclude=./proc/*", "-cf", str(writing), ".")
        writing.replace(archive)
    finally:
        unmount(root)
        shutil.rmtree(root, ignore_errors=True)


def _run(program: str, *arguments: str) -> None:
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    done = subprocess.run([find(program) or program, *arguments], env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{program} failed:\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}")
