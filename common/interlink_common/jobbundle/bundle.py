"""`build`: from a Workload to the files of a batch job."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from interlink_common.jobbundle.archive import EPOCH, podrunner_archive
from interlink_common.jobbundle.start import start_script
from interlink_common.model.codec import encode, to_json
from interlink_common.model.workload import Workload
from interlink_common.podrunner.config import RunnerConfig

START, POD, RUNNER, ARCHIVE = "start.sh", "pod.json", "runner.json", "podrunner.pyz"


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
    files = build(workload, config, pythons=pythons).files
    buffer = io.BytesIO()
    buffer.write(start_script(pythons, archive=START) + files[ARCHIVE].data)
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_DEFLATED) as archive:
        for name in (POD, RUNNER):
            archive.writestr(zipfile.ZipInfo(name, EPOCH), files[name].data, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
