"""A batch system's server in one container of a private Docker engine, whose jobs run inside of it, in apptainer where it is there.

testcontainers starts it, waits for it and removes it. Its reaper stays off: its image can't be had where no registry is reached, and an
engine of our own ends with all that runs on it.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from docker.types import Mount
from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import BytesExecResult, DockerContainer, ExecConfig
from testcontainers.core.wait_strategies import WaitStrategy, WaitStrategyTarget

from tests.servers import debian_root, docker_engine
from tests.servers.debian_root import DebianRoot
from tests.servers.docker_engine import API_VERSION, NO_ANSWER, DockerEngine

testcontainers_config.ryuk_disabled = True
SECONDS_TO_START = 150
POLL_SECONDS = 0.1


def unavailable() -> str:
    """ "" or why no such server can be started here."""
    return docker_engine.unavailable() or debian_root.unavailable()


class Answers(WaitStrategy):
    """A strategy of testcontainers for what is asked from outside of the container; it has others for commands, ports and log lines."""

    def __init__(self, answers: Callable[[], bool]) -> None:
        super().__init__()
        self._answers = answers

    def wait_until_ready(self, container: WaitStrategyTarget) -> None:
        if not self._poll(self._answers):
            raise TimeoutError("it does not answer")


class ServerContainer(DockerContainer):
    """`root`: a directory of its own, which others may enter. `address`: its IP address, once it runs. `up` says when it is.

    A subclass sets `env` and `user`, which its commands run with, and starts the container in its `start`.
    """

    user = "root"

    def __init__(self, engine: DockerEngine, release: DebianRoot, up: WaitStrategy) -> None:
        super().__init__(release.tag, {"environment": {"DOCKER_HOST": engine.url}, "version": API_VERSION, "timeout": 60})
        self._engine, self._release = engine, release
        self._up = up.with_startup_timeout(SECONDS_TO_START).with_poll_interval(POLL_SECONDS)
        self.root = Path(tempfile.mkdtemp(prefix=f"interlink-{release.name}-"))
        self.root.chmod(0o755)
        self.address = ""

    def run_container(
        self,
        command: Sequence[str],
        *,
        hostname: str,
        binds: Mapping[Path, str],
        no_overlay: Sequence[str],
        tmpfs: Mapping[str, str] | None = None,
    ) -> None:
        """`binds`: a directory here to a path inside, `:ro` after it where nothing is written.

        `no_overlay`: what becomes a volume, because apptainer's overlay does not lie on that of the container's own files.
        """
        self._release.load(self._engine)
        for here, inside in binds.items():
            path, _, mode = inside.partition(":")
            self.with_volume_mapping(here, path, mode or "rw")
        for path, options in (tmpfs or {}).items():
            self.with_tmpfs_mount(path, options)
        self.with_command(list(command)).with_kwargs(
            hostname=hostname,
            network="bridge",
            security_opt=["seccomp=unconfined"],
            devices=["/dev/fuse:/dev/fuse:rwm"] if Path("/dev/fuse").exists() else [],
            mounts=[Mount(target=path, source=None, type="volume") for path in no_overlay],
        )
        super().start()
        self.address = self.get_docker_client().bridge_ip(self.get_container_id())

    def _configure(self) -> None:
        """With seccomp off, what apptainer needs in a container that is not privileged: /proc as it is. The SDK has no word for it."""
        api = self.get_docker_client().client.api
        create: Callable[..., Any] = api.create_container

        def create_with_open_proc(*arguments: Any, host_config: Mapping[str, Any], **others: Any) -> Any:
            return create(*arguments, host_config={**host_config, "MaskedPaths": [], "ReadonlyPaths": []}, **others)

        setattr(api, "create_container", create_with_open_proc)  # noqa: B010  an assignment of a method, which mypy forbids

    def wait_until_up(self) -> None:
        try:
            self._up.wait_until_ready(self)
        except TimeoutError as error:
            raise RuntimeError(f"the {self._release.name} server did not start: {error}\n{self.logs()}") from error

    def logs(self) -> str:
        return self.get_wrapped_container().logs(tail=50).decode(errors="replace")

    def exec(self, command: str | list[str] | ExecConfig) -> BytesExecResult:
        """As who owns the server."""
        return super().exec(command if isinstance(command, ExecConfig) else ExecConfig(command, user=self.user))

    def run(self, command: str, *, check: bool = True) -> str:
        """What a shell command says, run inside. Raises RuntimeError if it fails."""
        done = self.exec(["sh", "-c", command])
        said = done.output.decode(errors="replace")
        if check and done.exit_code != 0:
            raise RuntimeError(f"{command} ended with {done.exit_code}: {said}")
        return said

    def pause(self) -> None:
        """Nothing answers, connections hang: as a network that is cut."""
        self.get_wrapped_container().pause()

    def signal(self, name: str) -> None:
        """A signal such as SIGSTOP for the first process, which from inside could be neither stopped nor killed."""
        self.get_wrapped_container().kill(signal=name)

    def unpause(self) -> None:
        self.get_wrapped_container().unpause()

    def remove(self) -> None:
        """Ends it and removes what it kept."""
        with suppress(*NO_ANSWER):
            self.stop()
        shutil.rmtree(self.root, ignore_errors=True)
