"""podman: containers by its command line, attached, so that output, signals and exit codes are ours."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from interlink_common.agent.runtime import StartError
from interlink_common.model.images import DOCKER
from interlink_common.model.workload import Container, RegistryCredential, Security
from interlink_common.podrunner import processes
from interlink_common.podrunner.config import PODMAN, RunnerConfig
from interlink_common.podrunner.container_runtime import CompletedProgram, Launch, Program, StartFailure, run_in_thread, run_program
from interlink_common.podrunner.images import INVALID, Image, attempts, cache_directory
from interlink_common.podrunner.processes import node_environment

CHECK_SECONDS = 60.0
PID_FILE = "pid"
RUNTIMES = ("", "runc", "crun", "youki")
PODMAN_FAILED, CANNOT_EXECUTE, NOT_FOUND = 125, 126, 127


class Podman:
    """`ContainerRuntime`. Images and containers are in podman's own storage, or below the cache directory if one is set."""

    name = PODMAN
    enforces_limits = True

    def __init__(self, program: str, config: RunnerConfig, directory: Path) -> None:
        self._config = config
        self._directory = directory
        self._program = program

    async def objection(self) -> str:
        try:
            done = await self._run("info", "--format", "{{.Host.OCIRuntime.Name}}", timeout_seconds=CHECK_SECONDS)
        except (OSError, asyncio.TimeoutError) as error:
            return str(error) or "it does not answer"
        return "" if done.exit_code == 0 else done.last_line

    async def pull(self, image: Image, container: Container, credentials: Sequence[RegistryCredential]) -> str:
        if image.is_local:
            if not await run_in_thread(Path(image.source).is_dir):
                raise StartError("ErrImagePull", f"podman runs images from registries and directories, and {image.source} is no directory")
            return image.source
        if not image.source.startswith(DOCKER):
            raise StartError(INVALID, f"podman cannot run {image.source}: it knows images of docker registries only")
        name = image.source[len(DOCKER) :]
        policy = container.image_pull_policy
        if policy != "Always" and (await self._run("image", "exists", name, timeout_seconds=CHECK_SECONDS)).exit_code == 0:
            return name
        if policy == "Never":
            raise StartError("ErrImageNeverPull", f"image {name} is not on this node and imagePullPolicy is Never")
        words = ""
        for credential in attempts(image, credentials):
            words = await self._pull(image, name, credential)
            if not words:
                return name
        raise StartError("ErrImagePull", words)

    async def _pull(self, image: Image, name: str, credential: Optional[RegistryCredential]) -> str:
        """ "" or what podman says. Raises StartError where no other login helps."""
        options = ["--tls-verify=false"] if image.is_insecure(self._config) else []
        seconds = self._config.pull_timeout_seconds
        file = self._directory / "runtime" / "auth.json"
        try:
            if credential is not None:
                file.parent.mkdir(exist_ok=True)
                login = ("login", "--username", credential.username, "--password-stdin", "--authfile", str(file), *options, image.registry)
                done = await self._run(*login, stdin=credential.password.encode(), timeout_seconds=CHECK_SECONDS)
                if done.exit_code != 0:
                    return f"the login at {image.registry} failed: {done.last_line}"
                options += ["--authfile", str(file)]
            done = await self._run("pull", "--quiet", *options, name, timeout_seconds=seconds)
        except asyncio.TimeoutError:
            raise StartError("ErrImagePull", f"image {name} could not be pulled in {seconds:g} s") from None
        finally:
            if file.exists():
                file.unlink()
        return "" if done.exit_code == 0 else done.last_line

    async def program(self, launch: Launch) -> Program:
        """Variables come in a file, so that they are in no list of processes; a file can hold no newlines, podman's secrets can."""
        container = launch.container
        await self.remove_container(launch)
        options = ["--name", launch.name, "--network", "host", "--log-driver", "none", "--pull", "never", "--http-proxy=false"]
        options += ["--pidfile", str(launch.directory / PID_FILE)]
        options += ["--hostname", launch.hostname] if launch.hostname else []
        options += ["--workdir", container.working_dir] if container.working_dir else []
        options += ["--read-only"] if container.security.read_only_root_filesystem else []
        options += user_option(container.security)
        if container.limits.memory_bytes:
            options += [f"--memory={container.limits.memory_bytes}", f"--memory-swap={container.limits.memory_bytes}"]
        if container.limits.cpu_millis:
            options += [f"--cpus={container.limits.cpu_millis / 1000:g}"]
        options += await self._variables(launch)
        for bind in launch.binds:
            if "," in bind.source + bind.target:
                raise StartError("CreateContainerConfigError", f"podman cannot mount a path that holds a comma: {bind.target[:200]}")
            options += ["--mount", f"type=bind,src={bind.source},dst={bind.target}{',ro=true' if bind.read_only else ''}"]
        options += self._config.options.get(PODMAN, ())
        command: tuple[str, ...] = container.args or ()
        if container.command:
            options += ["--entrypoint", container.command[0]]
            command = container.command[1:] + command
        image: tuple[str, ...] = (launch.image,)
        if launch.image.startswith("/"):
            link = launch.directory / "rootfs"  # for podman, a colon in the path would begin an option
            link.symlink_to(launch.image)
            image = ("--rootfs", f"{link}:O")
        return Program((*self._base, "run", *options, *image, *command), node_environment(), directory=str(launch.directory))

    async def _variables(self, launch: Launch) -> list[str]:
        file = launch.directory / "environment"
        lines = [f"{name}={value}\n" for name, value in launch.environment.items() if "\n" not in value]
        file.touch(0o600)
        file.write_bytes("".join(lines).encode("utf-8", "surrogateescape"))
        options = ["--env-file", str(file)]
        for secret, name in _secrets(launch).items():
            value = launch.environment[name].encode("utf-8", "surrogateescape")
            done = await self._run("secret", "create", secret, "-", stdin=value, timeout_seconds=CHECK_SECONDS)
            if done.exit_code != 0:
                raise StartError("CreateContainerError", f"podman cannot pass the variable {name}: {done.last_line}")
            options += ["--secret", f"{secret},type=env,target={name}"]
        return options

    @property
    def _base(self) -> tuple[str, ...]:
        """Raises StartError."""
        if not self._config.image_cache:
            return (self._program,)
        return (self._program, "--root", str(cache_directory(self._config, self._directory) / "podman"))

    def first_process(self, launch: Launch, pid: int) -> Optional[int]:  # noqa: ARG002  no child of podman's
        """Before it is the container's, it is the runtime's `runc init` or `crun`."""
        try:
            found = int((launch.directory / PID_FILE).read_text())
        except (OSError, ValueError):
            return None
        return None if Path((processes.arguments(found) or ("",))[0]).name in RUNTIMES else found

    def exec_program(self, launch: Launch, first_process: int, command: Sequence[str]) -> Program:  # noqa: ARG002
        return Program((*self._base, "exec", launch.name, *command), node_environment())

    def start_failure(self, exit_code: int, stderr_end: str) -> Optional[StartFailure]:
        lines = [line for line in stderr_end.splitlines() if line.startswith("Error: ")]
        if exit_code in (PODMAN_FAILED, CANNOT_EXECUTE, NOT_FOUND) and lines:
            return StartFailure(128 if exit_code == PODMAN_FAILED else exit_code, lines[-1][len("Error: ") :])
        return None

    async def was_oom_killed(self, launch: Launch) -> bool:
        done = await self._run("inspect", "--format", "{{.State.OOMKilled}}", launch.name, timeout_seconds=CHECK_SECONDS)
        return done.output.strip() == b"true"

    async def remove_container(self, launch: Launch) -> None:
        await self._run("rm", "--force", "--time", "0", "--ignore", launch.name, timeout_seconds=CHECK_SECONDS)
        for secret in _secrets(launch):
            await self._run("secret", "rm", secret, timeout_seconds=CHECK_SECONDS)

    async def _run(self, *arguments: str, timeout_seconds: float, stdin: bytes = b"") -> CompletedProgram:
        return await run_program(Program((*self._base, *arguments), node_environment(), stdin), timeout_seconds)


def user_option(security: Security) -> list[str]:
    """runAsUser and runAsGroup; a group alone needs the image's user, which podman does not show."""
    if security.run_as_user is None:
        return []
    group = "" if security.run_as_group is None else f":{security.run_as_group}"
    return ["--user", f"{security.run_as_user}{group}"]


def _secrets(launch: Launch) -> dict[str, str]:
    """Name of the secret -> name of the variable, for each that holds a newline."""
    names = [name for name, value in launch.environment.items() if "\n" in value]
    return {f"{launch.name}-{index}": name for index, name in enumerate(names)}
