"""podrunner.pyz: what travels to a worker node, as one file that any Python from 3.9 on runs. Equal bytes from equal sources.

Beside the sources it holds them compiled for the Python that runs here: a node with the same release starts in half the time, any other
compiles them itself (zipimport skips what is not its own).
"""

from __future__ import annotations

import io
import marshal
import zipfile
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import MAGIC_NUMBER

PACKAGES = ("agent", "lifecycle", "model", "podrunner")
UNCHECKED = (1).to_bytes(4, "little")
EPOCH = (1980, 1, 1, 0, 0, 0)
ENTRY = b"from interlink_common.podrunner.main import main\n\nmain()\n"


@cache
def podrunner_archive() -> bytes:
    """The bytes of the zip archive."""
    root = files("interlink_common")
    sources = {"interlink_common/__init__.py": root.joinpath("__init__.py").read_bytes()}
    for package in PACKAGES:
        sources.update(_sources(root.joinpath(package), f"interlink_common/{package}"))
    sources["__main__.py"] = ENTRY
    compiled = {f"{name}c": _compiled(name, data) for name, data in sources.items()}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted({**sources, **compiled}.items()):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _compiled(name: str, source: bytes) -> bytes:
    """A .pyc that is never compared with its source (PEP 552). Marshal version 2 writes equal bytes for equal code, later ones need not."""
    code = compile(source, name, "exec", dont_inherit=True, optimize=2)
    return MAGIC_NUMBER + UNCHECKED + bytes(8) + marshal.dumps(code, 2)


def _sources(folder: Traversable, place: str) -> dict[str, bytes]:
    return {f"{place}/{entry.name}": entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".py")}
