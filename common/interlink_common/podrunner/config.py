"""The operator's options for the worker node, as they travel in `runner.json`. The defaults deny what reaches the node."""

from __future__ import annotations

from dataclasses import dataclass, field

from interlink_common.lifecycle.timing import Timing

APPTAINER, SINGULARITY, PODMAN, PROCESS = "apptainer", "singularity", "podman", "process"

FILE, CHIRP = "file", "chirp"


@dataclass(frozen=True)
class CvmfsOptions:
    """`cvmfsexec`: path of the program that mounts repositories where the node has no /cvmfs; "" means there is no such fallback."""

    path: str = "/cvmfs"
    probe_timeout_seconds: float = 30.0
    cvmfsexec: str = ""


@dataclass(frozen=True)
class StreamRules:
    """`sink`: file or chirp. `log_bytes`: how much of one container's log is kept, over all its attempts; 0 means all of it.

    `stop_file`: podrunner terminates the pod when this file is in the job's directory, see `supervisor.JobTermination`; "": there is none.
    A longer line than `line_bytes` comes in pieces. For chirp: `window_bytes` of the stream may wait in the spool, and `announce` writes a
    line to the schedd's event log when there is more.
    """

    sink: str = FILE
    stop_file: str = ""
    log_bytes: int = 0
    line_bytes: int = 16384
    window_bytes: int = 16777216
    announce: bool = False


@dataclass(frozen=True)
class RunnerConfig:
    """An option has the name of the operator's setting that it is made of; `model.site` and `model.images` say what the maps mean.

    `runtimes`: the container runtimes to look for, in this order; `process` (no container at all) only where the operator names it.
    `programs`: where a runtime's program is, if not on the PATH. `options`: more options of its run command, by runtime.
    `node_environment`: variables of the node that containers get too (X509_USER_PROXY, ...).
    `image_cache`: shared by the jobs of a node, "" means the job's own directory, where every job pulls for itself. In it, and in the
    targets of `claims`, `nfs` and `csi`, $VARIABLES of the node's environment are expanded.
    `allow_mesh`: interLink's network scripts (shell texts of the virtual cluster's operator) run on the node. `allow_run_as`: pods may ask
    for a user, which podman gives them; elsewhere they run as the job's user all the same. `allow_privileged`: pods that ask for it are
    started, without more rights.
    `stop_seconds`: how long an orderly stop may take when the batch system ends the job; the pod's own grace is cut to it.
    """

    runtimes: tuple[str, ...] = (APPTAINER, SINGULARITY, PODMAN)
    programs: dict[str, str] = field(default_factory=dict)
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    node_environment: tuple[str, ...] = ()
    images: dict[str, str] = field(default_factory=dict)
    image_directories: tuple[str, ...] = ("/cvmfs/unpacked.cern.ch",)
    image_cache: str = ""
    insecure_registries: tuple[str, ...] = ()
    pull_timeout_seconds: float = 1800.0
    host_path_allow: tuple[str, ...] = ()
    claims: dict[str, str] = field(default_factory=dict)
    nfs: dict[str, str] = field(default_factory=dict)
    csi: dict[str, str] = field(default_factory=dict)
    allow_mesh: bool = False
    allow_run_as: bool = False
    allow_privileged: bool = False
    stop_seconds: float = 30.0
    cvmfs: CvmfsOptions = CvmfsOptions()
    stream: StreamRules = StreamRules()
    timing: Timing = Timing()  # noqa: RUF009  frozen
