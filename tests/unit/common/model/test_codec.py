from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink_common.model import workload as model
from interlink_common.model.codec import decode, from_json, skeleton, to_json
from interlink_common.model.workload import (
    Container,
    ExecAction,
    ExternalVolume,
    File,
    FilesVolume,
    HttpAction,
    Network,
    Probe,
    RegistryCredential,
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
    assert from_json(to_json(skeleton(workload))) == skeleton(workload)


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
    volumes=(FilesVolume("f", (File("p", 0o600, b"S3CRET"),), True), ExternalVolume("e", "csi", "d", attributes={"k": "S3CRET"})),
    annotations={"last": "S3CRET"},
    restart_policy="Never",
    registry_credentials=(RegistryCredential("s", "u", "S3CRET"),),
    network=Network(mesh_script="S3CRET", tunnel_commands="S3CRET", wireguard_snippet="S3CRET", pod_ip="10.0.0.1"),
)


def test_the_text_leaves_defaults_out_and_tags_unions() -> None:
    assert json.loads(to_json(skeleton(SECRETIVE))) == {
        "uid": "u",
        "name": "n",
        "namespace": "d",
        "containers": [
            {
                "name": "c",
                "image": "i",
                "env": {"PW": ""},
                "readiness_probe": {"action": {"type_": "TcpAction", "port": 80}},
                "pre_stop": {"type_": "SleepAction", "seconds": 3},
            }
        ],
        "volumes": [
            {"type_": "FilesVolume", "name": "f", "secret": True},
            {"type_": "ExternalVolume", "name": "e", "kind": "csi", "key": "d"},
        ],
        "restart_policy": "Never",
        "network": {"pod_ip": "10.0.0.1"},
    }


def test_a_skeleton_holds_no_secret() -> None:
    everything = to_json(SECRETIVE)
    assert everything.count("S3CRET") == 13
    assert "UzNDUkVU" in everything
    assert "S3CRET" not in repr(skeleton(SECRETIVE))


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
