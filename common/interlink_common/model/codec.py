"""`Workload` to JSON and back, for the record, for `pod.json` on a worker node, and for labels (`skeleton`).

Fields that hold their default are left out, which makes labels short. `bytes` are base64; a member of a union carries its class's
name as `type_`. Unknown keys are ignored, so that a record written by a newer release can still be read.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

from interlink_common.model.workload import Container, ExecAction, ExternalVolume, FilesVolume, HttpAction, Network, Volume, Workload

Function = Callable[[Any], Any]
TAG = "type_"
_TELLING = (ExecAction, HttpAction)
"""Actions that may hold a secret."""


def to_json(workload: Workload) -> str:
    """The compact JSON text of a workload."""
    return json.dumps(encode(workload, Workload), ensure_ascii=False, separators=(",", ":"))


def from_json(text: str) -> Workload:
    """The workload of that text. Raises ValueError if it is not one."""
    try:
        workload = decode(json.loads(text), Workload)
    except RecursionError:
        raise ValueError("the text is nested too deeply to be a workload") from None
    assert isinstance(workload, Workload)
    return workload


def skeleton(workload: Workload) -> Workload:
    """The workload without anything that may hold a secret: enough to observe, log and delete a pod, not to start it again.

    Gone are values of environment variables, commands and args (secrets may be expanded in them), probes and hooks by exec and
    httpGet (they have commands, paths and headers), file contents, registry credentials, annotations, network scripts and the
    attributes of external volumes.
    """

    def bare(container: Container) -> Container:
        probes = {name: getattr(container, name) for name in ("liveness_probe", "readiness_probe", "startup_probe")}
        hooks = {name: getattr(container, name) for name in ("post_start", "pre_stop")}
        telling = [name for name, probe in probes.items() if probe is not None and isinstance(probe.action, _TELLING)]
        telling += [name for name, hook in hooks.items() if isinstance(hook, _TELLING)]
        nothing: dict[str, Any] = dict.fromkeys(telling)
        return dataclasses.replace(container, command=None, args=None, env=dict.fromkeys(container.env, ""), **nothing)

    def emptied(volume: Volume) -> Volume:
        if isinstance(volume, FilesVolume):
            return dataclasses.replace(volume, files=())
        if isinstance(volume, ExternalVolume):
            return dataclasses.replace(volume, attributes={})
        return volume

    return dataclasses.replace(
        workload,
        containers=tuple(bare(c) for c in workload.containers),
        init_containers=tuple(bare(c) for c in workload.init_containers),
        volumes=tuple(emptied(v) for v in workload.volumes),
        annotations={},
        registry_credentials=(),
        network=Network(pod_ip=workload.network.pod_ip, mesh_disabled=workload.network.mesh_disabled),
    )


def encode(value: Any, hint: Any) -> Any:
    """JSON value of `value`, whose declared type is `hint`: a frozen dataclass of this package or what its fields are made of."""
    return _encoder(hint)(value)


def decode(value: Any, hint: Any) -> Any:
    """The object of type `hint` that `encode` turned into `value`. Raises ValueError."""
    return _decoder(hint)(value)


@cache
def _encoder(hint: Any) -> Function:
    """What encodes one type; composed once, because a restart goes through thousands of records."""
    if dataclasses.is_dataclass(hint):
        return _dataclass_encoder(hint)
    if get_origin(hint) is Union:
        members = _members(hint)
        if len(members) == 1:
            inner = _encoder(members[0])
            return lambda value: None if value is None else inner(value)
        tagged = {member: _encoder(member) for member in members}
        return lambda value: None if value is None else {TAG: type(value).__name__, **tagged[type(value)](value)}
    if get_origin(hint) is tuple:
        items = [_encoder(item) for item in get_args(hint) if item is not Ellipsis]
        if _is_endless(hint):
            return lambda value: [items[0](item) for item in value]
        return lambda value: [encode_item(item) for encode_item, item in zip(items, value)]
    if hint is bytes:
        return lambda value: base64.b64encode(value).decode("ascii")
    return lambda value: value


@cache
def _decoder(hint: Any) -> Function:
    """What decodes one type and raises ValueError for anything else."""
    if dataclasses.is_dataclass(hint):
        return _dataclass_decoder(hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Union:
        return _union_decoder(hint)
    if origin is tuple:
        items = [_decoder(item) for item in arguments if item is not Ellipsis]
        if _is_endless(hint):
            return lambda value: tuple([items[0](item) for item in _expect(value, list)])
        return lambda value: _decode_items(items, _expect(value, list))
    if origin is dict:
        decode_value = _decoder(arguments[1])
        return lambda value: {key: decode_value(item) for key, item in _expect(value, dict).items()}
    if hint is bytes:
        return _decode_bytes
    return lambda value: _expect(value, hint)


def _dataclass_encoder(cls: Any) -> Function:
    fields = [(name, default, _encoder(hint)) for name, hint, default in _fields(cls)]

    def encode_object(value: Any) -> dict[str, Any]:
        pairs = ((name, getattr(value, name), default, encode_field) for name, default, encode_field in fields)
        return {name: encode_field(item) for name, item, default, encode_field in pairs if item != default}

    return encode_object


def _dataclass_decoder(cls: Any) -> Function:
    fields = {name: _decoder(hint) for name, hint, _ in _fields(cls)}

    def decode_object(value: Any) -> Any:
        known = {key: fields[key](item) for key, item in _expect(value, dict).items() if key in fields}
        try:
            return cls(**known)
        except TypeError:
            raise ValueError(f"a {cls.__name__} lacks a field") from None

    return decode_object


def _union_decoder(hint: Any) -> Function:
    members = _members(hint)
    optional = type(None) in get_args(hint)
    only = _decoder(members[0]) if len(members) == 1 else None
    tagged = {} if only else {member.__name__: _decoder(member) for member in members}

    def decode_member(value: Any) -> Any:
        if value is None and optional:
            return None
        if only:
            return only(value)
        tag = _expect(value, dict).get(TAG)
        if not isinstance(tag, str) or tag not in tagged:
            raise ValueError("an object has no known type")
        return tagged[tag](value)

    return decode_member


def _decode_items(decoders: Sequence[Function], items: Sequence[Any]) -> tuple[Any, ...]:
    if len(items) != len(decoders):
        raise ValueError("a list has the wrong length")
    return tuple([decode_item(item) for decode_item, item in zip(decoders, items)])


def _decode_bytes(value: Any) -> bytes:
    try:
        return base64.b64decode(_expect(value, str), validate=True)
    except binascii.Error:
        raise ValueError("a value is not base64") from None


def _fields(cls: Any) -> list[tuple[str, Any, Any]]:
    """(name, type, default) of each field; the default is `MISSING` if there is none."""
    hints = get_type_hints(cls)
    factory = dataclasses.MISSING
    return [(f.name, hints[f.name], f.default if f.default_factory is factory else f.default_factory()) for f in dataclasses.fields(cls)]


def _members(hint: Any) -> list[Any]:
    return [member for member in get_args(hint) if member is not type(None)]


def _is_endless(hint: Any) -> bool:
    return Ellipsis in get_args(hint)


def _expect(value: Any, expected: type) -> Any:
    """`value` if it is of exactly that JSON type: a bool is no int here."""
    if type(value) is not expected:
        raise ValueError("a value has the wrong type")
    return value
