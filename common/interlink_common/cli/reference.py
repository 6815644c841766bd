"""The reference of a plugin's settings, generated from their declarations: an annotated YAML example and a JSON schema."""

from __future__ import annotations

import inspect
import textwrap
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from interlink_common.cli.setting_paths import choices, group_of
from interlink_common.cli.strict_yaml import scalar
from interlink_common.errors import ConfigurationError
from interlink_common.settings import PluginSettings

_WIDTH = 100


def schema(settings_type: type[PluginSettings]) -> dict[str, Any]:
    """JSON schema of the configuration file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **settings_type.model_json_schema()}


def example(settings_type: type[PluginSettings]) -> str:
    """A YAML file with every setting at its default, each under what it means. It loads as it stands.

    Raises ConfigurationError if a setting has neither a default nor `examples` (pydantic's Field).
    """
    title = f"Settings of interlink-plugin serve {settings_type.plugin_name}, all at their defaults: keep only what you change."
    sources = "The environment overrides this file (INTERLINK_PLUGIN_COLLECTOR__MODE=delete), the command line overrides both."
    return f"# {title}\n# {sources}\n\n" + "\n".join(_example_of(settings_type, ""))


def _example_of(model: type[BaseModel], indent: str) -> list[str]:
    lines: list[str] = []
    for name, field in model.model_fields.items():
        group = group_of(field)
        if group:
            lines += [*_comment(inspect.cleandoc(group.__doc__ or ""), indent), f"{indent}{name}:", *_example_of(group, f"{indent}  ")]
        else:
            one_of = f" One of: {', '.join(choices(field))}." if choices(field) else ""
            lines += [*_comment((field.description or "") + one_of, indent), f"{indent}{name}: {scalar(_shown_default(name, field))}", ""]
    return lines


def _comment(text: str, indent: str) -> list[str]:
    first = " ".join(text.partition("\n\n")[0].split())
    return [f"{indent}# {line}" for line in textwrap.wrap(first, _WIDTH, break_long_words=False, break_on_hyphens=False)]


def _shown_default(name: str, field: FieldInfo) -> Any:
    default = field.get_default(call_default_factory=True, validated_data={})
    if default is PydanticUndefined:
        if not field.examples:
            raise ConfigurationError(f"The setting {name} has no default; its declaration needs examples to be shown here.")
        default = field.examples[0]
    return plain(default)


def plain(value: Any) -> Any:
    """The value as YAML and JSON know it. An empty Path is an empty text; a secret stays masked."""
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, Path):
        return "" if value == Path() else str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return "**********" if isinstance(value, SecretStr) else str(value)
