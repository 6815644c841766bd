"""Makes a pod's volumes real and says how each container mounts them."""

from __future__ import annotations

import io
import os
import posixpath
import tarfile
from collections.abc import Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path, PurePosixPath
from typing import Any

from interlink_common.agent.runtime import StartError
from interlink_common.background import in_thread
from interlink_common.errors import Refused
from interlink_common.model.workload import (
    Container,
    CvmfsVolume,
    EmptyDirVolume,
    FilesVolume,
    HostPathVolume,
    Mount,
    Volume,
    Workload,
)
from interlink_docker import cvmfs, files, hostpaths, subpaths
from interlink_docker.client import Engine, EngineRefusal
from interlink_docker.labels import sandbox_name
from interlink_docker.locations import EngineVolume, HostDirectory, Location, locate, pod_directory, termination_file
from interlink_docker.pins import Pins
from interlink_docker.settings import DockerSettings
from interlink_docker.translate import SANDBOX_VOLUMES, mount_config, termination_mount

Json = dict[str, Any]
SUBPATH_API = (1, 45)
"""Engine 26 resolves the sub-path of a volume itself."""


def locations(workload: Workload, settings: DockerSettings, *, as_root: bool) -> dict[str, Location]:
    """Where every volume of the pod lives, by its name. Pure. Raises Refused."""
    return {volume.name: locate(workload, volume, settings, as_root=as_root) for volume in workload.volumes}


def planned_mounts(workload: Workload, container: Container, settings: DockerSettings, *, as_root: bool) -> list[Json]:
    """The mounts before anything was looked at: what `translate` shows. Pure."""
    where = locations(workload, settings, as_root=as_root)
    planned = []
    for mount in container.mounts:
        location = where[mount.volume]
        inner = inner_path(location, mount)
        source = str(Path(location.path) / inner) if isinstance(location, HostDirectory) else ""
        planned.append(_mounted(workload, mount, location, settings, source=source, sub_path="" if source else inner))
    return [*planned, termination_mount(workload, container, 0, settings)]


def _mounted(
    workload: Workload, mount: Mount, location: Location, settings: DockerSettings, *, source: str = "", sub_path: str = ""
) -> Json:
    is_cvmfs = isinstance(workload.volume(mount.volume), CvmfsVolume)
    return mount_config(mount.path, location, settings, workload=workload, mount=mount, source=source, sub_path=sub_path, cvmfs=is_cvmfs)


