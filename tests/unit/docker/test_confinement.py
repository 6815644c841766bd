"""Profiles and privileges in the engine's words."""

from __future__ import annotations

from typing import Any

import pytest

from interlink_common.model.workload import Security
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
    assert security_options(Security(apparmor_profile=profile), settings(), "") == options


@pytest.mark.parametrize("escalation", [None, True, False])
@pytest.mark.parametrize("privileged", [False, True])
@pytest.mark.parametrize(
    ("allowed", "expected"),
    [({}, [False, False]), ({"no_new_privileges": True}, [True, False]), ({"allow_root": False}, [True, True])],
    ids=["", "no_new_privileges", "allow_root false"],
)
def test_no_new_privileges(allowed: dict[str, Any], expected: list[bool], privileged: bool, escalation: bool | None) -> None:
    """`expected`: without and with privileged."""
    options = security_options(Security(privileged=privileged, allow_privilege_escalation=escalation), settings(security=allowed), "")
    assert options == (["no-new-privileges"] if expected[privileged] or escalation is False else [])
