"""The bodies of POST /create and POST /delete: the pod, and the ConfigMaps and Secrets that come with it."""

from __future__ import annotations

from interlink_common.contract.bodies import decode_json, validate
from interlink_common.contract.pod import Pod
from interlink_common.contract.wire import Metadata, Wire
from interlink_common.errors import BadRequest


class ConfigMap(Wire):
    """v1.ConfigMap. Values of `binaryData` are base64."""

    metadata: Metadata
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


class Secret(Wire):
    """v1.Secret. Values of `data` are base64."""

    metadata: Metadata
    data: dict[str, str] | None = None
    type: str | None = None


class ContainerData(Wire):
    """What one container mounts. `projectedvolumemaps` are named after the *volume* and map paths to contents."""

    name: str
    config_maps: list[ConfigMap] | None = None
    projectedvolumemaps: list[ConfigMap] | None = None
    secrets: list[Secret] | None = None


class CreateRequest(Wire):
    """The pod, and per container (init containers first) the ConfigMaps and Secrets that it mounts, whole."""

    pod: Pod
    container: list[ContainerData] | None = None


def parse_create(body: bytes) -> CreateRequest:
    """The body of POST /create: one object, or (before interLink 0.5) a list with one. Raises BadRequest naming the field."""
    value = decode_json(body)
    if isinstance(value, list):
        if len(value) != 1:
            raise BadRequest("The request body must be one object or a list with exactly one object.")
        value = value[0]
    return validate(CreateRequest, value, "")


def parse_delete(body: bytes) -> Pod:
    """The body of POST /delete: the full pod; its status is already rewritten. Raises BadRequest naming the field."""
    return validate(Pod, decode_json(body), "pod")
