"""Names for what a backend keeps of a pod: short unique ones, and whether a UID can be a part of one."""

from __future__ import annotations

import hashlib
import re

from interlink_common.errors import Refused

_UNSAFE = re.compile(r"[^a-z0-9]+")
_DIGEST_LENGTH = 10
SAFE_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")
"""What a UID may be where it meets paths and names of a backend; Kubernetes' own are UUIDs."""


def require_safe_uid(uid: str) -> None:
    """Raises Refused for a UID that could leave its directory, or that is no name for a backend."""
    if not SAFE_UID.fullmatch(uid):
        raise Refused("metadata.uid must consist of letters, digits, - and _, and be at most 128 long")


def safe_name(*parts: str, max_length: int = 63) -> str:
    """A readable name for a backend, made of `parts`.

    Guarantees: a DNS label of at most `max_length` characters (at least 12); the same parts give the same name in every release; two
    different sequences of parts give different names (a digest of 40 bits over all parts is always the tail).

    >>> safe_name("default", "my-pod", "caee730a-d4b4-4b88-8ca4-5298e18f4b6e")
    'default-my-pod-caee730a-d4b4-4b88-8ca4-5298e18f4b6e-b7b655797e'
    """
    digest = hashlib.sha256("\0".join(f"{len(p)}:{p}" for p in parts).encode("utf-8", "surrogatepass")).hexdigest()[:_DIGEST_LENGTH]
    readable = _UNSAFE.sub("-", "-".join(parts).lower())[: max_length - _DIGEST_LENGTH - 1].strip("-")
    return f"{readable}-{digest}" if readable else f"x-{digest}"
