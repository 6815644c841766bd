"""No container runtime: the pod's commands as processes of the node, if the operator's policy says so.

A process sees the node's files, with the pod's volumes at their paths, in a mount namespace of its own: nothing of the node changes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Optional

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import Container, RegistryCredential
from interlink_common.podrunner import namespaces, processes
from interlink_common.podrunner.config import PROCESS
from interlink_common.podrunner.container_runtime import Launch, Program, StartFailure
from interlink_common.podrunner.images import Image
from interlink_common.podrunner.processes import USUAL_PATH, node_environment, own_program


class BareProcess:
    """`ContainerRuntime` without containers."""

    name = PROCESS
    enforces_limits = False

    def __init__(self) -> None:
        self._may_mount = os.geteuid() == 0 or processes.has_user_namespaces()

    async def objection(self) -> str:
        return ""

    async def pull(self, image: Image, container: Container, credentials: Sequence[RegistryCredential]) -> str:  # noqa: ARG002
        return ""

    async def program(self, launch: Launch) -> Program:
        container = launch.container
        if not container.command:
            message = f"container {container.name} needs a command: on this site pods run as bare processes, without the image's entrypoint"
            raise StartError("RunContainerError", message)
        needed = [bind for bind in launch.binds if bind.needed]
        if needed and not self._may_mount:
            message = f"{needed[0].target} cannot be mounted for a bare process: this node has no user namespaces"
            raise StartError("CreateContainerConfigError", message)
        for name in ("root", "work"):
            (launch.directory / name).mkdir(exist_ok=True)
        request = namespaces.encode_request(
            container.command + (container.args or ()),
            {"PATH": USUAL_PATH, **launch.environment},
            container.working_dir or str(launch.directory / "work"),
            root=str(launch.directory / "root"),
            binds=[(bind.source, bind.target, bind.read_only) for bind in launch.binds if self._may_mount],
        )
        return Program(own_program(namespaces.COMMAND), node_environment(), request, str(launch.directory))

    def first_process(self, launch: Launch, pid: int) -> Optional[int]:  # noqa: ARG002
        """It is podrunner's small program that becomes the command."""
        return None if processes.arguments(pid) == own_program(namespaces.COMMAND) else pid

    def exec_program(self, launch: Launch, first_process: int, command: Sequence[str]) -> Program:
        directory = launch.container.working_dir or str(launch.directory / "work")
        request = namespaces.encode_request(command, {"PATH": USUAL_PATH, **launch.environment}, directory, join=first_process)
        return Program(own_program(namespaces.COMMAND), node_environment(), request)

    def start_failure(self, exit_code: int, stderr_end: str) -> Optional[StartFailure]:
        prefix, last_line = namespaces.ERROR_PREFIX, stderr_end.strip().splitlines()[-1:]
        if exit_code in (namespaces.NOT_FOUND, namespaces.CANNOT_EXECUTE) and last_line and last_line[0].startswith(prefix):
            return StartFailure(exit_code, last_line[0][len(prefix) :])
        return None

    async def was_oom_killed(self, launch: Launch) -> bool:  # noqa: ARG002
        return False

    async def remove_container(self, launch: Launch) -> None:
        """A process is gone when it has ended."""
