"""A private image registry on loopback for tests of pulls, with or without a login. Needs docker-registry."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from tests.servers.docker_engine import BUSYBOX_IMAGE, DockerEngine

USERNAME, PASSWORD = "user", "secret"
HTPASSWD = "user:$2b$04$.hb1XkWe/DyY4T6S9H2Dd.zEsOWV9KhfvH1Ijy6d1PAsruIleX1R6"
"""bcrypt of the above, the only form that docker-registry reads."""
SECONDS_TO_START = 30


def unavailable() -> str:
    return "" if shutil.which("docker-registry") else "docker-registry is not installed"


class DockerRegistry:
    """`server` is its host:port. `login`: nothing can be pulled without USERNAME and PASSWORD."""

    def __init__(self, *, login: bool = False) -> None:
        self._root = Path(tempfile.mkdtemp(prefix="interlink-registry-"))
        self._login = login
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.server = f"127.0.0.1:{free.getsockname()[1]}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        lines = [
            "version: 0.1",
            f"storage: {{filesystem: {{rootdirectory: {self._root}/data}}}}",
            f"http: {{addr: '{self.server}'}}",
            "log: {level: error}",
        ]
        if self._login:
            (self._root / "htpasswd").write_text(HTPASSWD + "\n")
            lines.append(f"auth: {{htpasswd: {{realm: test, path: {self._root}/htpasswd}}}}")
        (self._root / "config.yml").write_text("\n".join(lines))
        with (self._root / "log").open("wb") as log:
            self._process = subprocess.Popen(["docker-registry", "serve", self._root / "config.yml"], stdout=log, stderr=log)
        host, port = self.server.split(":")
        deadline = time.monotonic() + SECONDS_TO_START
        while True:
            with socket.socket() as probe:
                if probe.connect_ex((host, int(port))) == 0:
                    return
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"docker-registry did not start: {(self._root / 'log').read_text()[-2000:]}")
            time.sleep(0.1)

    def push(self, engine: DockerEngine, name: str) -> str:
        """Puts busybox there under that name and forgets it on the engine; returns the image's name."""
        image = f"{self.server}/{name}"
        login = {"username": USERNAME, "password": PASSWORD}
        with engine.client() as client:
            client.tag(BUSYBOX_IMAGE, image, "1")
            told = client.push(image, "1", auth_config=login)
            if "error" in told:
                raise RuntimeError(told)
            client.remove_image(f"{image}:1")
        return f"{image}:1"

    def remove(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)
        shutil.rmtree(self._root, ignore_errors=True)
