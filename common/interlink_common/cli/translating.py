"""`interlink-plugin translate`: a dry run of a create, from the manifest to what the backend would be asked for."""

from __future__ import annotations

import json
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from interlink_common.cli import strict_yaml
from interlink_common.cli.identity import admitted
from interlink_common.cli.manifests import read_pod
from interlink_common.cli.masking import masked, secret_values
from interlink_common.cli.options import ConfigFile, Namespace, Set, choose
from interlink_common.errors import BadRequest
from interlink_common.model.codec import to_json
from interlink_common.tracking.requests import read_create
from interlink_common.virtualkubelet.bodies import NodeOptions


class Form(StrEnum):
    YAML = "yaml"
    JSON = "json"


def translate(
    words: Annotated[list[str], typer.Argument(metavar="[NAME] MANIFEST", help="The plugin, if several are installed, and a YAML file.")],
    config: ConfigFile = None,
    assignments: Set = None,
    namespace: Namespace = "default",
    output: Annotated[
        Form, typer.Option("--output", "-o", help="yaml: what would be created. json: the neutral workload too.")
    ] = Form.YAML,
) -> None:
    """Show what would be created for a pod, with the values of its Secrets hidden. Nothing is contacted.

    Warnings go to stderr. Exit code 2 if the pod would be refused.
    """
    if len(words) > 2:
        raise BadRequest("give one plugin at most, and one manifest.")
    *name, manifest = words
    chosen = choose(name[0] if name else None, config, assignments)
    settings = chosen.settings
    manifests = read_pod(Path(manifest), namespace)
    options = NodeOptions(skip_downward_api_resolution=settings.skip_downward_api_resolution)
    pod = admitted(manifests, options, now=time.time())
    backend = chosen.backend()
    workload = read_create(json.dumps(pod.create_body()).encode(), backend, settings)
    secrets = secret_values(manifests)
    neutral: Any = masked(json.loads(to_json(workload)), secrets)
    plan: Any = masked(backend.plan(workload), secrets)
    if output is Form.JSON:
        typer.echo(json.dumps({"plan": plan, "warnings": list(workload.warnings), "workload": neutral}, indent=2, default=str))
        return
    typer.echo("---\n".join(strict_yaml.dump(document) for document in plan or [neutral]), nl=False)
    for warning in workload.warnings:
        typer.echo(f"warning: {warning}", err=True)
