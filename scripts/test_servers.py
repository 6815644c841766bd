"""Installs what `make test` runs its live suites against; the suites start and stop the servers themselves.

Never fails for what a machine can't have: pytest lists the backends that could not run, and fails if REQUIRE_BACKENDS names one.
"""

from __future__ import annotations

from scripts.packages import Missing, busybox_packages, docker_packages, find_command, install, podrunner_packages, pool_packages, say
from tests.servers import apptainer, htcondor, htcondor_image


def missing() -> list[str]:
    registry = [] if find_command("docker-registry") else ["docker-registry"]
    return [*docker_packages(), *busybox_packages(), *registry, *podrunner_packages(), *pool_packages()]


def fetch_apptainer() -> None:
    """Where the distribution's release has no apptainer, that of its newest one."""
    if apptainer.program() is None:
        say("Fetching apptainer from Debian's newest release, for the live tests of podrunner")
        try:
            apptainer.fetch()
        except (OSError, RuntimeError) as error:
            raise Missing(f"apptainer could not be fetched: {error}") from error


def make_pools() -> None:
    """The root file systems of the pools, here and not under a test's time limit: each takes minutes, once per machine."""
    if reason := htcondor.unavailable():
        raise Missing(f"the HTCondor pools of the tests can not be made: {reason}")
    for release in (htcondor_image.CURRENT, htcondor_image.OLDER):
        say(f"HTCondor of Debian {release.suite}, for the live tests: {htcondor_image.root_archive(release)}")


if __name__ == "__main__":
    try:
        install(missing(), "The live tests")
        fetch_apptainer()
        make_pools()
    except (Missing, RuntimeError) as gap:
        say(str(gap))
