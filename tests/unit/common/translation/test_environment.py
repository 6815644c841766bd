from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from interlink_common.errors import BadRequest, Refused
from interlink_common.model.workload import Workload

Translated = Callable[..., Workload]


def env_of(workload: Workload) -> dict[str, str]:
    return workload.container("c").env


def field(path: str) -> dict[str, Any]:
    return {"fieldRef": {"apiVersion": "v1", "fieldPath": path}}


ENV = [
    {"name": "A", "value": "one"},
    {"name": "B", "value": "$(A)-two"},
    {"name": "C", "value": "$(LATER) $$(A)"},
    {"name": "LATER", "value": "late"},
    {"name": "A", "value": "again, after $(A)"},
]


def test_expanded_mode_leaves_every_value_alone(translated: Translated) -> None:
    workload = translated({"env": ENV})
    assert env_of(workload) == {"A": "again, after $(A)", "B": "$(A)-two", "C": "$(LATER) $$(A)", "LATER": "late"}
    assert workload.warnings == ()


def test_unexpanded_mode_expands_in_order_and_the_last_of_a_name_wins(translated: Translated) -> None:
    workload = translated({"env": ENV}, unexpanded=True)
    assert env_of(workload) == {"A": "again, after one", "B": "one-two", "C": "$(LATER) $(A)", "LATER": "late"}


@pytest.mark.parametrize("unexpanded", [False, True])
def test_command_and_args_are_expanded_in_both_modes(translated: Translated, unexpanded: bool) -> None:
    container = translated(
        {"env": ENV[:2], "command": ["sh", "$(A)", "$$(A)"], "args": ["$(B) $(NO)", ""]}, unexpanded=unexpanded
    ).container("c")
    expanded = "one-two" if unexpanded else "$(A)-two"
    assert (container.command, container.args) == (("sh", "one", "$(A)"), (f"{expanded} $(NO)", ""))


@pytest.mark.parametrize(("command", "args"), [(None, None), (["a"], None), (None, ["b"]), (["a"], ["b"]), ([], [])])
def test_the_image_keeps_what_the_pod_does_not_set(translated: Translated, command: list[str] | None, args: list[str] | None) -> None:
    container = translated({"command": command, "args": args}).container("c")
    assert (container.command, container.args) == (tuple(command) if command else None, tuple(args) if args else None)


REFERENCES = {
    "metadata.name": "pod",
    "metadata.namespace": "ns",
    "metadata.uid": "u-1",
    "metadata.labels['app.kubernetes.io/name']": "web",
    "metadata.annotations['a']": 'q"',
    "metadata.labels['none']": "",
    "metadata.labels": 'app.kubernetes.io/name="web"\nb="2"',
    "metadata.annotations": 'a="q\\""',
    "spec.nodeName": "virtual-node",
    "spec.serviceAccountName": "robot",
    "status.hostIP": "10.0.0.1",
    "status.podIP": "10.0.0.2",
    "status.hostIPs": "10.0.0.1",
    "status.podIPs": "10.0.0.2,fd00::2",
}


