"""What of the node podrunner itself and the container runtimes need: a few variables, and how to start podrunner's own small programs."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Optional

NEEDED = (
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "TMPDIR", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "CONTAINERS_CONF",
    "CONTAINERS_STORAGE_CONF", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY",
)  # fmt: skip
USUAL_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


def node_environment() -> dict[str, str]:
    """Of the node's environment only what a container runtime needs."""
    found = {name: os.environ[name] for name in NEEDED if name in os.environ}
    return {"PATH": USUAL_PATH, **found}


def own_program(*arguments: str) -> tuple[str, ...]:
    """The command that runs podrunner itself."""
    return (sys.executable, "-I", "-S", "-B", sys.argv[0], *arguments)


def find_program(name: str) -> Optional[str]:
    """Where it is on the PATH, as shutil.which; that module alone would take a tenth of podrunner's start."""
    places = (Path(folder, name) for folder in os.environ.get("PATH", USUAL_PATH).split(":") if folder)
    return next((str(place) for place in places if place.is_file() and os.access(place, os.X_OK)), None)


def remove_if_there(directory: Path) -> None:
    """Removes the directory as far as that is possible."""
    from shutil import rmtree  # noqa: PLC0415  needed at the end only: see find_program

    rmtree(directory, ignore_errors=True)
