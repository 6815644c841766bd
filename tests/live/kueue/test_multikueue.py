"""MultiKueue between two clusters: one that only queues, and one with a real node that runs what the first hands on."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlink_common.backend import Verdict
from interlink_common.errors import NotFound
from interlink_common.model.report import Running
from interlink_common.model.workload import File, FilesVolume, Mount
from scripts import kubernetes_programs
from tests.live.kueue.conftest import KINDS, NAMESPACE, StartRemote, numbers
from tests.live.kueue.remote import PATIENCE_SECONDS, Remote, a_pod, container, cpu, ended, shell
from tests.servers.kubernetes import Cluster
from tests.servers.kubernetes_plugin import Api, left, tenant_kubeconfig
from tests.servers.kueue import Kueue

WORKER = "worker-east"
FILES = FilesVolume("cm", (File("word", 0o644, b"brought"),))


@pytest.fixture(scope="module")
def manager_cluster(tmp_path_factory: pytest.TempPathFactory, cluster: Cluster) -> Iterator[Cluster]:
    """Without a node; the one that all live tests share is the worker's."""
    manager = Cluster(kubernetes_programs.folder(), tmp_path_factory.mktemp("manager") / "cluster")
    try:
        manager.start()
        yield manager
    finally:
        manager.close()


@pytest.fixture(scope="module")
def manager_kubeconfig(manager_cluster: Cluster) -> Path:
    return tenant_kubeconfig(manager_cluster, NAMESPACE)


@pytest.fixture(scope="module")
def manager_api(manager_cluster: Cluster) -> Iterator[Api]:
    api = Api(manager_cluster)
    yield api
    api.close()


@pytest.fixture(scope="module")
def manager(kueue: Kueue, cluster: Cluster, manager_cluster: Cluster, manager_kubeconfig: Path) -> Iterator[Kueue]:
    """Kueue there, of the same kind as on the worker cluster."""
    manager = KINDS[kueue.name](manager_cluster)
    try:
        manager.start()
        manager.hand_on("to-workers", {WORKER: cluster})
        yield manager
    finally:
        manager.close()


@pytest.fixture
def shared_queue(kueue: Kueue, manager: Kueue) -> str:
    """On both clusters."""
    name = f"shared-{os.getpid()}-{next(numbers)}"
    kueue.queue(NAMESPACE, name, {"cpu": "1"})
    manager.queue(NAMESPACE, name, {"cpu": "1"}, check="to-workers")
    return name


@pytest.fixture
def start_manager(
    start_remote: StartRemote, manager_api: Api, manager_kubeconfig: Path, kubeconfig: Path, shared_queue: str
) -> StartRemote:
    """A backend of the manager's cluster that has, or has not, credentials for the worker's."""

    async def start(*, credentials: bool = True) -> Remote:
        return await start_remote(
            api=manager_api,
            clusters={"default": {"kubeconfig": manager_kubeconfig}, "east": {"kubeconfig": kubeconfig}},
            tenants={"*": {"queue": shared_queue}},
            queues={"worker_clusters": {WORKER: "east"} if credentials else {}},
        )

    return start


