"""CernVM-FS, asked for in any of the ways people already use, as one `CvmfsVolume`.

The ways: a volume named `cvmfs` or `public-cvmfs`; a hostPath under `/cvmfs`; a claim or a CSI volume of cvmfs.csi.cern.ch; the
annotation `cvmfs.vk.io/<volume>`; the annotation `cvmfs.interlink.eu/repositories`; an image under `/cvmfs/unpacked.cern.ch`.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from interlink_common.contract.volumes import Volume as WireVolume
from interlink_common.model.workload import Container, CvmfsVolume, Mount, Volume
from interlink_common.translation.checks import absolute, inside, invalid

ROOT = "/cvmfs"
REPOSITORIES_ANNOTATION = "cvmfs.interlink.eu/repositories"
_VOLUME_ANNOTATION = "cvmfs.vk.io/"
_DRIVER = "cvmfs.csi.cern.ch"
_VOLUME_NAMES = frozenset({"cvmfs", "public-cvmfs"})
_IMPLIED_VOLUME = "interlink-cvmfs"
_UNPACKED = "unpacked.cern.ch"
_REPOSITORY = re.compile(r"(?!.*\.\.)[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


@dataclass(frozen=True)
class CvmfsRules:
    """What means CVMFS in one pod: its annotations, and the operator's claim names."""

    annotations: Mapping[str, str]
    claims: Collection[str]

    def volume(self, source: WireVolume, where: str) -> CvmfsVolume | None:
        """The volume if it means CVMFS, else None. Raises BadRequest for a bad repository or path."""
        if source.host_path is not None:
            path = absolute(source.host_path.path, f"{where}.hostPath.path")
            return _below_root(source.name, path.removeprefix(ROOT).strip("/"), where) if _is_under_root(path) else None
        if source.csi is not None and source.csi.driver == _DRIVER:
            return _below_root(source.name, (source.csi.volume_attributes or {}).get("repository", ""), f"{where}.csi.volumeAttributes")
        claim = source.persistent_volume_claim
        if claim is not None and claim.claim_name in self.claims:
            return CvmfsVolume(source.name)
        holds_files = source.config_map or source.secret or source.projected or source.downward_api
        named = source.name in _VOLUME_NAMES or f"{_VOLUME_ANNOTATION}{source.name}" in self.annotations
        return CvmfsVolume(source.name) if named and not holds_files else None

    def repositories(self) -> tuple[str, ...]:
        """Those of the annotation `cvmfs.interlink.eu/repositories`, in order. Raises BadRequest."""
        names = [name.strip() for name in self.annotations.get(REPOSITORIES_ANNOTATION, "").split(",")]
        return tuple(dict.fromkeys(_repository(n, f"pod.metadata.annotations.{REPOSITORIES_ANNOTATION}") for n in names if n))


def add_implied_mounts(
    containers: Sequence[Container], volumes: Sequence[Volume], repositories: tuple[str, ...]
) -> tuple[tuple[Container, ...], tuple[Volume, ...]]:
    """Containers and volumes, with a `/cvmfs` mount in every container that has none and needs one.

    Every container needs one if there are `repositories`; else those whose image lies under `/cvmfs/unpacked.cern.ch`.
    """
    bare = [c for c in containers if not any(_is_under_root(mount.path) for mount in c.mounts)]
    in_need = {c.name for c in bare if repositories or _is_unpacked(c)}
    if not in_need:
        return tuple(containers), tuple(volumes)
    taken = {volume.name for volume in volumes}
    name = next(n for n in (_IMPLIED_VOLUME + (f"-{i}" if i else "") for i in range(len(taken) + 1)) if n not in taken)
    unpacked = (_UNPACKED,) if any(_is_unpacked(c) for c in bare) else ()
    volume = CvmfsVolume(name, tuple(dict.fromkeys(repositories + unpacked)))
    mount = Mount(name, ROOT, read_only=True)
    return (
        tuple(replace(c, mounts=(*c.mounts, mount)) if c.name in in_need else c for c in containers),
        (*volumes, volume),
    )


def _below_root(name: str, sub_path: str, where: str) -> CvmfsVolume:
    if not sub_path:
        return CvmfsVolume(name)
    sub_path = inside(sub_path, where)
    return CvmfsVolume(name, (_repository(sub_path.split("/")[0], where),), sub_path)


def _repository(name: str, field: str) -> str:
    if not _REPOSITORY.fullmatch(name):
        raise invalid(field, "must name CVMFS repositories such as atlas.cern.ch")
    return name


def _is_under_root(path: str) -> bool:
    return path == ROOT or path.startswith(f"{ROOT}/")


def _is_unpacked(container: Container) -> bool:
    return container.image.startswith(f"{ROOT}/{_UNPACKED}/")
