"""The contract suite on the example plugin for Slurm: a process of its own, in front of a real Slurm, whose jobs find apptainer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interlink_common.backend import Capabilities
from interlink_common.testing.contract_suite import PluginContract
from interlink_slurm.backend import SlurmBackend
from tests.servers.slurm import Cluster
from tests.servers.slurm_plugin import POD_IMAGE, SlurmPlugin

pytestmark = [pytest.mark.live, pytest.mark.timeout(300), pytest.mark.xdist_group("slurm")]


@pytest.fixture(scope="module")
def served(slurm_cluster: Cluster) -> Iterator[SlurmPlugin]:
    plugin = SlurmPlugin(slurm_cluster)
    plugin.start()
    yield plugin
    plugin.stop()


class TestSlurm(PluginContract):
    @pytest.fixture
    def plugin(self, served: SlurmPlugin) -> SlurmPlugin:
        return served

    @pytest.fixture
    def image(self) -> str:
        return POD_IMAGE

    @pytest.fixture
    def capabilities(self) -> Capabilities:
        return SlurmBackend.capabilities
