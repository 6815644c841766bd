"""`interlink-plugin status` and `delete`: one call each to a plugin that serves, as interLink would make it."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Annotated

import typer

from interlink_common.cli.identity import find, unresolved
from interlink_common.cli.manifests import read_pods
from interlink_common.cli.options import Connect, Namespace, Output, OutputFormat, Plugin, address
from interlink_common.cli.running import REMOVAL_SECONDS, gone
from interlink_common.cli.tables import CONTAINER_HEAD, container_rows, show, table
from interlink_common.errors import BadRequest
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import PluginClient
from interlink_common.virtualkubelet.manifests import Manifests

Files = Annotated[list[Path] | None, typer.Argument(metavar="[MANIFEST]...", help="YAML files with the pods; - is stdin.")]
File = Annotated[Path | None, typer.Argument(metavar="[MANIFEST]", help="YAML file with the pod; - is stdin.")]
Uid = Annotated[str | None, typer.Option("--uid", help="UID of the pod, instead of a manifest.")]
PodName = Annotated[str | None, typer.Option("--name", help="Name of the pod, instead of a manifest.")]
ContainerNames = Annotated[list[str] | None, typer.Option("--container", "-c", help="Its containers, if you give no manifest.")]


def status(
    manifests: Files = None,
    *,
    connect: Connect = None,
    plugin: Plugin = None,
    uid: Uid = None,
    name: PodName = None,
    namespace: Namespace = "default",
    container: ContainerNames = None,
    output: OutputFormat = Output.TABLE,
) -> None:
    """Show pods as the virtual kubelet sees them. Exit code 1 if the plugin does not know one of them."""
    pods = selected_pods(manifests, uid, name, namespace, container)
    found = asyncio.run(_statuses(address(connect, plugin), pods))
    if output is Output.JSON:
        listed = [{"namespace": pod.namespace, "name": pod.name, "uid": pod.uid, "status": pod.status} for pod in found if pod]
        typer.echo(json.dumps(listed, indent=2))
    else:
        rows = [(f"{pod.namespace}/{pod.name}", pod.phase, *row) for pod in found if pod for row in container_rows(pod.document)]
        show(table(("POD", "PHASE", *CONTAINER_HEAD), rows))
    missing = [f"{pod.namespace}/{pod.name}" for pod, there in zip(pods, found, strict=True) if there is None]
    if missing:
        typer.echo(f"The plugin does not know: {', '.join(missing)}.", err=True)
        raise typer.Exit(1)


async def _statuses(listen: str, pods: list[VirtualPod]) -> list[VirtualPod | None]:
    async with PluginClient(listen) as client:
        return [await _status(client, pod) for pod in pods]


async def _status(client: PluginClient, pod: VirtualPod) -> VirtualPod | None:
    found = await find(client, pod)
    if found:
        await client.status(found)
        # A failed init container is held back for one round, until the virtual kubelet has seen all of them.
        await client.status(found)
    return found


def delete(
    manifests: Files = None,
    *,
    connect: Connect = None,
    plugin: Plugin = None,
    uid: Uid = None,
    name: PodName = None,
    namespace: Namespace = "default",
    grace_period: Annotated[int | None, typer.Option(min=0, help="Seconds between TERM and KILL; else the pod's own.")] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Return when nothing is left of the pods.")] = True,
) -> None:
    """Delete pods. One that the plugin does not know is no error."""
    pods = selected_pods(manifests, uid, name, namespace, None)
    asyncio.run(_delete(address(connect, plugin), pods, grace_period, wait=wait))


async def _delete(listen: str, pods: list[VirtualPod], grace_seconds: int | None, *, wait: bool) -> None:
    async with PluginClient(listen) as client:
        found = [pod for pod in [await _status(client, pod) for pod in pods] if pod]
        for pod in found:
            await client.delete(pod, grace_seconds=grace_seconds)
        for pod in found:
            grace = pod.document["spec"]["terminationGracePeriodSeconds"] if grace_seconds is None else grace_seconds
            if wait and not await gone(client, pod, grace + REMOVAL_SECONDS):
                typer.echo(f"The plugin is still removing {pod.namespace}/{pod.name}.", err=True)


def selected_pods(
    files: list[Path] | None, uid: str | None, name: str | None, namespace: str, containers: list[str] | None
) -> list[VirtualPod]:
    """The pods that the command line selects, by manifests or by a UID or name. Raises BadRequest."""
    now = time.time()
    if files:
        if uid or name:
            raise BadRequest("Give either manifests, or --uid or --name.")
        return [unresolved(manifests, now=now) for manifests in read_pods(files, namespace)]
    if not uid and not name:
        raise BadRequest("Say which pod: a manifest, --uid or --name.")
    metadata = {"name": name or uid, "namespace": namespace, **({"uid": uid} if uid else {})}
    # Whether an ended container would be restarted is not known; Never lets the plugin's answer stand.
    spec = {"restartPolicy": "Never", "containers": [{"name": container} for container in containers or ["main"]]}
    return [unresolved(Manifests({"metadata": metadata, "spec": spec}), now=now)]
