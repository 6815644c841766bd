"""Installs what `make test` runs its live suites against; the suites start and stop the servers themselves.

Never fails for what a machine can't have: pytest lists the backends that could not run, and fails if REQUIRE_BACKENDS names one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable

from scripts import kubernetes_programs, kwok_program
from scripts.cluster import node_packages
from scripts.packages import Missing, busybox_packages, docker_packages, find_command, install, podrunner_packages, root_packages, say
from tests.servers import apptainer, arc_image, debian_root, htcondor_image


def docker() -> None:
    registry = [] if find_command("docker-registry") else ["docker-registry"]
    install([*docker_packages(), *busybox_packages(), *registry], "The live tests of the Docker plugin")


def podrunner() -> None:
    """Where the distribution's release has no apptainer, that of its newest one."""
    install(podrunner_packages(), "The live tests of podrunner")
    if apptainer.program() is None:
        say("Fetching apptainer from Debian's newest release, for the live tests of podrunner")
        try:
            apptainer.fetch()
        except (OSError, RuntimeError) as error:
            raise Missing(f"apptainer could not be fetched: {error}") from error


def batch_systems() -> None:
    """The root file systems of pools and CEs, here and not under a test's time limit: each takes minutes, once per machine."""
    install(root_packages(), "The live tests of the HTCondor and ARC plugins")
    if reason := debian_root.unavailable():
        raise Missing(f"the HTCondor pools and ARC computing elements of the tests can not be made: {reason}")
    for name, image in (("HTCondor", htcondor_image), ("ARC", arc_image)):
        for release in (image.CURRENT, image.OLDER):
            try:
                say(f"{name} of Debian {release.suite}, for the live tests: {release.archive()}")
            except RuntimeError as error:
                raise Missing(str(error)) from error


def kubernetes() -> None:
    """Only where Go is, or was: whoever has neither Go nor the programs can't run those tests."""
    programs = (*kubernetes_programs.CONTROL_PLANE, *kubernetes_programs.NODE)
    if kubernetes_programs.missing(*programs) and shutil.which("go") is None:
        raise Missing(
            "The live tests of the Kueue plugin need Go, to build Kubernetes' programs, or KUBEBUILDER_ASSETS: they will not run."
        )
    install(node_packages(), "The live tests of the Kueue plugin")
    kubernetes_programs.build(*programs)


if __name__ == "__main__":
    steps: tuple[Callable[[], None], ...] = (docker, podrunner, batch_systems, kubernetes, kwok_program.build)
    for step in steps:
        try:
            step()
        except Missing as gap:
            say(str(gap))
