"""podrunner.pyz: what travels to a worker node, as one file that any Python from 3.9 on runs. Equal bytes from equal sources."""

from __future__ import annotations

import io
import zipfile
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable

PACKAGES = ("agent", "lifecycle", "podrunner")
MODULES = ("__init__.py", "workload/__init__.py", "workload/codec.py", "workload/model.py")
EPOCH = (1980, 1, 1, 0, 0, 0)
ENTRY = b"from interlink_common.podrunner.main import main\n\nmain()\n"


@cache
def podrunner_archive() -> bytes:
    """The bytes of the zip archive."""
    root = files("interlink_common")
    sources = {f"interlink_common/{name}": root.joinpath(name).read_bytes() for name in MODULES}
    for package in PACKAGES:
        sources.update(_sources(root.joinpath(package), f"interlink_common/{package}"))
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted({**sources, "__main__.py": ENTRY}.items()):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _sources(folder: Traversable, place: str) -> dict[str, bytes]:
    return {f"{place}/{entry.name}": entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".py")}
