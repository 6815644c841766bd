"""Installs what `make test` runs its live suites against; the suites start and stop the servers themselves.

Never fails for what a machine can't have: pytest lists the backends that could not run, and fails if REQUIRE_BACKENDS names one.
"""

from __future__ import annotations

from scripts.packages import Missing, busybox_packages, docker_packages, find_command, install, say


def missing() -> list[str]:
    registry = [] if find_command("docker-registry") else ["docker-registry"]
    return [*docker_packages(), *busybox_packages(), *registry]


if __name__ == "__main__":
    try:
        install(missing(), "The live tests of the Docker plugin")
    except Missing as gap:
        say(str(gap))
