"""What an image's name means, what the site has in its place, and which registry logins fit it. Pure.

Rules: distribution/reference (familiar names); Kubernetes "Images", "Interpretation of config.json" (logins).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Optional

from interlink_common.model.site import Change, is_below, normal
from interlink_common.model.workload import CvmfsVolume, RegistryCredential, Workload

DOCKER = "docker://"
HUB = "docker.io"
HUB_ALIASES = frozenset({HUB, "index.docker.io", "registry-1.docker.io"})
VERSION = re.compile(r"(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@[A-Za-z0-9+._-]+:[0-9a-fA-F]{32,})?$")


def location(name: str) -> tuple[str, str]:
    """(registry, path in it) of a name without its version: `busybox` is (docker.io, library/busybox)."""
    domain, slash, path = name.partition("/")
    if not slash or not _is_host(domain):
        domain, path = HUB, name
    domain = HUB if domain.lower() in HUB_ALIASES else domain
    return domain, f"library/{path}" if domain == HUB and "/" not in path else path


def mapped(name: str, images: Mapping[str, str]) -> Optional[str]:
    """What the site has in place of an image: a path or another name; None: nothing.

    A key is a name, with or without version, or the front of one by whole parts (a registry, an organisation); the one that leaves the
    least over wins. `busybox`, `library/busybox` and `docker.io/library/busybox` are one. A name keeps its version where neither
    key nor target has one; what is left over of a name goes behind the target of a front.
    """
    known = {_key(key): target for key, target in images.items()}
    forms = list(_forms(_key(name)))
    for form in forms:
        bare = VERSION.sub("", form)
        for whole in (form, f"{form}:latest") if form == bare else (form,):
            if whole != bare and whole in known:
                return known[whole]
    for form in forms:
        bare = VERSION.sub("", form)
        if bare in known:
            whole_name = not known[bare].startswith("/") and VERSION.sub("", known[bare]) == known[bare]
            return known[bare] + (form[len(bare) :] if whole_name else "")
    fronts = [(parts[:length], parts[length:]) for form in forms for parts in [form.split("/")] for length in range(1, len(parts))]
    for front, rest in sorted(fronts, key=lambda pair: len(pair[1])):
        if "/".join(front) in known and not {"", ".", ".."} & set(rest):
            return "/".join([known["/".join(front)].rstrip("/"), *rest])
    return None


def cvmfs_repositories(workload: Workload, images: Mapping[str, str], root: str = "/cvmfs") -> tuple[str, ...]:
    """Repositories that a pod needs, by name: those of its volumes, and those that its images come from once they are mapped."""
    names = [name for volume in workload.volumes if isinstance(volume, CvmfsVolume) for name in volume.repositories]
    for container in workload.all_containers:
        path = mapped(container.image, images) or container.image
        names += [path[len(front) :].split("/")[0] for front in (f"{root.rstrip('/')}/",) if path.startswith(front)]
    return tuple(dict.fromkeys(names))


def in_directories(path: str, directories: Iterable[str], real: Change = normal) -> bool:
    """Whether a pod may name an image by this path: below one of the directories, with links followed by `real`."""
    found = real(path)
    return ".." not in path.split("/") and any(is_below(found, real(each)) and found != real(each) for each in directories)


def logins(credentials: Iterable[RegistryCredential], domain: str, path: str) -> Sequence[RegistryCredential]:
    """Those that fit an image of a registry, the most specific first: kubelet tries them in this order.

    A server is a host, `*` in it stands for one part or some of it, and may have a path, which must be the front of the image's.
    """
    fitting = []
    for credential in credentials:
        host, _, front = _server(credential.server).partition("/")
        if _host_fits(host, _host(domain)) and is_below(f"/{path}", f"/{front}"):
            fitting.append(((bool(set("*?[") & set(host)), -len(front)), credential))
    return [credential for _, credential in sorted(fitting, key=lambda pair: pair[0])]


def require_images(images: Mapping[str, str]) -> None:
    """Raises ValueError for an image map that can't mean what it says."""
    seen: dict[str, str] = {}
    for key, target in images.items():
        if not _key(key) or not target or target != target.strip():
            raise ValueError(f"{key or 'a name'} must be an image name, or the front of one, that stands for a path or another name")
        if target.startswith("/") and ".." in target.split("/"):
            raise ValueError(f"{key}: a path must have no two dots as a component")
        other = seen.setdefault(_key(key), key)
        if other != key:
            raise ValueError(f"{key} and {other} are the same name")


def without_scheme(name: str) -> str:
    return name.removeprefix(DOCKER)


def _is_host(part: str) -> bool:
    return "." in part or ":" in part or part == "localhost"


def _host(name: str) -> str:
    """Registries are known by DNS, which knows no case."""
    host = name.lower()
    return HUB if host in HUB_ALIASES else host


def _key(name: str) -> str:
    """A name, or the front of one, with its host as all write it."""
    bare = without_scheme(name)
    bare = bare.rstrip("/") or bare
    host, slash, rest = bare.partition("/")
    return f"{_host(host)}{slash}{rest}" if _is_host(host) and "//" not in bare and (slash or VERSION.sub("", host) == host) else bare


def _forms(name: str) -> Iterator[str]:
    """All ways to write one name of Docker Hub, the full one first."""
    if "//" in name or name.startswith("/"):
        yield name
        return
    bare = VERSION.sub("", name)
    domain, path = location(bare)
    yield f"{domain}/{path}{name[len(bare) :]}"
    if domain == HUB:
        yield f"{path}{name[len(bare) :]}"
        if path.startswith("library/"):
            yield f"{path[len('library/') :]}{name[len(bare) :]}"


def _server(server: str) -> str:
    """`https://index.docker.io/v1/` is `docker.io`; `registry.example.org:5000/team/` is without scheme and slash."""
    host, _, path = (server.partition("://")[2] or server).strip("/").partition("/")
    return _host(host) if path in {"", "v1", "v2"} else f"{_host(host)}/{path}"


def _host_fits(pattern: str, host: str) -> bool:
    wanted, found = pattern.split("."), host.split(".")
    return len(wanted) == len(found) and all(fnmatchcase(part, glob) for part, glob in zip(found, wanted))
