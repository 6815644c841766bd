"""Where the values of settings come from: command line > environment > YAML file > default. Every wrong one is refused in a sentence.

Environment: `INTERLINK_PLUGIN_` and the setting's path in capitals, levels joined by `__`: `INTERLINK_PLUGIN_COLLECTOR__MODE=delete`.
A text on the line or in the environment is taken as it stands where the setting is a text, and read as YAML otherwise. Lists and
maps are one setting: a higher source replaces them whole.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from interlink_common.cli import strict_yaml
from interlink_common.cli.reference import example, schema
from interlink_common.cli.setting_errors import first_error, unknown_setting
from interlink_common.cli.setting_paths import groups, holds_secret, is_optional, is_text, single_settings
from interlink_common.errors import ConfigurationError
from interlink_common.settings import PluginSettings

__all__ = ["PREFIX", "Configuration", "Origin", "example", "load", "schema"]

PREFIX = "INTERLINK_PLUGIN_"
_SERVICE_LINK = re.compile(r"(\w+_)?(SERVICE_HOST|SERVICE_PORT(_\w+)?|PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?)")
"""What Kubernetes puts into every container's environment for a Service named interlink-plugin (its "Environment variables")."""

Settings = TypeVar("Settings", bound=PluginSettings)


@dataclass(frozen=True)
class Origin:
    """Where a value came from; `detail` is the file's path, the variable's name or the option."""

    kind: Literal["default", "file", "environment", "line"]
    detail: str = ""

    def __str__(self) -> str:
        return {"line": "command line"}.get(self.kind, self.kind) + (f" {self.detail}" if self.detail else "")


_DEFAULT = Origin("default")
_Layer = dict[str, tuple[Any, Origin]]
"""Path of a setting -> raw value and where it came from."""


@dataclass(frozen=True)
class Configuration(Generic[Settings]):
    """Valid settings, the origin of each by its path, and sentences that an operator should read."""

    settings: Settings
    origins: Mapping[str, Origin]
    warnings: tuple[str, ...] = ()


def load(
    settings_type: type[Settings],
    *,
    file: Path | None = None,
    environment: Mapping[str, str] | None = None,
    line: Iterable[tuple[str, str, str]] = (),
) -> Configuration[Settings]:
    """The effective configuration. `line` holds (path, text, option) in order, the last wins; `environment` defaults to the process's.

    Raises ConfigurationError: one sentence that names the setting and its source, never a value, which could be a secret.
    """
    known = dict(single_settings(settings_type))
    layers: list[_Layer] = []
    warnings: list[str] = []
    if file is not None:
        layers.append(_from_file(settings_type, file))
        warnings = _exposed_secrets(file, layers[0], known)
    layers.append(_from_environment(settings_type, known, os.environ if environment is None else environment))
    layers.append(_from_line(settings_type, known, line))
    merged: _Layer = {path: found for layer in layers for path, found in layer.items()}
    tree: dict[str, Any] = {}
    for path, (value, _) in merged.items():
        *outer, last = path.split(".")
        branch = tree
        for name in outer:
            branch = branch.setdefault(name, {})
        branch[last] = value
    try:
        settings = settings_type.model_validate(tree)
    except ValidationError as error:
        path, sentence = first_error(error, settings_type)
        _, origin = merged.get(path, (None, None))
        raise ConfigurationError(f"{sentence}{f' (from the {origin})' if origin else ''}.") from None
    return Configuration(settings, {path: merged[path][1] if path in merged else _DEFAULT for path in known}, tuple(warnings))


def _from_file(settings_type: type[BaseModel], file: Path) -> _Layer:
    try:
        documents = list(strict_yaml.documents(file.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigurationError(f"The configuration file {file} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise ConfigurationError(f"The configuration file {file} is not UTF-8 text.") from None
    except ValueError as error:
        raise ConfigurationError(f"The configuration file {file} {error}.") from None
    if len(documents) > 1:
        raise ConfigurationError(f"The configuration file {file} holds {len(documents)} documents; one is expected.")
    layer: _Layer = {}
    _flatten(settings_type, documents[0] if documents else None, "", Origin("file", str(file)), layer)
    return layer


def _flatten(model: type[BaseModel], tree: Any, prefix: str, origin: Origin, layer: _Layer) -> None:
    """Puts the single settings of a tree into the layer. A group that is left empty is no group."""
    if tree is None:
        return
    if not isinstance(tree, dict):
        name = prefix.removesuffix(".") or "The configuration"
        raise ConfigurationError(f"{name} must be a group of settings, one per line as name: value (from the {origin}).")
    known, group_names = dict(single_settings(model)), set(groups(model))
    for key, value in tree.items():
        path = f"{prefix}{key}"
        if path in known:
            layer[path] = (value, origin)
        elif path in group_names:
            _flatten(model, value, f"{path}.", origin, layer)
        else:
            raise ConfigurationError(unknown_setting(path, model, str(origin)))


def _from_environment(settings_type: type[BaseModel], known: Mapping[str, FieldInfo], environment: Mapping[str, str]) -> _Layer:
    layer: _Layer = {}
    for name, text in sorted(environment.items()):
        if not name.startswith(PREFIX):
            continue
        path = name.removeprefix(PREFIX).lower().replace("__", ".")
        if path in known:
            origin = Origin("environment", name)
            layer[path] = (_from_text(path, known[path], text, origin), origin)
        elif not _SERVICE_LINK.fullmatch(name.removeprefix(PREFIX)):
            raise ConfigurationError(unknown_setting(path, settings_type, f"environment {name}"))
    return layer


def _from_line(settings_type: type[BaseModel], known: Mapping[str, FieldInfo], line: Iterable[tuple[str, str, str]]) -> _Layer:
    layer: _Layer = {}
    for path, text, option in line:
        origin = Origin("line", option)
        if path not in known:
            raise ConfigurationError(unknown_setting(path, settings_type, str(origin)))
        if holds_secret(known[path]):
            raise ConfigurationError(
                f"{path} is a secret, and every user of this machine can see the command line; give it in the file or the environment."
            )
        layer[path] = (_from_text(path, known[path], text, origin), origin)
    return layer


def _from_text(path: str, field: FieldInfo, text: str, origin: Origin) -> Any:
    if is_optional(field) and text == "null":
        return None
    if is_text(field):
        return text
    try:
        return strict_yaml.value(text)
    except ValueError as error:
        raise ConfigurationError(f"{path} {error} (from the {origin}).") from None


def _exposed_secrets(file: Path, layer: _Layer, known: Mapping[str, FieldInfo]) -> list[str]:
    secrets = [path for path in layer if holds_secret(known[path])]
    if not secrets or not file.stat().st_mode & stat.S_IROTH:
        return []
    return [f"The configuration file {file} holds a secret ({secrets[0]}) and every user can read it; chmod o-r it."]
