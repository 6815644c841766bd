"""The contract suite on the ARC plugin: a process of its own, in front of a real computing element, whose jobs find apptainer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interlink_arc.backend import ArcBackend
from interlink_common.backend import Capabilities
from interlink_common.testing.contract_suite import PluginContract
from tests.servers.arc import ComputingElement
from tests.servers.arc_plugin import POD_IMAGE, ArcPlugin

pytestmark = [pytest.mark.live, pytest.mark.timeout(300), pytest.mark.xdist_group("arc")]


@pytest.fixture(scope="module")
def served(arc_ce: ComputingElement, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArcPlugin]:
    plugin = ArcPlugin(arc_ce, tmp_path_factory.mktemp("plugin"))
    plugin.start()
    yield plugin
    plugin.stop()


@pytest.fixture(scope="module")
def served_by_the_older(older_arc_ce: ComputingElement, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ArcPlugin]:
    """By token; its nodes have no container runtime."""
    plugin = ArcPlugin(older_arc_ce, tmp_path_factory.mktemp("older"), {"runner.runtimes": ["process"]}, user="bob")
    plugin.start()
    yield plugin
    plugin.stop()


class TestArc(PluginContract):
    @pytest.fixture
    def plugin(self, served: ArcPlugin) -> ArcPlugin:
        return served

    @pytest.fixture
    def image(self) -> str:
        return POD_IMAGE

    @pytest.fixture
    def capabilities(self) -> Capabilities:
        return ArcBackend.capabilities


class TestOlderArc(TestArc):
    """ARC 7.0, as a user who comes with a token, with pods as bare processes."""

    @pytest.fixture
    def plugin(self, served_by_the_older: ArcPlugin) -> ArcPlugin:
        return served_by_the_older
