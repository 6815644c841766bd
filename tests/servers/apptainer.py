"""apptainer for tests: the machine's own, else that of Debian's newest release, made to run on an older one in a folder of its own.

The folder holds the packages' files; programs are told to use the libraries that come with them. It is named by what is in it, so it is
made once and never wrong.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from tests.servers.docker_engine import busybox_archive, find

CACHE = Path("/var/tmp/interlink-tests")
RELEASE = "sid"
PACKAGES = ("apptainer", "libc6", "libseccomp2", "libsqlite3-0")
TOOLS = ("patchelf", "mksquashfs", "squashfuse_ll", "fuse-overlayfs", "dpkg-deb")
FUSE = Path("/dev/fuse")


def program() -> Path | None:
    """The machine's apptainer, or the one made before."""
    own = find("apptainer")
    if own:
        return Path(own)
    made = sorted(CACHE.glob("apptainer-*/usr/bin/apptainer"), key=lambda path: path.stat().st_mtime)
    return made[-1] if made else None


def unavailable() -> str:
    """ "" or why apptainer can't be used here. Everybody may use /dev/fuse, as on any machine with udev; in bare ones root sees to it."""
    if program() is None:
        return "apptainer is not installed, and `make test` could not fetch it"
    if not FUSE.exists():
        return "this machine has no /dev/fuse"
    if not FUSE.stat().st_mode & 0o006:
        if os.geteuid() != 0:
            return "/dev/fuse is not for everybody"
        FUSE.chmod(0o666)
    return ""


def fetch() -> None:
    """Makes it of Debian's packages. Raises CalledProcessError. Needs root for nothing but the cache's place."""
    for tool in TOOLS:
        if find(tool) is None:
            raise RuntimeError(f"{tool} is not installed")
    with tempfile.TemporaryDirectory(prefix="interlink-apptainer-") as folder:
        packages = _download(Path(folder))
        digest = hashlib.sha256(b"".join(hashlib.sha256(package.read_bytes()).digest() for package in packages)).hexdigest()[:16]
        place = CACHE / f"apptainer-{digest}"
        if place.exists():
            os.utime(place / "usr/bin/apptainer")
            return
        CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
        new = CACHE / f".new-{os.getpid()}"
        shutil.rmtree(new, ignore_errors=True)
        for package in packages:
            _run("dpkg-deb", "--extract", str(package), str(new))
        _settle(new, place)
        new.replace(place)


def _download(folder: Path) -> list[Path]:
    """apt verifies what it gets; its lists of the other release are kept apart from the machine's."""
    mirror = _run("apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages").split()[0]
    source = folder / "sources.list"
    source.write_text(f"deb {mirror} {RELEASE} main\n")
    for directory in ("lists/partial", "archives/partial"):
        (folder / directory).mkdir(parents=True)
    options = [
        f"Dir::Etc::SourceList={source}", "Dir::Etc::SourceParts=/dev/null", f"Dir::State::Lists={folder}/lists", f"Dir::Cache={folder}",
        "APT::Sandbox::User=root", "Acquire::Languages=none",
    ]  # fmt: skip
    apt = ["apt-get", "-qq", *(word for option in options for word in ("-o", option))]
    _run(*apt, "update")
    _run(*apt, "download", *PACKAGES, cwd=folder)
    return sorted(folder.glob("*.deb"))


def _settle(root: Path, place: Path) -> None:
    """Tells the programs where they will be: their libraries, and the paths that apptainer makes up from its own."""
    libraries = next(root.glob("usr/lib/*/libc.so.6")).parent.relative_to(root)
    loader = next((root / libraries).glob("ld-linux*.so.*")).relative_to(root)
    for binary in ("usr/bin/apptainer", f"{libraries}/apptainer/bin/starter"):
        options = ("--set-interpreter", str(place / loader), "--force-rpath", "--set-rpath", str(place / libraries))
        _run("patchelf", *options, str(root / binary))
    (root / "usr/etc").symlink_to("../etc")
    (root / "usr/lib/etc").symlink_to("../../etc")
    for prefix in ("usr", "usr/lib"):
        (root / prefix / "var/lib/apptainer/mnt/session").mkdir(parents=True)


def build_image(file: Path, *, root: Path | None = None, directory: bool = False) -> Path:
    """A .sif of busybox, or of the root directory that is given; `directory`: unpacked."""
    with _environment() as environment, tempfile.TemporaryDirectory(prefix="interlink-rootfs-") as folder:
        source = root or extract_busybox(Path(folder) / "root")
        options = ["--sandbox"] if directory else []
        _run(str(program()), "--silent", "build", "--force", *options, str(file), str(source), env=environment)
    file.chmod(0o755 if directory else 0o644)
    return file


def push(file: Path, target: str) -> None:
    """Puts a .sif into a registry without TLS."""
    with _environment() as environment:
        _run(str(program()), "--silent", "push", "--no-https", str(file), target, env=environment)


def extract_busybox(place: Path) -> Path:
    """A root directory of busybox."""
    place.mkdir(parents=True)
    with tarfile.open(fileobj=BytesIO(busybox_archive())) as archive:
        archive.extractall(place, filter="fully_trusted")
    for name in ("dev", "proc", "sys", "var/tmp", "etc"):
        (place / name).mkdir(parents=True, exist_ok=True)
    for name in ("hosts", "resolv.conf", "localtime"):
        (place / "etc" / name).touch()
    return place


@contextmanager
def _environment() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(prefix="interlink-apptainer-") as folder:
        yield {**os.environ, "APPTAINER_CONFIGDIR": folder, "APPTAINER_CACHEDIR": folder, "APPTAINER_TMPDIR": folder}


def _run(name: str, *arguments: str, cwd: Path | None = None, env: dict[str, str] | None = None) -> str:
    done = subprocess.run([find(name) or name, *arguments], cwd=cwd, env=env, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name} failed: {done.stderr.strip()[-2000:]}")
    return done.stdout
