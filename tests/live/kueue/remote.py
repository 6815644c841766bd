"""A Kueue backend under test: pods in, reports and logs out, and a count of what is left on the remote cluster."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

from interlink_common.backend import Job, LogQuery
from interlink_common.errors import BackendUnavailable
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.model.workload import Container, Resources, Workload
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.manifests import from_documents
from interlink_kueue import labels
from interlink_kueue.backend import KueueBackend
from interlink_kueue.settings import KueueSettings
from tests.servers.kubernetes_node import BUSYBOX_IMAGE
from tests.servers.kubernetes_plugin import Api

PATIENCE_SECONDS = 90.0
numbers = itertools.count()


def shell(script: str, name: str = "main", **fields: Any) -> Container:
    """A busybox container that runs a script."""
    return Container(name=name, image=fields.pop("image", BUSYBOX_IMAGE), command=("sh", "-c"), args=(script,), **fields)


def cpu(millis: int) -> Resources:
    return Resources(cpu_millis=millis)


def a_pod(*containers: Container, **fields: Any) -> Workload:
    number = next(numbers)
    merged: dict[str, Any] = {"restart_policy": "Never", "grace_seconds": 5, "hostname": f"pod-{number}", **fields}
    return Workload(uid=f"uid-{os.getpid()}-{number}", name=f"pod-{number}", namespace="team", containers=containers, **merged)


def virtual_pod(script: str, **spec: Any) -> VirtualPod:
    """As interLink sends it, with a file /cm/word that says s3cret."""
    config_map = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "word"}, "data": {"word": "s3cret"}}
    main = {
        "name": "main", "image": BUSYBOX_IMAGE, "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "cm", "mountPath": "/cm"}],
    }  # fmt: skip
    volumes = [{"name": "cm", "configMap": {"name": "word"}}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "killed"},
        "spec": {"containers": [main], "volumes": volumes, "terminationGracePeriodSeconds": 1, **spec},
    }
    return VirtualPod.admit(from_documents([config_map, pod]), now=0)


class Remote:
    """A backend; `restart` replaces it as a new process would."""

    def __init__(self, api: Api, kubeconfig: Path, state_dir: Path, namespace: str, **groups: Any) -> None:
        self.api, self.namespace = api, namespace
        merged: dict[str, Any] = {
            "instance": f"test-{os.getpid()}-{next(numbers)}",
            "clusters": {"default": {"kubeconfig": kubeconfig}},
            "network": {"dns_policy": "Default"},
            **groups,
        }
        self.settings = KueueSettings(state_dir=state_dir, **merged)
        self.jobs: dict[str, Job] = {}
        self.reports: dict[str, PodReport] = {}
        self.observed: dict[str, list[PodReport]] = {}
        self.down = ""
        self._changed = asyncio.Condition()

    async def start(self) -> None:
        self.backend = KueueBackend(self.settings)
        await self.backend.start(list(self.jobs.values()))
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
                        self.observed.setdefault(observation.pod_uid, []).append(observation.report)
                        self.down = ""
                        await self._notify()
            except BackendUnavailable as error:
                self.down = str(error)
                await self._notify()
                await asyncio.sleep(0.2)

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()

    async def submit(self, pod: Workload) -> Workload:
        self.backend.admit(pod)
        self.jobs[pod.uid] = Job(pod.uid, await self.backend.submit(pod), pod)
        return pod

    async def until(self, pod: Workload, wanted: Callable[[PodReport], bool]) -> PodReport:
        """The first report of the pod that fits."""
        await self.until_true(lambda: pod.uid in self.reports and wanted(self.reports[pod.uid]), lambda: str(self.reports.get(pod.uid)))
        return self.reports[pod.uid]

    async def until_true(self, wanted: Callable[[], bool], explain: Callable[[], str] = str) -> None:
        async with self._changed:
            try:
                async with asyncio.timeout(PATIENCE_SECONDS):
                    await self._changed.wait_for(wanted)
            except TimeoutError:
                raise AssertionError(f"did not come true; last seen: {explain()}") from None

    async def run(self, pod: Workload) -> PodReport:
        """Submits the pod and waits for its end."""
        await self.submit(pod)
        return await self.until(pod, lambda report: report.finished)

    async def running(self, pod: Workload) -> PodReport:
        """Submits the pod and waits until all its containers run."""
        await self.submit(pod)
        return await self.until_running(pod)

    async def until_running(self, pod: Workload) -> PodReport:
        return await self.until(pod, lambda report: all(isinstance(c.state, Running) for c in report.containers))

    async def until_waiting(self, pod: Workload, reason: str, words: str = "") -> PodReport:
        return await self.until(pod, lambda report: (w := waiting(report)) is not None and w.reason == reason and words in w.message)

    def log_stream(self, pod: Workload, container: str = "main", **options: Any) -> AsyncIterator[bytes]:
        return self.backend.logs(self.jobs[pod.uid], LogQuery(container, **options))

    async def raw_log(self, pod: Workload, container: str = "main", **options: Any) -> bytes:
        return b"".join([chunk async for chunk in self.log_stream(pod, container, **options)])

    async def log(self, pod: Workload, container: str = "main", **options: Any) -> str:
        return (await self.raw_log(pod, container, **options)).decode()

    async def delete(self, pod: Workload, grace_seconds: int | None = None) -> None:
        """With the pod's own grace, unless another is given."""
        await self.backend.cancel(self.jobs.pop(pod.uid), pod.grace_seconds if grace_seconds is None else grace_seconds)
        self.reports.pop(pod.uid, None)

    async def delete_all(self) -> None:
        """With little grace: most of them are a shell that would ignore its end. Without any, no kubelet would be waited for."""
        await asyncio.gather(*(self.delete(job.workload, 1) for job in list(self.jobs.values())))

    # The remote cluster, as its administrator sees it.

    def objects(self, kind: str, pod: Workload | None = None) -> list[dict[str, Any]]:
        selector = f"{labels.INSTANCE}={self.settings.instance}" + (f",{labels.POD_UID}={pod.uid}" if pod else "")
        path = labels.jobs_path(self.namespace) if kind == "jobs" else f"/api/v1/namespaces/{self.namespace}/{kind}"
        return self.api.items(path, selector)

    def remote_pod(self, pod: Workload) -> dict[str, Any]:
        """Of the last run."""
        return max(self.objects("pods", pod), key=lambda found: int(found["metadata"]["labels"][labels.RUN]))

    def leftovers(self) -> list[str]:
        kinds = ("pods", "jobs", "configmaps", "secrets", "services")
        return [f"{kind}/{found['metadata']['name']}" for kind in kinds for found in self.objects(kind)]

    async def until_nothing_is_left(self) -> None:
        """The garbage collector takes files after their pod."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while left := await asyncio.to_thread(self.leftovers):
            assert time.monotonic() < deadline, left
            await asyncio.sleep(0.2)


def container(report: PodReport, name: str = "main") -> ContainerReport:
    return next(found for found in (*report.init_containers, *report.containers) if found.name == name)


def ended(report: PodReport, name: str = "main") -> Terminated:
    state = container(report, name).state
    assert isinstance(state, Terminated), state
    return state


def waiting(report: PodReport, name: str = "main") -> Waiting | None:
    state = container(report, name).state
    return state if isinstance(state, Waiting) else None
