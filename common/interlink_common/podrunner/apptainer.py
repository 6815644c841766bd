"""apptainer and singularity: images as files, containers as children of this process, without any privilege."""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Optional

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import Container, RegistryCredential
from interlink_common.podrunner import namespaces, processes
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.container_runtime import Bind, Launch, Program, StartFailure, run_in_thread, run_program
from interlink_common.podrunner.images import INVALID, Image, attempts, cache_directory
from interlink_common.podrunner.processes import node_environment, own_program

ENVIRONMENT_SCRIPT = "/.singularity.d/env/99-podrunner.sh"
"""Read by the runtime after the image's own scripts; the only way to give a container its HOME."""
LATE = "/.podrunner"
"""Where a container has what the script links into /dev."""
GPU_OPTIONS = {"nvidia.com/": "--nv", "amd.com/gpu": "--rocm"}
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
FIRST_WORDS = re.compile(r"^(?:\x1b\[[0-9;]*m)?FATAL:\s*(.*)$", re.MULTILINE)
FAILED = 255
CHECK_SECONDS = 30.0
LOCK_SECONDS = 0.2


class Apptainer:
    """`ContainerRuntime`. `program` is the path of apptainer or singularity, `directory` podrunner's own."""

    enforces_limits = False

    def __init__(self, name: str, program: str, config: RunnerConfig, directory: Path) -> None:
        self.name = name
        self._program = program
        self._config = config
        self._directory = directory
        self._prefix = name.upper()
        self._entries: dict[str, Optional[tuple[tuple[str, ...], tuple[str, ...]]]] = {}
        self._user_namespace = processes.has_user_namespaces()

    async def objection(self) -> str:
        try:
            done = await run_program(Program((self._program, "--version"), self._environment()), CHECK_SECONDS)
        except (OSError, asyncio.TimeoutError) as error:
            return str(error) or "it does not answer"
        return "" if done.exit_code == 0 else done.last_line

    async def pull(self, image: Image, container: Container, credentials: Sequence[RegistryCredential]) -> str:
        if image.is_local:
            if not await run_in_thread(Path(image.source).exists):
                raise StartError("ErrImagePull", f"image {image.source} does not exist on this node")
            if await run_in_thread(partial(_is_plain_directory, Path(image.source))):
                message = (
                    f"{self.name} sets no variables in the plain directory {image.source}; {self.name} build --sandbox makes an image of it"
                )
                raise StartError(INVALID, message)
            location = image.source
        else:
            location = str(await self._pulled(image, container.image_pull_policy, credentials))
        if not container.command and location not in self._entries:
            self._entries[location] = await self._entry(location)
        return location

    async def _pulled(self, image: Image, policy: str, credentials: Sequence[RegistryCredential]) -> Path:
        """The image in the cache; one process of the node pulls it at a time."""
        cache = cache_directory(self._config, self._directory / "images")
        file = cache / f"{hashlib.sha256(image.source.encode()).hexdigest()}.sif"
        if policy == "Never" and not file.exists():
            raise StartError("ErrImageNeverPull", f"image {image.source} is not on this node and imagePullPolicy is Never")
        if policy != "Always" and file.exists():
            return file
        with (cache / f"{file.name}.lock").open("w") as lock:
            while not _is_locked(lock.fileno()):  # noqa: ASYNC110  another process holds it
                await asyncio.sleep(LOCK_SECONDS)
            if policy != "Always" and file.exists():
                return file
            message = ""
            for credential in attempts(image, credentials):
                message = await self._pull(image, file, credential)
                if not message:
                    return file
        raise StartError("ErrImagePull", message)

    async def _pull(self, image: Image, file: Path, credential: Optional[RegistryCredential]) -> str:
        """ "" or what the runtime says. Raises StartError where no other login helps."""
        environment = self._environment()
        if credential is not None:
            environment[f"{self._prefix}_DOCKER_USERNAME"] = credential.username
            environment[f"{self._prefix}_DOCKER_PASSWORD"] = credential.password
        insecure = ("--no-https",) if image.is_insecure(self._config) else ()
        new = file.with_suffix(f".{os.getpid()}.new")
        command = (self._program, "--silent", "pull", "--force", *insecure, str(new), image.source)
        try:
            done = await run_program(Program(command, environment, directory=str(self._directory)), self._config.pull_timeout_seconds)
            if done.exit_code != 0:
                return _fatal(done.errors.decode(errors="replace")) or done.last_line
            new.replace(file)
            return ""
        except asyncio.TimeoutError:
            seconds = self._config.pull_timeout_seconds
            raise StartError("ErrImagePull", f"image {image.source} could not be pulled in {seconds:g} s") from None
        except OSError as error:
            raise StartError("ErrImagePull", f"image {image.source} could not be stored: {error.strerror}") from error
        finally:
            if new.exists():
                new.unlink()

    async def _entry(self, location: str) -> Optional[tuple[tuple[str, ...], tuple[str, ...]]]:
        """ENTRYPOINT and CMD of an image that came from OCI; None for one of apptainer's own kind."""
        done = await run_program(
            Program((self._program, "--silent", "inspect", "--runscript", location), self._environment()), CHECK_SECONDS
        )
        return entry_of(done.output.decode(errors="replace"))

    async def program(self, launch: Launch) -> Program:
        strange = [name for name in launch.environment if not VARIABLE.fullmatch(name)]
        if strange:
            message = f"{self.name} cannot pass the variable {strange[0]}: its name must be made of letters, digits and underscores"
            raise StartError("CreateContainerConfigError", message)
        action, command = self._action(launch)
        environment = self._environment()
        environment.update({f"{self._prefix}ENV_{name}": value for name, value in launch.environment.items()})
        arguments = (self._program, "--silent", action, *self._options(launch), launch.image, *command)
        return Program(arguments, environment, directory=str(launch.directory))

    def _options(self, launch: Launch) -> list[str]:
        container = launch.container
        scratch = {name: launch.directory / name for name in ("overlay", "tmp")}
        for folder in scratch.values():
            folder.mkdir(exist_ok=True)
        options = ["--pid", "--no-init", "--contain", "--cleanenv", "--no-home", "--no-umask"]
        options += ["--workdir", str(scratch["tmp"]), "--pwd", container.working_dir or "/"]
        options += [] if container.security.read_only_root_filesystem else ["--overlay", str(scratch["overlay"])]
        options += ["--userns"] if self._user_namespace else []
        options += ["--uts", "--hostname", launch.hostname] if launch.hostname and self._user_namespace else []
        options += [option for kind, option in GPU_OPTIONS.items() if any(name.startswith(kind) for name in container.limits.devices)]
        script = launch.directory / "environment.sh"
        late = {bind.target: f"{LATE}/{index}" for index, bind in enumerate(launch.binds) if _is_late(bind)}
        script.write_text(environment_script(launch.environment.get("HOME"), late))
        binds = [replace(bind, target=late.get(bind.target, bind.target)) for bind in launch.binds]
        for bind in (*binds, Bind(str(script), ENVIRONMENT_SCRIPT, True)):
            if {":", ","} & set(bind.source + bind.target):
                message = f"{self.name} cannot mount {bind.target[:200]}: there is a comma or a colon in its path"
                raise StartError("CreateContainerConfigError", message)
            options += ["--bind", f"{bind.source}:{bind.target}{':ro' if bind.read_only else ''}"]
        return [*options, *self._config.options.get(self.name, ())]

    def _action(self, launch: Launch) -> tuple[str, tuple[str, ...]]:
        """Kubernetes: "Define a Command and Arguments for a Container": a command replaces ENTRYPOINT and CMD, args only CMD."""
        container = launch.container
        entry = self._entries.get(launch.image)
        if container.command:
            return "exec", container.command + (container.args or ())
        if entry is None:
            return "run", container.args or ()
        command = entry[0] + (container.args or entry[1])
        if not command:
            raise StartError("RunContainerError", f"no command specified: image {container.image} has neither ENTRYPOINT nor CMD")
        return "exec", command

    def first_process(self, launch: Launch, pid: int) -> Optional[int]:  # noqa: ARG002
        """Before it is the container's, it is the runtime's own program."""
        found = processes.namespace_init(pid)
        return None if found is None or processes.is_same_program(found, pid) else found

    def exec_program(self, launch: Launch, first_process: int, command: Sequence[str]) -> Program:
        environment = processes.environment(first_process)
        request = namespaces.encode_request(command, environment, launch.container.working_dir or "/", join=first_process)
        return Program(own_program(namespaces.COMMAND), node_environment(), request)

    def start_failure(self, exit_code: int, stderr_end: str) -> Optional[StartFailure]:
        message = _fatal(stderr_end) if exit_code == FAILED else ""
        return StartFailure(127 if "not found" in message or "no such file" in message else 128, message) if message else None

    async def was_oom_killed(self, launch: Launch) -> bool:  # noqa: ARG002  it has no idea of memory
        return False

    async def remove_container(self, launch: Launch) -> None:
        """A container is gone with its processes."""

    def _environment(self) -> dict[str, str]:
        """Everything that the runtime keeps is kept in podrunner's own directory; NO_EVAL: no shell looks at commands and arguments."""
        found = node_environment()
        found[f"{self._prefix}_NO_EVAL"] = "1"
        for name, folder in (("CONFIGDIR", "runtime"), ("TMPDIR", "runtime/tmp"), ("CACHEDIR", "runtime/cache")):
            path = self._directory / folder
            path.mkdir(parents=True, exist_ok=True)
            found[f"{self._prefix}_{name}"] = str(path)
        return found


