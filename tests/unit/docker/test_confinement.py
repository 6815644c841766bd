"""Profiles and privileges in the engine's words."""

from __future__ import annotations

import pytest

from interlink_common.workload.model import Security
from interlink_docker.confinement import security_options
from tests.unit.docker.pods import settings


@pytest.mark.parametrize(
    ("profile", "options"),
    [
        ("", []),
        ("RuntimeDefault", []),
        ("Unconfined", ["apparmor=unconfined"]),
        ("localhost/mine", ["apparmor=mine"]),
    ],
)
def test_apparmor(profile: str, options: list[str]) -> None:
    assert security_options(Security(apparmor_profile=profile), settings(), {}) == options
