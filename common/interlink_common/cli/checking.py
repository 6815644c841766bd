"""`interlink-plugin check`, `devices` and `report`: what a plugin finds out about its backend."""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
from collections.abc import Awaitable, Callable
from importlib.metadata import distributions
from typing import TypeVar

import typer

from interlink_common.backend import Backend, CheckResult, Verdict
from interlink_common.cli.configuring import effective
from interlink_common.cli.options import Chosen, ConfigFile, Name, OptionalName, Output, OutputFormat, Set, choose, installed
from interlink_common.cli.tables import mappings, show, table
from interlink_common.errors import PluginError

Answer = TypeVar("Answer")
_OUR_DISTRIBUTIONS = "interlink-plugin"


def check(name: Name, config: ConfigFile = None, assignments: Set = None, output: OutputFormat = Output.TABLE) -> None:
    """Check that the backend is there and lets the plugin do its work. Exit code 1 if it does not."""
    results = _results(choose(name, config, assignments))
    rows = [{"check": row.name, "verdict": str(row.verdict), "detail": row.detail, "remedy": row.remedy} for row in results]
    if output is Output.JSON:
        typer.echo(json.dumps(rows, indent=2))
    else:
        show(table(("CHECK", "VERDICT", "DETAIL", "REMEDY"), [list(row.values()) for row in rows]))
    if any(row.verdict is Verdict.FAILED for row in results):
        raise typer.Exit(1)


def devices(name: Name, config: ConfigFile = None, assignments: Set = None, output: OutputFormat = Output.TABLE) -> None:
    """List the accelerators that the backend offers to pods."""
    rows = _call(choose(name, config, assignments), lambda backend: backend.devices())
    if output is Output.JSON:
        typer.echo(json.dumps(rows, indent=2))
    elif rows:
        show(mappings(rows))
    else:
        typer.echo(f"The {name} backend offers no devices.")


def report(name: OptionalName = None, config: ConfigFile = None, assignments: Set = None) -> None:
    """Print what support needs to know: versions, platform, configuration with secrets masked, checks."""
    chosen = choose(name, config, assignments)
    ours = sorted({f"{d.name} {d.version}" for d in distributions() if (d.name or "").startswith(_OUR_DISTRIBUTIONS)})
    typer.echo("# Versions")
    typer.echo("\n".join([*ours, f"Python {platform.python_version()} ({sys.executable})", f"plugins: {', '.join(installed())}"]))
    typer.echo(
        f"\n# Platform\n{platform.platform()}\nuid {os.geteuid()}, {os.cpu_count()} cpus\n\n# Configuration of {chosen.backend_type.name}"
    )
    typer.echo(effective(chosen.configuration))
    typer.echo("# Checks")
    for row in _results(chosen):
        typer.echo(f"{row.verdict:8} {row.name}: {row.detail}{f' [{row.remedy}]' if row.remedy else ''}")


def _results(chosen: Chosen) -> list[CheckResult]:
    """The backend's rows; an error that it raises instead is a row too."""
    try:
        return _call(chosen, lambda backend: backend.check())
    except PluginError as error:
        return [CheckResult("backend", Verdict.FAILED, str(error))]


def _call(chosen: Chosen, verb: Callable[[Backend], Awaitable[Answer]]) -> Answer:
    async def call() -> Answer:
        backend = chosen.backend()
        try:
            return await verb(backend)
        finally:
            await backend.close()

    return asyncio.run(call())
