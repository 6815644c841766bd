"""Everything in examples/ is valid: pods translate without a warning, configurations load without one. The live suite runs the pods."""

from __future__ import annotations

import json
import os
from importlib.metadata import entry_points
from pathlib import Path

import pytest

from interlink_common.backend import Backend
from interlink_common.cli import configuration
from interlink_common.tracking.requests import read_create
from interlink_common.virtualkubelet.bodies import NodeOptions, VirtualPod
from interlink_common.virtualkubelet.manifests import load_manifests
from interlink_docker.backend import DockerBackend
from interlink_kueue.backend import KueueBackend
from scripts.demo import PODS
from scripts.engine import IMAGES

EXAMPLES = Path(__file__).parents[2] / "examples"
MANIFESTS = sorted(EXAMPLES.glob("*.yaml"))


def test_the_demo_runs_every_pod() -> None:
    assert sorted(name for name, _, _ in PODS) == [file.stem for file in MANIFESTS]


@pytest.mark.parametrize("backend", [DockerBackend, KueueBackend], ids=lambda backend: backend.name)
@pytest.mark.parametrize("skip", [False, True], ids=["env resolved", "env raw"])
@pytest.mark.parametrize("file", MANIFESTS, ids=lambda file: file.stem)
def test_pod(file: Path, skip: bool, backend: type[Backend], tmp_path: Path) -> None:
    settings = backend.settings_type(state_dir=tmp_path, skip_downward_api_resolution=skip)
    pod = VirtualPod.admit(load_manifests(file.read_text()), NodeOptions(skip_downward_api_resolution=skip), now=0)
    workload = read_create(json.dumps(pod.create_body()).encode(), backend(settings), settings)
    assert (workload.name, workload.warnings) == (file.stem, ())
    assert {container.image for container in workload.all_containers} <= set(IMAGES)


@pytest.mark.parametrize("file", sorted((EXAMPLES / "config").glob("*.yaml")), ids=lambda file: file.stem)
def test_configuration(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(configuration.PREFIX)]:
        monkeypatch.delenv(name)
    (plugin,) = entry_points(group="interlink.plugins", name=file.stem.partition("-")[0])
    loaded = configuration.load(plugin.load().settings_type, file=file)
    assert loaded.warnings == ()
    assert {origin.kind for origin in loaded.origins.values()} == {"default", "file"}
