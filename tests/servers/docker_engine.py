"""A private Docker engine for tests: its own data, socket and bridge, images made offline from busybox-static, and nothing left behind.

Needs root, dockerd and busybox. `unavailable()` says why not. TEST_DOCKER_BIN names a directory with another dockerd, containerd and so
on than the machine's.
"""

from __future__ import annotations

import ctypes
import fcntl
import io
import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import docker
import requests

BUSYBOX_IMAGE = "busybox:1.36"
PAUSE_IMAGE = "registry.k8s.io/pause:3.10"
SECONDS_TO_START = 60
API_VERSION = "1.41"
"""Of the oldest engine that the plugin works on."""
STARTING = Path(tempfile.gettempdir()) / "interlink-engine-starting.lock"
COUNTER = itertools.count()
NO_ANSWER = (docker.errors.DockerException, requests.RequestException)

PAUSE_SOURCE = r"""
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
static void end(int number) { _exit(0); }
static void reap(int number) { while (waitpid(-1, 0, WNOHANG) > 0) {} }
int main(void) { signal(SIGTERM, end); signal(SIGINT, end); signal(SIGCHLD, reap); for (;;) pause(); }
"""
PAUSE_SCRIPT = "trap 'exit 0' TERM INT; while :; do sleep 3600 & wait $!; done"


def unavailable() -> str:
    """ "" or why no engine can be started here."""
    if os.geteuid() != 0:
        return "a private dockerd needs root"
    for program in ("dockerd", "busybox", "ip"):
        if not find(program):
            return f"{program} is not installed"
    return ""


def search_path() -> str:
    return ":".join(filter(None, [os.environ.get("TEST_DOCKER_BIN"), os.environ.get("PATH"), "/usr/sbin:/sbin:/bin"]))


def find(program: str) -> str | None:
    return shutil.which(program, path=search_path())


