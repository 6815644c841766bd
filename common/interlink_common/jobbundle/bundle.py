"""`build`: from a Workload to the files of a batch job, in memory. start.sh finds a Python and becomes podrunner.

podrunner.pyz is what travels to a worker node, as one file that any Python from 3.9 on runs: equal bytes from equal sources. Beside the
sources it holds them compiled for the Python that runs here: a node with the same release starts in half the time, any other compiles
them itself (zipimport skips what is not its own).
"""

from __future__ import annotations

import io
import json
import marshal
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from importlib.util import MAGIC_NUMBER

from interlink_common.model.codec import encode, to_json
from interlink_common.model.workload import Workload
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.exitcodes import MEANINGS, NO_PYTHON

START, POD, RUNNER, ARCHIVE = "start.sh", "pod.json", "runner.json", "podrunner.pyz"
PACKAGES = ("agent", "lifecycle", "model", "podrunner")
UNCHECKED = (1).to_bytes(4, "little")
EPOCH = (1980, 1, 1, 0, 0, 0)
ENTRY = b"from interlink_common.podrunner.main import main\n\nmain()\n"
USUAL_PYTHONS = (
    "python3",
    *(f"python3.{minor}" for minor in range(14, 8, -1)),
    "/usr/bin/python3",
    "/usr/libexec/platform-python",
    "/cvmfs/sft.cern.ch/lcg/releases/Python/3.11.9-2924c/x86_64-el9-gcc13-opt/bin/python3",
)
PLAIN_PATH = re.compile(r"/[A-Za-z0-9._+/-]+")

START_SCRIPT = """\
#!/bin/sh
# Starts podrunner in the directory of this job with the first Python 3.9 or newer.
# HTCondor gives a job no PATH, and without one Python does not know its own.
PATH=${{PATH:-/usr/local/bin:/usr/bin:/bin}}
export PATH
directory=${{_CONDOR_SCRATCH_DIR:-$PWD}}
for python in {pythons}; do
    if "$python" -I -S -c 'import sys; sys.exit(sys.version_info < (3, 9))' 2>/dev/null; then
        exec "$python" -I -S -B "$directory/{archive}" "$directory"
    fi
done
echo 'podrunner: {reason}' >&2
echo '{{"failed":{{"reason":"{reason}","exit_code":{no_python}}},"time":'"$(date +%s)"'000000000}}' >>"$directory/events.jsonl"
exit {no_python}
"""


@dataclass(frozen=True)
class BundleFile:
    """`mode` e.g. 0o600. A file with a secret is never readable by others."""

    data: bytes
    mode: int


@dataclass(frozen=True)
class Bundle:
    """`files` by name, all in one directory: the job's scratch. The job runs `start.sh` there, without arguments."""

    files: Mapping[str, BundleFile]


def build(workload: Workload, config: RunnerConfig, *, pythons: Sequence[str] = ()) -> Bundle:
    """The job's files. `pythons`: absolute paths of interpreters that start.sh tries before the usual ones.

    Everything of the pod, secrets included, is in pod.json alone. Raises ValueError for a path in `pythons` that is not plain.
    """
    runner = json.dumps(encode(config, RunnerConfig), separators=(",", ":"), sort_keys=True)
    return Bundle(
        {
            START: BundleFile(start_script(pythons), 0o755),
            POD: BundleFile(to_json(workload).encode("utf-8", "surrogatepass"), 0o600),
            RUNNER: BundleFile(runner.encode(), 0o600),
            ARCHIVE: BundleFile(podrunner_archive(), 0o644),
        }
    )


def build_one_file(workload: Workload, config: RunnerConfig, *, pythons: Sequence[str] = ()) -> bytes:
    """All of `build` as one file, for whom each file costs a request: it is start.sh, and an archive follows its text.

    Where it is kept, it must be readable for its owner alone. It runs under the name start.sh.
    """
    bundle = build(workload, config, pythons=pythons).files
    buffer = io.BytesIO()
    buffer.write(start_script(pythons, archive=START) + bundle[ARCHIVE].data)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name in (POD, RUNNER):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), bundle[name].data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def start_script(pythons: Sequence[str] = (), *, archive: str = "podrunner.pyz") -> bytes:
    """The text of start.sh. `archive`: the file that is podrunner. Raises ValueError for a candidate that is not a plain absolute path."""
    for path in pythons:
        if not PLAIN_PATH.fullmatch(path):
            raise ValueError(f"{path!r} is not a plain absolute path of a Python")
    return START_SCRIPT.format(
        archive=archive, pythons=" ".join((*pythons, *USUAL_PYTHONS)), reason=MEANINGS[NO_PYTHON], no_python=NO_PYTHON
    ).encode()


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


def _sources(folder: Traversable, target: str) -> dict[str, bytes]:
    return {f"{target}/{entry.name}": entry.read_bytes() for entry in folder.iterdir() if entry.name.endswith(".py")}
