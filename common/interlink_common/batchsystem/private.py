"""Files that are nobody else's business."""

from __future__ import annotations

from pathlib import Path

from interlink_common.errors import ConfigurationError


def require_private(path: Path, setting: str) -> None:
    """Raises ConfigurationError for a file that is not there, or that others may read."""
    try:
        mode = path.stat().st_mode
    except OSError:
        raise ConfigurationError(f"{setting}: {path} can not be read") from None
    if mode & 0o077:
        raise ConfigurationError(f"{setting}: {path} may be read by others; set its mode to 0600")


def private_directory(path: Path) -> None:
    """Makes it if it is not there, 0700."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.chmod(0o700)
