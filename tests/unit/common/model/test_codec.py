from __future__ import annotations

import base64
import dataclasses
import json
import zlib
from typing import Any, get_type_hints

import pytest
from hypothesis import Phase, find, given, settings
from hypothesis import strategies as st

from interlink_common.model import workload as model
from interlink_common.model.codec import decode, from_json, packed_stub, stub, to_json, unpacked_stub
from interlink_common.model.workload import (
    Container,
    EmptyDirVolume,
    ExecAction,
    ExternalVolume,
    File,
    FilesVolume,
    HttpAction,
    Network,
    Probe,
    RegistryCredential,
    Resources,
    SleepAction,
    TcpAction,
    Workload,
)

WORKLOADS = st.builds(Workload)
for _class in vars(model).values():
    if dataclasses.is_dataclass(_class) and isinstance(_class, type):
        # Without this, hypothesis leaves every field that has a default at its default.
        st.register_type_strategy(_class, lambda cls: st.builds(cls, **{f.name: ... for f in dataclasses.fields(cls)}))


@settings(max_examples=50)
@given(st.from_type(Workload))
def test_a_workload_comes_back_as_it_was(workload: Workload) -> None:
    assert from_json(to_json(workload)) == workload
    assert unpacked_stub(packed_stub(workload)) == (stub(workload) if workload.uid else None)


SECRETIVE = Workload(
    uid="u",
    name="n",
    namespace="d",
    containers=(
        Container(
            "c",
            "i",
            command=("login", "S3CRET"),
            args=("S3CRET",),
            env={"PW": "S3CRET"},
            liveness_probe=Probe(HttpAction(80, "/?token=S3CRET", headers=(("Authorization", "Bearer S3CRET"),))),
            readiness_probe=Probe(TcpAction(80)),
            startup_probe=Probe(ExecAction(("check", "S3CRET"))),
            post_start=HttpAction(80, headers=(("Cookie", "S3CRET"),)),
            pre_stop=SleepAction(3),
        ),
    ),
    volumes=(
        FilesVolume("f", (File("p", 0o600, b"S3CRET"),), True),
        ExternalVolume("e", "csi", "d", attributes={"k": "S3CRET"}),
        EmptyDirVolume("scratch", size_limit_bytes=7),
    ),
    annotations={"last": "S3CRET"},
    restart_policy="Never",
    registry_credentials=(RegistryCredential("s", "u", "S3CRET"),),
    network=Network(mesh_script="S3CRET", tunnel_commands="S3CRET", wireguard_snippet="S3CRET", pod_ip="10.0.0.1"),
)


STUB = {
    "uid": "u",
    "name": "n",
    "namespace": "d",
    "containers": [
        {
            "name": "c",
            "image": "i",
            "readiness_probe": {"action": {"type_": "TcpAction", "port": 80}},
            "pre_stop": {"type_": "SleepAction", "seconds": 3},
        }
    ],
    "volumes": [{"type_": "EmptyDirVolume", "name": "scratch", "size_limit_bytes": 7}],
    "restart_policy": "Never",
}


def test_the_text_leaves_defaults_out_and_tags_unions() -> None:
    assert json.loads(to_json(stub(SECRETIVE))) == STUB


def test_a_stub_holds_no_secret() -> None:
    everything = to_json(SECRETIVE)
    assert everything.count("S3CRET") == 13
    assert "UzNDUkVU" in everything
    assert "S3CRET" not in repr(stub(SECRETIVE))


KEPT = {
    Workload: {
        "uid", "name", "namespace", "containers", "init_containers", "volumes", "restart_policy", "grace_seconds",
        "active_deadline_seconds", "host_network", "not_offloaded", "not_offloaded_init", "warnings",
    },
    Container: {
        "name", "image", "limits", "startup_probe", "readiness_probe", "liveness_probe", "post_start", "pre_stop",
        "termination_message_fallback", "tty", "sidecar",
    },
    EmptyDirVolume: {"name", "in_memory", "size_limit_bytes"},
    Resources: {"ephemeral_storage_bytes"},
}  # fmt: skip
"""Whoever adds to this has made sure that the field never holds a secret: what it names may be read by everybody."""


