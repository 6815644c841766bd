"""What the operator's options allow a container, and how they come to the worker node."""

from __future__ import annotations

import pytest

from interlink_common.model.codec import decode, encode
from interlink_common.model.workload import Container, Security
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.runtime import security_objection


@pytest.mark.parametrize(
    ("security", "config", "user", "words"),
    [
        (Security(), RunnerConfig(), 0, ""),
        (Security(privileged=True), RunnerConfig(), 5, "requests privileged"),
        (Security(privileged=True), RunnerConfig(allow_privileged=True), 5, ""),
        (Security(run_as_user=1000), RunnerConfig(), 5, "requests the user 1000; on this site it is the job's, 5"),
        (Security(run_as_user=5), RunnerConfig(), 5, ""),
        (Security(run_as_user=1000), RunnerConfig(allow_run_as=True), 5, ""),
        (Security(run_as_non_root=True), RunnerConfig(), 5, ""),
        (Security(run_as_non_root=True), RunnerConfig(), 0, "must not run as root"),
        (Security(run_as_non_root=True, run_as_user=7), RunnerConfig(allow_run_as=True), 0, ""),
        (Security(run_as_non_root=True, run_as_user=0), RunnerConfig(allow_run_as=True), 0, "must not run as root"),
    ],
)
def test_permissions(security: Security, config: RunnerConfig, user: int, words: str) -> None:
    told = security_objection(Container("main", "x", security=security), config, user)
    assert words in told
    assert bool(words) == bool(told)


def test_options_travel_as_json() -> None:
    assert encode(RunnerConfig(), RunnerConfig) == {}
    assert decode({}, RunnerConfig) == RunnerConfig()
