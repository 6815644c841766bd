"""A pod's volumes as paths of the node, below podrunner's own directory where they are the pod's own."""

from __future__ import annotations

import contextlib
import errno
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Union

from interlink_common.agent.cvmfs import what_is_missing
from interlink_common.agent.runtime import StartError
from interlink_common.model.site import NotOffered, host_path, is_below, storage
from interlink_common.model.workload import (
    Container,
    CvmfsVolume,
    EmptyDirVolume,
    ExternalVolume,
    FilesVolume,
    HostPathVolume,
    Mount,
    Workload,
)
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.container_runtime import Bind

FAILED_MOUNT = "FailedMount"
MEMORY = "/dev/shm"  # noqa: S108  the node's tmpfs


@dataclass(frozen=True)
class NodePath:
    """`ours`: made for the pod, and gone with it."""

    path: str
    read_only: bool = False
    ours: bool = False


class Volumes:
    """Those of one pod."""

    def __init__(self, workload: Workload, config: RunnerConfig, directory: Path) -> None:
        self._workload = workload
        self._config = config
        self._directory = directory / "volumes"
        self._memory = Path(MEMORY) / f"podrunner-{os.getuid()}-{workload.uid}"
        self._node_paths: dict[str, NodePath] = {}

    async def prepare(self) -> None:
        """Makes or finds each volume. Raises StartError with FailedMount."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for volume in self._workload.volumes:
            if volume.name in self._node_paths:
                continue
            try:
                if isinstance(volume, FilesVolume):
                    self._node_paths[volume.name] = self._written(volume)
                elif isinstance(volume, EmptyDirVolume):
                    self._node_paths[volume.name] = self._empty(volume)
                elif isinstance(volume, HostPathVolume):
                    self._node_paths[volume.name] = _host_path(volume, self._config.host_path_allow)
                elif isinstance(volume, ExternalVolume):
                    self._node_paths[volume.name] = self._external(volume)
                else:
                    self._node_paths[volume.name] = await self._cvmfs(volume)
            except NotOffered as refusal:
                raise StartError(FAILED_MOUNT, f"volume {volume.name}: {refusal} on this site") from None
            except OSError as error:
                raise StartError(FAILED_MOUNT, f"volume {volume.name} cannot be created: {error.strerror}") from error

    def binds(self, container: Container) -> tuple[Bind, ...]:
        """What to mount into the container, outer targets before those in them. Raises StartError."""
        pairs = [(self._bind(container, mount), self._node_paths[mount.volume]) for mount in container.mounts]
        pairs.sort(key=lambda pair: pair[0].target.count("/"))
        for index, (bind, _) in enumerate(pairs):
            outer = [other for other in pairs[:index] if bind.target.startswith(other[0].target.rstrip("/") + "/")]
            if outer:
                _make_target(bind, *outer[-1])
        return tuple(bind for bind, _ in pairs)

    def excess(self) -> str:
        """A sentence if an emptyDir holds more than its sizeLimit, else ""."""
        for volume in self._workload.volumes:
            limit = volume.size_limit_bytes if isinstance(volume, EmptyDirVolume) else None
            if limit is not None and volume.name in self._node_paths and size_of(self._node_paths[volume.name].path) > limit:
                return f"Usage of EmptyDir volume {volume.name} exceeds the limit {limit} bytes."
        return ""

    def remove(self) -> None:
        """Everything that is the pod's own; raises OSError if something stays."""
        for directory in (self._directory, self._memory):
            if directory.exists():
                remove_tree(directory)
        self._node_paths.clear()

    def _written(self, volume: FilesVolume) -> NodePath:
        root = self._directory / volume.name
        if root.exists():
            remove_tree(root)
        root.mkdir(mode=0o755)
        for file in volume.files:
            path = root / file.path
            path.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(file.data)
                os.fchmod(descriptor, file.mode)
        return NodePath(str(root), read_only=True, ours=True)

    def _empty(self, volume: EmptyDirVolume) -> NodePath:
        """In memory where that can be: what is in the node's /dev, apptainer does not show in a container's /dev, and says nothing."""
        in_dev = any(m.volume == volume.name and m.path.startswith("/dev/") for c in self._workload.all_containers for m in c.mounts)
        in_memory = volume.in_memory and not in_dev and os.access(MEMORY, os.W_OK)
        parent = self._memory if in_memory else self._directory
        parent.mkdir(mode=0o700, exist_ok=True)
        root = parent / volume.name
        root.mkdir(exist_ok=True)
        root.chmod(0o777)
        return NodePath(str(root), ours=True)

    def _external(self, volume: ExternalVolume) -> NodePath:
        found = storage(volume, self._workload.namespace, self._config, os.path.expandvars)
        if not found.target.startswith("/"):
            raise StartError(FAILED_MOUNT, f"volume {volume.name}: {found.target} of this site is no path on the node")
        return NodePath(_inside(found.target, found.below, volume.name), found.read_only or volume.read_only)

    async def _cvmfs(self, volume: CvmfsVolume) -> NodePath:
        missing = await what_is_missing(volume, self._config.cvmfs.path, self._config.cvmfs.probe_timeout_seconds)
        if missing:
            raise StartError(FAILED_MOUNT, missing)
        return NodePath(_inside(self._config.cvmfs.path, volume.sub_path, volume.name), True)

    def _bind(self, container: Container, mount: Mount) -> Bind:
        volume, node_path = self._workload.volume(mount.volume), self._node_paths[mount.volume]
        source = os.path.realpath(node_path.path)
        if mount.sub_path:
            source = self._sub_path(container, mount, node_path)
        return Bind(source, mount.path, mount.read_only or node_path.read_only or isinstance(volume, (FilesVolume, CvmfsVolume)))

    def _sub_path(self, container: Container, mount: Mount, node_path: NodePath) -> str:
        """The real path of subPath, which must not lead out of the volume; a missing one becomes a directory, as in Kubernetes."""
        root = os.path.realpath(node_path.path)
        source = os.path.realpath(Path(root, mount.sub_path))
        if source != root and not source.startswith(f"{root}/"):
            raise StartError("CreateContainerConfigError", f"container {container.name}: subPath {mount.sub_path} leads out of its volume")
        try:
            if not os.path.lexists(source):
                _require_ours(node_path)
                Path(source).mkdir(parents=True)
        except OSError as error:
            message = f"container {container.name}: subPath {mount.sub_path} cannot be created: {error.strerror}"
            raise StartError("CreateContainerConfigError", message) from error
        return source


