"""Hides the values of Secrets in what is printed: wherever they turn up, plain or in base64, alone or inside a longer text."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from interlink_common.virtualkubelet.manifests import Manifests

MASK = "*****"
_SHORTEST_INSIDE = 4
"""Shorter values are hidden only where they stand alone: 1 or yes would hide half of everything."""


def secret_values(manifests: Manifests) -> frozenset[str]:
    """Every text by which a value of the manifests' Secrets could be recognised."""
    return frozenset(
        form for secret in manifests.secrets.values() for value in (secret.get("data") or {}).values() for form in _forms(str(value))
    )


def masked(value: Any, secrets: frozenset[str]) -> Any:
    """The value, of plain types, with the secrets hidden; bytes become text."""
    if isinstance(value, dict):
        return {str(masked(key, secrets)): masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, secrets) for item in value]
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    return _masked_text(value, secrets) if isinstance(value, str) else value


def _masked_text(text: str, secrets: frozenset[str]) -> str:
    name, equals, assigned = text.partition("=")
    if text in secrets:
        return MASK
    if equals and assigned in secrets:
        return f"{name}={MASK}"
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _SHORTEST_INSIDE:
            text = text.replace(secret, MASK)
    return text


def _forms(encoded: str) -> Iterator[str]:
    if not encoded:
        return
    yield encoded
    try:
        raw = base64.b64decode(encoded)
    except (binascii.Error, ValueError):
        return
    text = raw.decode(errors="replace")
    for plain in {text, text.strip()} - {""}:
        yield plain
        yield json.dumps(plain)[1:-1]
        yield base64.b64encode(plain.encode()).decode()
    yield from _logins(text)


def _logins(text: str) -> Iterator[str]:
    """What a kubernetes.io/dockerconfigjson holds: passwords, and user:password in base64."""
    try:
        auths = json.loads(text)["auths"]
        logins = [login for login in auths.values() if isinstance(login, dict)]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return
    for login in logins:
        for key in ("password", "auth", "identitytoken"):
            if isinstance(login.get(key), str) and login[key]:
                yield login[key]
        if isinstance(login.get("auth"), str):
            try:
                yield base64.b64decode(login["auth"]).decode().partition(":")[2] or MASK
            except ValueError:
                continue
