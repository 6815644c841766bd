"""Options that several commands share, and what they mean: an installed plugin, its effective configuration, the address to connect to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Annotated

import typer

from interlink_common.backend import Backend
from interlink_common.cli import configuration
from interlink_common.cli.configuration import Configuration
from interlink_common.errors import ConfigurationError
from interlink_common.settings import PluginSettings

GROUP = "interlink.plugins"
"""Entry points of this group are plugins, ours and third parties' alike."""

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


def installed() -> dict[str, EntryPoint]:
    """The entry points by name, in order of names."""
    return {point.name: point for point in sorted(entry_points(group=GROUP), key=lambda point: point.name)}


def backend_type(name: str | None) -> type[Backend]:
    """The plugin of that name; None means the only one. Loads its code. Raises ConfigurationError."""
    found = installed()
    names = ", ".join(found)
    if not found:
        raise ConfigurationError("No plugin is installed; install one, for example interlink-plugin-docker.")
    if name is None:
        if len(found) > 1:
            raise ConfigurationError(f"Several plugins are installed ({names}); name one.")
        name = next(iter(found))
    if name not in found:
        raise ConfigurationError(f"There is no plugin {name}; installed: {names}.")
    try:
        loaded = found[name].load()
    except Exception as error:  # a third party's import may raise anything
        raise ConfigurationError(f"The plugin {name} cannot be loaded: {type(error).__name__}: {error}; install it again.") from error
    if not (isinstance(loaded, type) and issubclass(loaded, Backend)):
        raise ConfigurationError(f"The plugin {name} is not a subclass of interlink_common.backend.Backend; its package is broken.")
    return loaded


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