def lacks_capabilities() -> bool:
    """A container host may itself be confined: then root can't give a container all that root usually has."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines())
    every = 2 ** (int(Path("/proc/sys/kernel/cap_last_cap").read_text()) + 1) - 1
    return int(status["CapEff"], 16) != int(every)


class DockerEngine:
    """One dockerd. `live_restore`: its containers outlive it. `in_memory`: so is all it has, for no disk need take in or delete thousands
    of files of an image that is used once."""

    def __init__(self, *, live_restore: bool = False, in_memory: bool = False) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="interlink-engine-"))
        if in_memory:
            mount_memory(self.root)
        self.socket = self.root / "docker.sock"
        self.url = f"unix://{self.socket}"
        self._live_restore = live_restore
        self.bridge = f"ilt{os.getpid()}x{next(COUNTER)}"
        self._process: subprocess.Popen[bytes] | None = None
        self._log = self.root / "dockerd.log"

    def start(self) -> None:
        """Starts dockerd and waits until it answers. One at a time: two that set up the same iptables chains at once both fail."""
        with STARTING.open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self._start()

    def _start(self) -> None:
        if not Path(f"/sys/class/net/{self.bridge}").exists():
            run("ip", "link", "add", self.bridge, "type", "bridge")
            run("ip", "addr", "add", free_subnet(), "dev", self.bridge)
            run("ip", "link", "set", self.bridge, "up")
        command = [
            find("dockerd") or "dockerd", f"--data-root={self.root}/data", f"--exec-root={self.root}/exec", f"--pidfile={self.root}/pid",
            f"--host={self.url}", f"--bridge={self.bridge}", f"--config-file={self.root}/no-config.json",
            f"--live-restore={str(self._live_restore).lower()}", "--shutdown-timeout=2",
        ]  # fmt: skip
        (self.root / "no-config.json").write_text("{}")
        with self._log.open("ab") as log:
            environment = {**os.environ, "PATH": search_path()}
            self._process = subprocess.Popen(
                command, env=environment, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
            )
        deadline = time.monotonic() + SECONDS_TO_START
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"dockerd did not start:\n{self._log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.1)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            if probe.connect_ex(str(self.socket)) != 0:  # the SDK would leak its socket here, and tests treat that as an error
                return False
        try:
            with self.client() as client:
                client.ping()
        except NO_ANSWER:
            return False
        return True

    @contextmanager
    def client(self) -> Iterator[docker.APIClient]:
        """The SDK's plain client, for looking at the engine from outside."""
        client = docker.APIClient(base_url=self.url, version=API_VERSION, timeout=60)
        try:
            yield client
        finally:
            client.close()

    def stop(self) -> None:
        """Ends dockerd in order, as `systemctl stop docker` does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends dockerd at once, and the containerd it started."""
        self._end(signal.SIGKILL)
        self._kill_containerd()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """dockerd keeps its sockets and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def _end(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(number)
        self._process.wait(timeout=60)
        self._process = None
        with suppress(FileNotFoundError):
            (self.root / "pid").unlink()

    def _kill_containerd(self) -> None:
        pid_file = self.root / "exec/containerd/containerd.pid"
        with suppress(FileNotFoundError, ValueError, ProcessLookupError):
            os.kill(int(pid_file.read_text()), signal.SIGKILL)
            pid_file.unlink()  # while it is a zombie, the next dockerd would take it for alive

    def restart(self) -> None:
        self.stop()
        self.start()

    def install_images(self) -> None:
        """busybox and pause, with the names that pods and settings use."""
        with self.client() as client:
            image = busybox_archive()
            client.import_image_from_data(image, repository="busybox", tag="1.36", changes=["ENV PATH=/bin", 'CMD ["sh"]'])
            pause = pause_program()
            if pause is None:
                client.tag(BUSYBOX_IMAGE, "registry.k8s.io/pause", "base", force=True)
                changes = ["ENV PATH=/bin", f'ENTRYPOINT ["sh", "-c", "{PAUSE_SCRIPT}"]']
                client.import_image_from_data(image, repository="registry.k8s.io/pause", tag="3.10", changes=changes)
            else:
                archive = tar_of({"pause": (pause, 0o755)})
                client.import_image_from_data(archive, repository="registry.k8s.io/pause", tag="3.10", changes=['ENTRYPOINT ["/pause"]'])

    def remove_containers(self) -> None:
        with self.client() as client:
            for container in client.containers(all=True):
                with suppress(docker.errors.APIError):
                    client.remove_container(container["Id"], v=True, force=True)

    def remove(self) -> None:
        """Removes every container, ends the engine, and its files, mounts and bridge."""
        with suppress(*NO_ANSWER):
            self.remove_containers()
        self.stop()
        self._kill_containerd()
        unmount(self.root)
        shutil.rmtree(self.root, ignore_errors=True)
        subprocess.run([find("ip") or "ip", "link", "del", self.bridge], check=False, capture_output=True)


def free_subnet() -> str:
    """An address in a /24 that no interface of this machine has."""
    taken = subprocess.run([find("ip") or "ip", "-4", "-oneline", "addr"], check=True, capture_output=True, text=True).stdout
    free = [f"10.{second}.{third}." for second in range(200, 250) for third in range(250) if f" 10.{second}.{third}." not in taken]
    return f"{random.choice(free)}1/24"


def run(program: str, *arguments: str) -> None:
    subprocess.run([find(program) or program, *arguments], check=True, capture_output=True)


def tar_of(files: dict[str, tuple[bytes, int]]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, (data, mode) in files.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(data), mode
            archive.addfile(entry, io.BytesIO(data))
    return buffer.getvalue()


def busybox_archive(*more: str) -> bytes:
    """A root file system of busybox and links to it; `more` are programs of this machine that go in with their libraries."""
    program = Path(find("busybox") or "/bin/busybox")
    applets = subprocess.run([program, "--list"], check=True, capture_output=True, text=True).stdout.split()
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for directory, mode in (("bin", 0o755), ("etc", 0o755), ("tmp", 0o1777), ("root", 0o700)):
            entry = tarfile.TarInfo(directory)
            entry.type, entry.mode = tarfile.DIRTYPE, mode
            archive.addfile(entry)
        archive.add(program.resolve(), "bin/busybox")
        for target, source in {target: source for name in more for target, source in program_files(name)}.items():
            archive.add(source, target)
        for applet in applets:
            if applet not in ("busybox", *more):
                entry = tarfile.TarInfo(f"bin/{applet}")
                entry.type, entry.linkname = tarfile.SYMTYPE, "busybox"
                archive.addfile(entry)
        for name, text in (("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n"), ("etc/group", "root:x:0:\n")):
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return buffer.getvalue()


def program_files(name: str) -> list[tuple[str, Path]]:
    """(path in an image, file here) of a program and of every library that ldd(1) names."""
    program = Path(find(name) or f"/usr/bin/{name}").resolve()
    linked = subprocess.run(["ldd", program], check=True, capture_output=True, text=True).stdout
    libraries = [word for word in linked.split() if word.startswith("/")]
    return [(f"bin/{name}", program), *((library.lstrip("/"), Path(library).resolve()) for library in libraries)]


def pause_program() -> bytes | None:
    """A static program if there is a C compiler; None: the sandbox runs a shell."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as directory:
        source, program = Path(directory) / "pause.c", Path(directory) / "pause"
        source.write_text(PAUSE_SOURCE)
        done = subprocess.run([compiler, "-static", "-Os", "-o", program, source], check=False, capture_output=True)
        return program.read_bytes() if done.returncode == 0 else None


def mount_memory(directory: Path) -> None:
    run("mount", "-t", "tmpfs", "-o", "mode=755,size=50%", "interlink-tests", str(directory))


def unmount(directory: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    points = [line.split(" ")[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for point in sorted((p for p in points if Path(p).is_relative_to(directory)), key=len, reverse=True):
        libc.umount2(point.encode(), 2)
