"""The Docker backend: the library's six verbs over the node agent, which runs pods on a Docker engine."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import os
import time
from collections.abc import AsyncIterator, Iterable, Sequence
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
    in_slices,
)
from interlink_common.background import in_thread
from interlink_common.errors import BackendUnavailable, ConfigurationError, NotFound
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings
from interlink_common.translation.names import SAFE_UID, require_safe_uid
from interlink_docker import check, labels, policy
from interlink_docker.checkpoints import Checkpoint, Checkpoints
from interlink_docker.client import Engine, EngineRefusal
from interlink_docker.events import Events
from interlink_docker.images import read_credentials
from interlink_docker.locations import locations
from interlink_docker.logs import read_log
from interlink_docker.planning import planned
from interlink_docker.runtime import DockerRuntime
from interlink_docker.settings import DockerSettings


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
            on_pod=self._on_pod_event,
            on_connected=self._on_engine_connected,
            on_lost=self._on_engine_lost,
        )
        self._agent: NodeAgent | None = None
        self._checkpoints = Checkpoints(self._settings)
        self._jobs: dict[str, Workload] = {}
        self._stopped_sandboxes: set[str] = set()
        self._stopping_sandboxes: set[asyncio.Task[None]] = set()
        self._lost = asyncio.Event()
        self._lost_reason = ""

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
            resync_seconds = self._settings.engine.resync_seconds
            self._agent = NodeAgent(self._runtime, save=self._checkpoints.save, clock=time.time, resync_seconds=resync_seconds)
        async for some in in_slices(jobs):
            checkpoints = await self._read_checkpoints(job.pod_uid for job in some)
            for job in some:
                self._hand_to_agent(job.workload, checkpoints[job.pod_uid])
        self._events.start()

    async def close(self) -> None:
        await self._events.close()
        if self._agent is not None:
            await self._agent.close()
        for task in self._stopping_sandboxes:
            task.cancel()
        await asyncio.gather(*self._stopping_sandboxes, return_exceptions=True)
        await self._runtime.close()
        await self._engine.close()

    async def _read_checkpoints(self, uids: Iterable[str]) -> dict[str, Checkpoint]:
        """The last checkpoint of each of those pods, by UID. Raises Refused."""
        wanted = list(uids)
        for uid in wanted:
            require_safe_uid(uid)
        return await in_thread(lambda: {uid: self._checkpoints.read(uid) for uid in wanted})

    def _hand_to_agent(self, workload: Workload, checkpoint: Checkpoint) -> None:
        """Hands a pod to the agent, once. A stub without containers is not handed over."""
        if workload.uid not in self._jobs and workload.containers:
            self.agent.add(workload, checkpoint.text, checkpoint.adopted)
            self._jobs[workload.uid] = workload

    def _on_pod_event(self, uid: str, container_id: str) -> None:
        if uid in self._jobs:
            self._runtime.note_event(uid, container_id)
            self.agent.wake(uid)

    def _on_engine_connected(self) -> None:
        self._lost.clear()
        self.agent.wake_all()

    def _on_engine_lost(self, reason: str) -> None:
        self._lost_reason = reason
        self._lost.set()

    def admit(self, workload: Workload) -> None:
        policy.require_allowed(workload, self._settings, as_root=self._as_root)
        locations(workload, self._settings, as_root=self._as_root)

    def plan(self, workload: Workload) -> list[dict[str, Any]]:
        return planned(workload, self._settings, as_root=self._as_root, seccomp_profiles=self._seccomp_profiles)

    async def submit(self, workload: Workload) -> str:
        self._hand_to_agent(workload, (await self._read_checkpoints([workload.uid]))[workload.uid])
        return labels.sandbox_name(workload.uid)

    async def inventory(self) -> Sequence[FoundJob]:
        """The pods that the agent runs, and every other UID on the engine's labels; the sandbox's labels hold a stub of its pod."""
        try:
            rows = await self._engine.containers(labels.ours(self._settings.instance))
        except (RuntimeUnavailable, EngineRefusal) as error:
            raise BackendUnavailable(str(error)) from error
        running = {row["Labels"].get(labels.POD_UID) for row in rows if row["State"] == "running"}
        self._stopped_sandboxes.update(uid for uid in self._jobs if uid not in running and self._is_finished(uid))
        workloads: dict[str, Workload | None] = dict(self._jobs)
        for row in rows:
            uid = row["Labels"].get(labels.POD_UID, "")
            if SAFE_UID.fullmatch(uid) and workloads.get(uid) is None:
                workloads[uid] = labels.adoptable(row["Labels"])
        return [FoundJob(uid, labels.sandbox_name(uid), workload) for uid, workload in workloads.items()]

    async def adopt(self, job: Job, *, complete: bool) -> None:
        uid = job.pod_uid
        require_safe_uid(uid)
        if not complete and uid not in self._jobs:
            await self._checkpoints.mark_adopted(uid)
        self._hand_to_agent(job.workload, (await self._read_checkpoints([uid]))[uid])

    async def observe(self) -> AsyncIterator[Observation]:
        """Yields the agent's reports until the connection to the engine is lost."""
        reports = aiter(self.agent.reports())
        lost = asyncio.create_task(self._lost.wait(), name="docker engine lost")
        try:
            while True:
                following = asyncio.ensure_future(anext(reports))
                try:
                    await asyncio.wait({following, lost}, return_when=asyncio.FIRST_COMPLETED)
                    if lost.done():
                        raise BackendUnavailable(self._lost_reason)
                    uid, report = following.result()
                finally:
                    following.cancel()
                if report.finished:
                    self._stop_sandbox(uid)
                yield Observation(uid, report)
        finally:
            lost.cancel()

    def _is_finished(self, uid: str) -> bool:
        report = self.agent.report(uid)
        return report is not None and report.finished

    def _stop_sandbox(self, uid: str) -> None:
        """Stops the sandbox of a pod that has ended, once, in the background: the reports of other pods do not wait for it."""
        if uid not in self._stopped_sandboxes:
            self._stopped_sandboxes.add(uid)
            task = asyncio.create_task(self._runtime.stop_sandbox(uid), name=f"pod {uid} sandbox stop")
            self._stopping_sandboxes.add(task)
            task.add_done_callback(self._stopping_sandboxes.discard)

    async def logs(self, job: Job, query: LogQuery) -> AsyncIterator[bytes]:
        try:
            attempt = await self._inspect_attempt(job.pod_uid, query)
            read_bytes = 0
            async for chunk in read_log(self._engine, attempt["Id"], query, tty=bool(attempt["Config"].get("Tty"))):
                read_bytes += len(chunk)
                yield chunk
            is_whole = query.limit_bytes is not None and read_bytes >= query.limit_bytes
            if query.follow and not is_whole and not await self._has_ended(attempt["Id"]):
                raise BackendUnavailable("the engine ended the log before the container ended")
        except RuntimeUnavailable as error:
            raise BackendUnavailable(str(error)) from error
        except EngineRefusal as error:
            raise NotFound(f"container {query.container} has no log: {error.message}") from error

    async def _inspect_attempt(self, uid: str, query: LogQuery) -> dict[str, Any]:
        """The engine's inspect of the attempt whose log the query asks for. Raises NotFound."""
        if query.previous:
            return await self._engine.inspect(self._previous_attempt_id(uid, query.container))
        rows = await self._engine.containers(
            {**labels.ours(self._settings.instance, labels.CONTAINER_ROLE, uid), labels.CONTAINER: query.container}
        )
        rows = [row for row in rows if row["State"] != "created"]
        if not rows:
            raise NotFound(f"container {query.container} in the pod is not found, or has not started yet")
        newest = max(rows, key=lambda row: int(row["Labels"].get(labels.ATTEMPT, "0")))
        return await self._engine.inspect(newest["Id"])

    def _previous_attempt_id(self, uid: str, container: str) -> str:
        """The container id of the status's lastState.terminated. Raises NotFound, or BackendUnavailable before the pod's first report."""
        report = self.agent.report(uid)
        if report is None:
            raise BackendUnavailable("the engine has not yet reported the pod; try again later")
        entries = (*report.init_containers, *report.containers)
        previous = next((entry.last_state for entry in entries if entry.name == container), None)
        if previous is None or not previous.container_id:
            raise NotFound(f"previous terminated container {container} in the pod is not found")
        return previous.container_id.removeprefix("docker://")

    async def _has_ended(self, container_id: str) -> bool:
        try:
            return not (await self._engine.inspect(container_id))["State"]["Running"]
        except EngineRefusal as error:
            return error.is_missing

    async def cancel(self, job: Job, grace_seconds: int) -> None:
        try:
            checkpoints = await self._read_checkpoints([job.pod_uid])
            self._hand_to_agent(job.workload, checkpoints[job.pod_uid])
            await self.agent.remove(job.workload, grace_seconds)
        except (RuntimeUnavailable, EngineRefusal) as error:
            raise BackendUnavailable(str(error)) from error
        self._jobs.pop(job.pod_uid, None)
        self._stopped_sandboxes.discard(job.pod_uid)

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


def read_profiles(settings: DockerSettings) -> dict[str, str]:
    """seccomp profiles as JSON text, by the name that pods use. Raises ConfigurationError."""
    profiles = {}
    for name, path in settings.security.seccomp_profiles.items():
        try:
            profiles[name] = json.dumps(json.loads(path.read_text()))
        except (OSError, ValueError):
            raise ConfigurationError(f"security.seccomp_profiles {name}: {path} is not a readable JSON file") from None
    return profiles
