"""The contract suite on the HTCondor plugin: a process of its own, in front of a real pool, with apptainer on its worker node."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interlink_common.backend import Capabilities
from interlink_common.testing.contract_suite import PluginContract
from interlink_htcondor.backend import HTCondorBackend
from tests.servers.htcondor import Pool
from tests.servers.htcondor_plugin import POD_IMAGE, HTCondorPlugin

pytestmark = [pytest.mark.live, pytest.mark.timeout(300), pytest.mark.xdist_group("htcondor")]


@pytest.fixture(scope="module")
def served(htcondor_pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Iterator[HTCondorPlugin]:
    plugin = HTCondorPlugin(htcondor_pool, tmp_path_factory.mktemp("plugin"))
    plugin.start()
    yield plugin
    plugin.stop()


class TestHTCondor(PluginContract):
    @pytest.fixture
    def plugin(self, served: HTCondorPlugin) -> HTCondorPlugin:
        return served

    @pytest.fixture
    def image(self) -> str:
        return POD_IMAGE

    @pytest.fixture
    def capabilities(self) -> Capabilities:
        return HTCondorBackend.capabilities
