"""`interlink-plugin status`, `logs` and `delete`: one call each to a plugin that serves, as interLink would make it."""

from __future__ import annotations

import asyncio
import json
import math
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from interlink_common.cli.identity import find, known, unresolved
from interlink_common.cli.manifests import read_pods
from interlink_common.cli.options import Connect, Namespace, Output, OutputFormat, Plugin, address
from interlink_common.cli.running import REMOVAL_SECONDS, gone
from interlink_common.cli.tables import CONTAINER_HEAD, container_rows, show, table
from interlink_common.errors import BadRequest, NotFound
from interlink_common.testing.bodies import NO_TIME, VirtualPod
from interlink_common.testing.client import CallError, PluginClient
from interlink_common.testing.manifests import Manifests

Files = Annotated[list[Path] | None, typer.Argument(metavar="[MANIFEST]...", help="YAML files with the pods; - is stdin.")]
File = Annotated[Path | None, typer.Argument(metavar="[MANIFEST]", help="YAML file with the pod; - is stdin.")]
Uid = Annotated[str | None, typer.Option("--uid", help="UID of the pod, instead of a manifest.")]
PodName = Annotated[str | None, typer.Option("--name", help="Name of the pod, instead of a manifest.")]
ContainerNames = Annotated[list[str] | None, typer.Option("--container", "-c", help="Its containers, where no manifest tells them.")]


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
    pods = _pods(manifests, uid, name, namespace, container)
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


def logs(
    manifest: File = None,
    *,
    connect: Connect = None,
    plugin: Plugin = None,
    uid: Uid = None,
    name: PodName = None,
    namespace: Namespace = "default",
    container: Annotated[
        str | None, typer.Option("--container", "-c", help="Whose log; else the pod's default or first container.")
    ] = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the container ends.")] = False,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="The attempt that ended last (lastState).")] = False,
    tail: Annotated[int | None, typer.Option(min=1, help="Only so many of the last lines.")] = None,
    since: Annotated[str | None, typer.Option(metavar="DURATION", help="Only what is newer, e.g. 90s, 5m or 1h30m.")] = None,
    since_time: Annotated[str | None, typer.Option(metavar="TIME", help="Only what is newer, e.g. 2026-07-01T12:00:00Z.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Each line begins with its time.")] = False,
    limit_bytes: Annotated[int | None, typer.Option(min=1, help="Only so many of the first bytes.")] = None,
) -> None:
    """Print the log of one container, with kubectl's options."""
    if since and since_time:
        raise BadRequest("--since and --since-time exclude each other; give one.")
    pod = _one(_pods([manifest] if manifest else None, uid, name, namespace, [container] if container else None))
    options = {
        "follow": follow,
        "previous": previous,
        "timestamps": timestamps,
        "tail": tail or 0,
        "limit_bytes": limit_bytes or 0,
        "since_seconds": duration_seconds(since) if since else 0,
        "since_time": _rfc3339(since_time) if since_time else NO_TIME,
    }
    asyncio.run(_print_log(address(connect, plugin), pod, container or _default_container(pod), options))


async def _print_log(listen: str, pod: VirtualPod, container: str, options: dict[str, Any]) -> None:
    async with PluginClient(listen) as client:
        found = await known(client, pod)
        try:
            async for chunk in client.logs(found, container, **options):
                sys.stdout.buffer.write(chunk)
                sys.stdout.buffer.flush()
        except CallError as error:
            raise NotFound(error.text) from None


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
    pods = _pods(manifests, uid, name, namespace, None)
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


def _pods(files: list[Path] | None, uid: str | None, name: str | None, namespace: str, containers: list[str] | None) -> list[VirtualPod]:
    """The pods that the line means. Raises BadRequest."""
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


def _one(pods: list[VirtualPod]) -> VirtualPod:
    if len(pods) != 1:
        raise BadRequest(f"The manifest holds {len(pods)} pods; exactly one is needed.")
    return pods[0]


def _default_container(pod: VirtualPod) -> str:
    """kubectl's choice: the annotation, else the first; it says so if there are more."""
    names = [str(container["name"]) for container in pod.document["spec"]["containers"]]
    annotations = pod.document["metadata"].get("annotations") or {}
    chosen = str(annotations.get("kubectl.kubernetes.io/default-container") or names[0])
    if len(names) > 1:
        typer.echo(f"Defaulted container {chosen} out of: {', '.join(names)}", err=True)
    return chosen


def duration_seconds(text: str) -> int:
    """A Go duration (1h30m, 90s, 500ms) in whole seconds, rounded up. Raises BadRequest."""
    units = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
    if not re.fullmatch(r"(\d+(\.\d+)?(h|ms|m|s))+", text, re.ASCII):
        raise BadRequest(f"--since {text} is no duration; write it like 90s, 5m or 1h30m.")
    return max(1, math.ceil(sum(float(number) * units[unit] for number, _, unit in re.findall(r"(\d+(\.\d+)?)(h|ms|m|s)", text))))


def _rfc3339(text: str) -> str:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(f"--since-time {text} is no time; write it like 2026-07-01T12:00:00Z.") from None
    if moment.tzinfo is None:
        raise BadRequest(f"--since-time {text} has no time zone; end it with Z for UTC.")
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
