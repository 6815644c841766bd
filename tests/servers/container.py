"""A batch system's server in one container of a private Docker engine, whose jobs run inside of it, in apptainer where it is there."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tests.servers import debian_root, docker_engine
from tests.servers.debian_root import DebianRoot
from tests.servers.docker_engine import NO_ANSWER, DockerEngine

SECONDS_TO_START = 60


def unavailable() -> str:
    """ "" or why no such server can be started here."""
    return docker_engine.unavailable() or debian_root.unavailable()


class ServerContainer:
    """`root`: a directory of its own, which others may enter. `address`: its IP address, once it runs."""

    def __init__(self, engine: DockerEngine, release: DebianRoot) -> None:
        self._engine, self._release = engine, release
        self.root = Path(tempfile.mkdtemp(prefix=f"interlink-{release.name}-"))
        self.root.chmod(0o755)
        self.address = self._container = ""
        self._user, self._environment = "root", dict[str, str]()

    def _run_container(
        self,
        command: Sequence[str],
        *,
        hostname: str,
        binds: Sequence[str],
        no_overlay: Sequence[str],
        tmpfs: Mapping[str, str] | None = None,
    ) -> None:
        """`no_overlay`: what becomes a volume, because apptainer's overlay does not lie on that of the container's own files."""
        image = self._release.load(self._engine)
        with self._engine.client() as client:
            host = client.create_host_config(
                binds=list(binds),
                security_opt=["seccomp=unconfined"],
                devices=["/dev/fuse:/dev/fuse:rwm"] if Path("/dev/fuse").exists() else [],
                tmpfs=dict(tmpfs or {}),
            )
            # With the above, what apptainer needs inside of a container that is not privileged: /proc as it is.
            host |= {"MaskedPaths": [], "ReadonlyPaths": []}
            self._container = client.create_container(
                image, list(command), hostname=hostname, host_config=host, environment=self._environment, volumes=list(no_overlay)
            )["Id"]
            client.start(self._container)
            self.address = client.inspect_container(self._container)["NetworkSettings"]["IPAddress"]

    def _wait_until(self, up: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SECONDS_TO_START
        while not up():
            if time.monotonic() > deadline or not self._runs():
                raise RuntimeError(f"the {self._release.name} server did not start:\n{self.logs()}")
            time.sleep(0.1)

    def _runs(self) -> bool:
        with self._engine.client() as client:
            return bool(client.inspect_container(self._container)["State"]["Running"])

    def logs(self) -> str:
        with self._engine.client() as client:
            return str(client.logs(self._container, tail=50).decode(errors="replace"))

    def run(self, command: str, *, check: bool = True) -> str:
        """What a shell command says, run inside as who owns the server. Raises RuntimeError if it fails."""
        with self._engine.client() as client:
            made = client.exec_create(self._container, ["sh", "-c", command], environment=self._environment, user=self._user)
            said = client.exec_start(made["Id"]).decode(errors="replace")
            code = client.exec_inspect(made["Id"])["ExitCode"]
        if check and code != 0:
            raise RuntimeError(f"{command} ended with {code}: {said}")
        return str(said)

    def pause(self) -> None:
        """Nothing answers, connections hang: as a network that is cut."""
        with self._engine.client() as client:
            client.pause(self._container)

    def unpause(self) -> None:
        with self._engine.client() as client:
            client.unpause(self._container)

    def remove(self) -> None:
        """Ends it and removes what it kept."""
        if self._container:
            with suppress(*NO_ANSWER), self._engine.client() as client:
                client.remove_container(self._container, v=True, force=True)
        shutil.rmtree(self.root, ignore_errors=True)
