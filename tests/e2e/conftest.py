"""A cluster for the chain, and what stands behind it: a Docker engine, and the plugin in each of its environment modes."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.servers.docker_engine import BUSYBOX_IMAGE, DockerEngine, unavailable
from tests.servers.docker_plugin import DockerPlugin
from tests.servers.interlink import Programs, find_programs
from tests.servers.kubernetes import Cluster


@pytest.fixture(scope="session")
def programs() -> Programs:
    """Skips without Kubernetes' and interLink's programs."""
    programs = find_programs()
    if isinstance(programs, str):
        pytest.skip(programs)
    return programs


@pytest.fixture(scope="module")
def cluster(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(programs.assets, tmp_path_factory.mktemp("kube") / "cluster")
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.close()


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
def plugin(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerPlugin]:
    plugin = DockerPlugin(engine, tmp_path_factory.mktemp("plugin"))
    plugin.start()
    yield plugin
    plugin.stop()


@pytest.fixture
def skipping_plugin(engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerPlugin]:
    """A second plugin on the same engine, set up for SkipDownwardAPIResolution."""
    plugin = DockerPlugin(engine, tmp_path_factory.mktemp("skipping"), {"skip_downward_api_resolution": True})
    plugin.start()
    yield plugin
    plugin.stop()


@pytest.fixture(scope="module")
def image() -> str:
    return BUSYBOX_IMAGE


@pytest.fixture
def leftovers(plugin: DockerPlugin) -> Callable[[str], list[str]]:
    """What the engine and the state directory still hold of a pod, by its UID."""
    return plugin.found
