"""Names: the checks that Kubernetes makes on them, and short unique ones for backends.

An API server has checked every name that interLink sends; a caller who speaks to the plugin directly has not, and names become
paths, labels and container names.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable

from interlink_common.translation.refusals import invalid

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_UNSAFE = re.compile(r"[^a-z0-9]+")
_DIGEST_LENGTH = 10


def check_label(value: str, field: str) -> str:
    """`value` if it is a DNS label (RFC 1123: at most 63 of a-z, 0-9 and inner dashes). Raises BadRequest."""
    if not _LABEL.fullmatch(value):
        raise invalid(field, "must be a DNS label: at most 63 of a-z, 0-9 and inner dashes")
    return value


def check_subdomain(value: str, field: str) -> str:
    """`value` if it is a DNS subdomain (RFC 1123: labels joined by dots, at most 253 characters). Raises BadRequest."""
    if not _SUBDOMAIN.fullmatch(value):
        raise invalid(field, "must be a DNS subdomain: at most 253 of a-z, 0-9, inner dashes and dots")
    return value


def check_config_key(value: str, field: str) -> str:
    """`value` if it is a valid key of a ConfigMap or Secret (apimachinery, IsConfigMapKey). Raises BadRequest."""
    if not _CONFIG_KEY.fullmatch(value) or value == "." or value.startswith(".."):
        raise invalid(field, "has a key that is not made of letters, digits, dashes, underscores and dots")
    return value


def check_unique(values: Iterable[str], field: str, what: str) -> None:
    """Raises BadRequest if a value comes twice; `what` names the kind of thing."""
    seen: set[str] = set()
    for value in values:
        if value in seen:
            raise invalid(field, f"has two {what} named {value}")
        seen.add(value)


def check_text(value: str, field: str) -> str:
    """`value` if it has no NUL, which no argument, variable or path of a process can hold. Raises BadRequest."""
    if "\0" in value:
        raise invalid(field, "must not contain a NUL character")
    return value


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
