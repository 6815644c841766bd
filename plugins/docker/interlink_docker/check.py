"""Rows of `interlink-plugin check docker`: what is wrong between this plugin and its engine, and what to do about it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from interlink_common.agent.cvmfs import look_into
from interlink_common.agent.runtime import RuntimeUnavailable, StartError
from interlink_common.backend import CheckResult, Verdict
from interlink_docker import reachability
from interlink_docker.client import Engine, EngineRefusal
from interlink_docker.files import private_directory
from interlink_docker.images import Images
from interlink_docker.locations import as_engine_sees
from interlink_docker.settings import DockerSettings
from interlink_docker.visibility import MountVisibility, bind_objection

OLDEST_API = (1, 41)
"""Engine 20.10."""
DEVICES = CheckResult("devices", Verdict.OK, "none: the plugin does not offer accelerators")


async def results(engine: Engine, settings: DockerSettings, *, as_root: bool) -> list[CheckResult]:
    """Every row; an engine that can't be reached, or goes away meanwhile, leaves only the rows that need none."""
    rows = [await engine_reachable(engine, settings)]
    if rows[0].verdict is not Verdict.FAILED:
        try:
            async for row in rows_of_engine(engine, settings, as_root=as_root):
                rows.append(row)  # noqa: PERF401  the rows before a loss stay
        except (RuntimeUnavailable, EngineRefusal) as error:
            remedy = "Look into the engine's own log, and check again"
            rows.append(CheckResult("engine", Verdict.FAILED, f"{settings.engine.url}: {error}", remedy))
    return [*rows, privileges(as_root=as_root), DEVICES, await repositories(settings)]


async def rows_of_engine(engine: Engine, settings: DockerSettings, *, as_root: bool) -> AsyncIterator[CheckResult]:
    """Raises RuntimeUnavailable or EngineRefusal."""
    info = await engine.info()
    yield version(engine, info)
    yield live_restore(info)
    yield limits(info)
    image = await own_image("sandbox", settings.sandbox.image, engine, settings)
    yield image
    yield await network_image(engine, settings)
    if image.verdict is Verdict.OK:
        yield await state_directory(engine, settings)
        yield await own_mounts(engine, settings, as_root=as_root)
        yield await pod_network(engine, settings)


async def engine_reachable(engine: Engine, settings: DockerSettings) -> CheckResult:
    try:
        await engine.connect()
        version_fields = await engine.version()
    except (RuntimeUnavailable, EngineRefusal) as error:
        remedy = "Add this user to the group docker" if socket_is_denied(settings.engine.url) else "Start Docker, or set engine.url"
        return CheckResult("engine", Verdict.FAILED, f"{settings.engine.url}: {error}", remedy)
    return CheckResult(
        "engine", Verdict.OK, f"Docker {version_fields.get('Version')} at {settings.engine.url}, API {version_fields.get('ApiVersion')}"
    )


def socket_is_denied(url: str) -> bool:
    path = Path(url.removeprefix("unix://"))
    return url.startswith("unix://") and path.exists() and not os.access(path, os.W_OK)


def version(engine: Engine, info: dict[str, Any]) -> CheckResult:
    if engine.api_version < OLDEST_API:
        return CheckResult("version", Verdict.FAILED, f"Docker {info.get('ServerVersion')} is too old", "Install Docker 20.10 or later")
    return CheckResult("version", Verdict.OK, f"{info.get('OperatingSystem')}, cgroup v{info.get('CgroupVersion', '1')}")


def live_restore(info: dict[str, Any]) -> CheckResult:
    if info.get("LiveRestoreEnabled"):
        return CheckResult("live-restore", Verdict.OK, "pods survive a restart of the engine")
    remedy = "Set live-restore to true in the engine's daemon.json"
    return CheckResult("live-restore", Verdict.WARNING, "a restart of the engine ends every container", remedy)


def limits(info: dict[str, Any]) -> CheckResult:
    """What the host's kernel lets the engine limit."""
    needed = {"MemoryLimit": "memory", "CpuCfsQuota": "cpu quota", "CPUShares": "cpu shares", "PidsLimit": "pids"}
    missing = [words for key, words in needed.items() if not info.get(key)]
    if missing:
        return CheckResult("limits", Verdict.FAILED, f"the kernel does not limit: {', '.join(missing)}", "Enable the cgroup controllers")
    return CheckResult("limits", Verdict.OK, ", ".join(needed.values()))


