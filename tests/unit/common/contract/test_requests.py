from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest

from interlink_common.contract.answers import sentence
from interlink_common.contract.pod import Pod
from interlink_common.contract.requests import parse_create, parse_delete
from interlink_common.contract.wire import Wire
from interlink_common.errors import BadRequest


def dumped(model: Wire) -> dict[str, Any]:
    return model.model_dump(by_alias=True, exclude_unset=True)


def encoded(body: object) -> bytes:
    return json.dumps(body).encode()


@pytest.mark.parametrize("number", ["01", "02", "03", "04", "05"])
def test_create_is_lossless(wire: dict[str, Any], number: str) -> None:
    body = wire[number]["body"]
    assert dumped(parse_create(encoded(body))) == body


@pytest.mark.parametrize("number", ["10", "11", "12"])
def test_delete_is_lossless(wire: dict[str, Any], number: str) -> None:
    body = wire[number]["body"]
    assert dumped(parse_delete(encoded(body))) == body


@pytest.mark.parametrize("number", ["06", "07", "08"])
def test_pods_of_a_status_request_are_lossless(wire: dict[str, Any], number: str) -> None:
    body = wire[number]["body"]
    assert [dumped(Pod.model_validate(pod)) for pod in body] == body


def test_create_before_interlink_0_5_is_a_list_with_one(wire: dict[str, Any]) -> None:
    body = wire["03"]["body"]
    assert parse_create(encoded([body])) == parse_create(encoded(body))


def test_null_is_accepted_wherever_a_field_may_be_absent(wire: dict[str, Any]) -> None:
    body = deepcopy(wire["01"]["body"])
    body["container"] = None
    body["pod"]["status"] = None
    body["pod"]["metadata"] |= {"labels": None, "annotations": None, "creationTimestamp": None}
    body["pod"]["spec"] |= {name: None for name in body["pod"]["spec"] if name != "containers"}
    body["pod"]["spec"]["containers"][0] |= {"env": None, "volumeMounts": None, "resources": None, "command": None, "ports": None}
    assert dumped(parse_create(encoded(body))) == body


def test_unknown_fields_survive_also_when_they_look_like_ours(wire: dict[str, Any]) -> None:
    body = deepcopy(wire["03"]["body"])
    body["pod"]["spec"] |= {"restart_policy": "x", "brandNew": {"deep": [1.5, None]}, "model_config": 1}
    body["pod"]["spec"]["volumes"].append({"name": "q", "quobyte": {"registry": "r"}})
    assert dumped(parse_create(encoded(body))) == body


POD: dict[str, Any] = {"metadata": {"name": "n", "namespace": "d", "uid": "u"}, "spec": {"containers": []}}


def pod_with(container: dict[str, Any]) -> dict[str, Any]:
    return {"pod": POD | {"spec": {"containers": [{"name": "c", **container}]}}}


NOT_JSON = "The request body is not valid JSON: "


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", NOT_JSON + "EOF while parsing a value at line 1 column 0."),
        (b"\xff\xfe", NOT_JSON + "expected value at line 1 column 1."),
        (b'"\xff"', NOT_JSON + "invalid unicode code point at line 1 column 2."),
        (b"[" * 100_000, NOT_JSON + "recursion limit exceeded at line 1 column 202."),
        (b'{"pod": NaN}', NOT_JSON + "expected value at line 1 column 9."),
        (b'{"pod": "\\ud800"}', NOT_JSON + "unexpected end of hex escape at line 1 column 16."),
        (b"9" * 10_000, NOT_JSON + "number out of range at line 1 column 4302."),
        (b"7", "The request body must be an object."),
        (b"null", "The request body must be an object."),
        (b"[]", "The request body must be one object or a list with exactly one object."),
        (b"[{}, {}]", "The request body must be one object or a list with exactly one object."),
        (b"{}", "pod is missing."),
        (encoded({"pod": {"metadata": {}, "spec": {}}}), "pod.metadata.name is missing."),
        (encoded({"pod": {"metadata": POD["metadata"] | {"name": ""}, "spec": {}}}), "pod.metadata.name must not be empty."),
        (encoded({"pod": {"metadata": POD["metadata"]}}), "pod.spec is missing."),
        (
            encoded({"pod": {"metadata": POD["metadata"] | {"uid": "../../etc"}, "spec": {}}}),
            "pod.metadata.uid must be 1 to 64 letters, digits or dashes.",
        ),
        (
            encoded(pod_with({"resources": {"limits": {"cpu": ["1"]}}})),
            "pod.spec.containers[0].resources.limits.cpu must be a quantity such as 500m, 1.5 or 64Mi.",
        ),
        (encoded(pod_with({"tty": "yes"})), "pod.spec.containers[0].tty must be true or false."),
        (encoded(pod_with({"env": [{"name": "A", "value": 1}]})), "pod.spec.containers[0].env[0].value must be a string."),
        (encoded(pod_with({"env": {}})), "pod.spec.containers[0].env must be a list."),
        (encoded(pod_with({"env": [None]})), "pod.spec.containers[0].env[0] must be an object."),
        (
            encoded(pod_with({"ports": [{"containerPort": 80.5}]})),
            "pod.spec.containers[0].ports[0].containerPort must be a whole number.",
        ),
        (
            encoded(pod_with({"livenessProbe": {"httpGet": {"port": None}}})),
            "pod.spec.containers[0].livenessProbe.httpGet.port must be a port number or the name of a port.",
        ),
        (
            encoded(pod_with({"resources": {"limits": {"<b>&\n": {}}}})),
            "pod.spec.containers[0].resources.limits.(b)+ must be a quantity such as 500m, 1.5 or 64Mi.",
        ),
        (encoded({"pod": POD, "container": [{}]}), "container[0].name is missing."),
        (
            encoded({"pod": POD, "container": [{"name": "c", "secrets": [{"metadata": {}, "data": {"k": 1}}]}]}),
            "container[0].secrets[0].data.k must be a string.",
        ),
    ],
)
def test_a_bad_create_is_one_sentence_that_names_the_field(body: bytes, message: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_create(body)
    assert str(caught.value) == message
    assert sentence(message) == message


def test_a_bad_delete_names_the_field() -> None:
    with pytest.raises(BadRequest, match=r"^pod\.metadata is missing\.$"):
        parse_delete(b'{"spec": {}}')


def test_values_are_never_repeated_because_they_may_be_secret() -> None:
    body = {"pod": POD, "container": [{"name": "c", "secrets": [{"metadata": {}, "data": {"k": ["hunter2"]}}]}]}
    with pytest.raises(BadRequest) as caught:
        parse_create(encoded(body))
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None
