"""Whether a container may run as it asks on a node where everything runs as the job's user. Pure."""

from __future__ import annotations

from interlink_common.model.workload import Container
from interlink_common.podrunner.config import RunnerConfig


def objection(container: Container, config: RunnerConfig, job_user: int) -> str:
    """ "" or why the container is not started. `job_user`: the uid that the job has."""
    security = container.security
    if security.privileged and not config.allow_privileged:
        return f"container {container.name} asks for privileged, which this site does not allow"
    if security.run_as_user not in (None, job_user) and not config.allow_run_as:
        return f"container {container.name} asks for the user {security.run_as_user}; on this site it is the job's, {job_user}"
    if security.run_as_non_root and job_user == 0 and not (security.run_as_user and config.allow_run_as):
        return f"container {container.name} must not run as root, as this job does"
    return ""
