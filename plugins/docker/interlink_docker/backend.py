"""The Docker backend: the library's six verbs on an agent that decides and an engine that does."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any, ClassVar, cast

from interlink_common.agent.agent import NodeAgent
from interlink_common.agent.runtime import RuntimeUnavailable
from interlink_common.backend import (
    Backend,
    Capabilities,
    CheckResult,
    FoundJob,
    Job,
    LogQuery,
    NodeCapacity,
    Observation,
    Support,
)
from interlink_common.errors import BackendUnavailable, ConfigurationError, NotFound
from interlink_common.lifecycle.memory import PodMemory, to_json
from interlink_common.settings import PluginSettings
from interlink_common.workload.model import Workload
from interlink_docker import check, labels, policy
from interlink_docker.client import Engine, EngineRefusal
from interlink_docker.events import Events
from interlink_docker.files import private_directory
from interlink_docker.images import read_credentials
from interlink_docker.locations import pod_directory
from interlink_docker.logs import read_log
from interlink_docker.references import mirrored, parse
from interlink_docker.runtime import DockerRuntime
from interlink_docker.settings import DockerSettings
from interlink_docker.translate import container_config, network_config, sandbox_config
from interlink_docker.volumes import locations, planned_mounts

MEMORY_FILE = "memory.json"
"""What the agent remembers of a pod; for an adopted one also that it is adopted, so that it is not started after a restart."""


class DockerBackend(Backend):
    """Pods on one Docker engine: a sandbox container each, and one container per attempt."""

    name: ClassVar[str] = "docker"
    settings_type: ClassVar[type[PluginSettings]] = DockerSettings
    capabilities: Capabilities = Capabilities(
        init_containers=Support.YES,
        sidecars=Support.YES,
        several_containers=Support.YES,
        restart_policies=frozenset({"Never", "OnFailure", "Always"}),
        probes=Support.YES,
        hooks=Support.YES,
        files_volumes=Support.YES,
        empty_dir=Support.YES,
        host_path=Support.YES,
        external_volume_kinds=frozenset({"persistentVolumeClaim", "nfs", "csi"}),
        cvmfs=Support.YES,
        mount_propagation=Support.YES,
        sub_path=Support.YES,
        ephemeral_storage=Support.YES,
        active_deadline=Support.YES,
        tty=Support.YES,
        stdin=Support.YES,
        host_ports=Support.YES,
        host_namespaces=Support.YES,
        privileged=Support.YES,
        run_as=Support.YES,
        capabilities=Support.YES,
        read_only_root_filesystem=Support.YES,
        seccomp=Support.YES,
        fs_group=Support.YES,
        sysctls=Support.YES,
        host_aliases=Support.YES,
        dns_config=Support.YES,
        share_process_namespace=Support.YES,
        image_pull_secrets=Support.YES,
        mesh_network=Support.YES,
    )

    def __init__(self, settings: PluginSettings) -> None:
        super().__init__(settings)
        self._settings = cast(DockerSettings, settings)
        if not self._settings.network.image:
            self.capabilities = dataclasses.replace(self.capabilities, mesh_network=Support.WARN)
        self._as_root = os.geteuid() == 0
        if self._as_root:
            self.capabilities = dataclasses.replace(self.capabilities, empty_dir_size_limit=Support.YES)
        self._seccomp_profiles = read_profiles(self._settings)
        if self._settings.images.credentials_file:
            read_credentials(self._settings.images.credentials_file)
        self._engine = Engine(self._settings.engine)
        self._runtime = DockerRuntime(self._engine, self._settings, as_root=self._as_root, seccomp_profiles=self._seccomp_profiles)
        self._events = Events(
            self._engine,
            self._settings.instance,
            self._settings.engine,
            on_pod=self._changed,
            on_found=self._found_engine,
            on_lost=self._lost_engine,
        )
        self._agent: NodeAgent | None = None
        self._jobs: dict[str, Workload] = {}
        self._lost = asyncio.Event()
        self._lost_words = ""

    @property
    def agent(self) -> NodeAgent:
        """Raises BackendUnavailable before `start`."""
        if self._agent is None:
            raise BackendUnavailable("the Docker backend is not connected yet")
        return self._agent

    async def start(self, jobs: Sequence[Job]) -> None:
        try:
            await self._engine.connect()
        except RuntimeUnavailable as error:
            raise BackendUnavailable(str(error)) from error
        if self._agent is None:
            self._agent = NodeAgent(self._runtime, save=self._save, clock=time.time, resync_seconds=self._settings.engine.resync_seconds)
        for job in jobs:
            self._take(job.workload)
        self._events.start()

    async def close(self) -> None:
        await self._events.close()
        if self._agent is not None:
            await self._agent.close()
        await self._runtime.close()
        await self._engine.close()

    def _take(self, workload: Workload, *, adopted: bool = False) -> None:
        """Hands a pod to the agent with what the agent remembered of it; once."""
        uid = workload.uid
        labels.require_safe_uid(uid)
        if uid in self._jobs:
            return
        path = pod_directory(self._settings, uid) / MEMORY_FILE
        memory = path.read_text() if path.exists() else ""
        if adopted and not memory:
            memory = to_json(PodMemory(adopted=True))
            self._save(uid, memory)
        self._jobs[uid] = workload
        self.agent.add(workload, memory, adopted)

    def _save(self, uid: str, memory_json: str) -> None:
        """Durable before the agent acts on it: a new name, then a rename."""
        path = pod_directory(self._settings, uid) / MEMORY_FILE
        private_directory(path.parent)
        writing = path.with_suffix(".new")
        writing.write_text(memory_json)
        writing.replace(path)

    def _changed(self, uid: str, container_id: str) -> None:
        if uid in self._jobs:
            self._runtime.look_again(uid, container_id)
            self.agent.wake(uid)

    def _found_engine(self) -> None:
        self._lost.clear()
        self.agent.wake_all()

    def _lost_engine(self, words: str) -> None:
        self._lost_words = words
        self._lost.set()

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        settings = self._settings
        policy.require_allowed(workload, settings, as_root=self._as_root)
        where = locations(workload, settings, as_root=self._as_root)
        sandbox = sandbox_config(workload, where, settings, planned_image(settings.sandbox.image, settings))
        planned = [{"name": labels.sandbox_name(workload.uid), **sandbox}]
        if workload.network.has_scripts and settings.network.image:
            network = network_config(workload, settings, planned_image(settings.network.image, settings))
            planned.append({"name": labels.network_name(workload.uid), **network})
        for container in workload.all_containers:
            config = container_config(
                workload,
                container,
                0,
                0.0,
                mounts=planned_mounts(workload, container, settings, as_root=self._as_root),
                settings=settings,
                image=planned_image(container.image, settings),
                seccomp_profiles=self._seccomp_profiles,
            )
            planned.append({"name": labels.container_name(workload.uid, container.name, 0), **config})
        return planned

    async def submit(self, workload: Workload) -> str:
        self.plan(workload)
        self._take(workload)
        return labels.sandbox_name(workload.uid)

    async def inventory(self) -> Sequence[FoundJob]:
        """By the sandboxes' labels; what has lost its sandbox is found by the UID it carries. What we learn here is watched from now on."""
        try:
            rows = await self._engine.containers(labels.ours(self._settings.instance))
        except (RuntimeUnavailable, EngineRefusal) as error:
            raise BackendUnavailable(str(error)) from error
        workloads: dict[str, Workload | None] = dict(self._jobs)
        for row in rows:
            uid = row["Labels"].get(labels.POD_UID, "")
            if uid and workloads.get(uid) is None:
                workloads[uid] = labels.adoptable(row["Labels"])
        for uid, workload in workloads.items():
            if workload is not None and uid not in self._jobs:
                self._take(workload, adopted=True)
        return [FoundJob(uid, labels.sandbox_name(uid), workload) for uid, workload in workloads.items()]

    async def observe(self) -> AsyncIterator[Observation]:
        """What the agent reports, until the engine is lost."""
        reports = aiter(self.agent.reports())
        lost = asyncio.create_task(self._lost.wait(), name="docker engine lost")
        try:
            while True:
                following = asyncio.ensure_future(anext(reports))
                try:
                    await asyncio.wait({following, lost}, return_when=asyncio.FIRST_COMPLETED)
                    if lost.done():
                        raise BackendUnavailable(self._lost_words)
                    uid, report = following.result()
                finally:
                    following.cancel()
                if report.finished:
                    await self._runtime.retire(uid)
                yield Observation(uid, report)
        finally:
            lost.cancel()

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        try:
            attempt = await self._attempt(job.pod_uid, query)
            async for chunk in read_log(self._engine, attempt["Id"], query, tty=bool(attempt["Config"].get("Tty"))):
                yield chunk
            if query.follow and not await self._ended(attempt["Id"]):
                raise BackendUnavailable("the engine ended the log before the container ended")
        except RuntimeUnavailable as error:
            raise BackendUnavailable(str(error)) from error
        except EngineRefusal as error:
            raise NotFound(f"container {query.container} has no log: {error.words}") from error

    async def _attempt(self, uid: str, query: LogQuery) -> dict[str, Any]:
        """The inspected attempt that the query means. Raises NotFound."""
        rows = await self._engine.containers(
            {**labels.ours(self._settings.instance, labels.CONTAINER_ROLE, uid), labels.CONTAINER: query.container}
        )
        rows = [row for row in rows if row["State"] != "created"]
        rows.sort(key=lambda row: int(row["Labels"].get(labels.ATTEMPT, "0")), reverse=True)
        position = 1 if query.previous else 0
        if position >= len(rows):
            which = "previous terminated container" if query.previous else "container"
            raise NotFound(f"{which} {query.container} in the pod is not found, or has not started yet")
        return await self._engine.inspect(rows[position]["Id"])

    async def _ended(self, container_id: str) -> bool:
        try:
            return not (await self._engine.inspect(container_id))["State"]["Running"]
        except EngineRefusal as error:
            return error.is_missing

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        try:
            labels.require_safe_uid(job.pod_uid)
            await self.agent.remove(job.workload, grace_seconds)
        except (RuntimeUnavailable, EngineRefusal) as error:
            raise BackendUnavailable(str(error)) from error
        self._jobs.pop(job.pod_uid, None)

    async def capacity(self) -> NodeCapacity:
        try:
            info = await self._engine.info()
        except (RuntimeUnavailable, EngineRefusal) as error:
            raise BackendUnavailable(str(error)) from error
        reserve = self._settings.capacity
        return NodeCapacity(
            cpu_millis=max(int(info["NCPU"]) * 1000 - reserve.reserve_cpu_millis, 0),
            memory_bytes=max(int(info["MemTotal"]) - reserve.reserve_memory_bytes, 0),
            pods=reserve.pods,
        )

    async def check(self) -> list[CheckResult]:
        return await check.results(self._engine, self._settings, as_root=self._as_root)


def planned_image(image: str, settings: DockerSettings) -> str:
    """The name after the mirror map; one that is none stays, and fails as InvalidImageName when it is to be pulled."""
    try:
        return str(mirrored(parse(image), settings.images.mirrors))
    except ValueError:
        return image


def read_profiles(settings: DockerSettings) -> dict[str, str]:
    """seccomp profiles as JSON text, by the name that pods use. Raises ConfigurationError."""
    profiles = {}
    for name, path in settings.security.seccomp_profiles.items():
        try:
            profiles[name] = json.dumps(json.loads(path.read_text()))
        except (OSError, ValueError):
            raise ConfigurationError(f"security.seccomp_profiles {name}: {path} is not a readable JSON file") from None
    return profiles