def test_references_that_are_left_are_filled_from_the_pod(translated: Translated) -> None:
    workload = translated(
        {"env": [{"name": path, "valueFrom": field(path)} for path in REFERENCES]},
        spec={"serviceAccountName": "robot"},
        metadata={"labels": {"b": "2", "app.kubernetes.io/name": "web"}, "annotations": {"a": 'q"'}},
        status={"hostIP": "10.0.0.1", "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}, {"ip": "fd00::2"}]},
        unexpanded=True,
    )
    assert env_of(workload) == REFERENCES


@pytest.mark.parametrize(
    ("resource", "divisor", "expected"),
    [
        ("limits.cpu", None, "1"),
        ("limits.cpu", "0", "1"),
        ("limits.cpu", "1m", "250"),
        ("requests.cpu", "100m", "2"),
        ("limits.memory", None, "67108864"),
        ("limits.memory", "1Mi", "64"),
        ("requests.memory", "1Gi", "1"),
        ("requests.ephemeral-storage", None, "0"),
    ],
)
def test_resource_references(translated: Translated, resource: str, divisor: str | None, expected: str) -> None:
    reference = {"resource": resource} | ({"divisor": divisor} if divisor else {})
    workload = translated(
        {
            "env": [{"name": "R", "valueFrom": {"resourceFieldRef": reference}}],
            "resources": {"limits": {"cpu": "250m", "memory": "64Mi"}, "requests": {"cpu": "150m"}},
        },
        unexpanded=True,
    )
    assert env_of(workload) == {"R": expected}


def test_an_optional_reference_without_value_is_dropped(translated: Translated) -> None:
    optional = {"secretKeyRef": {"name": "nosuch", "key": "x", "optional": True}}
    assert env_of(translated({"env": [{"name": "O", "valueFrom": optional}]}, unexpanded=True)) == {}


def test_a_variable_that_may_have_lost_its_value_is_a_warning(translated: Translated) -> None:
    workload = translated({"env": [{"name": "L"}, {"name": "M"}]}, unexpanded=True)
    assert env_of(workload) == {"L": "", "M": ""}
    assert workload.warnings == (
        "container c: environment L, M arrived without a value, which may be lost:"
        " interLink drops references to labels, spec.nodeName and status.hostIP",
    )
    assert translated({"env": [{"name": "L"}]}).warnings == ()


def test_ten_thousand_variables_are_fine(translated: Translated) -> None:
    many = [{"name": f"V{i}", "value": f"$(V{i - 1})"} for i in range(10_000)]
    env = env_of(translated({"env": many}, unexpanded=True))
    assert len(env) == 10_000
    assert env["V9999"] == "$(V-1)"


E0 = "pod.spec.containers[0].env[0]"


@pytest.mark.parametrize(
    ("env", "error", "message"),
    [
        ([{"name": ""}], BadRequest, f"{E0}.name must not be empty or contain an equals sign."),
        ([{"name": "A=B"}], BadRequest, f"{E0}.name must not be empty or contain an equals sign."),
        ([{"name": "A\0"}], BadRequest, f"{E0}.name must not contain a NUL character."),
        ([{"name": "A", "value": "\0"}], BadRequest, f"{E0}.value must not contain a NUL character."),
        ([{"name": "A", "value": "x" * 131072}], BadRequest, f"{E0}.value is longer than the 128 KiB that Linux can pass to a process."),
        (
            [{"name": "A", "valueFrom": field("spec.secret")}],
            Refused,
            f"{E0}.valueFrom.fieldRef.fieldPath names a field that the pod does not have.",
        ),
        (
            [{"name": "A", "valueFrom": {"configMapKeyRef": {"name": "n", "key": "k"}}}],
            Refused,
            f"{E0}.valueFrom.configMapKeyRef names a key that does not exist: create it or mark it optional.",
        ),
        ([{"name": "A", "valueFrom": {"fileKeyRef": {}}}], Refused, f"{E0}.valueFrom is of a kind that is not supported."),
        (
            [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}],
            Refused,
            f"{E0}.valueFrom.resourceFieldRef.resource needs a limit that container c does not set: set resources.limits.",
        ),
        (
            [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "containerName": "other"}}}],
            BadRequest,
            f"{E0}.valueFrom.resourceFieldRef.containerName names no container of the pod.",
        ),
    ],
)
@pytest.mark.parametrize("unexpanded", [False, True])
def test_bad_variables(translated: Translated, env: Any, error: type[Exception], message: str, unexpanded: bool) -> None:
    with pytest.raises(error) as caught:
        translated({"env": env}, unexpanded=unexpanded)
    assert str(caught.value) == message


def test_references_to_references_do_not_grow_without_bound(translated: Translated) -> None:
    doubling = [{"name": f"V{i}", "value": f"$(V{i - 1})$(V{i - 1})" if i else "x"} for i in range(64)]
    with pytest.raises(BadRequest, match=r"^pod\.spec\.containers\[0\]\.env\[17\]\.value is longer than the 128 KiB"):
        translated({"env": doubling}, unexpanded=True)
    copies = [{"name": "A", "value": "x" * 100_000}, *({"name": f"V{i}", "value": "$(A)"} for i in range(100))]
    with pytest.raises(BadRequest, match=r"^pod\.spec\.containers\[0\]\.env is longer than the 6 MiB"):
        translated({"env": copies}, unexpanded=True)
    with pytest.raises(BadRequest, match=r"^pod\.spec\.containers\[0\]\.args is longer than the 6 MiB"):
        translated({"env": copies[:1], "args": ["$(A)"] * 100})


def test_environment_from_objects_must_have_been_resolved(translated: Translated) -> None:
    with pytest.raises(Refused, match=r"^pod\.spec\.containers\[0\]\.envFrom must have been resolved by the virtual kubelet\.$"):
        translated({"envFrom": [{"configMapRef": {"name": "x"}}]})
