"""Rows of the coverage table that concern images, on a real engine and a real registry."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from interlink_common.model.workload import Container, RegistryCredential
from interlink_docker.client import Engine
from interlink_docker.images import Images
from tests.live.docker.conftest import StartNode
from tests.live.docker.node import Node, a_pod, container, ended, waiting
from tests.servers.docker_engine import DockerEngine
from tests.servers.docker_registry import PASSWORD, USERNAME, DockerRegistry, unavailable


def served(engine: DockerEngine, *, login: bool) -> Iterator[DockerRegistry]:
    if reason := unavailable():
        pytest.skip(reason)
    registry = DockerRegistry(login=login)
    try:
        registry.start()
        yield registry
    finally:
        with engine.client() as client:
            for image in client.images():
                for tag in image["RepoTags"] or []:
                    if tag.startswith(registry.server):
                        client.remove_image(tag)
        registry.remove()


@pytest.fixture
def registry(engine: DockerEngine) -> Iterator[DockerRegistry]:
    yield from served(engine, login=False)


@pytest.fixture
def private_registry(engine: DockerEngine) -> Iterator[DockerRegistry]:
    yield from served(engine, login=True)


async def test_pull_from_a_registry_with_port(registry: DockerRegistry, node: Node) -> None:
    image = await asyncio.to_thread(registry.push, node.engine, "team/app")
    report = await node.run(a_pod(Container("main", image, ("true",))))
    assert ended(report).exit_code == 0
    assert container(report).image == image


async def test_one_pull_serves_many_pods(registry: DockerRegistry, node: Node) -> None:
    image = await asyncio.to_thread(registry.push, node.engine, "team/app")
    pods = [a_pod(Container("main", image, ("true",), image_pull_policy="Always")) for _ in range(5)]
    reports = await asyncio.gather(*map(node.run, pods))
    assert [ended(report).exit_code for report in reports] == [0] * 5


async def test_image_pull_secrets(private_registry: DockerRegistry, node: Node) -> None:
    image = await asyncio.to_thread(private_registry.push, node.engine, "team/app")
    without = await node.submit(a_pod(Container("main", image, ("true",))))
    report = await node.until(without, lambda report: getattr(waiting(report), "reason", "") in {"ErrImagePull", "ImagePullBackOff"})
    assert image in getattr(waiting(report), "message", "")
    logins = (
        RegistryCredential(private_registry.server, USERNAME, "wrong"),
        RegistryCredential(private_registry.server, USERNAME, PASSWORD),
    )
    report = await node.run(a_pod(Container("main", image, ("true",)), registry_credentials=logins))
    assert ended(report).exit_code == 0


async def test_pulls_of_one_image_with_different_logins(private_registry: DockerRegistry, node: Node) -> None:
    """Both at once, a few times; one has to try twice, so mostly they end one after the other."""
    image = await asyncio.to_thread(private_registry.push, node.engine, "team/app")
    right, wrong = (RegistryCredential(private_registry.server, USERNAME, password) for password in (PASSWORD, "wrong"))
    engine = Engine(node.settings.engine)
    images = Images(engine, node.settings.images)
    try:
        for _ in range(10):
            await asyncio.gather(*(images.ensure(image, "Always", logins) for logins in ((right,), (wrong, right))))
            assert images.progress(image) == ""
    finally:
        await engine.close()


async def test_credentials_file_and_mirror_of_the_operator(private_registry: DockerRegistry, start_node: StartNode, tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.write_text(json.dumps({"auths": {private_registry.server: {"username": USERNAME, "password": PASSWORD}}}))
    mirrors = {"quay.example.org": f"{private_registry.server}/mirrored"}
    node = await start_node(images={"credentials_file": str(config), "mirrors": mirrors})
    await asyncio.to_thread(private_registry.push, node.engine, "mirrored/team/app")
    report = await node.run(a_pod(Container("main", "quay.example.org/team/app:1", ("true",))))
    assert ended(report).exit_code == 0


async def test_the_operators_pull_policy_wins(registry: DockerRegistry, start_node: StartNode) -> None:
    node = await start_node(images={"pull_policy": "Never"})
    image = await asyncio.to_thread(registry.push, node.engine, "team/app")
    pod = await node.submit(a_pod(Container("main", image, ("true",), image_pull_policy="Always")))
    await node.until(pod, lambda report: getattr(waiting(report), "reason", "") == "ErrImageNeverPull")
