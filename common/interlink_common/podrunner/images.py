"""What an image's name means on a worker node, which login it needs, and where it is kept."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import RegistryCredential
from interlink_common.podrunner.config import ImageRules

DOCKER, SCHEMES = "docker://", ("docker://", "oras://", "library://")
INVALID = "InvalidImageName"
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,4095}")
VERSION = re.compile(r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,})?$")
DOCKER_HUB = frozenset({"", "docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True)
class Image:
    """`source` is a path of the node (a .sif file or a directory) or a name with its scheme: docker://, oras:// or library://."""

    source: str

    @property
    def is_local(self) -> bool:
        return self.source.startswith("/")

    @property
    def registry(self) -> str:
        """host:port of a docker image; "" is Docker Hub."""
        host, slash, _ = self.source.partition("://")[2].partition("/")
        is_host = slash and ("." in host or ":" in host or host == "localhost")
        return host if is_host and host not in DOCKER_HUB else ""


def resolve(name: str, rules: ImageRules) -> Image:
    """The image that a pod's `image` means. Raises StartError with InvalidImageName."""
    mapped = _mapped(name, rules.sites)
    if mapped is not None and mapped.startswith("/"):
        return Image(mapped)
    if name.startswith("/") and mapped is None:
        return Image(_allowed(name, rules))
    wanted = mapped if mapped is not None else name
    scheme, mark, reference = wanted.rpartition("://")
    if scheme + mark not in ("", *SCHEMES) or not REFERENCE.fullmatch(reference) or ".." in reference.split("/"):
        raise StartError(INVALID, f"{name[:200]} is not the name of an image that a worker node can run")
    return Image(f"{scheme or 'docker'}://{reference}")


def login(image: Image, credentials: Iterable[RegistryCredential]) -> Optional[RegistryCredential]:
    """The login for the image's registry, if the pod has one."""
    for credential in credentials:
        host = credential.server.rpartition("://")[2].partition("/")[0]
        if image.source.startswith(DOCKER) and ("" if host in DOCKER_HUB else host) == image.registry:
            return credential
    return None


def cache_directory(rules: ImageRules, otherwise: Path) -> Path:
    """Where this user's pulled images are kept: nobody else may put anything there. Raises StartError."""
    shared = os.path.expandvars(rules.cache_directory)
    cache = Path(shared, str(os.getuid())) if shared else otherwise
    try:
        cache.mkdir(mode=0o700, parents=True, exist_ok=True)
        owner = cache.stat().st_uid
    except OSError as error:
        raise StartError("ErrImagePull", f"the image cache {cache} can not be made: {error.strerror}") from error
    if owner != os.getuid():
        raise StartError("ErrImagePull", f"the image cache {cache} belongs to another user")
    return cache


def _mapped(name: str, sites: Mapping[str, str]) -> Optional[str]:
    """What the site has instead: by the whole name, without tag and digest, or by its longest prefix of whole parts."""
    plain = name.removeprefix(DOCKER)
    bare = VERSION.sub("", plain)
    for key in (plain, bare):
        if key in sites:
            return sites[key]
    parts = plain.split("/")
    for length in range(len(parts) - 1, 0, -1):
        target = sites.get("/".join(parts[:length]))
        if target is not None and not {"", ".", ".."} & set(parts[length:]):
            return "/".join([target.rstrip("/"), *parts[length:]])
    return None


def _allowed(path: str, rules: ImageRules) -> str:
    """The path, if the operator lets pods name images there."""
    real = os.path.realpath(path)
    if not any(real.startswith(os.path.realpath(folder) + "/") for folder in rules.local):
        allowed = ", ".join(rules.local) or "nowhere"
        raise StartError(INVALID, f"image {path[:200]} is a path; this site allows images by path below {allowed} only")
    return real
