"""Whatever a caller sends ends as a Workload or as an error of ours with a 4xx status and one plain sentence; never as anything else."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from interlink_common.backend import Capabilities
from interlink_common.contract.answers import sentence
from interlink_common.contract.requests import parse_create
from interlink_common.errors import BadRequest, PluginError
from interlink_common.model.codec import from_json, to_json
from interlink_common.model.workload import FilesVolume, Workload
from interlink_common.translation.translate import translate, translate_checked

SETTINGS: dict[str, Any] = {"cvmfs_claims": ["cvmfs"], "node_name": "n"}
VALUES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([10**40, -1, 0, 1e300, "", "..", "../x", "/", "a/../b", "\0", "$(A)", "$", "a\nb", "<b>", "é", "1Ei", "x" * 300])
    | st.text(max_size=20)
    | st.lists(st.none() | st.integers() | st.text(max_size=5), max_size=3)
    | st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=5), max_size=2)
)
NESTED = st.recursive(
    VALUES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3), max_leaves=8
)


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key) of everything below `value`."""
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, dict | list):
            yield from places(item)


def check(body: Any, unexpanded: bool) -> None:
    try:
        request = parse_create(json.dumps(body).encode())
        workload = translate(request, skip_downward_api_resolution=unexpanded, **SETTINGS)
        check_safe(workload)
        translate_checked(request, Capabilities(), "strict", skip_downward_api_resolution=unexpanded, **SETTINGS)
    except PluginError as error:
        check_answer(error)


def check_answer(error: PluginError) -> None:
    assert 400 <= error.http_status < 500, error
    assert sentence(str(error)) == str(error), error


def check_safe(workload: Workload) -> None:
    assert from_json(to_json(workload)) == workload
    assert len({container.name for container in workload.all_containers}) == len(workload.all_containers)
    paths = [mount.sub_path for container in workload.all_containers for mount in container.mounts]
    for volume in workload.volumes:
        if isinstance(volume, FilesVolume):
            paths += [file.path for file in volume.files]
    assert not any(path.startswith("/") or ".." in path.split("/") or "\0" in path for path in paths)
    for container in workload.all_containers:
        words = [*container.env, *container.env.values(), *(container.command or ()), *(container.args or ())]
        assert not any("\0" in word for word in words)
    assert all(sentence(warning) == warning for warning in workload.warnings)


@settings(max_examples=150)
@given(st.data(), st.sampled_from(["01", "02", "04", "05"]), st.booleans())
def test_a_recorded_body_with_a_few_things_changed(wire: dict[str, Any], data: st.DataObject, number: str, unexpanded: bool) -> None:
    body = deepcopy(wire[number])
    del body["pod"]["metadata"]["managedFields"]
    for _ in range(data.draw(st.integers(1, 3))):
        spots = [*places(body["pod"]["spec"]), *places(body["pod"]["metadata"]), *places(body["container"])]
        where, key = spots[data.draw(st.integers(0, len(spots) - 1))]
        match data.draw(st.sampled_from(["replace", "remove", "swap", "double"])):
            case "replace":
                where[key] = data.draw(NESTED)
            case "remove":
                del where[key]
            case "swap":
                other, other_key = spots[data.draw(st.integers(0, len(spots) - 1))]
                where[key] = deepcopy(other[other_key])
            case "double" if isinstance(where, list):
                where.append(deepcopy(where[key]))
    check(body, unexpanded)


@settings(max_examples=100)
@given(NESTED)
def test_any_json_at_all(value: Any) -> None:
    check(value, False)


@settings(max_examples=100)
@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_bytes_at_all(body: bytes) -> None:
    with pytest.raises(BadRequest) as caught:
        parse_create(body)
    assert sentence(str(caught.value)) == str(caught.value)
