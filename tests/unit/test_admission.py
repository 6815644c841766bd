"""Every plugin refuses a pod without translating it, and translates it once when it submits it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from interlink_arc.backend import ArcBackend
from interlink_arc.settings import ArcSettings
from interlink_common.backend import Backend
from interlink_common.errors import Refused
from interlink_common.model.workload import Container, HostPathVolume, Mount, Workload
from interlink_docker.backend import DockerBackend
from interlink_docker.settings import DockerSettings
from interlink_htcondor.backend import HTCondorBackend
from interlink_htcondor.settings import HTCondorSettings
from interlink_kueue.backend import KueueBackend
from interlink_kueue.settings import KueueSettings

MAIN = Container("main", "busybox:1.36", mounts=(Mount("v", "/v"),))
POD = Workload("0266151f-3486-47f5-8383-9fcc9877a359", "p", "default", (MAIN,), restart_policy="Never")


@pytest.mark.parametrize(
    ("make", "translator"),
    [
        (
            lambda path: DockerBackend(DockerSettings(state_dir=path, instance="i", volumes={"host_path_allow": ["/ok"]})),
            "docker.planning.attempt_config",
        ),
        (
            lambda path: KueueBackend(KueueSettings(state_dir=path, instance="i", volumes={"host_path_allow": ["/ok"]})),
            "kueue.backend.build_objects",
        ),
        (
            lambda path: HTCondorBackend(HTCondorSettings(state_dir=path, instance="i", runner={"host_path_allow": ["/ok"]})),
            "htcondor.backend.describe",
        ),
        (
            lambda path: ArcBackend(
                ArcSettings(
                    state_dir=path, instance="i", ces={"one": {"url": "https://one.test/arex"}}, runner={"host_path_allow": ["/ok"]}
                )
            ),
            "arc.backend.describe",
        ),
    ],
    ids=["docker", "kueue", "htcondor", "arc"],
)
def test_admitting_translates_nothing(
    make: Callable[[Path], Backend], translator: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module, _, name = translator.rpartition(".")
    home = import_module(f"interlink_{module}")
    real, calls = getattr(home, name), []

    def counted(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        return real(*args, **kwargs)

    monkeypatch.setattr(home, name, counted)
    backend = make(tmp_path)
    allowed, forbidden = (Workload(**{**vars(POD), "volumes": (HostPathVolume("v", path),)}) for path in ("/ok/data", "/etc"))
    backend.admit(allowed)
    with pytest.raises(Refused, match="host_path_allow"):
        backend.admit(forbidden)
    assert calls == []
    assert backend.plan(allowed)
    assert calls == [name]
    submit = inspect.getsource(type(backend).submit)
    assert "admit(" not in submit
    assert "plan(" not in submit
