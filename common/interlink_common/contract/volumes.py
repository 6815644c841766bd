"""v1.Volume and its sources."""

from __future__ import annotations

from pydantic import Field

from interlink_common.contract.wire import FieldRef, Quantity, ResourceFieldRef, Wire


class KeyToPath(Wire):
    key: str
    path: str
    mode: int | None = None


class ConfigMapSource(Wire):
    """Of a volume or of a projection; a projection has no `defaultMode`."""

    name: str | None = None
    items: list[KeyToPath] | None = None
    default_mode: int | None = None
    optional: bool | None = None


class SecretSource(Wire):
    """Of a volume (`secretName`) or of a projection (`name`)."""

    name: str | None = None
    secret_name: str | None = None
    items: list[KeyToPath] | None = None
    default_mode: int | None = None
    optional: bool | None = None


class DownwardFile(Wire):
    path: str
    field_ref: FieldRef | None = None
    resource_field_ref: ResourceFieldRef | None = None
    mode: int | None = None


class DownwardSource(Wire):
    items: list[DownwardFile] | None = None
    default_mode: int | None = None


class TokenSource(Wire):
    path: str


class Projection(Wire):
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    downward_api: DownwardSource | None = Field(None, alias="downwardAPI")
    service_account_token: TokenSource | None = None


class ProjectedSource(Wire):
    sources: list[Projection] | None = None
    default_mode: int | None = None


class EmptyDirSource(Wire):
    medium: str | None = None
    size_limit: Quantity | None = None


class HostPathSource(Wire):
    path: str
    type: str | None = None


class ClaimSource(Wire):
    claim_name: str
    read_only: bool | None = None


class NfsSource(Wire):
    server: str
    path: str
    read_only: bool | None = None


class CsiSource(Wire):
    driver: str
    read_only: bool | None = None
    volume_attributes: dict[str, str] | None = None


class ClaimResources(Wire):
    requests: dict[str, Quantity] | None = None


class ClaimSpec(Wire):
    """v1.PersistentVolumeClaimSpec."""

    access_modes: list[str] | None = None
    storage_class_name: str | None = None
    volume_mode: str | None = None
    resources: ClaimResources | None = None


class ClaimTemplate(Wire):
    spec: ClaimSpec


class EphemeralSource(Wire):
    volume_claim_template: ClaimTemplate | None = None


class Volume(Wire):
    """A kind that has no field here stays in `model_extra`."""

    name: str
    config_map: ConfigMapSource | None = None
    secret: SecretSource | None = None
    projected: ProjectedSource | None = None
    downward_api: DownwardSource | None = Field(None, alias="downwardAPI")
    empty_dir: EmptyDirSource | None = None
    host_path: HostPathSource | None = None
    persistent_volume_claim: ClaimSource | None = None
    nfs: NfsSource | None = None
    csi: CsiSource | None = None
    ephemeral: EphemeralSource | None = None
