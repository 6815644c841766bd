"""Names of images: what they mean, where they are pulled from, and which login fits. Pure.

Rules: distribution/reference (familiar names), and Kubernetes "Images", "Interpretation of config.json" for matching logins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from interlink_common.model.workload import RegistryCredential
from interlink_common.translation.registry import logins

FOREIGN_FORMS = ("oras://", "library://", "shub://", "http://", "https://", "/", "./")
"""Image forms of other runtimes, and files."""

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
DOMAIN = r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*(?::[0-9]+)?"
REFERENCE = re.compile(
    rf"(?:(?P<domain>(?:{DOMAIN}))/)?(?P<path>{COMPONENT}(?:/{COMPONENT})*)"
    r"(?::(?P<tag>[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}))?(?:@(?P<digest>[A-Za-z][A-Za-z0-9.+_-]*:[0-9a-fA-F]{32,}))?"
)
DEFAULT_DOMAIN = "docker.io"


@dataclass(frozen=True)
class Reference:
    """`docker.io`, `library/busybox`, `1.36`, digest: a full image name in its parts; one of tag and digest is never empty."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def name(self) -> str:
        return f"{self.domain}/{self.path}"

    @property
    def version(self) -> str:
        """What POST /images/create calls the tag."""
        return self.digest or self.tag

    def __str__(self) -> str:
        suffix = f"@{self.digest}" if self.digest else f":{self.tag}"
        return self.name + suffix


def parse(image: str) -> Reference:
    """The full name of an image as a pod writes it. Raises ValueError if it is none."""
    found = REFERENCE.fullmatch(image.removeprefix("docker://"))
    if found is None or len(image) > 4096:
        raise ValueError(f"{image[:200]} is not the name of an image")
    domain, path = found["domain"] or "", found["path"]
    if domain and "." not in domain and ":" not in domain and domain != "localhost":
        if domain != domain.lower():
            raise ValueError(f"{image[:200]} is not the name of an image: it must be lowercase")
        domain, path = "", f"{domain}/{path}"
    if domain in {"", "index.docker.io"}:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = f"library/{path}"
    digest = found["digest"] or ""
    return Reference(domain, path, "" if digest else found["tag"] or "latest", digest)


def mirrored(reference: Reference, mirrors: Mapping[str, str]) -> Reference:
    """The name to pull instead, by the longest prefix of whole path parts that the operator's map has."""
    parts = reference.name.split("/")
    for length in range(len(parts), 0, -1):
        target = mirrors.get("/".join(parts[:length]))
        if target is not None:
            domain, _, path = "/".join([target.strip("/"), *parts[length:]]).partition("/")
            return Reference(domain, path, reference.tag, reference.digest)
    return reference


def matching(credentials: Iterable[RegistryCredential], reference: Reference) -> list[RegistryCredential]:
    """The logins that fit the image, the most specific first. `*` stands for one part of the host's name."""
    fitting = []
    for credential in credentials:
        host, _, path = server_key(credential.server).partition("/")
        if host_matches(host, reference.domain) and f"{reference.path}/".startswith(f"{path}/" if path else ""):
            fitting.append((len(path), credential))
    return [credential for _, credential in sorted(fitting, key=lambda pair: -pair[0])]


def server_key(server: str) -> str:
    """`https://index.docker.io/v1/` -> `docker.io`; `registry.example.org:5000/team/` -> without scheme and slash."""
    bare = server.partition("://")[2] or server
    host, _, path = bare.strip("/").partition("/")
    if path in {"v1", "v2"}:
        path = ""
    host = DEFAULT_DOMAIN if host in {"index.docker.io", "registry-1.docker.io"} else host
    return f"{host}/{path}" if path else host


def host_matches(pattern: str, host: str) -> bool:
    wanted, found = pattern.split("."), host.split(".")
    return len(wanted) == len(found) and all(fnmatchcase(part, glob) for part, glob in zip(found, wanted, strict=True))


def credentials_of_config(document: object) -> tuple[RegistryCredential, ...]:
    """The logins of a docker config.json (`auths`, with `auth` or username and password). Raises ValueError."""
    return tuple(logins(document.get("auths", {}) if isinstance(document, dict) else None))