class Volumes:
    """The volumes of all pods. `as_root`: the plugin may give files to other owners and remove anybody's."""

    def __init__(self, engine: Engine, settings: DockerSettings, *, as_root: bool) -> None:
        self._engine = engine
        self._settings = settings
        self._as_root = as_root
        self._pins = Pins(engine, settings, as_root=as_root)
        self._probes = cvmfs.Probes(settings.cvmfs)
        self._engine_root: Path | None = None

    def locations(self, workload: Workload) -> dict[str, Location]:
        """Raises StartError: the operator's maps may have changed since the pod was accepted."""
        try:
            return locations(workload, self._settings, as_root=self._as_root)
        except Refused as error:
            raise StartError("CreateContainerConfigError", str(error)) from None

    async def prepare(self, workload: Workload) -> None:
        """Writes what is on disk. Repeatable; what is there stays. Raises StartError."""
        where = self.locations(workload)
        await in_thread(lambda: self._write(workload, where))

    def _write(self, workload: Workload, where: dict[str, Location]) -> None:
        try:
            files.private_directory(pod_directory(self._settings, workload.uid))
            for volume in workload.volumes:
                location = where[volume.name]
                if isinstance(location, HostDirectory) and location.managed:
                    if isinstance(volume, FilesVolume):
                        files.write_files(Path(location.path), volume.files, workload.fs_group)
                    else:
                        files.empty_directory(Path(location.path), workload.fs_group)
        except OSError as error:
            raise StartError(files.FAILED_MOUNT, f"the files of the pod can not be written: {error.strerror}") from error

    async def open_to_pod(self, workload: Workload) -> None:
        """Gives the emptyDirs that the engine keeps their mode, through the sandbox that mounts them; ours alone can't."""
        where = self.locations(workload)
        on_disk = [v for v in workload.volumes if isinstance(v, EmptyDirVolume) and not v.in_memory]
        kept = [volume for volume in on_disk if isinstance(where[volume.name], EngineVolume)]
        if kept:
            archive = directories_archive([volume.name for volume in kept], mode_of(workload, kept[0]), workload.fs_group or 0)
            await self._engine.put_archive(sandbox_name(workload.uid), SANDBOX_VOLUMES, archive)

    async def mounts(self, workload: Workload, container: Container, attempt: int) -> list[Json]:
        """Looks at everything that the container mounts and says how. Raises StartError."""
        where = self.locations(workload)
        mounts = [
            await self._mount(workload, container, attempt, mount, where[mount.volume], pin=f"{container.name}.{number}")
            for number, mount in enumerate(container.mounts)
        ]
        path = termination_file(self._settings, workload.uid, container.name, attempt)
        await in_thread(lambda: files.termination_file(path))
        return [*mounts, termination_mount(workload, container, attempt, self._settings)]

    async def _mount(self, workload: Workload, container: Container, attempt: int, mount: Mount, location: Location, *, pin: str) -> Json:
        """`pin`: a name of the mount, its own in the pod."""
        source, sub_path, volume = "", "", workload.volume(mount.volume)
        if isinstance(volume, CvmfsVolume):
            source = await self._cvmfs_source(volume, mount, location, cvmfs.Wanted(workload.uid, container.name, attempt, volume.name))
        elif isinstance(location, HostDirectory):
            pins_work = isinstance(volume, HostPathVolume) and await self._pins.work()
            location = await in_thread(partial(self._host_source, workload, volume, mount, location, pin, pins_work=pins_work))
            source = location.path
        elif (inner := inner_path(location, mount)) and self._engine.api_version >= SUBPATH_API:
            sub_path = inner
            if isinstance(volume, EmptyDirVolume):
                await self.make_sub_path(workload, volume, sub_path)
        elif inner:
            source = await self._engine_volume_source(workload, volume, mount, location, pin)
            location = HostDirectory(source, location.read_only)
        return _mounted(workload, mount, location, self._settings, source=source, sub_path=sub_path)

    async def make_sub_path(self, workload: Workload, volume: EmptyDirVolume, sub_path: str) -> None:
        """Makes what is missing of a sub-path in an emptyDir that the engine keeps. What is there stays as the pod left it, file or not."""
        sandbox = sandbox_name(workload.uid)
        _, *tree = accumulate((volume.name, *PurePosixPath(sub_path).parts), "{}/{}".format)
        try:
            while tree and await self._engine.has_path(sandbox, f"{SANDBOX_VOLUMES}/{tree[0]}"):
                tree = tree[1:]
            if tree:
                await self._engine.put_archive(
                    sandbox, SANDBOX_VOLUMES, directories_archive(tree, mode_of(workload, volume), workload.fs_group or 0)
                )
        except EngineRefusal as error:
            raise StartError(files.FAILED_MOUNT, f"subPath {sub_path} of volume {volume.name}: {error.words}") from error

    async def _cvmfs_source(self, volume: CvmfsVolume, mount: Mount, location: Location, wanted: cvmfs.Wanted) -> str:
        assert isinstance(location, HostDirectory)
        source = Path(location.path) / mount.sub_path
        if self._settings.cvmfs.probe:
            await self._probes.require(volume, wanted)
            inner = str(source.relative_to(self._settings.cvmfs.path))
            source = await in_thread(lambda: subpaths.below(self._settings.cvmfs.path, inner, create=False))
        return str(source)

    def _host_source(
        self, workload: Workload, volume: Volume, mount: Mount, location: HostDirectory, pin: str, *, pins_work: bool
    ) -> HostDirectory:
        if isinstance(volume, HostPathVolume):
            return self._host_path_source(workload, volume, mount, location, pin, pins_work=pins_work)
        base = Path(location.path)
        if location.below:
            path = self._pinned_below(workload, base, location, mount, pin)
        elif not mount.sub_path:
            path = base
        elif isinstance(volume, FilesVolume):
            path = subpaths.below(base, mount.sub_path, create=True)
        else:
            path = self._pinned(workload, base, mount, pin, create=not location.read_only)
        return HostDirectory(str(path), location.read_only, location.managed)

    def _host_path_source(
        self, workload: Workload, volume: HostPathVolume, mount: Mount, location: HostDirectory, pin: str, *, pins_work: bool
    ) -> HostDirectory:
        with hostpaths.opened(volume.path, volume.type, self._settings.volumes.host_path_allow) as (descriptor, really_read_only):
            read_only = location.read_only or really_read_only
            now = Path(f"/proc/self/fd/{descriptor}")
            pinned = mount.sub_path or pins_work
            path = self._pinned(workload, now, mount, pin, create=not read_only) if pinned else now.readlink()
        return HostDirectory(str(path), read_only)

    def _pinned(self, workload: Workload, base: Path, mount: Mount, pin: str, *, create: bool) -> Path:
        shared = mount.propagation == "Bidirectional"
        return subpaths.pinned(base, mount.sub_path, pod_directory(self._settings, workload.uid), pin, create=create, shared=shared)

    def _pinned_below(self, workload: Workload, base: Path, location: Location, mount: Mount, pin: str) -> Path:
        """Of a part of what the operator maps, which must be there, and which no link of a subPath leads out of."""
        descriptor = subpaths.opened(base, location.below, create=False)
        try:
            return self._pinned(workload, Path(f"/proc/self/fd/{descriptor}"), mount, pin, create=not location.read_only)
        finally:
            os.close(descriptor)

    async def _engine_volume_source(self, workload: Workload, volume: Volume, mount: Mount, location: EngineVolume, pin: str) -> str:
        """Older engines can't mount a part of a volume: the path of its data is bound, if we can look at it."""
        if self._engine_root is None:
            self._engine_root = Path((await self._engine.info())["DockerRootDir"])
        data = self._engine_root / "volumes" / location.name / "_data"
        if not (self._as_root and data.is_dir()):
            raise StartError(
                files.FAILED_MOUNT, f"subPath of volume {volume.name} needs engine 26, or the plugin as root beside the engine"
            )
        if location.below:
            return str(await in_thread(partial(self._pinned_below, workload, data, location, mount, pin)))
        return str(await in_thread(partial(self._pinned, workload, data, mount, pin, create=not location.read_only)))

    async def over_limit(self, workload: Workload) -> str:
        """A sentence if an emptyDir on our disk is larger than its sizeLimit, else ""."""
        where = self.locations(workload)
        for volume in workload.volumes:
            location = where[volume.name]
            if not (isinstance(volume, EmptyDirVolume) and volume.size_limit_bytes and isinstance(location, HostDirectory)):
                continue
            if await in_thread(partial(files.used_bytes, Path(location.path))) > volume.size_limit_bytes:
                return f"Usage of EmptyDir volume {volume.name} exceeds the limit {volume.size_limit_bytes} bytes."
        return ""

    async def message(self, uid: str, container: str, attempt: int) -> str:
        """The termination message that an attempt left; "" if none."""
        return await in_thread(lambda: files.read_message(termination_file(self._settings, uid, container, attempt)))

    async def forget_message(self, uid: str, container: str, attempt: int) -> None:
        path = termination_file(self._settings, uid, container, attempt)
        await in_thread(lambda: path.unlink(missing_ok=True))

    async def remove(self, uid: str) -> None:
        """Removes all files of the pod."""
        self._probes.forget(uid)
        await in_thread(lambda: files.remove_tree(pod_directory(self._settings, uid)))


def inner_path(location: Location, mount: Mount) -> str:
    """What is mounted of a location: of what the pod may have of it, the subPath; "" for all."""
    return posixpath.join(location.below, mount.sub_path).rstrip("/")


def mode_of(workload: Workload, volume: EmptyDirVolume) -> int:
    """Of an emptyDir that the engine keeps, and of what is made in it."""
    if workload.fs_group is not None:
        return 0o2777
    return 0o1777 if volume.in_memory else 0o777


def directories_archive(paths: Sequence[str], mode: int, group: int) -> bytes:
    """A tar archive of nothing but directories."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path in paths:
            entry = tarfile.TarInfo(path)
            entry.type, entry.mode, entry.gid = tarfile.DIRTYPE, mode, group
            archive.addfile(entry)
    return buffer.getvalue()
