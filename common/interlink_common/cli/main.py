"""The command `interlink-plugin`, assembled. Whatever goes wrong is one sentence on stderr and an exit code, never a traceback.

Exit codes: 0; 1 where a command says no (a failed check, an unknown pod); 2 for usage, configuration, refusals and a plugin that does
not answer; 70 for an error of our own; 130 after Ctrl-C. `run` returns the pod's.
"""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated, Any

import httpx
import typer
from typer.core import TyperGroup

from interlink_common.cli import checking, configuring, logs, pods, running, translating
from interlink_common.cli.options import ConfigFile, Name, Set, choose
from interlink_common.errors import PluginError
from interlink_common.virtualkubelet.client import CallError
from interlink_common.virtualkubelet.judge import JudgeError, SentenceError

WRONG, OUR_ERROR, INTERRUPTED = 2, 70, 130
_DISTRIBUTION = "interlink-plugin-common"


class _Sentences(TyperGroup):
    """A group of commands whose errors become sentences."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.TyperException, BrokenPipeError):
            raise
        except Exception as error:
            if ctx.params.get("debug"):
                raise
            sentence, code = _sentence_and_code(error)
            typer.echo(sentence, err=True)
            raise typer.Exit(code) from None


def _sentence_and_code(error: Exception) -> tuple[str, int]:
    if isinstance(error, PluginError):
        return str(error), WRONG
    if isinstance(error, CallError):
        return f"The plugin answered {error.code}: {error.text}", WRONG
    if isinstance(error, httpx.TransportError | httpx.InvalidURL):
        return f"No plugin answers there ({error}); is interlink-plugin serve running, and --connect right?", WRONG
    if isinstance(error, JudgeError | SentenceError):
        return f"The plugin broke interLink's contract: {error}", WRONG
    return f"interlink-plugin has an error of its own ({type(error).__name__}); interlink-plugin --debug COMMAND shows where.", OUR_ERROR


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"interlink-plugin {version(_DISTRIBUTION)}")
        raise typer.Exit


app = typer.Typer(cls=_Sentences, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.callback()
def _options(
    show_version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show a traceback when something fails.")] = False,
) -> None:
    """Run interLink plugins, check them, and talk to them as interLink would."""


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


for _command in (
    serve, checking.check, translating.translate, running.run, pods.status, logs.logs, pods.delete,
    configuring.config, checking.devices, checking.report,
):  # fmt: skip
    app.command()(_command)


def run() -> None:
    """The entry point."""
    try:
        app()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None
