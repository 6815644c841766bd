from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from interlink_common.errors import BadRequest
from interlink_common.model.workload import Resources, Workload

Translated = Callable[..., Workload]
R = "pod.spec.containers[0].resources"


@pytest.mark.parametrize(
    ("resources", "requests", "limits"),
    [
        (None, Resources(), Resources()),
        ({"requests": {"cpu": "0.5"}}, Resources(cpu_millis=500), Resources()),
        ({"limits": {"cpu": "0.0005", "memory": 100}}, Resources(1, 100), Resources(1, 100)),
        (
            {"limits": {"cpu": 2, "memory": "1Gi", "ephemeral-storage": "1G"}, "requests": {"cpu": "250m", "memory": "1.5Mi"}},
            Resources(250, 3 << 19, 10**9),
            Resources(2000, 1 << 30, 10**9),
        ),
        (
            {"limits": {"nvidia.com/gpu": "2", "amd.com/gpu": 0}, "requests": {"nvidia.com/gpu": 2}},
            Resources(devices={"nvidia.com/gpu": 2}),
            Resources(devices={"nvidia.com/gpu": 2}),
        ),
    ],
)
def test_resources(translated: Translated, resources: Any, requests: Resources, limits: Resources) -> None:
    container = translated({"resources": resources}).containers[0]
    assert (container.requests, container.limits) == (requests, limits)


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        ({"limits": {"cpu": "1x"}}, f"{R}.limits.cpu must be a quantity such as 500m, 1.5 or 64Mi."),
        ({"limits": {"memory": "-1"}}, f"{R}.limits.memory must not be negative."),
        ({"limits": {"memory": "1e30"}}, f"{R}.limits.memory is larger than any machine."),
        ({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}, f"{R}.requests.cpu must not be larger than the limit."),
        ({"limits": {"nvidia.com/gpu": "500m"}}, f"{R}.limits.nvidia.com/gpu must be a whole number."),
        (
            {"requests": {"nvidia.com/gpu": 1}},
            f"{R}.limits.nvidia.com/gpu is missing: this resource needs a limit equal to its request.",
        ),
        (
            {"limits": {"nvidia.com/gpu": 2}, "requests": {"nvidia.com/gpu": 1}},
            f"{R}.requests.nvidia.com/gpu must equal the limit of the same resource.",
        ),
        ({"limits": {"gpu": 1}}, f"{R}.limits.gpu is not the name of a resource: cpu, memory, ephemeral-storage or domain/name."),
        (
            {"limits": {"a/b; rm": 1}},
            f"{R}.limits.a/b; rm is not the name of a resource: cpu, memory, ephemeral-storage or domain/name.",
        ),
    ],
)
def test_bad_resources(translated: Translated, resources: Any, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        translated({"resources": resources})
    assert str(caught.value) == message


def asking(name: str, *, sidecar: bool = False, **requests: Any) -> dict[str, Any]:
    devices = {key: value for key, value in requests.items() if "/" in key}
    return {
        "name": name,
        "image": "x",
        "restartPolicy": "Always" if sidecar else None,
        "resources": {"requests": requests, "limits": devices},
    }


GPU = "nvidia.com/gpu"


@pytest.mark.parametrize(
    ("inits", "containers", "spec", "size"),
    [
        ([], [asking("a"), asking("b")], {}, Resources()),
        ([], [asking("a", cpu="300m"), asking("b", cpu="200m", memory="1Ki")], {}, Resources(500, 1024)),
        # A plain init container runs alone.
        ([asking("i", cpu="2", memory=1)], [asking("a", cpu="1", memory=5)], {}, Resources(2000, 5)),
        # A sidecar runs beside the inits after it and beside all main containers, not beside the inits before it.
        (
            [asking("i", cpu="2"), asking("s", sidecar=True, cpu="1", memory=10), asking("j", cpu="1500m", memory=1)],
            [asking("a", cpu="1")],
            {},
            Resources(2500, 11),
        ),
        ([asking("s", sidecar=True, cpu="1")], [asking("a", cpu="1")], {}, Resources(2000)),
        (
            [asking("i", **dict[str, Any]({GPU: 4}))],
            [asking("a", **dict[str, Any]({GPU: 1})), asking("b", **dict[str, Any]({GPU: 1}))],
            {},
            Resources(devices={GPU: 4}),
        ),
        ([], [asking("a", cpu="1")], {"overhead": {"cpu": "100m", "memory": "1Ki"}}, Resources(1100, 1024)),
        ([], [asking("a", cpu="1", memory=7)], {"resources": {"requests": {"cpu": "3"}}}, Resources(3000, 7)),
    ],
)
def test_the_effective_size_of_a_pod(translated: Translated, inits: Any, containers: Any, spec: Any, size: Resources) -> None:
    assert translated(spec={"initContainers": inits, "containers": containers, **spec}).size == size
