"""What a newcomer types first: `make demo` runs every example as it should, and leaves nothing."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE, STDOUT
from pathlib import Path

import pytest

from scripts.demo import PODS
from scripts.engine import IMAGES
from tests.servers.docker_engine import DockerEngine

ROOT = Path(__file__).parents[3]


def images(engine: DockerEngine) -> set[str]:
    with engine.client() as client:
        return {tag for image in client.images() for tag in image["RepoTags"] or ()}


@pytest.mark.timeout(300)
async def test_the_demo(engine: DockerEngine) -> None:
    before = images(engine)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "scripts.demo", cwd=ROOT, env=os.environ | {"DOCKER_HOST": engine.url}, stdout=PIPE, stderr=STDOUT
    )
    output, _ = await process.communicate()
    said = output.decode()
    assert process.returncode == 0, said
    for name, code, _ in PODS:
        assert f"--- {name}: " in said
        assert f"Exit code {code}, as it should be." in said
    assert "the sum is 42" in said
    assert "the input file is missing" in said
    assert said.endswith("Left behind on the engine: nothing.\n")
    assert images(engine) == before
    assert not before & set(IMAGES)
