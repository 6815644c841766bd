"""Worker nodes under test, one per container runtime, each job in a directory of its own that must be left clean."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from interlink_common.podrunner.config import RunnerConfig
from interlink_common.testing.lifecycle_cases import SHORT
from tests.live.podrunner.worker import Job, Node, mounts_below, processes_below
from tests.servers import apptainer, podman

APPTAINER_IMAGE = "busybox:1"
IMAGES = {"process": "none", "apptainer": APPTAINER_IMAGE, "podman": podman.IMAGE}
LEFT_AT_THE_END = {"stop.json", "start.sh", "pod.json", "runner.json", "podrunner.pyz", "podrunner.pid", "events.jsonl", "stderr"}


@pytest.fixture(scope="session")
def place() -> Iterator[Path]:
    """A directory that other users may look into, as the scratch directories of a batch system are."""
    folder = Path(tempfile.mkdtemp(prefix="interlink-podrunner-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def scratch(place: Path) -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(dir=place))
    folder.chmod(0o755)
    yield folder
    assert processes_below(folder) == []
    assert mounts_below(folder) == []
    for stream in folder.rglob("events.jsonl"):
        assert {entry.name for entry in stream.parent.iterdir()} <= LEFT_AT_THE_END


@pytest.fixture(scope="session")
def process_node() -> Node:
    return Node(RunnerConfig(runtimes=("process",), timing=SHORT), as_nobody=os.geteuid() == 0)


@pytest.fixture(scope="session")
def apptainer_image(place: Path, unavailable: Callable[[str, str], None]) -> Path:
    if reason := apptainer.unavailable():
        unavailable("podrunner", reason)
    return apptainer.build_image(place / "busybox.sif")


@pytest.fixture(scope="session")
def apptainer_node(apptainer_image: Path) -> Node:
    programs = {"apptainer": str(apptainer.program())}
    config = RunnerConfig(runtimes=("apptainer",), programs=programs, images={"busybox": str(apptainer_image)}, timing=SHORT)
    return Node(config, as_nobody=os.geteuid() == 0)


@pytest.fixture(scope="session")
def podman_storage(place: Path, unavailable: Callable[[str, str], None]) -> Iterator[podman.Storage]:
    if reason := podman.unavailable():
        unavailable("podrunner", reason)
    storage = podman.Storage(place / "podman", podman.configuration(place))
    storage.add_image()
    yield storage
    assert storage.containers() == []
    assert storage.secrets() == []
    storage.run("system", "reset", "--force")


@pytest.fixture(scope="session")
def podman_node(podman_storage: podman.Storage, place: Path) -> Node:
    config = RunnerConfig(runtimes=("podman",), image_cache=str(podman_storage.cache), timing=SHORT)
    return Node(config, environment=podman.configuration(place))


@pytest.fixture(params=list(IMAGES))
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def node(runtime: str, request: pytest.FixtureRequest) -> Node:
    found = request.getfixturevalue(f"{runtime}_node")
    assert isinstance(found, Node)
    return found


@pytest.fixture
def image(runtime: str) -> str:
    return IMAGES[runtime]


@pytest.fixture
def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


@pytest.fixture
def start(scratch: Path) -> Iterator[Callable[..., Job]]:
    """Starts jobs, which end with the test."""
    jobs: list[Job] = []

    def start_job(node: Node, pod: object, **changes: object) -> Job:
        job = node.job(pod, scratch / f"job-{len(jobs)}", **changes)  # type: ignore[arg-type]  # a Workload
        jobs.append(job.__enter__())
        return job

    yield start_job
    for job in jobs:
        job.__exit__()
