"""`interlink-plugin config`: the effective configuration and where each value comes from, its JSON schema, an example file."""

from __future__ import annotations

import json
import re
from typing import Annotated, Any

import typer

from interlink_common.cli.configuration import Configuration, example, schema
from interlink_common.cli.options import ConfigFile, OptionalName, Output, Set, backend_type, choose
from interlink_common.cli.reference import plain
from interlink_common.cli.setting_paths import value_at
from interlink_common.cli.strict_yaml import scalar
from interlink_common.errors import ConfigurationError
from interlink_common.settings import PluginSettings

_URL_LOGIN = re.compile(r"(?<=://)[^/@\s]+(?=@)")


def config(
    name: OptionalName = None,
    *,
    file: ConfigFile = None,
    assignments: Set = None,
    as_schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of the file instead.")] = False,
    as_example: Annotated[bool, typer.Option("--example", help="Print a file with every setting, explained, instead.")] = False,
    output: Annotated[Output, typer.Option("--output", "-o", help="table (YAML for people) or json.")] = Output.TABLE,
) -> None:
    """Print the effective configuration and the source of each value, secrets masked."""
    if as_schema and as_example:
        raise ConfigurationError("--schema and --example exclude each other; give one.")
    if as_schema:
        typer.echo(json.dumps(schema(backend_type(name).settings_type), indent=2))
    elif as_example:
        typer.echo(example(backend_type(name).settings_type))
    else:
        found = choose(name, file, assignments).configuration
        if output is Output.JSON:
            typer.echo(
                json.dumps(
                    {path: {"value": _shown(found, path), "source": str(origin)} for path, origin in found.origins.items()}, indent=2
                )
            )
        else:
            typer.echo(effective(found), nl=False)


def effective(found: Configuration[PluginSettings]) -> str:
    """Every setting as YAML, its source behind it as a comment."""
    lines: list[str] = []
    group: list[str] = []
    for path, origin in found.origins.items():
        *outer, last = path.split(".")
        shared = next(
            (depth for depth, (old, new) in enumerate(zip(group, outer, strict=False)) if old != new), min(len(group), len(outer))
        )
        lines += [f"{'  ' * depth}{outer[depth]}:" for depth in range(shared, len(outer))]
        group = outer
        lines.append(f"{'  ' * len(outer)}{last}: {scalar(_shown(found, path))}  # {origin}")
    return "\n".join(lines) + "\n"


def _shown(found: Configuration[PluginSettings], path: str) -> Any:
    return _without_logins(plain(value_at(found.settings, path)))


def _without_logins(value: Any) -> Any:
    """Logins inside of URLs hidden."""
    if isinstance(value, dict):
        return {key: _without_logins(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_logins(item) for item in value]
    return _URL_LOGIN.sub("*****", value) if isinstance(value, str) else value