async def own_image(group: str, image: str, engine: Engine, settings: DockerSettings) -> CheckResult:
    """An image that the plugin itself needs, named by the setting `group`.image."""
    images = Images(engine, settings.images)
    try:
        if await images.present(images.reference(image)):
            return CheckResult(f"{group} image", Verdict.OK, f"{image} is present")
        await images.ensure(image, "IfNotPresent", ())
    except (StartError, RuntimeUnavailable) as error:
        remedy = f"Load the image into the engine, or set {group}.image to one it can pull"
        return CheckResult(f"{group} image", Verdict.FAILED, f"{image}: {error}", remedy)
    return CheckResult(f"{group} image", Verdict.OK, f"{image} was pulled")


async def network_image(engine: Engine, settings: DockerSettings) -> CheckResult:
    if settings.network.image:
        return await own_image("network", settings.network.image, engine, settings)
    detail = "none: pods that interLink gives a mesh or a tunnel run without it"
    return CheckResult("network image", Verdict.WARNING, detail, "Set network.image if the virtual kubelet has EnableTunnel or FullMesh")


async def state_directory(engine: Engine, settings: DockerSettings) -> CheckResult:
    """Does the engine see our state directory where the settings say? A container binds a fresh file: without it, no container."""
    path = settings.state_dir / f".probe-{secrets.token_hex(8)}"
    try:
        private_directory(settings.state_dir)
        path.touch(mode=0o600)
        objection = await bind_objection(engine, settings, path)
    except OSError as error:
        return CheckResult("state directory", Verdict.FAILED, f"{settings.state_dir}: {error.strerror}", "Let this user write to state_dir")
    finally:
        with contextlib.suppress(OSError):
            await asyncio.to_thread(path.unlink, missing_ok=True)
    seen_as = as_engine_sees(settings, str(settings.state_dir))
    if objection:
        remedy = "Set volumes.engine_state_dir to the path of the state directory on the engine's host"
        return CheckResult("state directory", Verdict.FAILED, f"the engine does not see {seen_as}: {objection}", remedy)
    return CheckResult("state directory", Verdict.OK, f"the engine sees {settings.state_dir} as {seen_as}")


async def own_mounts(engine: Engine, settings: DockerSettings, *, as_root: bool) -> CheckResult:
    objection = await MountVisibility(engine, settings, as_root=as_root).objection()
    if objection:
        detail = f"{objection}: subPath in writable volumes does not work, and a pod could swap a hostPath for a link"
        remedy = "Run the plugin as root with CAP_SYS_ADMIN on the engine's host, or share the state directory with rshared propagation"
        return CheckResult("own mounts", Verdict.WARNING, detail, remedy)
    return CheckResult("own mounts", Verdict.OK, "the engine sees the mounts of the plugin, which subPath and hostPath need")


async def pod_network(engine: Engine, settings: DockerSettings) -> CheckResult:
    objection = await reachability.objection(engine, settings)
    if objection:
        detail = f"{objection}: httpGet, tcpSocket and grpc probes fail"
        remedy = "Run the plugin on the engine's host, or route the network of the pods (sandbox.network) to it"
        return CheckResult("pod network", Verdict.WARNING, detail, remedy)
    return CheckResult("pod network", Verdict.OK, "the plugin reaches pods at their addresses, for their probes")


def privileges(*, as_root: bool) -> CheckResult:
    if as_root:
        return CheckResult("privileges", Verdict.OK, "the plugin runs as root")
    detail = "not root: emptyDir sizeLimit is not enforced on disk, fsGroup is refused with configMap and secret volumes"
    return CheckResult("privileges", Verdict.WARNING, detail, "Run the plugin as root if pods need them")


async def repositories(settings: DockerSettings) -> CheckResult:
    path = settings.cvmfs.path
    objection = await look_into(str(path), settings.cvmfs.probe_timeout_seconds)
    if objection:
        return CheckResult("cvmfs", Verdict.WARNING, f"{path}: {objection}", "Mount CVMFS on the host if pods ask for it")
    return CheckResult("cvmfs", Verdict.OK, f"{path} is there")
