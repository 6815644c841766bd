"""`Workload` to JSON and back, for the record, for `pod.json` on a worker node, and for labels (`stub`).

Fields that hold their default are left out, which makes labels short. `bytes` are base64; a member of a union carries its class's
name as `type_`. Unknown keys are ignored, so that a record written by a newer release can still be read.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import zlib
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Optional, Union, get_args, get_origin, get_type_hints

from interlink_common.model.workload import (
    Container,
    EmptyDirVolume,
    GrpcAction,
    Probe,
    Resources,
    SleepAction,
    TcpAction,
    Workload,
)

Function = Callable[[Any], Any]
TAG = "type_"
_HARMLESS = (TcpAction, GrpcAction, SleepAction)
"""Actions that have no place for a secret."""
_STUB_BYTES = 1024 * 1024
"""More than any stub has; a text that unpacks to more is somebody else's."""


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


def stub(workload: Workload) -> Workload:
    """What remains of a workload where others may read it: enough to observe a pod, to read its logs and to delete it, not to start it.

    It is what labels, annotations, ClassAds and job descriptions keep for a lost database. Only what is named here is in it, so that a
    new field stays out until somebody decides that it never holds a secret. Of probes and hooks only those are kept whose action has no
    place for one: a command, a path or a header may be secret.
    """

    def bare(container: Container) -> Container:
        return Container(
            container.name,
            container.image,
            limits=Resources(ephemeral_storage_bytes=container.limits.ephemeral_storage_bytes),
            startup_probe=_harmless_probe(container.startup_probe),
            readiness_probe=_harmless_probe(container.readiness_probe),
            liveness_probe=_harmless_probe(container.liveness_probe),
            post_start=container.post_start if isinstance(container.post_start, _HARMLESS) else None,
            pre_stop=container.pre_stop if isinstance(container.pre_stop, _HARMLESS) else None,
            termination_message_fallback=container.termination_message_fallback,
            tty=container.tty,
            sidecar=container.sidecar,
        )

    return Workload(
        workload.uid,
        workload.name,
        workload.namespace,
        containers=tuple(map(bare, workload.containers)),
        init_containers=tuple(map(bare, workload.init_containers)),
        volumes=tuple(
            EmptyDirVolume(volume.name, volume.in_memory, volume.size_limit_bytes)
            for volume in workload.volumes
            if isinstance(volume, EmptyDirVolume)
        ),
        restart_policy=workload.restart_policy,
        grace_seconds=workload.grace_seconds,
        active_deadline_seconds=workload.active_deadline_seconds,
        host_network=workload.host_network,
        not_offloaded=workload.not_offloaded,
        not_offloaded_init=workload.not_offloaded_init,
        warnings=workload.warnings,
    )


def _harmless_probe(probe: Optional[Probe]) -> Optional[Probe]:
    return probe if probe is not None and isinstance(probe.action, _HARMLESS) else None


def packed_stub(workload: Workload) -> str:
    """The stub as one word of letters, digits and + / =."""
    return base64.b64encode(zlib.compress(to_json(stub(workload)).encode("utf-8", "surrogatepass"))).decode("ascii")


def unpacked_stub(text: str) -> Optional[Workload]:
    """The stub again; None for anything else, since whoever owns a job may have changed it."""
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), _STUB_BYTES)
        workload = from_json(data.decode("utf-8", "surrogatepass"))
    except (ValueError, zlib.error):
        return None
    return workload if workload.uid else None


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
    if hint is float:
        return lambda value: float(value) if type(value) is int else _expect(value, float)
    return lambda value: _expect(value, hint)


def _dataclass_encoder(cls: Any) -> Function:
    fields = [(name, default, _encoder(hint)) for name, hint, default in _fields(cls)]

    def encode_object(value: Any) -> dict[str, Any]:
        encoded = {}
        for name, default, encode_field in fields:
            item = getattr(value, name)
            if item is not default and item != default:
                encoded[name] = encode_field(item)
        return encoded

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
