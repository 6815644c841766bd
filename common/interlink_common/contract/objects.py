"""v1.ConfigMap and v1.Secret. Values of `data` of a Secret and of `binaryData` are base64."""

from __future__ import annotations

from interlink_common.contract.wire import Wire


class Metadata(Wire):
    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None


class ConfigMap(Wire):
    metadata: Metadata
    data: dict[str, str] | None = None
    binary_data: dict[str, str] | None = None


class Secret(Wire):
    metadata: Metadata
    data: dict[str, str] | None = None
    type: str | None = None
