"""Settings of every plugin: plain models. Where values come from is `interlink_common.cli.configuration`'s business.

Made directly, as tests do, they read neither the environment nor a file.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from interlink_common.model import images, patterns, site

Value = TypeVar("Value")


class Group(BaseModel):
    """A group of settings; unknown keys are refused. `renamed`: an old key of the group -> its new one, which the error names."""

    model_config = ConfigDict(extra="forbid", validate_default=True)
    renamed: ClassVar[dict[str, str]] = {}

    @model_validator(mode="before")
    @classmethod
    def _no_old_key(cls, given: Any) -> Any:
        for old, new in cls.renamed.items():
            if isinstance(given, dict) and old in given:
                raise ValueError(f"{old} was renamed: write {new}")
        return given


def map_of_names(is_target: Callable[[str], bool], form: str) -> AfterValidator:
    """Claims or CSI drivers -> targets, which are `form` in words."""
    return AfterValidator(partial(_required, lambda entries: site.require_names(entries, is_target, form)))


def map_of_exports(is_target: Callable[[str], bool], form: str) -> AfterValidator:
    """NFS exports -> targets."""
    return AfterValidator(partial(_required, lambda entries: site.require_exports(entries, is_target, form)))


def _required(require: Callable[[Value], None], entries: Value) -> Value:
    require(entries)
    return entries


PATTERN_KEYS = AfterValidator(partial(_required, patterns.require_patterns))
"""Of a map whose keys are names or patterns: namespaces, resources."""
HostPathAllow = Annotated[list[str], AfterValidator(partial(_required, site.require_directories))]
ImageDirectories = Annotated[list[str], AfterValidator(partial(_required, partial(site.require_directories, marked=False)))]
ImageMap = Annotated[dict[str, str], AfterValidator(partial(_required, images.require_images))]


class CollectorSettings(Group):
    """The collector of pods whose delete was lost: interLink sends each delete only once."""

    mode: Literal["off", "warn", "delete"] = Field(
        "warn", description="What to do with a pod that interLink no longer asks for. off: nothing. warn: log it. delete: delete it."
    )
    after_seconds: float = Field(
        900.0,
        gt=0,
        description="After this time without a request for a pod that has not ended, while other requests arrive, its delete counts"
        " as lost.",
    )


class TelemetrySettings(Group):
    """Logs, metrics and traces."""

    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Lowest level of the lines that are logged.")
    log_format: Literal["json", "console"] = Field("json", description="json for machines, console for people.")
    listen: str | None = Field(
        "",
        description="Address of /metrics, /healthz and /readyz. Empty: the first free port of 127.0.0.1 from 9464 on. null: none.",
    )
    otlp_endpoint: str | None = Field(None, description="OTLP/HTTP endpoint for spans, e.g. http://127.0.0.1:4318; null: no tracing.")


def default_state_root() -> Path:
    """/var/lib/interlink for root, else $XDG_STATE_HOME/interlink. Raises ValueError for a user without a home."""
    if os.geteuid() == 0:
        return Path("/var/lib/interlink")
    if xdg := os.environ.get("XDG_STATE_HOME"):
        return Path(xdg) / "interlink"
    try:
        return Path.home() / ".local/state/interlink"
    except RuntimeError:
        raise ValueError("listen and state_dir must be set: this user has no home directory") from None


def default_socket_root() -> Path:
    """/run/interlink for root, else $XDG_RUNTIME_DIR/interlink, else beside the state: anybody could have made it first in /tmp."""
    if os.geteuid() == 0:
        return Path("/run/interlink")
    if xdg := os.environ.get("XDG_RUNTIME_DIR"):
        return Path(xdg) / "interlink"
    return default_state_root()


class PluginSettings(Group):
    """Settings shared by every plugin; a backend subclasses this and adds its own groups."""

    plugin_name: ClassVar[str] = "plugin"

    listen: str = Field("", description="unix:///path.sock (mode 0660) or http://host:port. Empty: a socket named after the plugin.")
    state_dir: Path = Field(
        Path(),
        description="Directory of the database and of the pods' files; no other user may be able to write there. Empty: a directory"
        " of mode 0700 named after the plugin.",
    )
    node_name: str = Field("", description="Name of the virtual node: the value of spec.nodeName for pods that arrive without one.")
    skip_downward_api_resolution: bool = Field(
        False,
        description="Must have the value of the virtual kubelet's SkipDownwardAPIResolution. true: environment variables arrive"
        " unexpanded.",
    )
    unsupported: Literal["strict", "warn"] = Field(
        "strict",
        description="What to do with a pod that asks for something unsupported. strict: refuse it. warn: run it with a warning, if"
        " it can start without.",
    )
    max_request_bytes: int = Field(64 * 1024 * 1024, gt=0, description="Largest accepted size of a request body.")
    submit_timeout_seconds: float = Field(
        60.0, gt=0, lt=120, description="How long a create request waits for the backend. interLink gives up after 120 s."
    )
    when_backend_down: Literal["wait", "refuse"] = Field(
        "wait",
        description="What to do with a create request while the backend is down. wait: accept the pod and submit it later. refuse:"
        " answer 503.",
    )
    ping_fails_when_backend_down: bool = Field(
        False,
        description="true: answer pings with 503 while the backend is down. After 300 s Kubernetes then evicts every pod of the node.",
    )
    finished_retention_seconds: float | None = Field(
        None, description="How long to keep an ended pod, with its logs, that interLink does not delete. null: for ever."
    )
    cvmfs_claims: list[str] = Field(
        default_factory=lambda: ["cvmfs", "public-cvmfs"], description="Names of persistent volume claims that mean CVMFS."
    )
    collector: CollectorSettings = CollectorSettings()
    telemetry: TelemetrySettings = TelemetrySettings()

    def model_post_init(self, _context: object, /) -> None:
        if not self.listen:
            self.listen = f"unix://{default_socket_root() / self.plugin_name}.sock"
        if self.state_dir == Path():
            self.state_dir = default_state_root() / self.plugin_name
