"""The contract suite on the Kueue plugin without a queue: a process of its own, in front of a real control plane and a real kubelet."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from interlink_common.backend import Capabilities
from interlink_common.testing.contract_suite import PluginContract, Pods, RunningPlugin
from interlink_common.testing.contract_suite.base import PATIENCE_SECONDS
from interlink_common.testing.scripts import Script
from interlink_common.virtualkubelet.client import PluginClient
from interlink_kueue.backend import KueueBackend
from scripts import kubernetes_programs
from tests.servers.kubernetes import Cluster
from tests.servers.kubernetes_node import BUSYBOX_IMAGE, Node, unavailable
from tests.servers.kubernetes_plugin import Api, KubernetesPlugin, tenant_kubeconfig

pytestmark = [pytest.mark.live, pytest.mark.timeout(300), pytest.mark.xdist_group("kueue")]

NAMESPACE = "contract"


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
def served(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesPlugin]:
    api = Api(cluster)
    plugin = KubernetesPlugin(tenant_kubeconfig(cluster, NAMESPACE), api, NAMESPACE, tmp_path_factory.mktemp("plugin"))
    plugin.start()
    yield plugin
    plugin.stop()
    api.close()


class TestKueue(PluginContract):
    @pytest.fixture
    def plugin(self, served: KubernetesPlugin) -> KubernetesPlugin:
        return served

    async def test_a_second_delete_with_less_grace_hurries_the_first(
        self, plugin: RunningPlugin, client: PluginClient, pods: Pods
    ) -> None:  # fmt: skip
        """The remote cluster is told so. Its kubelet keeps to the first grace all the same, as on any node (Kubernetes issue 113606)."""
        assert isinstance(plugin, KubernetesPlugin)
        pod = await pods.start(main=Script(seconds=None, stop_seconds=3600.0))
        await client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)
        await client.delete(pod, grace_seconds=20)
        await client.delete(pod, grace_seconds=5)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while await plugin.grace_seconds(pod.uid) != 5:  # noqa: ASYNC110  nothing tells of it
                await asyncio.sleep(0.2)

    @pytest.fixture
    def image(self) -> str:
        return BUSYBOX_IMAGE

    @pytest.fixture
    def capabilities(self) -> Capabilities:
        return KueueBackend.capabilities
