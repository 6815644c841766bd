"""Options that several commands share, and what they mean: a plugin's effective configuration, and the address to connect to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from interlink_common.backend import Backend
from interlink_common.cli import configuration
from interlink_common.cli.configuration import Configuration
from interlink_common.cli.plugins import backend_type
from interlink_common.errors import ConfigurationError
from interlink_common.settings import PluginSettings

Name = Annotated[str, typer.Argument(metavar="NAME", help="The plugin, e.g. docker.", show_default=False)]
OptionalName = Annotated[str | None, typer.Argument(metavar="[NAME]", help="The plugin; may be left out if only one is installed.")]
ConfigFile = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="YAML file with settings.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="PATH=VALUE", help="One setting, e.g. collector.mode=delete. May be given again.")
]
Connect = Annotated[
    str | None,
    typer.Option("--connect", metavar="ADDRESS", envvar="INTERLINK_CONNECT", help="unix:///path.sock or http://host:port of the plugin."),
]
Plugin = Annotated[str | None, typer.Option("--plugin", metavar="NAME", help="Connect to where this plugin listens by its settings.")]
Namespace = Annotated[str, typer.Option("--namespace", "-n", help="Namespace of pods whose manifest names none.")]


class Output(StrEnum):
    TABLE = "table"
    JSON = "json"


OutputFormat = Annotated[Output, typer.Option("--output", "-o", help="table for people, json for programs.")]


@dataclass(frozen=True)
class Chosen:
    """A plugin and its effective configuration."""

    backend_type: type[Backend]
    configuration: Configuration[PluginSettings]

    @property
    def settings(self) -> PluginSettings:
        return self.configuration.settings

    def backend(self) -> Backend:
        return self.backend_type(self.settings)


def choose(name: str | None, config: Path | None = None, assignments: list[str] | None = None, **options: str | None) -> Chosen:
    """The plugin of that name (None: the only one) with its settings. `options` are settings with an option of their own, None: not given.

    Raises ConfigurationError. Warnings go to stderr.
    """
    line = []
    for assignment in assignments or []:
        path, equals, text = assignment.partition("=")
        if not equals:
            raise ConfigurationError(f"--set {path} has no value; write --set {path}=VALUE.")
        line.append((path, text, "--set"))
    line += [(path, text, f"--{path.replace('_', '-')}") for path, text in options.items() if text is not None]
    chosen_type = backend_type(name)
    found = configuration.load(chosen_type.settings_type, file=config, line=line)
    for warning in found.warnings:
        typer.echo(f"warning: {warning}", err=True)
    return Chosen(chosen_type, found)


def address(connect: str | None, plugin: str | None) -> str:
    """Where to connect: to that address, else where the plugin (None: the only one) listens by its settings. Raises ConfigurationError."""
    if connect is None:
        return choose(plugin).settings.listen
    if not connect.startswith(("unix://", "http://")):
        raise ConfigurationError("--connect must be unix:///path.sock or http://host:port.")
    return connect