async def nothing_is_on_the_worker(api: Api, uid: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while found := await asyncio.to_thread(left, api, NAMESPACE, uid):
        assert time.monotonic() < deadline, found
        await asyncio.sleep(0.2)


async def test_a_pod_with_files_runs_on_the_worker_cluster(start_manager: StartRemote, api: Api) -> None:
    remote = await start_manager()
    pod = a_pod(shell("cat /cm/word; sleep 2; exit 3", requests=cpu(100), mounts=(Mount("cm", "/cm"),)), volumes=(FILES,))
    assert ended(await remote.run(pod)).exit_code == 3
    assert any(isinstance(container(report).state, Running) for report in remote.observed[pod.uid])
    assert await remote.log(pod) == "brought"
    await remote.delete(pod)
    await nothing_is_on_the_worker(api, pod.uid)


async def test_without_credentials_a_pod_runs_and_says_what_is_lacking(start_manager: StartRemote, api: Api) -> None:
    remote = await start_manager(credentials=False)
    plain = a_pod(shell("echo hello; exit 3", requests=cpu(100)))
    assert ended(await remote.run(plain)).exit_code == 3
    with pytest.raises(NotFound, match=f"worker cluster {WORKER} of MultiKueue, for which the plugin has no credentials"):
        await remote.log(plain)
    filed = a_pod(shell("cat /cm/word", requests=cpu(100), mounts=(Mount("cm", "/cm"),)), volumes=(FILES,))
    await remote.submit(filed)
    await remote.until_waiting(filed, "ContainerCreating", "Its files cannot be brought there")
    for pod in (plain, filed):
        await remote.delete(pod)
        await nothing_is_on_the_worker(api, pod.uid)


async def test_the_rights_on_worker_clusters_are_checked(start_manager: StartRemote) -> None:
    remote = await start_manager()
    rows = {row.name: (row.verdict, row.detail) for row in await remote.backend.check()}
    assert rows[f"tenant * on worker {WORKER}"] == (Verdict.OK, f"namespace {NAMESPACE}: the plugin has every right that it needs")


async def test_a_running_pod_that_is_deleted_ends_on_the_worker_cluster(start_manager: StartRemote, api: Api) -> None:
    remote = await start_manager()
    pod = a_pod(shell("sleep 600", requests=cpu(100)))
    await remote.running(pod)
    await remote.delete(pod)
    await nothing_is_on_the_worker(api, pod.uid)


async def test_a_pod_that_no_worker_cluster_admits_says_so(start_manager: StartRemote, kueue: Kueue, shared_queue: str, api: Api) -> None:
    remote = await start_manager()
    kueue.set_quota(shared_queue, {"cpu": "100m"})
    pod = a_pod(shell("exit 3", requests=cpu(200)))
    await remote.submit(pod)
    words = f"queue {shared_queue}: quota is reserved, waiting for admission check to-workers: Pending, offered to {WORKER}"
    await remote.until_waiting(pod, "Queued", words)
    kueue.set_quota(shared_queue, {"cpu": "1"})
    assert ended(await remote.until(pod, lambda report: report.finished)).exit_code == 3
    await remote.delete(pod)
    await nothing_is_on_the_worker(api, pod.uid)


async def test_a_pod_that_is_deactivated_ends_on_the_worker_cluster(start_manager: StartRemote, manager: Kueue, api: Api) -> None:
    remote = await start_manager()
    pod = a_pod(shell("sleep 600", requests=cpu(100)))
    await remote.running(pod)
    manager.deactivate(NAMESPACE, manager.workload_of(remote.remote_pod(pod)))
    assert ended(await remote.until(pod, lambda report: report.finished)).reason == "Deactivated"
    await remote.delete(pod)
    await nothing_is_on_the_worker(api, pod.uid)


async def test_a_preempted_pod_runs_again_on_the_worker_cluster(start_manager: StartRemote, manager: Kueue, api: Api) -> None:
    """Kueue leaves the pod of its own cluster as it was, with the status of a copy that is gone."""
    remote = await start_manager()
    pod = a_pod(shell("cat /cm/word; echo; sleep 600", requests=cpu(600), mounts=(Mount("cm", "/cm"),)), volumes=(FILES,))
    await remote.running(pod)
    manager.evict(NAMESPACE, manager.workload_of(remote.remote_pod(pod)))
    report = await remote.until(pod, lambda report: container(report).restart_count == 1 and isinstance(container(report).state, Running))
    last = container(report).last_state
    assert last is not None
    assert (last.exit_code, last.reason) == (137, "Preempted")
    assert not any(report.finished for report in remote.observed[pod.uid])
    assert await anext(aiter(remote.log_stream(pod, follow=True))) == b"brought\n"
    await remote.until_true(lambda: len(remote.objects("pods", pod)) == 1)
    await remote.delete(pod)
    await nothing_is_on_the_worker(api, pod.uid)
