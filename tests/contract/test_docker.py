"""The contract suite on the Docker plugin: a process of its own, in front of an engine of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from interlink_common.backend import Capabilities
from interlink_common.testing.contract_suite import PluginContract
from interlink_docker.backend import DockerBackend
from tests.servers.docker_engine import BUSYBOX_IMAGE, DockerEngine, unavailable
from tests.servers.docker_plugin import DockerPlugin

pytestmark = [pytest.mark.live, pytest.mark.timeout(300), pytest.mark.xdist_group("docker")]


@pytest.fixture(scope="module")
def engine() -> Iterator[DockerEngine]:
    if reason := unavailable():
        pytest.skip(reason)
    engine = DockerEngine()
    try:
        engine.start()
        engine.install_images()
        yield engine
    finally:
        engine.remove()


@pytest.fixture(scope="module")
def served(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerPlugin]:
    plugin = DockerPlugin(engine, tmp_path_factory.mktemp("plugin"))
    plugin.start()
    yield plugin
    plugin.stop()


class TestDocker(PluginContract):
    @pytest.fixture
    def plugin(self, served: DockerPlugin) -> DockerPlugin:
        return served

    @pytest.fixture
    def image(self) -> str:
        return BUSYBOX_IMAGE

    @pytest.fixture
    def capabilities(self) -> Capabilities:
        return DockerBackend.capabilities
