"""What the servers of live tests are made of: the distribution's packages, and what is built of them; the tests start and stop the servers.

Never fails for what a machine can't have: pytest lists the backends that could not run, and fails if REQUIRE_BACKENDS names one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable

from scripts import kubernetes_programs, kwok_program
from scripts.cluster import node_packages
from scripts.packages import Missing, busybox_packages, docker_packages, find_command, install, podrunner_packages, root_packages, say
from tests.servers import apptainer, arc_image, debian_root, htcondor_image, slurm_image
from tests.servers.debian_root import DebianRoot


def packages() -> None:
    """One after the other, since apt-get works for one at a time."""
    _each((_docker_packages, _podrunner_packages, _batch_packages, _kubernetes_packages))


def everything() -> None:
    """Builds, each once per machine."""
    _each((htcondor, arc, slurm, kubernetes, kwok_program.build))


def htcondor() -> None:
    _roots("HTCondor", htcondor_image.CURRENT, htcondor_image.OLDER)


def arc() -> None:
    _roots("ARC", arc_image.CURRENT, arc_image.OLDER)


def slurm() -> None:
    _roots("Slurm", slurm_image.CURRENT)


def kubernetes() -> None:
    """Only where Go is, or was: whoever has neither Go nor the programs can't run those tests."""
    if _has_kubernetes():
        kubernetes_programs.build(*kubernetes_programs.CONTROL_PLANE, *kubernetes_programs.NODE)


def _docker_packages() -> None:
    registry = [] if find_command("docker-registry") else ["docker-registry"]
    install([*docker_packages(), *busybox_packages(), *registry], "The live tests of the Docker plugin")


def _podrunner_packages() -> None:
    """Where the distribution's release has no apptainer, that of its newest one."""
    install(podrunner_packages(), "The live tests of podrunner")
    if apptainer.program() is None:
        say("Fetching apptainer from Debian's newest release, for the live tests of podrunner")
        try:
            apptainer.fetch()
        except (OSError, RuntimeError) as error:
            raise Missing(f"apptainer could not be fetched: {error}") from error


def _batch_packages() -> None:
    install(root_packages(), "The live tests of the HTCondor, ARC and Slurm plugins")


def _kubernetes_packages() -> None:
    if not _has_kubernetes():
        raise Missing(
            "The live tests of the Kueue plugin need Go, to build Kubernetes' programs, or KUBEBUILDER_ASSETS: they will not run."
        )
    install(node_packages(), "The live tests of the Kueue plugin")


def _has_kubernetes() -> bool:
    programs = (*kubernetes_programs.CONTROL_PLANE, *kubernetes_programs.NODE)
    return not kubernetes_programs.missing(*programs) or shutil.which("go") is not None


def _roots(name: str, *releases: DebianRoot) -> None:
    """The root file systems of servers, here and not under a test's time limit."""
    if reason := debian_root.unavailable():
        raise Missing(f"the {name} servers of the tests cannot be built: {reason}")
    for release in releases:
        try:
            say(f"{name} of Debian {release.suite}, for the live tests: {release.archive()}")
        except RuntimeError as error:
            raise Missing(str(error)) from error


def _each(steps: Iterable[Callable[[], None]]) -> None:
    for step in steps:
        try:
            step()
        except Missing as gap:
            say(str(gap))


if __name__ == "__main__":
    packages()
    everything()
