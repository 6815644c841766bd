"""Makes a pod's volumes on disk and on the engine, and each container's mounts of them."""

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
from interlink_docker.locations import EngineVolume, HostDirectory, Location, locations, pod_directory, termination_file
from interlink_docker.settings import DockerSettings
from interlink_docker.translate import SANDBOX_VOLUMES, mount_config, termination_mount
from interlink_docker.visibility import MountVisibility

Json = dict[str, Any]
SUBPATH_API = (1, 45)
"""Engine 26 resolves the sub-path of a volume itself."""


def mount_entry(
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
        self._visibility = MountVisibility(engine, settings, as_root=as_root)
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
            raise StartError(files.FAILED_MOUNT, f"the files of the pod cannot be written: {error.strerror}") from error

    async def set_engine_volume_modes(self, workload: Workload) -> None:
        """Sets the mode of the emptyDirs that the engine keeps, through the sandbox that mounts them; the plugin itself can't."""
        where = self.locations(workload)
        on_disk = [v for v in workload.volumes if isinstance(v, EmptyDirVolume) and not v.in_memory]
        kept = [volume for volume in on_disk if isinstance(where[volume.name], EngineVolume)]
        if kept:
            archive = directories_archive([volume.name for volume in kept], empty_dir_mode(workload, kept[0]), workload.fs_group or 0)
            await self._engine.put_archive(sandbox_name(workload.uid), SANDBOX_VOLUMES, archive)

    async def mounts(self, workload: Workload, container: Container, attempt: int) -> list[Json]:
        """Checks and prepares everything that the container mounts. Raises StartError."""
        where = self.locations(workload)
        mounts = [
            await self._mount(workload, container, attempt, mount, where[mount.volume], mount_name=f"{container.name}.{number}")
            for number, mount in enumerate(container.mounts)
        ]
        path = termination_file(self._settings, workload.uid, container.name, attempt)
        await in_thread(lambda: files.termination_file(path))
        return [*mounts, termination_mount(workload, container, attempt, self._settings)]

    async def _mount(
        self, workload: Workload, container: Container, attempt: int, mount: Mount, location: Location, *, mount_name: str
    ) -> Json:
        """`mount_name`: the mount's own name in the pod."""
        source, sub_path, volume = "", "", workload.volume(mount.volume)
        if isinstance(volume, CvmfsVolume):
            source = await self._cvmfs_source(volume, mount, location, cvmfs.Wanted(workload.uid, container.name, attempt, volume.name))
        elif isinstance(location, HostDirectory):
            sees_mounts = isinstance(volume, HostPathVolume) and await self._visibility.is_given()
            location = await in_thread(partial(self._host_source, workload, volume, mount, location, mount_name, sees_mounts=sees_mounts))
            source = location.path
        elif (inner := inner_path(location, mount)) and self._engine.api_version >= SUBPATH_API:
            sub_path = inner
            if isinstance(volume, EmptyDirVolume):
                await self.make_sub_path(workload, volume, sub_path)
        elif inner:
            source = await self._engine_volume_source(workload, volume, mount, location, mount_name)
            location = HostDirectory(source, location.read_only)
        return mount_entry(workload, mount, location, self._settings, source=source, sub_path=sub_path)

    async def make_sub_path(self, workload: Workload, volume: EmptyDirVolume, sub_path: str) -> None:
        """Makes the missing directories of a sub-path in an emptyDir that the engine keeps. What exists stays as the pod left it."""
        sandbox = sandbox_name(workload.uid)
        _, *tree = accumulate((volume.name, *PurePosixPath(sub_path).parts), "{}/{}".format)
        try:
            while tree and await self._engine.has_path(sandbox, f"{SANDBOX_VOLUMES}/{tree[0]}"):
                tree = tree[1:]
            if tree:
                await self._engine.put_archive(
                    sandbox, SANDBOX_VOLUMES, directories_archive(tree, empty_dir_mode(workload, volume), workload.fs_group or 0)
                )
        except EngineRefusal as error:
            raise StartError(files.FAILED_MOUNT, f"subPath {sub_path} of volume {volume.name}: {error.message}") from error

    async def _cvmfs_source(self, volume: CvmfsVolume, mount: Mount, location: Location, wanted: cvmfs.Wanted) -> str:
        assert isinstance(location, HostDirectory)
        source = Path(location.path) / mount.sub_path
        if self._settings.cvmfs.probe:
            await self._probes.require(volume, wanted)
            inner = str(source.relative_to(self._settings.cvmfs.path))
            source = await in_thread(lambda: subpaths.resolve(self._settings.cvmfs.path, inner, create=False))
        return str(source)

    def _host_source(
        self, workload: Workload, volume: Volume, mount: Mount, location: HostDirectory, mount_name: str, *, sees_mounts: bool
    ) -> HostDirectory:
        if isinstance(volume, HostPathVolume):
            return self._host_path_source(workload, volume, mount, location, mount_name, sees_mounts=sees_mounts)
        base = Path(location.path)
        if location.below:
            path = self._bind_mounted_part(workload, base, location, mount, mount_name)
        elif not mount.sub_path:
            path = base
        elif isinstance(volume, FilesVolume):
            path = subpaths.resolve(base, mount.sub_path, create=True)
        else:
            path = self._bind_mounted(workload, base, mount, mount_name, create=not location.read_only)
        return HostDirectory(str(path), location.read_only, location.managed)

    def _host_path_source(
        self, workload: Workload, volume: HostPathVolume, mount: Mount, location: HostDirectory, mount_name: str, *, sees_mounts: bool
    ) -> HostDirectory:
        with hostpaths.opened(volume.path, volume.type, self._settings.volumes.host_path_allow) as (descriptor, rule_is_read_only):
            read_only = location.read_only or rule_is_read_only
            open_path = Path(f"/proc/self/fd/{descriptor}")
            must_bind = mount.sub_path or sees_mounts
            path = self._bind_mounted(workload, open_path, mount, mount_name, create=not read_only) if must_bind else open_path.readlink()
        return HostDirectory(str(path), read_only)

    def _bind_mounted(self, workload: Workload, base: Path, mount: Mount, mount_name: str, *, create: bool) -> Path:
        shared = mount.propagation == "Bidirectional"
        return subpaths.bind_mounted(
            base, mount.sub_path, pod_directory(self._settings, workload.uid), mount_name, create=create, shared=shared
        )

    def _bind_mounted_part(self, workload: Workload, base: Path, location: Location, mount: Mount, mount_name: str) -> Path:
        """Of a part of what the operator maps, which must be there, and which no link of a subPath leads out of."""
        descriptor = subpaths.open_below(base, location.below, create=False)
        try:
            return self._bind_mounted(workload, Path(f"/proc/self/fd/{descriptor}"), mount, mount_name, create=not location.read_only)
        finally:
            os.close(descriptor)

    async def _engine_volume_source(self, workload: Workload, volume: Volume, mount: Mount, location: EngineVolume, mount_name: str) -> str:
        """The path of an engine volume's data, which is bound where an older engine can't mount a part of a volume."""
        if self._engine_root is None:
            self._engine_root = Path((await self._engine.info())["DockerRootDir"])
        data = self._engine_root / "volumes" / location.name / "_data"
        if not (self._as_root and data.is_dir()):
            raise StartError(
                files.FAILED_MOUNT, f"subPath of volume {volume.name} needs engine 26, or the plugin as root beside the engine"
            )
        if location.below:
            return str(await in_thread(partial(self._bind_mounted_part, workload, data, location, mount, mount_name)))
        return str(await in_thread(partial(self._bind_mounted, workload, data, mount, mount_name, create=not location.read_only)))

    async def storage_excess(self, workload: Workload) -> str:
        """A sentence if an emptyDir on our disk is larger than its sizeLimit, else ""."""
        where = self.locations(workload)
        for volume in workload.volumes:
            location = where[volume.name]
            if not (isinstance(volume, EmptyDirVolume) and volume.size_limit_bytes and isinstance(location, HostDirectory)):
                continue
            if await in_thread(partial(files.used_bytes, Path(location.path))) > volume.size_limit_bytes:
                return f"Usage of EmptyDir volume {volume.name} exceeds the limit {volume.size_limit_bytes} bytes."
        return ""

    async def termination_message(self, uid: str, container: str, attempt: int) -> str:
        """The termination message that an attempt left; "" if none."""
        return await in_thread(lambda: files.read_message(termination_file(self._settings, uid, container, attempt)))

    async def remove_termination_message(self, uid: str, container: str, attempt: int) -> None:
        path = termination_file(self._settings, uid, container, attempt)
        await in_thread(lambda: path.unlink(missing_ok=True))

    async def remove(self, uid: str) -> None:
        """Removes all files of the pod."""
        self._probes.forget(uid)
        await in_thread(lambda: files.remove_tree(pod_directory(self._settings, uid)))


def inner_path(location: Location, mount: Mount) -> str:
    """What is mounted of a location: of what the pod may have of it, the subPath; "" for all."""
    return posixpath.join(location.below, mount.sub_path).rstrip("/")


def empty_dir_mode(workload: Workload, volume: EmptyDirVolume) -> int:
    """The mode of an emptyDir that the engine keeps, and of directories made in it."""
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
