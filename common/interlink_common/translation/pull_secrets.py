"""Logins for image registries. interLink sends no imagePullSecrets: they are here only if a container also mounts the secret."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence

from interlink_common.contract.pod import LocalReference
from interlink_common.contract.requests import Secret
from interlink_common.model.workload import RegistryCredential
from interlink_common.translation.checks import invalid

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
        return logins(document["auths"] if key == ".dockerconfigjson" else document)
    except (KeyError, ValueError, TypeError, RecursionError):
        raise invalid(field, f"does not hold a valid {key}") from None


def logins(auths: object) -> list[RegistryCredential]:
    """The logins of a docker config.json's `auths` (server -> `auth`, or username and password); what names no user is none.

    Raises ValueError, never with what is in there.
    """
    if not isinstance(auths, dict):
        raise ValueError("auths must be an object")
    found = [_login(server, entry) for server, entry in auths.items()]
    return [login for login in found if login.username]


def _login(server: str, entry: object) -> RegistryCredential:
    told = {key: entry.get(key) or "" for key in ("auth", "username", "password")} if isinstance(entry, dict) else {}
    if not told or not all(isinstance(value, str) for value in told.values()):
        raise ValueError(f"auths of {server} is no login")
    if not told["auth"]:
        return RegistryCredential(server, told["username"], told["password"])
    try:
        username, _, password = base64.b64decode(told["auth"], validate=True).decode().partition(":")
    except ValueError:
        raise ValueError(f"auths of {server} does not hold base64 text") from None
    return RegistryCredential(server, username, password)