def _is_plain_directory(path: Path) -> bool:
    """Without the scripts by which the runtime sets the environment, or a GPU's libraries: they would be missing without a word."""
    return path.is_dir() and not (path / ENVIRONMENT_SCRIPT.lstrip("/")).parent.is_dir()


def environment_script(home: Optional[str], late: Mapping[str, str]) -> str:
    """What the runtime reads in the container before it starts the command: HOME, and links for what cannot be mounted in /dev."""
    lines = [f"export HOME={shlex.quote(home)}"] if home is not None else []
    lines += [f"ln -s {shlex.quote(source)} {shlex.quote(target)} 2>/dev/null || :" for target, source in late.items()]
    return "".join(f"{line}\n" for line in lines)


def _is_late(bind: Bind) -> bool:
    """In its /dev, which it makes itself, the runtime only mounts on what is there; but there, everybody may make links."""
    return bind.target.startswith("/dev/") and bind.target != "/dev/shm"  # noqa: S108


def _is_locked(descriptor: int) -> bool:
    """Whether the lock is ours now. Never waits: a pod that is stopped must not wait for another job's pull."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def entry_of(runscript: str) -> Optional[tuple[tuple[str, ...], tuple[str, ...]]]:
    """ENTRYPOINT and CMD in the runscript that apptainer and singularity write for an OCI image, None if it is none of these."""
    found = [_words(runscript, name) for name in ("OCI_ENTRYPOINT", "OCI_CMD")]
    return None if found[0] is None or found[1] is None else (found[0], found[1])


def _words(runscript: str, name: str) -> Optional[tuple[str, ...]]:
    start = runscript.find(f"\n{name}=")
    if start < 0:
        return None
    lexer = shlex.shlex(runscript[start + len(name) + 2 :], posix=True)
    lexer.whitespace_split = True
    lexer.commenters = lexer.escape = ""
    if runscript[start + len(name) + 2 : start + len(name) + 3] == "\n":
        return ()
    quoted = next(iter(lexer), "")
    return tuple(re.sub(r"\\(.)", r"\1", word, flags=re.DOTALL) for word in re.findall(r'"((?:[^"\\]|\\.)*)"', quoted, re.DOTALL))


def _fatal(errors: str) -> str:
    found = FIRST_WORDS.findall(errors)
    return found[-1].strip()[:1024] if found else ""
