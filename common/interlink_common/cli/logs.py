"""`interlink-plugin logs`: the log of one container or of all, with kubectl's options."""

from __future__ import annotations

import asyncio
import math
import re
import sys
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from interlink_common.cli.identity import find_existing
from interlink_common.cli.options import Connect, Namespace, Plugin, address
from interlink_common.cli.pods import File, PodName, Uid, selected_pods
from interlink_common.errors import BadRequest, NotFound
from interlink_common.logselect import rfc3339_nano
from interlink_common.virtualkubelet.bodies import NO_TIME, VirtualPod
from interlink_common.virtualkubelet.client import CallError, PluginClient


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
    all_containers: Annotated[bool, typer.Option("--all-containers", help="The logs of all containers of the manifest.")] = False,
    prefix: Annotated[bool, typer.Option("--prefix", help="Each line begins with its pod and container.")] = False,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the container ends.")] = False,
    previous: Annotated[bool, typer.Option("--previous", "-p", help="The attempt that ended last (lastState).")] = False,
    tail: Annotated[int, typer.Option(min=-1, help="Only so many of the last lines; -1: all.")] = -1,
    since: Annotated[str | None, typer.Option(metavar="DURATION", help="Only what is newer, e.g. 90s, 5m or 1h30m.")] = None,
    since_time: Annotated[str | None, typer.Option(metavar="TIME", help="Only what is newer, e.g. 2026-07-01T12:00:00Z.")] = None,
    timestamps: Annotated[bool, typer.Option("--timestamps", help="Each line begins with its time.")] = False,
    limit_bytes: Annotated[int | None, typer.Option(min=1, help="Only so many of the first bytes.")] = None,
) -> None:
    """Print the log of one container, or of all, with kubectl's options."""
    if since and since_time:
        raise BadRequest("--since and --since-time exclude each other; give one.")
    if all_containers and container:
        raise BadRequest("--all-containers and --container exclude each other; give one.")
    if all_containers and not manifest:
        raise BadRequest("--all-containers needs the pod's manifest, which names them.")
    pods = selected_pods([manifest] if manifest else None, uid, name, namespace, [container] if container else None)
    if len(pods) != 1:
        raise BadRequest(f"The manifest holds {len(pods)} pods; exactly one is needed.")
    pod = pods[0]
    options = {
        "follow": follow,
        "previous": previous,
        "timestamps": timestamps,
        "tail": max(tail, 0),
        "limit_bytes": limit_bytes or 0,
        "since_seconds": duration_seconds(since) if since else 0,
        "since_time": _rfc3339(since_time) if since_time else NO_TIME,
    }
    if tail == 0:  # nothing of what is there; on the wire a zero means that it is not set
        options |= {"since_seconds": 0, "since_time": rfc3339_nano(time.time_ns())}
    names = _all_containers(pod) if all_containers else [container or _default_container(pod)]
    asyncio.run(_print_logs(address(connect, plugin), pod, names, options, prefix=prefix))


async def _print_logs(listen: str, pod: VirtualPod, containers: list[str], options: dict[str, Any], *, prefix: bool) -> None:
    """One after another; followed, all at once and line by line."""
    async with PluginClient(listen) as client:
        found = await find_existing(client, pod)

        async def show(container: str) -> None:
            chunks = client.logs(found, container, **options)
            start = f"[pod/{found.name}/{container}] ".encode() if prefix else b""
            try:
                async for chunk in _lines(chunks, start) if prefix or len(containers) > 1 else chunks:
                    sys.stdout.buffer.write(chunk)
                    sys.stdout.buffer.flush()
            except CallError as error:
                raise NotFound(error.text) from None

        if options["follow"]:
            await asyncio.gather(*map(show, containers))
        else:
            for container in containers:
                await show(container)


async def _lines(chunks: AsyncIterator[bytes], start: bytes) -> AsyncIterator[bytes]:
    """Whole lines, each behind `start`; one that the log's end cut comes without a line end."""
    rest = b""
    async for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if lines:
            yield b"".join(start + line + b"\n" for line in lines)
    if rest:
        yield start + rest


def _all_containers(pod: VirtualPod) -> list[str]:
    """Init containers first, as kubectl has them."""
    spec = pod.document["spec"]
    return [str(container["name"]) for container in (*(spec.get("initContainers") or ()), *spec["containers"])]


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
