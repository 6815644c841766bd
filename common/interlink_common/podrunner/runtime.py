"""The agent's runtime on a worker node, for the one pod of a job: it performs the agent's actions; it decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal as signals
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Optional

from interlink_common.agent.runtime import AttemptStatus, ExecResult, StartError
from interlink_common.model.workload import Container, Workload
from interlink_common.podrunner import hostfiles, processes
from interlink_common.podrunner.attempt import Attempt
from interlink_common.podrunner.cgroups import Cgroups
from interlink_common.podrunner.config import PROCESS, RunnerConfig
from interlink_common.podrunner.container_runtime import Bind, ContainerRuntime, Launch, run_program
from interlink_common.podrunner.devices import device_environment
from interlink_common.podrunner.images import resolve
from interlink_common.podrunner.logs import PodLog
from interlink_common.podrunner.network import Tunnels
from interlink_common.podrunner.volumes import Volumes, remove_tree

log = logging.getLogger(__name__)

EXEC_OUTPUT_BYTES = 10 * 1024
"""What the kubelet keeps of a probe's output (pkg/probe/exec, maxReadLength)."""
LOCALHOST = "127.0.0.1"
NOT_RUNNING = 126


class WorkerRuntime:
    """`agent.runtime.Runtime`. `on_event` is called when a container has ended. `directory` is the job's."""

    def __init__(
        self,
        workload: Workload,
        config: RunnerConfig,
        directory: Path,
        *,
        container_runtime: ContainerRuntime,
        log: PodLog,
        on_event: Callable[[], None],
    ) -> None:
        self._config = config
        self._directory = directory
        self._container_runtime = container_runtime
        self._log = log
        self._on_event = on_event
        self._volumes = Volumes(workload, config, directory)
        self._tunnels = Tunnels(workload.network, directory, allowed=config.allow_mesh)
        self._cgroups = Cgroups()
        self._images: dict[str, str] = {}
        self._attempts: dict[tuple[str, int], Attempt] = {}
        self._pumps: set[asyncio.Task[None]] = set()
        self.end_is_known = asyncio.Event()
        """Set it when the pod's last report is read: the agent forgets a pod as soon as it is removed."""

    async def prepare(self, workload: Workload) -> None:  # noqa: ARG002  there is one
        await self._volumes.prepare()
        await self._tunnels.start()

    async def ensure_image(self, workload: Workload, container: Container) -> None:
        if self._container_runtime.name != PROCESS:
            image = resolve(container.image, self._config)
            self._images[container.name] = await self._container_runtime.pull(image, container, workload.registry_credentials)

    async def pull_progress(self, workload: Workload, container: Container) -> str:  # noqa: ARG002
        return f"pulling {container.image}"

    async def start(self, workload: Workload, container: Container, attempt: int, backoff_seconds: float) -> None:
        key = (container.name, attempt)
        if key in self._attempts:
            return
        denied = security_objection(container, self._config, os.geteuid())
        if denied:
            raise StartError("CreateContainerConfigError", denied)
        launch, message_file = self._launch(workload, container, attempt)
        program = await self._container_runtime.program(launch)
        status = AttemptStatus(
            container.name,
            attempt,
            "created",
            f"{self._container_runtime.name}://{launch.name}",
            launch.image,
            backoff_seconds=backoff_seconds,
        )
        started = Attempt(launch, self._container_runtime, status, message_file, self._cgroups)
        await started.start(program, self._log, self._on_event)
        self._attempts[key] = started
        self._pumps.update(started.pumps)

    def _launch(self, workload: Workload, container: Container, attempt: int) -> tuple[Launch, Path]:
        name = f"{container.name}-{attempt}"
        directory = self._directory / "attempts" / name
        if directory.exists():
            remove_tree(directory)
        directory.mkdir(parents=True)
        message_file = directory / "termination-log"
        message_file.touch(0o666)
        message_file.chmod(0o666)
        message_target = "/" + container.termination_message_path.lstrip("/")
        binds = (*self._volumes.binds(container), Bind(str(message_file), message_target, needed=False))
        hostname = (workload.hostname or workload.name)[:63].rstrip("-.")
        binds += hostfiles.binds(workload, hostname, directory, taken={bind.target for bind in binds})
        node = {name: os.environ[name] for name in self._config.node_environment if name in os.environ}
        environment = {"HOSTNAME": hostname, **node, **device_environment(workload, container, os.environ), **container.env}
        uid = f"{workload.uid}-{name}"
        return Launch(uid, container, self._images.get(container.name, ""), environment, binds, directory, hostname), message_file

    async def kill(self, workload: Workload, container: str, attempt: int, signal: str) -> None:
        found = self._attempts.get((container, attempt))
        if found is None or found.ended.is_set():
            return
        if signal == "TERM":
            await found.signal(stop_signal(workload.container(container)))
        else:
            await found.kill()

    async def execute(self, workload: Workload, container: str, attempt: int, command: Sequence[str], timeout_seconds: float) -> ExecResult:  # noqa: ARG002
        return await asyncio.wait_for(self._execute(container, attempt, command), timeout_seconds)

    async def _execute(self, container: str, attempt: int, command: Sequence[str]) -> ExecResult:
        found = self._attempts.get((container, attempt))
        first = await found.first_process() if found is not None else None
        if found is None or first is None:
            return ExecResult(NOT_RUNNING, "the container is not running")
        try:
            done = await run_program(self._container_runtime.exec_program(found.launch, first, command), keep_bytes=EXEC_OUTPUT_BYTES)
        except OSError as error:
            return ExecResult(NOT_RUNNING, f"the command could not be started: {error.strerror}")
        return ExecResult(done.exit_code, (done.output + done.errors).decode(errors="replace"))

    async def address(self, workload: Workload) -> str:  # noqa: ARG002
        return LOCALHOST

    async def attempts(self, workload: Workload) -> tuple[AttemptStatus, ...]:  # noqa: ARG002
        processes.reap()
        return tuple(attempt.status for _, attempt in sorted(self._attempts.items()))

    async def prune(self, workload: Workload, container: str, before_attempt: int) -> None:  # noqa: ARG002
        for name, attempt in [key for key in self._attempts if key[0] == container and key[1] < before_attempt]:
            await self._remove(self._attempts.pop((name, attempt)))

    async def storage_excess(self, workload: Workload) -> str:  # noqa: ARG002
        return await asyncio.get_running_loop().run_in_executor(None, self._volumes.excess)

    async def remove(self, workload: Workload) -> None:  # noqa: ARG002
        """Also what the pod's processes started and left behind, and everything on disk but the stream.

        What can't be removed from the disk is left to the batch system, which empties the job's directory after its end.
        """
        await self.end_is_known.wait()
        await self._tunnels.stop()
        for key in list(self._attempts):
            await self._remove(self._attempts.pop(key))
        processes.kill_adopted()
        try:
            self._volumes.remove()
            for name in ("attempts", "runtime", "images"):
                if (self._directory / name).exists():
                    remove_tree(self._directory / name)
        except OSError as error:
            log.warning("files of the pod stay in %s: %s", self._directory, error.strerror)

    async def drain(self) -> None:
        """Returns when every line that the containers wrote is in the stream. After `remove`."""
        if self._pumps:
            await asyncio.wait(self._pumps)

    async def _remove(self, attempt: Attempt) -> None:
        await attempt.remove()
        with contextlib.suppress(OSError):
            remove_tree(attempt.launch.directory)


def stop_signal(container: Container) -> int:
    """lifecycle.stopSignal, else SIGTERM."""
    found: Optional[int] = getattr(signals, container.stop_signal, None) if container.stop_signal.startswith("SIG") else None
    return found or signals.SIGTERM


def security_objection(container: Container, config: RunnerConfig, job_user: int) -> str:
    """ "" or why the container may not start as it asks: on a worker node everything runs as the job's user, `job_user`."""
    security = container.security
    if security.privileged and not config.allow_privileged:
        return f"container {container.name} requests privileged, which this site does not allow"
    if security.run_as_user not in (None, job_user) and not config.allow_run_as:
        return f"container {container.name} requests the user {security.run_as_user}; on this site it is the job's, {job_user}"
    if security.run_as_non_root and job_user == 0 and not (security.run_as_user and config.allow_run_as):
        return f"container {container.name} must not run as root, as this job does"
    return ""
