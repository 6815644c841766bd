"""Logins for image registries. interLink sends no imagePullSecrets: they are here only if a container also mounts the secret."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any

from interlink_common.contract.objects import Secret
from interlink_common.contract.pod import LocalReference
from interlink_common.workload.model import RegistryCredential
from interlink_common.workload.refusals import invalid

_KEYS = {"kubernetes.io/dockerconfigjson": ".dockerconfigjson", "kubernetes.io/dockercfg": ".dockercfg"}


def registry_credentials(
    references: Sequence[LocalReference], secrets: Mapping[str, Secret]
) -> tuple[tuple[RegistryCredential, ...], tuple[str, ...]]:
    """(logins, warnings) for the pod's imagePullSecrets. Raises BadRequest naming the secret, never its contents."""
    credentials: list[RegistryCredential] = []
    warnings: list[str] = []
    for reference in references:
        secret = secrets.get(reference.name or "")
        if secret is None or secret.type not in _KEYS:
            warnings.append(
                f"imagePullSecrets: secret {reference.name} is not used, because interLink sends only secrets that a container mounts:"
                " mount it, or configure the registry login at the plugin"
            )
            continue
        credentials += _logins(secret, _KEYS[secret.type])
    return tuple(credentials), tuple(warnings)


def _logins(secret: Secret, key: str) -> list[RegistryCredential]:
    field = f"The image pull secret {secret.metadata.name}"
    try:
        document = json.loads(base64.b64decode((secret.data or {})[key], validate=True))
        servers: dict[str, Any] = document["auths"] if key == ".dockerconfigjson" else document
        return [_login(server, entry) for server, entry in servers.items()]
    except (KeyError, ValueError, TypeError, AttributeError, RecursionError, binascii.Error):
        raise invalid(field, f"does not hold a valid {key}") from None


def _login(server: str, entry: Mapping[str, Any]) -> RegistryCredential:
    username, password = entry.get("username", ""), entry.get("password", "")
    if entry.get("auth"):
        username, _, password = base64.b64decode(entry["auth"], validate=True).decode().partition(":")
    if not isinstance(username, str) or not isinstance(password, str):
        raise TypeError
    return RegistryCredential(server, username, password)
