"""Checks of names, paths, numbers and addresses, and the two ways to say no to a pod: the field's path first, then what is expected.

An API server has checked everything that interLink sends; a caller who speaks to the plugin directly has not, and names become paths,
labels and container names. Source: kubernetes `pkg/apis/core/validation/validation.go`, for paths validateLocalNonReservedPath and
ValidateVolumeMounts.
"""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterable

from interlink_common.contract.answers import sentence
from interlink_common.errors import BadRequest, Refused

_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_SUBDOMAIN = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_CONFIG_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}")
_MAX_PATH_BYTES = 4095
_MAX_COMPONENT_BYTES = 255


def invalid(field: str, expected: str) -> BadRequest:
    """A pod that a real API server would have rejected. `expected` continues the sentence, e.g. "must not be negative"."""
    return BadRequest(sentence(f"{field} {expected}."))


def refused(field: str, reason: str) -> Refused:
    """A valid pod that can't be run as it asks."""
    return Refused(sentence(f"{field} {reason}."))


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


def bounded(value: int, low: int, high: int, field: str) -> int:
    """`value` if it lies between the bounds. Raises BadRequest."""
    if not low <= value <= high:
        raise invalid(field, f"must be between {low} and {high}")
    return value


def check_address(value: str, field: str) -> str:
    """`value` if it is an IP address, without a zone: Python takes any text for one, line breaks included. Raises BadRequest."""
    try:
        return str(ipaddress.ip_address("" if "%" in value else value))
    except ValueError:
        raise invalid(field, "must be an IP address") from None


def inside(path: str, field: str) -> str:
    """A relative path that stays below its root, normalised: no `..`, not empty, not absolute. Raises BadRequest."""
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise invalid(field, "must be a relative path without two dots as a component")
    normalised = posixpath.normpath(_checked(path, field))
    if normalised == "." or normalised.startswith(".."):
        raise invalid(field, "must name something below the volume and must not start with two dots")
    return normalised


def absolute(path: str, field: str) -> str:
    """An absolute path without `..`, normalised. Raises BadRequest."""
    if not path.startswith("/") or ".." in path.split("/"):
        raise invalid(field, "must be an absolute path without two dots as a component")
    return posixpath.normpath("/" + _checked(path, field).lstrip("/"))


def _checked(path: str, field: str) -> str:
    check_text(path, field)
    if len(path.encode()) > _MAX_PATH_BYTES or any(len(part.encode()) > _MAX_COMPONENT_BYTES for part in path.split("/")):
        raise invalid(field, "is longer than a file system allows")
    return path
