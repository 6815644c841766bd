"""The contract suite on the Kueue plugin without a queue: a process of its own, in front of a real control plane and a real kubelet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest

from interlink_common.backend import Capabilities
from interlink_common.testing.contract_suite import PluginContract
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

    @pytest.fixture
    def image(self) -> str:
        return BUSYBOX_IMAGE

    @pytest.fixture
    def capabilities(self) -> Capabilities:
        return KueueBackend.capabilities
