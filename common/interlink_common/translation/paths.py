"""Paths inside volumes and containers: normalised, and never leaving the place they are in.

Source: kubernetes `pkg/apis/core/validation/validation.go` (validateLocalNonReservedPath, ValidateVolumeMounts).
"""

from __future__ import annotations

import posixpath

from interlink_common.translation.names import check_text
from interlink_common.translation.refusals import invalid

_MAX_PATH_BYTES = 4095
_MAX_COMPONENT_BYTES = 255


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
