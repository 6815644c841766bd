"""What an image's name means on a worker node, which logins to try, and where images are kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from interlink_common.agent.runtime import StartError
from interlink_common.model.images import DOCKER, VERSION, in_directories, location, logins, mapped
from interlink_common.model.workload import RegistryCredential
from interlink_common.podrunner.config import RunnerConfig

SCHEMES = (DOCKER, "oras://", "library://")
INVALID = "InvalidImageName"
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,4095}")


@dataclass(frozen=True)
class Image:
    """`source` is a path of the node (a .sif file or a directory) or a name with its scheme: docker://, oras:// or library://."""

    source: str

    @property
    def is_local(self) -> bool:
        return self.source.startswith("/")

    @property
    def location(self) -> tuple[str, str]:
        """(host:port of the registry, path in it), also of an image that is in another one's words."""
        return location(VERSION.sub("", self.source.partition("://")[2]))

    @property
    def registry(self) -> str:
        return self.location[0]

    def is_insecure(self, config: RunnerConfig) -> bool:
        """Whether its registry is without TLS."""
        return self.registry.lower() in map(str.lower, config.insecure_registries)


def resolve(name: str, config: RunnerConfig) -> Image:
    """The image that a pod's `image` means. Raises StartError with InvalidImageName."""
    target = mapped(name, config.images)
    if target is not None and target.startswith("/"):
        return Image(target)
    if target is None and name.startswith("/"):
        if not in_directories(name, config.image_directories, os.path.realpath):
            allowed = ", ".join(config.image_directories) or "nowhere"
            raise StartError(INVALID, f"image {name[:200]} is a path; this site allows images by path below {allowed} only")
        return Image(os.path.realpath(name))
    scheme, mark, reference = (name if target is None else target).rpartition("://")
    if scheme + mark not in ("", *SCHEMES) or not REFERENCE.fullmatch(reference) or ".." in reference.split("/"):
        raise StartError(INVALID, f"{name[:200]} is not the name of an image that a worker node can run")
    return Image(f"{scheme or 'docker'}://{reference}")


def attempts(image: Image, credentials: Iterable[RegistryCredential]) -> Sequence[Optional[RegistryCredential]]:
    """The logins to pull an image with, one after the other, as the kubelet does; None is without one."""
    return (image.source.startswith(DOCKER) and logins(credentials, *image.location)) or (None,)


def cache_directory(config: RunnerConfig, otherwise: Path) -> Path:
    """Where this user's pulled images are kept: nobody else may put anything there. Raises StartError."""
    shared = os.path.expandvars(config.image_cache)
    cache = Path(shared, str(os.getuid())) if shared else otherwise
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = cache.stat().st_uid
    except OSError as error:
        raise StartError("ErrImagePull", f"the image cache {cache} cannot be created: {error.strerror}") from error
    if owner != os.getuid():
        raise StartError("ErrImagePull", f"the image cache {cache} belongs to another user")
    return cache
