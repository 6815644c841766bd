"""One control plane with a real node and Kueue for all live tests, and a backend per test that must leave nothing behind.

Kueue is a double, and after it the real manager where one is given (`tests.servers.kueue_manager`).
"""

from __future__ import annotations

import itertools
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
import pytest_asyncio

from scripts import kubernetes_programs
from tests.live.kueue.remote import Remote
from tests.servers.kubernetes import Cluster
from tests.servers.kubernetes_node import Node, unavailable
from tests.servers.kubernetes_plugin import Api, tenant_kubeconfig
from tests.servers.kueue import Kueue
from tests.servers.kueue_double import KueueDouble
from tests.servers.kueue_manager import KueueManager, given

NAMESPACE = "live"
StartRemote = Callable[..., Awaitable[Remote]]
numbers = itertools.count()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Cluster]:
    if reason := unavailable():
        report: Callable[[str, str], NoReturn] = request.getfixturevalue("unavailable")
        report("kueue", reason)
    assets = kubernetes_programs.folder()
    cluster = Cluster(assets, tmp_path_factory.mktemp("kube") / "cluster")
    node = Node(cluster, assets)
    try:
        cluster.start(scheduler=True)
        node.start()
        yield cluster
    finally:
        node.close()
        cluster.close()


@pytest.fixture(scope="session")
def api(cluster: Cluster) -> Iterator[Api]:
    api = Api(cluster)
    yield api
    api.close()


@pytest.fixture(scope="session")
def kubeconfig(cluster: Cluster) -> Path:
    """With exactly the rights of the plugin's RBAC files."""
    return tenant_kubeconfig(cluster, NAMESPACE)


KINDS: dict[str, type[Kueue]] = {one.name: one for one in ((KueueDouble, KueueManager) if given() else (KueueDouble,))}


@pytest.fixture(scope="session", params=list(KINDS))
def kueue(cluster: Cluster, request: pytest.FixtureRequest) -> Iterator[Kueue]:
    started = KINDS[request.param](cluster)
    try:
        started.start()
        yield started
    finally:
        started.close()


@pytest.fixture
def queue(kueue: Kueue) -> str:
    """A queue of this test with one cpu."""
    name = f"queue-{os.getpid()}-{next(numbers)}"
    kueue.queue(NAMESPACE, name, {"cpu": "1", "memory": "1Gi", "example.com/fpga": "2"})
    return name


@pytest_asyncio.fixture
async def start_remote(api: Api, kubeconfig: Path, tmp_path: Path) -> AsyncIterator[StartRemote]:
    """Starts backends with the settings a test needs; afterwards their pods are deleted and nothing may be left."""
    remotes: list[Remote] = []

    async def start(*, api: Api = api, **groups: Any) -> Remote:
        remote = Remote(api, kubeconfig, tmp_path, NAMESPACE, **groups)
        await remote.start()
        remotes.append(remote)
        return remote

    yield start
    for remote in remotes:
        await remote.delete_all()
        await remote.until_nothing_is_left()
        await remote.stop()


@pytest_asyncio.fixture
async def remote(start_remote: StartRemote) -> Remote:
    return await start_remote()


@pytest_asyncio.fixture
async def queued(start_remote: StartRemote, queue: str) -> Remote:
    """A backend whose pods go through `queue`."""
    return await start_remote(tenants={"*": {"queue": queue}})
