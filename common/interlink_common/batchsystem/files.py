"""Files of a batch plugin: each pod has a directory of its own, and nobody else may read what is in it."""

from __future__ import annotations

import json
from pathlib import Path

from interlink_common.errors import ConfigurationError
from interlink_common.translation.names import require_safe_uid


def require_private(path: Path, setting: str) -> None:
    """Raises ConfigurationError for a file that is not there, or that others may read."""
    try:
        mode = path.stat().st_mode
    except OSError:
        raise ConfigurationError(f"{setting}: {path} cannot be read") from None
    if mode & 0o077:
        raise ConfigurationError(f"{setting}: {path} may be read by others; set its mode to 0600")


def private_directory(path: Path) -> None:
    """Makes it if it is not there, 0700."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)


def directory_of(state_dir: Path, uid: str) -> Path:
    """Where a batch plugin keeps what it has of a pod. Raises Refused for a UID that is not safe."""
    require_safe_uid(uid)
    return state_dir / "pods" / uid


def replace_file(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Writes a file that readers see as it was or as it is now, never half."""
    writing = path.with_name(f"{path.name}.new")
    writing.touch(mode=0o600)
    writing.write_bytes(data)
    writing.chmod(mode)
    writing.replace(path)


def read_part(path: Path, offset: int, size: int) -> bytes:
    """At most `size` bytes of a file from the offset on; nothing of one that is not there yet."""
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""


def stop_request(grace_seconds: int) -> bytes:
    """What podrunner's stop file holds: it then stops the pod in order."""
    return json.dumps({"grace_seconds": grace_seconds}).encode()
