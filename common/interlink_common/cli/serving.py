"""`interlink-plugin serve`: everything that happens before the server has its settings."""

from __future__ import annotations

from typing import Annotated

import typer

from interlink_common.cli.options import ConfigFile, Name, Set, choose


def serve(
    name: Name,
    config: ConfigFile = None,
    listen: Annotated[str | None, typer.Option(metavar="ADDRESS", help="unix:///path.sock or http://host:port.")] = None,
    state_dir: Annotated[str | None, typer.Option(metavar="DIR", help="Database and pod files.")] = None,
    assignments: Set = None,
) -> None:
    """Serve a plugin until SIGTERM or Ctrl-C.

    Every setting can be given in the file, as an environment variable (collector.mode is INTERLINK_PLUGIN_COLLECTOR__MODE)
    or with --set; the later of these wins. interlink-plugin config lists them.
    """
    chosen = choose(name, config, assignments, listen=listen, state_dir=state_dir)
    from interlink_common.serve import server  # noqa: PLC0415  the web framework takes long to import, and no other command needs it

    server.run(chosen.backend(), chosen.settings)
