"""Images on a worker node: from a registry by every form of a name, by path, by the site's map; pulled once, and with a login."""

from __future__ import annotations

import os
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from interlink_common.model.workload import Container, RegistryCredential, Workload
from interlink_common.testing.lifecycle_cases import pod, sh
from tests.live.podrunner.worker import NOBODY, Job, Node, ended, entry
from tests.servers import apptainer, docker_registry, podman
from tests.servers.docker_engine import unmount
from tests.servers.docker_registry import PASSWORD, USERNAME, DockerRegistry

StartJob = Callable[..., Job]
ENTRYPOINT = ('ENTRYPOINT ["/bin/echo", "entry $HOME"]', 'CMD ["from", "the image\'s \\"cmd\\""]', "ENV GREETING=hello")

Options = dict[str, Any]
"""Of RunnerConfig."""


@pytest.fixture(params=["apptainer", "podman"])
def runtime(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def registry(podman_storage: podman.Storage, unavailable: Callable[[str, str], None]) -> Iterator[DockerRegistry]:
    if reason := docker_registry.unavailable():
        unavailable("podrunner", reason)
    running = DockerRegistry()
    running.start()
    podman_storage.add_image("localhost/entry:1", *ENTRYPOINT)
    podman_storage.push("localhost/entry:1", f"{running.server}/team/entry:1")
    podman_storage.push(podman.IMAGE, f"{running.server}/team/plain:latest")
    yield running
    running.remove()


@pytest.fixture
def options(node: Node, registry: DockerRegistry, scratch: Path) -> Iterator[Options]:
    """An empty cache, and a registry without TLS."""
    cache = scratch / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    yield {"image_cache": str(cache), "insecure_registries": (registry.server,)}
    unmount(scratch)


def one(container: Container, **fields: object) -> Workload:
    return replace(pod("images", container), **fields)  # type: ignore[arg-type]  # a Workload's own


def run(start: StartJob, node: Node, options: Options, container: Container) -> Job:
    job = start(node, one(container), **options)
    job.end()
    return job


@pytest.mark.parametrize(
    ("command", "args", "log"),
    [
        (None, None, 'entry $HOME from the image\'s "cmd"\n'),
        (None, ("other", "$HOME `args`"), "entry $HOME other $HOME `args`\n"),
        (("echo", "mine"), None, "mine\n"),
        (("echo", "mine"), ("and", "args"), "mine and args\n"),
    ],
    ids=["neither", "args", "command", "both"],
)
def test_entrypoint_and_cmd(
    node: Node, start: StartJob, options: Options, registry: DockerRegistry, command: tuple[str, ...], args: tuple[str, ...], log: str
) -> None:
    job = run(start, node, options, Container("main", f"{registry.server}/team/entry:1", command=command, args=args))
    assert job.log() == log
    assert ended(job.end().report).exit_code == 0


def test_the_environment_of_the_image(node: Node, start: StartJob, options: Options, registry: DockerRegistry) -> None:
    job = run(start, node, options, Container("main", f"{registry.server}/team/entry:1", command=("sh", "-c", "echo $GREETING")))
    assert job.log() == "hello\n"


@pytest.mark.parametrize("form", ["docker://{}/team/plain", "{}/team/plain", "{}/team/plain:latest", "{}/team/plain@{digest}"])
def test_forms_of_a_name(node: Node, start: StartJob, options: Options, registry: DockerRegistry, form: str) -> None:
    name = form.format(registry.server, digest=digest_of(registry, "team/plain", "latest"))
    job = run(start, node, options, sh("main", "echo ran", image=name, mounts=()))
    assert job.log() == "ran\n"


def digest_of(registry: DockerRegistry, path: str, tag: str) -> str:
    request = urllib.request.Request(f"http://{registry.server}/v2/{path}/manifests/{tag}", method="HEAD")
    for kind in ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.oci.image.manifest.v1+json"):
        request.add_header("Accept", kind)
    with urllib.request.urlopen(request) as answer:
        return str(answer.headers["Docker-Content-Digest"])


def test_what_is_in_no_registry(node: Node, start: StartJob, options: Options, registry: DockerRegistry) -> None:
    job = start(node, one(sh("main", "true", image=f"{registry.server}/team/none:1")), **options)
    job.until(lambda events: any("ImagePullBackOff" in str(entry(report).state) for report in job.reports()))
    assert any("ErrImagePull" in str(entry(report).state) for report in job.reports())


def test_never_pulls(node: Node, start: StartJob, options: Options, registry: DockerRegistry) -> None:
    never = sh("main", "true", image=f"{registry.server}/team/plain:latest", image_pull_policy="Never")
    job = start(node, one(never), **options)
    job.until(lambda events: any("ErrImageNeverPull" in str(entry(report).state) for report in job.reports()))


def test_a_node_pulls_once(apptainer_node: Node, start: StartJob, podman_storage: podman.Storage, scratch: Path) -> None:
    """Two jobs at once, and one when the registry is away."""
    cache = scratch / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    away = DockerRegistry()
    away.start()
    try:
        podman_storage.push(podman.IMAGE, f"{away.server}/plain:1")
        container = sh("main", "echo ran", image=f"{away.server}/plain:1", mounts=())
        options: Options = {"image_cache": str(cache), "insecure_registries": (away.server,)}
        jobs = [start(apptainer_node, one(container), **options) for _ in range(2)]
        assert [job.end().exit_code for job in jobs] == [0, 0]
    finally:
        away.remove()
    later = start(apptainer_node, one(container), **options)
    assert later.end().exit_code == 0
    assert len(list(cache.glob("*/*.sif"))) == 1


def test_a_registry_with_a_login(node: Node, start: StartJob, options: Options, podman_storage: podman.Storage) -> None:
    private = DockerRegistry(login=True)
    private.start()
    try:
        podman_storage.push(podman.IMAGE, f"{private.server}/plain:1", f"--creds={USERNAME}:{PASSWORD}")
        container = sh("main", "echo ran", image=f"{private.server}/plain:1", mounts=())
        mine: Options = {**options, "insecure_registries": (private.server,)}
        credentials = (
            RegistryCredential(private.server.replace("127.", "*.", 1), USERNAME, PASSWORD),
            RegistryCredential(f"https://{private.server}/plain", USERNAME, "an old one, tried first"),
            RegistryCredential(f"{private.server}/other", USERNAME, "of another image"),
        )
        refused = start(node, one(container), **mine)
        refused.until(lambda events: any("ErrImagePull" in str(entry(report).state) for report in refused.reports()))
        job = start(node, one(container, registry_credentials=credentials), **mine)
        assert job.end().exit_code == 0
        assert job.log() == "ran\n"
    finally:
        private.remove()


def test_an_image_of_an_oras_registry(apptainer_node: Node, start: StartJob, apptainer_image: Path, registry: DockerRegistry) -> None:
    apptainer.push(apptainer_image, f"oras://{registry.server}/team/sif:1")
    options: Options = {"insecure_registries": (registry.server,)}
    job = run(start, apptainer_node, options, sh("main", "echo ran", image=f"oras://{registry.server}/team/sif:1", mounts=()))
    assert job.log() == "ran\n"


def test_images_by_path(apptainer_node: Node, apptainer_image: Path, start: StartJob, scratch: Path) -> None:
    """A .sif and a directory, as the operator allows; a map from a name's prefix, as for /cvmfs/unpacked.cern.ch."""
    shelf = scratch / "unpacked"
    plain = apptainer.extract_busybox(shelf / "plain")
    (shelf / "registry.hub/team").mkdir(parents=True)
    directory = apptainer.build_image(shelf / "registry.hub/team/box:1", root=plain, directory=True)
    (shelf / "box.sif").symlink_to(apptainer_image)
    if os.geteuid() == 0:
        os.chown(directory, NOBODY, NOBODY)
    options: Options = {
        "image_directories": (str(shelf), str(apptainer_image.parent)),
        "images": {"hub.example/team": str(shelf / "registry.hub/team")},
    }
    for name in (str(shelf / "box.sif"), str(directory), "hub.example/team/box:1"):
        job = run(start, apptainer_node, options, sh("main", "echo ran $BY", image=name, env={"BY": "path"}, mounts=()))
        assert job.log() == "ran path\n", name
    for name, words in (("/etc", "is a path"), (str(plain), "plain directory")):
        denied = start(apptainer_node, one(sh("main", "true", image=name)), **options)
        denied.until(partial(is_invalid, denied))
        assert any(words in str(entry(report).state) for report in denied.reports())


def is_invalid(job: Job, _: object) -> bool:
    return any("InvalidImageName" in str(entry(report).state) for report in job.reports())


def test_a_root_directory_in_podman(podman_node: Node, start: StartJob, scratch: Path) -> None:
    directory = apptainer.extract_busybox(scratch / "unpacked/box:1")
    options: Options = {"image_directories": (str(scratch / "unpacked"),)}
    job = run(start, podman_node, options, sh("main", "echo ran; touch /new", image=str(directory), mounts=()))
    assert job.log() == "ran\n"
    assert not (directory / "new").exists()