def _make_target(bind: Bind, outer: Bind, outer_path: NodePath) -> None:
    """A mount point inside of another volume, as container runtimes make it, and no link leads out of it. Raises StartError."""
    mount_point = Path(outer.source, os.path.relpath(bind.target, outer.target))
    try:
        if not is_below(os.path.realpath(mount_point), outer.source):
            raise OSError(errno.EXDEV, "a link leads out of it")
        if not mount_point.exists():
            _require_ours(outer_path)
            mount_point.parent.mkdir(parents=True, exist_ok=True)
            if Path(bind.source).is_dir():
                mount_point.mkdir()
            else:
                mount_point.touch()
    except OSError as error:
        message = f"{bind.target} cannot be mounted inside another volume: {error.strerror}"
        raise StartError("CreateContainerConfigError", message) from error


def _require_ours(node_path: NodePath) -> None:
    """Raises OSError where nothing may be made: in what the operator lends read-only."""
    if node_path.read_only and not node_path.ours:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))


def _inside(root: str, below: str, volume: str) -> str:
    """The real path of a place in a directory of the site, which no link may lead out of. Raises StartError."""
    node_path = Path(root, below)
    path = os.path.realpath(node_path)
    if not is_below(path, os.path.realpath(root)):
        raise StartError(FAILED_MOUNT, f"volume {volume}: {below} leads out of {root}")
    if not os.path.lexists(path):
        raise StartError(FAILED_MOUNT, f"volume {volume}: {node_path} of this site is not there on the node")
    return path


def _host_path(volume: HostPathVolume, allowed: tuple[str, ...]) -> NodePath:
    """The path, if the operator allows it and it is what the pod says it is. Raises NotOffered, StartError."""
    read_only, real = host_path(volume.path, allowed, os.path.realpath), os.path.realpath(volume.path)
    if not read_only and volume.type == "DirectoryOrCreate":
        Path(real).mkdir(parents=True, exist_ok=True)
    elif not read_only and volume.type == "FileOrCreate" and not os.path.lexists(real):
        Path(real).touch()
    is_right = KINDS.get(volume.type, Path.exists)
    if not is_right(Path(real)):
        raise StartError(FAILED_MOUNT, f"volume {volume.name}: host path {volume.path} is no {volume.type or 'file or directory'}")
    return NodePath(real, read_only)


KINDS = {
    "Directory": Path.is_dir,
    "DirectoryOrCreate": Path.is_dir,
    "File": Path.is_file,
    "FileOrCreate": Path.is_file,
    "Socket": Path.is_socket,
    "CharDevice": Path.is_char_device,
    "BlockDevice": Path.is_block_device,
}


def size_of(directory: Union[str, Path]) -> int:
    """Bytes on disk of everything below it."""
    total = 0
    for folder, _, names in os.walk(directory):
        for name in names:
            with contextlib.suppress(OSError):  # removed meanwhile
                total += Path(folder, name).lstat().st_blocks * 512
    return total


def remove_tree(directory: Path) -> None:
    """Removes it even if its directories may not be read or written, as the kernel's own in an overlay's work directory. Raises OSError."""
    from shutil import rmtree  # noqa: PLC0415  needed at the end only: see node.find_program

    directory.chmod(0o700)
    for folder, folders, _ in os.walk(directory):
        for path in (Path(folder, name) for name in folders):
            if not path.is_symlink():
                path.chmod(0o700)  # before the walk looks into it
    rmtree(directory)