def differing(made: Any) -> set[str]:
    """The fields of an object that do not hold their default."""

    def default(field: dataclasses.Field[Any]) -> Any:
        return field.default if field.default_factory is dataclasses.MISSING else field.default_factory()

    return {field.name for field in dataclasses.fields(made) if getattr(made, field.name) != default(field)}


def full(cls: Any, **given: Any) -> Any:
    """An object with no field at its default, so that a field which was added today is filled too."""
    hints = get_type_hints(cls)
    made = {}
    for field in dataclasses.fields(cls):
        default = field.default if field.default_factory is dataclasses.MISSING else field.default_factory()
        made[field.name] = given[field.name] if field.name in given else other_than(default, hints[field.name])
    return cls(**made)


UNSHRUNK = settings(database=None, phases=[Phase.generate])
"""Any value will do; looking for the least one takes a minute."""


def other_than(default: Any, hint: Any) -> Any:
    values: st.SearchStrategy[Any] = st.from_type(hint)
    return find(values, lambda value: value is not None and bool(value != default), settings=UNSHRUNK)


def test_a_stub_keeps_what_is_listed_and_nothing_else() -> None:
    probe, hook = full(Probe, action=TcpAction(80)), SleepAction(3)
    container = full(
        Container, limits=full(Resources), startup_probe=probe, readiness_probe=probe, liveness_probe=probe, post_start=hook, pre_stop=hook
    )
    made = stub(full(Workload, containers=(container,), init_containers=(container,), volumes=(full(EmptyDirVolume),)))
    assert differing(made) == KEPT[Workload]
    for each in made.all_containers:
        assert differing(each) == KEPT[Container]
        assert differing(each.limits) == KEPT[Resources]
    assert differing(made.volumes[0]) == KEPT[EmptyDirVolume]


@pytest.mark.parametrize("text", ["", "no base64", packed_stub(SECRETIVE)[:40], base64.b64encode(zlib.compress(b" " * 2**24)).decode()])
def test_what_is_no_packed_stub(text: str) -> None:
    assert unpacked_stub(text) is None


def test_keys_of_a_newer_release_are_ignored() -> None:
    document = json.loads(to_json(SECRETIVE)) | {"from_the_future": 1}
    assert from_json(json.dumps(document)) == SECRETIVE


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"uid":"u"}',
        "[" * 100_000,
        '{"uid":1,"name":"n","namespace":"d","containers":[]}',
        '{"uid":"u","name":"n","namespace":"d","containers":{}}',
        '{"uid":"u","name":"n","namespace":"d","containers":[],"volumes":[{"name":"x"}]}',
        '{"uid":"u","name":"n","namespace":"d","containers":[],"volumes":[{"type_":"Workload","name":"x"}]}',
        '{"uid":"u","name":"n","namespace":"d","containers":[],"volumes":[{"type_":[],"name":"x"}]}',
        '{"uid":"u","name":"n","namespace":"d","containers":[],"volumes":[{"type_":"FilesVolume","name":"x","files":[{"path":"p","mode":1,"data":"?"}]}]}',
        '{"uid":"u","name":"n","namespace":"d","containers":[],"grace_seconds":true}',
        '{"uid":"u","name":"n","namespace":"d","containers":[],"host_aliases":[["a"]]}',
        '{"uid":"u","name":"n","namespace":"d","containers":[],"labels":{"a":1}}',
    ],
)
def test_what_is_no_workload(text: str) -> None:
    with pytest.raises(ValueError):
        from_json(text)


@pytest.mark.parametrize("value", [TcpAction(1), TcpAction(1, "h")])
def test_any_frozen_dataclass_can_be_decoded(value: Any) -> None:
    assert decode({"port": value.port, "host": value.host}, TcpAction) == value
