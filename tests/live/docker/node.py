"""A Docker backend under test: pods in, reports and logs out, and a count of what is left on the engine and on disk."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from interlink_common.backend import Job, LogQuery
from interlink_common.errors import BackendUnavailable
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container, Workload
from interlink_docker.backend import DockerBackend
from interlink_docker.settings import DockerSettings
from tests.servers.docker_engine import BUSYBOX_IMAGE, DockerEngine, lacks_capabilities

PATIENCE_SECONDS = 60.0
numbers = itertools.count()


def shell(script: str, name: str = "main", **fields: Any) -> Container:
    """A busybox container that runs a script."""
    return Container(name=name, image=fields.pop("image", BUSYBOX_IMAGE), command=("sh", "-c"), args=(script,), **fields)


def a_pod(*containers: Container, **fields: Any) -> Workload:
    number = next(numbers)
    merged: dict[str, Any] = {"restart_policy": "Never", "grace_seconds": 5, **fields}
    return Workload(uid=f"uid-{os.getpid()}-{number}", name=f"pod-{number}", namespace="live", containers=containers, **merged)


class Node:
    """A backend that is started on use; `restart` replaces it as a new process would."""

    def __init__(self, engine: DockerEngine, state_dir: Path, /, **groups: Any) -> None:
        self.engine = engine
        self._groups = groups
        merged = {**groups, "engine": {"url": engine.url, "retry_seconds": 0.2, "resync_seconds": 5, **groups.get("engine", {})}}
        self.settings = DockerSettings(state_dir=state_dir, **merged)
        self.jobs: dict[str, Job] = {}
        self.reports: dict[str, PodReport] = {}
        self.down = ""
        self._changed = asyncio.Condition()

    async def start(self, *, observe: bool = True) -> None:
        self.backend = DockerBackend(self.settings)
        await self.backend.start(list(self.jobs.values()))
        if observe:
            self.observe()

    def observe(self) -> None:
        self._observer = asyncio.create_task(self._observe())

    async def stop(self) -> None:
        self._observer.cancel()
        await asyncio.gather(self._observer, return_exceptions=True)
        await self.backend.close()

    async def restart(self) -> None:
        await self.stop()
        self.reports.clear()
        await self.start()

    async def _observe(self) -> None:
        while True:
            try:
                async with contextlib.aclosing(self.backend.observe()) as observations:  # type: ignore[type-var]  # a generator, in fact
                    async for observation in observations:
                        self.reports[observation.pod_uid] = observation.report
                        self.down = ""
                        await self._notify()
            except BackendUnavailable as error:
                self.down = str(error)
                await self._notify()
                await asyncio.sleep(0.2)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def submit(self, workload: Workload) -> Workload:
        self.backend.admit(workload)
        self.jobs[workload.uid] = Job(workload.uid, await self.backend.submit(workload), workload)
        return workload

    async def until(self, workload: Workload, wanted: Callable[[PodReport], bool]) -> PodReport:
        """The first report of the pod that fits."""
        await self.until_true(
            lambda: workload.uid in self.reports and wanted(self.reports[workload.uid]), lambda: str(self.reports.get(workload.uid))
        )
        return self.reports[workload.uid]

    async def until_true(self, wanted: Callable[[], bool], explain: Callable[[], str] = str) -> None:
        async with self._changed:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._changed.wait_for(wanted)
            except TimeoutError:
                raise AssertionError(f"did not come true; last seen: {explain()}") from None

    async def run(self, workload: Workload) -> PodReport:
        """Submits the pod and waits for its end."""
        await self.submit(workload)
        return await self.until(workload, lambda report: report.finished)

    async def running(self, workload: Workload) -> PodReport:
        """Submits the pod and waits until all its containers run."""
        await self.submit(workload)
        return await self.until(workload, lambda report: all(isinstance(c.state, Running) for c in report.containers))

    def log_stream(self, workload: Workload, container: str = "main", **options: Any) -> AsyncIterator[bytes]:
        return self.backend.logs(self.jobs[workload.uid], LogQuery(container, **options))

    async def log(self, workload: Workload, container: str = "main", **options: Any) -> str:
        return b"".join([chunk async for chunk in self.log_stream(workload, container, **options)]).decode()

    async def delete(self, workload: Workload, grace_seconds: int | None = None) -> None:
        """With the pod's own grace, unless another is given."""
        grace = workload.grace_seconds if grace_seconds is None else grace_seconds
        await self.backend.cancel(self.jobs.pop(workload.uid), grace)
        self.reports.pop(workload.uid, None)

    async def delete_all(self) -> None:
        """Without grace: most of them are a shell that would ignore its end."""
        await asyncio.gather(*(self.delete(job.workload, 0) for job in list(self.jobs.values())))

    def inspect(self, workload: Workload, container: str = "main", attempt: int = 0) -> dict[str, Any]:
        with self.engine.client() as client:
            return dict(client.inspect_container(f"interlink-{workload.uid}-{container}-{attempt}"))

    def leftovers(self) -> dict[str, list[str]]:
        """Everything on the engine that is not an image, and everything of pods on disk."""
        with self.engine.client() as client:
            return {
                "containers": sorted(name for found in client.containers(all=True) for name in found["Names"]),
                "volumes": sorted(found["Name"] for found in client.volumes()["Volumes"] or []),
                "networks": sorted(found["Name"] for found in client.networks()),
                "files": sorted(map(str, self.settings.state_dir.glob("pods/*"))),
            }


NOTHING_LEFT = {"containers": [], "volumes": [], "networks": ["bridge", "host", "none"], "files": []}


def container(report: PodReport, name: str = "main") -> ContainerReport:
    return next(found for found in (*report.init_containers, *report.containers) if found.name == name)


def ended(report: PodReport, name: str = "main") -> Terminated:
    state = container(report, name).state
    assert isinstance(state, Terminated), state
    return state


def waiting(report: PodReport, name: str = "main") -> Waiting | None:
    state = container(report, name).state
    return state if isinstance(state, Waiting) else None


needs_privileged = pytest.mark.skipif(lacks_capabilities(), reason="root of this machine lacks capabilities that privileged needs")
