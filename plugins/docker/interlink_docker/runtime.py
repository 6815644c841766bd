"""The agent's runtime on a Docker engine: it performs the agent's actions and reports attempts; it decides nothing."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import signal as signals
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from interlink_common.agent.runtime import SANDBOX, AttemptStatus, ExecResult, RuntimeUnavailable, StartError
from interlink_common.model.workload import Container, Workload
from interlink_docker import labels, states
from interlink_docker.client import Engine, EngineRefusal, PodContainers
from interlink_docker.images import Images
from interlink_docker.multiplexed import demultiplexed
from interlink_docker.network import PodNetwork
from interlink_docker.policy import image_user_objection, needs_image_user
from interlink_docker.reachability import address_of
from interlink_docker.settings import DockerSettings
from interlink_docker.translate import AttemptSpec, attempt_config, sandbox_config
from interlink_docker.volumes import Volumes

EXEC_OUTPUT_BYTES = 10 * 1024
"""What the kubelet keeps of a probe's output (pkg/probe/exec, maxReadLength)."""
FALLBACK_LINES, FALLBACK_BYTES = 80, 2048
"""Kubernetes: "Customizing the termination message": 2048 bytes or 80 lines of the log, whichever is smaller."""


class DockerRuntime:
    """`agent.runtime.Runtime` for all pods of the plugin."""

    def __init__(self, engine: Engine, settings: DockerSettings, *, as_root: bool, seccomp_profiles: Mapping[str, str]) -> None:
        self._engine = engine
        self._settings = settings
        self._seccomp_profiles = seccomp_profiles
        self.images = Images(engine, settings.images)
        self.volumes = Volumes(engine, settings, as_root=as_root)
        self.network = PodNetwork(engine, self.images, settings)
        self._pod_containers = PodContainers(engine, settings.instance)
        self._reported: dict[str, dict[str, tuple[str, AttemptStatus]]] = {}
        self._changed: dict[str, set[str]] = {}
        self._addresses: dict[str, str] = {}

    async def prepare(self, workload: Workload) -> None:
        await self.volumes.prepare(workload)
        image = self._settings.sandbox.image
        config = sandbox_config(workload, self.volumes.locations(workload), self._settings, str(self.images.reference(image)))
        name = labels.sandbox_name(workload.uid)
        self._addresses.pop(workload.uid, None)
        try:
            await self._create_sandbox(name, config)
            await self._engine.start(name)
            await self.volumes.set_engine_volume_modes(workload)
        except EngineRefusal as error:
            raise StartError("CreateContainerError", f"failed to create pod sandbox: {error.message}") from error
        await self.network.prepare(workload)

    async def _create_sandbox(self, name: str, config: dict[str, Any]) -> None:
        try:
            await self._engine.create(name, config)
        except EngineRefusal as error:
            if error.is_conflict:
                return
            if not error.is_missing:
                raise
            await self.images.ensure(self._settings.sandbox.image, "IfNotPresent", ())
            await self._engine.create(name, config)

    async def ensure_image(self, workload: Workload, container: Container) -> None:
        await self.images.ensure(container.image, container.image_pull_policy, workload.registry_credentials)

    async def pull_progress(self, workload: Workload, container: Container) -> str:  # noqa: ARG002  one pull serves every pod
        return self.images.progress(container.image)

    async def start(self, workload: Workload, container: Container, attempt: int, backoff_seconds: float) -> None:
        """An attempt that the engine created but could not start stays: `attempts` reports it as ended, as the kubelet does."""
        name = labels.container_name(workload.uid, container.name, attempt)
        spec = AttemptSpec(
            workload,
            container,
            attempt,
            image=str(self.images.reference(container.image)),
            mounts=tuple(await self.volumes.mounts(workload, container, attempt)),
            backoff_seconds=backoff_seconds,
            image_user=await self._image_user(container),
            seccomp_profile=self._seccomp_profile(container),
        )
        try:
            await self._create(name, attempt_config(spec, self._settings), container.image)
        except EngineRefusal as error:
            if not error.is_conflict:
                raise StartError("CreateContainerError", error.message) from error
            found = states.attempt_status(await self._engine.inspect(name))
            if found is None or found.state != "created":
                return
        await self._start_created(workload, name)

    async def _create(self, name: str, config: dict[str, Any], image: str) -> None:
        """Creates a container. Its image was there a moment ago, so it is looked for again only if the engine has no such image."""
        try:
            await self._engine.create(name, config)
        except EngineRefusal as error:
            if error.is_missing and "No such image" in error.message:
                self.images.forget(image)
                raise StartError("ErrImagePull", error.message) from error
            raise

    async def _image_user(self, container: Container) -> str:
        if not needs_image_user(container.security, self._settings):
            return ""
        user = await self.images.user(container.image)
        objection = image_user_objection(container.security, user, self._settings)
        if objection:
            raise StartError("CreateContainerConfigError", objection)
        return user

    def _seccomp_profile(self, container: Container) -> str:
        """The text of the profile that the container names; the operator may have removed it since the pod was admitted."""
        security = container.security
        if security.seccomp_type != "Localhost":
            return ""
        if security.seccomp_profile not in self._seccomp_profiles:
            message = f"the seccomp profile {security.seccomp_profile} is no longer in the settings (security.seccomp_profiles)"
            raise StartError("CreateContainerConfigError", message)
        return self._seccomp_profiles[security.seccomp_profile]

    async def _start_created(self, workload: Workload, name: str) -> None:
        try:
            await self._engine.start(name)
        except EngineRefusal as error:
            if not await self._is_running(labels.sandbox_name(workload.uid)):
                await self._engine.remove(name)
                raise StartError("CreateContainerError", "the pod sandbox is not running") from error
            found = states.attempt_status(await self._engine.inspect(name))
            if found is None or found.state != "exited":
                raise StartError("RunContainerError", error.message) from error

    async def _is_running(self, name: str) -> bool:
        try:
            return bool((await self._engine.inspect(name))["State"]["Running"])
        except EngineRefusal:
            return False

    async def kill(self, workload: Workload, container: str, attempt: int, signal: str) -> None:
        name = labels.container_name(workload.uid, container, attempt)
        try:
            if signal == "TERM":
                signal = (await self._engine.inspect(name))["Config"].get("StopSignal") or "SIGTERM"
            await self._engine.kill(name, signal)
        except EngineRefusal as error:
            if not (error.is_missing or error.is_conflict):
                raise RuntimeUnavailable(f"the engine cannot signal a container: {error.message}") from error

    async def execute(self, workload: Workload, container: str, attempt: int, command: Sequence[str], timeout_seconds: float) -> ExecResult:
        """Past the timeout the plugin kills the command, if it can see the engine's processes: the engine's API has no call for it."""
        try:
            exec_id = await self._engine.create_exec(labels.container_name(workload.uid, container, attempt), command)
            try:
                output = await asyncio.wait_for(self._exec_output(exec_id), timeout_seconds)
            except TimeoutError:
                kill_exec(await self._engine.inspect_exec(exec_id))
                raise
            exit_code = (await self._engine.inspect_exec(exec_id))["ExitCode"]
        except EngineRefusal as error:
            return ExecResult(exit_code=126, output=error.message)
        return ExecResult(126 if exit_code is None else int(exit_code), output.decode(errors="replace"))

    async def _exec_output(self, exec_id: str) -> bytes:
        body = {"Detach": False, "Tty": False}
        async with await self._engine.stream("POST", f"/exec/{exec_id}/start", body=body) as answer:
            try:
                return demultiplexed(await answer.read_all(EXEC_OUTPUT_BYTES))
            except OSError as error:
                raise RuntimeUnavailable("the engine went away during an exec") from error

    async def address(self, workload: Workload) -> str:
        if workload.host_network:
            return "127.0.0.1"
        if workload.uid not in self._addresses:
            try:
                networks = (await self._engine.inspect(labels.sandbox_name(workload.uid)))["NetworkSettings"]["Networks"]
            except EngineRefusal as error:
                if not error.is_missing:
                    raise RuntimeUnavailable(error.message) from error
                raise OSError("the pod sandbox is gone") from error
            self._addresses[workload.uid] = address_of(networks)
        return self._addresses[workload.uid]

    def note_event(self, uid: str, container_id: str) -> None:
        """Has the container inspected at the next sync. A list may still show its old state: the engine sends the event of an end before
        it updates what its lists are read from, and an inspect waits for both."""
        self._changed.setdefault(uid, set()).add(container_id)

    async def attempts(self, workload: Workload) -> tuple[AttemptStatus, ...]:
        """A running or ended attempt changes only with its state, so it is inspected once per state.

        A missing sandbox is reported as ended: the agent makes a new one before it starts anything.
        """
        known = self._reported.get(workload.uid, {})
        now_known: dict[str, tuple[str, AttemptStatus]] = {}
        changed = self._changed.pop(workload.uid, set())
        for row in await self._pod_containers.of_pod(workload.uid):
            if row["Labels"].get(labels.ROLE) == labels.NETWORK_ROLE:
                continue
            before = known.get(row["Id"])
            if before is not None and before[0] == row["State"] != "created" and row["Id"] not in changed:
                now_known[row["Id"]] = before
                continue
            try:
                inspected = await self._engine.inspect(row["Id"])
            except EngineRefusal as error:
                if error.is_missing:
                    continue
                raise RuntimeUnavailable(error.message) from error
            if row["Labels"].get(labels.ROLE) == labels.SANDBOX_ROLE:
                now_known[row["Id"]] = (row["State"], states.sandbox_status(inspected))
            elif (found := states.attempt_status(inspected)) is not None:
                now_known[row["Id"]] = (row["State"], await self._with_termination_details(workload, found))
        self._reported[workload.uid] = now_known
        statuses = sorted((found for _, found in now_known.values()), key=lambda status: (status.container, status.attempt))
        return tuple(statuses) if any(status.container == SANDBOX for status in statuses) else (states.NO_SANDBOX, *statuses)

    async def _with_termination_details(self, workload: Workload, found: AttemptStatus) -> AttemptStatus:
        """Adds to an ended attempt its termination message, and the engine as the cause where it was."""
        if found.state != "exited" or found.message:
            return found
        try:
            found = states.ended_with_sandbox(found, await self._engine.inspect(labels.sandbox_name(workload.uid)))
        except EngineRefusal as error:
            if error.is_missing:
                found = states.ended_without_sandbox(found)
        message = await self.volumes.termination_message(workload.uid, found.container, found.attempt)
        wants_log = any(c.name == found.container and c.termination_message_fallback for c in workload.all_containers)
        if not message and wants_log and found.exit_code != 0:
            query = {"stdout": "1", "stderr": "1", "tail": str(FALLBACK_LINES)}
            try:
                framed = await self._engine.read(f"/containers/{found.id.removeprefix('docker://')}/logs", query)
            except EngineRefusal:
                framed = b""
            tty = workload.container(found.container).tty
            message = (framed if tty else demultiplexed(framed))[-FALLBACK_BYTES:].decode(errors="replace")
        return dataclasses.replace(found, message=message or found.message)

    async def stop_sandbox(self, uid: str) -> None:
        """Stops the sandbox of a pod that has ended: its address, host ports and tmpfs are free again. Logs stay."""
        with contextlib.suppress(EngineRefusal, RuntimeUnavailable):
            await self.network.remove(uid)
            await self._engine.kill(labels.sandbox_name(uid), "SIGKILL")

    async def prune(self, workload: Workload, container: str, before_attempt: int) -> None:
        for row in await self._pod_containers.of_pod(workload.uid):
            attempt = int(row["Labels"].get(labels.ATTEMPT, "0"))
            if row["Labels"].get(labels.CONTAINER) == container and attempt < before_attempt:
                await self._remove_container(row["Id"])
                await self.volumes.remove_termination_message(workload.uid, container, attempt)

    async def storage_excess(self, workload: Workload) -> str:
        """Checks emptyDir sizeLimit, and ephemeral-storage limits by what a container wrote to its own file system."""
        over = await self.volumes.storage_excess(workload)
        limits = {c.name: c.limits.ephemeral_storage_bytes for c in workload.all_containers if c.limits.ephemeral_storage_bytes}
        if over or not limits:
            return over
        for row in await self._pod_containers.of_pod(workload.uid):
            name = row["Labels"].get(labels.CONTAINER)
            if row["State"] != "running" or name not in limits:
                continue
            try:
                written = (await self._engine.inspect(row["Id"], with_size=True)).get("SizeRw") or 0
            except EngineRefusal:
                continue
            if written > limits[name]:
                return f"Container {name} exceeded its local ephemeral storage limit {limits[name]} bytes."
        return ""

    async def remove(self, workload: Workload) -> None:
        await self.remove_uid(workload.uid)

    async def remove_uid(self, uid: str) -> None:
        """Removes everything that is labelled with the UID, and its files. The sandbox goes last: its labels let the pod be adopted."""
        mine = labels.ours(self._settings.instance, uid=uid)
        found = await self._engine.containers(mine)
        is_sandbox = {row["Id"]: row["Labels"].get(labels.ROLE) == labels.SANDBOX_ROLE for row in found}
        await asyncio.gather(*(self._remove_container(row) for row, sandbox in is_sandbox.items() if not sandbox))
        for name in (row for row, sandbox in is_sandbox.items() if sandbox):
            await self._remove_container(name)
        if await self._engine.containers(mine):
            raise RuntimeUnavailable("the engine has not yet removed every container of the pod")
        for volume in await self._engine.volumes(mine):
            await self._engine.remove_volume(volume)
        try:
            await self.volumes.remove(uid)
        except OSError as error:
            raise RuntimeUnavailable(f"the files of the pod cannot be removed: {error.strerror}") from error
        for per_pod in (self._reported, self._changed, self._addresses):
            per_pod.pop(uid, None)

    async def _remove_container(self, container_id: str) -> None:
        try:
            await self._engine.remove(container_id)
        except EngineRefusal as error:
            raise RuntimeUnavailable(f"the engine cannot remove a container: {error.message}") from error

    async def close(self) -> None:
        await self.images.close()


def kill_exec(inspected: dict[str, Any]) -> None:
    """Kills an exec's process, if this process may and its cgroup proves that it is the container's and no other."""
    pid, container_id = int(inspected.get("Pid") or 0), str(inspected.get("ContainerID") or "")
    if not (pid and container_id and inspected.get("Running")):
        return
    with contextlib.suppress(OSError):
        if container_id in Path(f"/proc/{pid}/cgroup").read_text():
            os.kill(pid, signals.SIGKILL)
