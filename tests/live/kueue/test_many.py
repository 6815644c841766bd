"""Thousands of pods at once, on a real control plane whose nodes are played by kwok."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from interlink_common.model.report import Running
from interlink_common.model.workload import Workload
from scripts import kubernetes_programs
from tests.live.kueue.conftest import NAMESPACE
from tests.live.kueue.remote import Remote, a_pod, container, shell
from tests.servers import kwok
from tests.servers.kubernetes import Cluster
from tests.servers.kubernetes_plugin import Api, tenant_kubeconfig

PODS = 5_000
AT_ONCE = 64
PATIENCE_SECONDS = 400.0


@pytest.fixture
def wide_cluster(tmp_path: Path, unavailable: Callable[[str, str], NoReturn]) -> Iterator[Cluster]:
    """With room for all of them."""
    if reason := kwok.unavailable():
        unavailable("kueue", reason)
    cluster = Cluster(kubernetes_programs.folder(), tmp_path / "cluster")
    try:
        cluster.start(scheduler=True)
        kwok.start(cluster, nodes=PODS // kwok.PODS_PER_NODE + 1)
        yield cluster
    finally:
        cluster.close()


@pytest.mark.trial
@pytest.mark.timeout(900)
async def test_five_thousand_pods(wide_cluster: Cluster, tmp_path: Path) -> None:
    """They all run, are all known after a restart, and nothing is left of them."""
    api = Api(wide_cluster)
    remote = Remote(api, tenant_kubeconfig(wide_cluster, NAMESPACE), tmp_path, NAMESPACE)
    pods = [a_pod(shell("sleep 600")) for _ in range(PODS)]
    await remote.start()
    try:
        await in_parallel(pods, remote.submit)
        await until_all_run(remote, pods)
        await remote.restart()
        await until_all_run(remote, pods)
        assert {found.pod_uid for found in await remote.backend.inventory()} == {pod.uid for pod in pods}
        await in_parallel(pods, remote.delete)
        assert remote.leftovers() == []
    finally:
        await remote.stop()
        api.close()


async def in_parallel(pods: list[Workload], act: Callable[[Workload], Awaitable[object]]) -> None:
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(pod: Workload) -> None:
        async with limit:
            await act(pod)

    await asyncio.gather(*(one(pod) for pod in pods))


async def until_all_run(remote: Remote, pods: list[Workload]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while waiting := [
        pod for pod in pods if not (report := remote.reports.get(pod.uid)) or not isinstance(container(report).state, Running)
    ]:
        assert time.monotonic() < deadline, f"{len(waiting)} do not run; the report of one: {remote.reports.get(waiting[0].uid)}"
        await asyncio.sleep(0.5)
