"""`interlink-plugin run`: one pod from its manifest to its exit code, with this process as the virtual kubelet."""

from __future__ import annotations

import asyncio
import signal
import time
from enum import StrEnum
from functools import partial
from itertools import count
from pathlib import Path
from typing import Annotated

import httpx
import typer

from interlink_common.cli.identity import admitted, find, uids, with_uid
from interlink_common.cli.log_follower import LogFollower
from interlink_common.cli.manifests import read_pod
from interlink_common.cli.options import Connect, Namespace, Plugin, address
from interlink_common.cli.progress import Progress
from interlink_common.errors import BackendUnavailable, Gone, NotFound, Refused
from interlink_common.virtualkubelet.bodies import NodeOptions, VirtualPod
from interlink_common.virtualkubelet.client import CallError, PluginClient

POLL_SECONDS = 0.3
ROUNDS_PER_LOOK = 10
"""A status answer does not say that a pod was deleted, so every so often we look."""
REMOVAL_SECONDS = 60.0
"""How long a removal may take beyond the pod's grace before we stop waiting for it."""
INTERRUPTED = 130


class EnvMode(StrEnum):
    RESOLVED = "resolved"
    RAW = "raw"


def run(
    manifest: Annotated[Path, typer.Argument(help="YAML file with one Pod and its ConfigMaps and Secrets; - is stdin.")],
    *,
    connect: Connect = None,
    plugin: Plugin = None,
    namespace: Namespace = "default",
    env_mode: Annotated[
        EnvMode, typer.Option(help="raw if the plugin's setting skip_downward_api_resolution is true; resolved, as here, if not.")
    ] = EnvMode.RESOLVED,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the pod there when it has ended, for status and logs.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the logs.")] = False,
) -> None:
    """Run one pod as interLink would: create it, follow its logs, show its containers, return its exit code, delete it.

    The exit code is that of the first container that failed, 0 if none did, 2 if the plugin refused the pod, 130 after Ctrl-C,
    which deletes the pod with its grace period.
    """
    options = NodeOptions(skip_downward_api_resolution=env_mode is EnvMode.RAW)
    pod = admitted(read_pod(manifest, namespace), options, now=time.time())
    raise typer.Exit(asyncio.run(_run(address(connect, plugin), pod, keep=keep, quiet=quiet)))


async def _run(listen: str, pod: VirtualPod, *, keep: bool, quiet: bool) -> int:
    interrupted = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, interrupted.set)
    async with PluginClient(listen) as client:
        pod = await _created(client, pod)
        with Progress(quiet=quiet) as progress:
            progress.note(f"pod {pod.namespace}/{pod.name} is there, uid {pod.uid}")
            try:
                await _watch(client, pod, progress, interrupted)
            finally:
                if interrupted.is_set() or not keep:
                    interrupted.clear()
                    await _remove(client, pod, progress, interrupted)
    return exit_code(pod) if pod.ended else INTERRUPTED


async def _created(client: PluginClient, pod: VirtualPod) -> VirtualPod:
    """Creates the pod, or takes up the one that is there. Raises Refused with the plugin's sentence."""
    there = await find(client, pod)
    candidates = uids(pod.manifests)
    for uid in [there.uid, *candidates] if there else candidates:
        candidate = with_uid(pod, uid)
        try:
            await client.create(candidate)
        except CallError as error:
            if error.code != Gone.http_status:
                raise Refused(f"The plugin refused the pod: {error.text}") from None
        else:
            return candidate
    raise Refused(f"Pod {pod.namespace}/{pod.name} was deleted {len(candidates)} times within the hour; give it another name.")


async def _watch(client: PluginClient, pod: VirtualPod, progress: Progress, interrupted: asyncio.Event) -> None:
    """Until the pod has ended and its logs are shown, or the interrupt."""
    rounds = asyncio.Condition()
    names = [container["name"] for key in ("initContainers", "containers") for container in pod.document["spec"].get(key) or []]
    interrupt = asyncio.create_task(interrupted.wait())
    followers: set[asyncio.Task[None]] = set()
    for name in names:
        show = partial(progress.log_line, f"[{name}] " if len(names) > 1 else "")
        follower = LogFollower(client, pod, name, show, rounds)
        followers.add(asyncio.create_task(follower.run()))
    try:
        for number in count():
            if pod.ended or interrupted.is_set():
                break
            if number % ROUNDS_PER_LOOK == ROUNDS_PER_LOOK - 1 and await is_gone(client, pod):
                raise NotFound(f"Pod {pod.namespace}/{pod.name} was deleted while it ran.")
            await client.status(pod)
            progress.pod(pod.document)
            async with rounds:
                rounds.notify_all()
            if not pod.ended:
                await asyncio.wait([interrupt], timeout=POLL_SECONDS)
        while followers and not interrupted.is_set():
            done, _ = await asyncio.wait({*followers, interrupt}, return_when=asyncio.FIRST_COMPLETED)
            for task in done & followers:
                task.result()
            followers -= done
    finally:
        left = [interrupt, *followers]
        for unfinished in left:
            unfinished.cancel()
        await asyncio.gather(*left, return_exceptions=True)


async def _remove(client: PluginClient, pod: VirtualPod, progress: Progress, interrupted: asyncio.Event) -> None:
    """Deletes the pod and waits until nothing of it is left; a second Ctrl-C ends the wait, not the removal."""
    grace_seconds = int(pod.document["spec"]["terminationGracePeriodSeconds"])
    if not pod.ended:
        progress.note(f"deleting the pod; its grace period is {grace_seconds} s")
    await client.delete(pod)
    if not await gone(client, pod, grace_seconds + REMOVAL_SECONDS, interrupted):
        progress.note("the plugin is still removing the pod")


async def gone(client: PluginClient, pod: VirtualPod, timeout_seconds: float, interrupted: asyncio.Event | None = None) -> bool:
    """Waits until the plugin no longer knows the pod; false if it still does at the end."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline and not (interrupted and interrupted.is_set()):
        if await is_gone(client, pod):
            return True
        await asyncio.sleep(POLL_SECONDS)
    return False


async def is_gone(client: PluginClient, pod: VirtualPod) -> bool:
    """Whether the plugin no longer knows this pod. One that does not answer may still know it."""
    try:
        there = await find(client, pod)
    except (BackendUnavailable, httpx.TransportError):
        return False
    return there is None or there.uid != pod.uid


def exit_code(pod: VirtualPod) -> int:
    """The exit code of the first container that failed, init containers first; 0 if the pod succeeded, 1 if it failed otherwise."""
    for key in ("initContainerStatuses", "containerStatuses"):
        for entry in pod.status.get(key) or []:
            code = ((entry.get("state") or {}).get("terminated") or {}).get("exitCode", 0)
            if code:
                return code if 0 < code < 256 else 1
    return 0 if pod.phase == "Succeeded" else 1
