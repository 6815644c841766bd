"""From a Workload to the arguments of sbatch. Pure. Of what a pod says only its UID is in them: everything else travels in a file."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from pathlib import Path

from interlink_common.batchsystem.jobs import cpus, memory_bytes, walltime_seconds
from interlink_common.batchsystem.settings import MEBIBYTE
from interlink_common.errors import Refused
from interlink_common.jobbundle.bundle import START
from interlink_common.model.patterns import fit
from interlink_common.model.workload import Workload
from interlink_slurm.settings import SlurmSettings
from interlink_slurm.states import JOB_NAME_PREFIX

ERRORS_FILE = "podrunner.err"


def sbatch_arguments(workload: Workload, directory: Path, settings: SlurmSettings) -> list[str]:
    """`directory`: where START is. Raises Refused for a device that nobody maps."""
    job = settings.job
    walltime = walltime_seconds(workload, job.walltime_seconds)
    optional = {
        "--partition": job.partition,
        "--account": job.account,
        "--time": "" if walltime is None else str(math.ceil(walltime / 60)),
        "--gres": ",".join(gres(workload, settings)),
    }
    return [
        f"--job-name={JOB_NAME_PREFIX}{workload.uid}",
        f"--comment={settings.instance}",
        "--output=/dev/null",
        f"--error={directory}/{ERRORS_FILE}",
        "--export=NIL",
        # A job that Slurm starts again could write to the same files as one that still runs on a node that was believed dead.
        "--no-requeue",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={cpus(workload, job)}",
        f"--mem={math.ceil(memory_bytes(workload, job) / MEBIBYTE)}M",
        *(f"{option}={value}" for option, value in optional.items() if value),
        *job.options,
        # Not --chdir: where the node lacks the directory, Slurm would start the job in /tmp, with whatever lies there. A directory can be
        # made only once: if the answer of a submit was lost and there are two jobs in the end, one of them never starts.
        f"--wrap=cd {shlex.quote(str(directory))} && mkdir started && exec ./{START}",
    ]


def gres(workload: Workload, settings: SlurmSettings) -> Iterator[str]:
    """Generic resources, such as gpu:2."""
    for resource, count in sorted(workload.size.devices.items()):
        device = fit(settings.devices, resource)
        if device is None:
            raise Refused(f"resource {resource} is not offered here; the operator can map it with devices")
        yield f"{device.gres}:{count}"
