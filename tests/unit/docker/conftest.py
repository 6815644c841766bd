"""No environment variable of the machine reaches the settings that tests build."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*os.environ]:
        if name.startswith("INTERLINK_PLUGIN_") or name == "DOCKER_HOST":
            monkeypatch.delenv(name)
