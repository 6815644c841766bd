"""Settings with one of everything."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, SecretStr, field_validator, model_validator

from interlink_common.settings import Group, PluginSettings


class Pool(Group):
    """One pool."""

    size: int = 1


class Remote(Group):
    """Where jobs go.

    Only the first paragraph is shown.
    """

    renamed: ClassVar[dict[str, str]] = {"address": "url"}

    url: str = Field("", description="Address of the remote.")
    token: SecretStr | None = Field(None, description="Logs us in.")
    verify: bool = Field(True, description="Check its certificate.")
    ca_file: Path | None = Field(None, description="Its CA.")
    mode: Literal["off", "on"] = Field("on", description="Whether it is used.")
    pools: dict[str, Pool] = Field(default_factory=dict, description="Pools by name.")
    tags: list[str] = Field(default_factory=list, description="Words.")

    @field_validator("url")
    @classmethod
    def _has_scheme(cls, url: str) -> str:
        if url and "://" not in url:
            raise ValueError("remote.url must have a scheme")
        return url

    @model_validator(mode="after")
    def _consistent(self) -> Remote:
        if self.ca_file and not self.verify:
            raise ValueError("remote.ca_file is useless with remote.verify false")
        return self


class SampleSettings(PluginSettings):
    plugin_name: ClassVar[str] = "sample"

    remote: Remote = Remote()
