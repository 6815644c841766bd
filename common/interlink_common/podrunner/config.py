"""The operator's options for the worker node, as they travel in `runner.json`. The defaults deny what reaches the node."""

from __future__ import annotations

from dataclasses import dataclass, field

from interlink_common.lifecycle.timing import Timing

APPTAINER, SINGULARITY, PODMAN, PROCESS = "apptainer", "singularity", "podman", "process"

FILE, CHIRP = "file", "chirp"


@dataclass(frozen=True)
class ImageRules:
    """Where images come from.

    `sites`: image name -> what to use instead: a local path or another name. The longest prefix of whole path parts wins, with or
    without tag. `local`: directories below which a pod may name images by path. `cache_directory`: shared by the jobs of a node, "" means
    the job's own directory, where every job pulls for itself; $VARIABLES of the node's environment are expanded. `insecure_registries`:
    host:port of registries without TLS.
    """

    sites: dict[str, str] = field(default_factory=dict)
    local: tuple[str, ...] = ("/cvmfs/unpacked.cern.ch",)
    cache_directory: str = ""
    pull_timeout_seconds: float = 1800.0
    insecure_registries: tuple[str, ...] = ()


@dataclass(frozen=True)
class VolumeRules:
    """What volumes may reach. `:ro` at the end of a path: read-only.

    `host_paths`: directories below which hostPath volumes are allowed. `external`: "kind/key" of an ExternalVolume
    (persistentVolumeClaim/data, nfs/server:/export, csi/driver) -> path on the node; $VARIABLES of the node are expanded.
    """

    host_paths: tuple[str, ...] = ()
    external: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class CvmfsRules:
    """`cvmfsexec`: path of the program that mounts repositories where the node has no /cvmfs; "" means there is no such fallback."""

    path: str = "/cvmfs"
    probe_timeout_seconds: float = 30.0
    cvmfsexec: str = ""


@dataclass(frozen=True)
class SecurityRules:
    """What pods may ask for. `mesh`: interLink's network scripts (shell texts of the virtual cluster's operator) run on the node.

    `run_as`: a user of their own, which podman gives them; elsewhere they run as the job's user all the same. `privileged`: pods that
    ask for it are started, without more rights.
    """

    mesh: bool = False
    run_as: bool = False
    privileged: bool = False


@dataclass(frozen=True)
class StreamRules:
    """`sink`: file or chirp. `log_bytes`: how much of one container's log is told, over all its attempts; 0 means all of it.

    `stop_file`: a file of the job's directory that tells podrunner to stop the pod, see `carry.Stop`; "" means nobody writes one.
    A longer line than `line_bytes` is told in pieces. For chirp: `window_bytes` of the stream may wait in the spool, and
    `announce` writes a line to the schedd's event log when there is more.
    """

    sink: str = FILE
    stop_file: str = ""
    log_bytes: int = 0
    line_bytes: int = 16384
    window_bytes: int = 16777216
    announce: bool = False


@dataclass(frozen=True)
class RunnerConfig:
    """`runtimes`: the container runtimes to look for, in this order; `process` (no container at all) only where the operator names it.

    `programs`: where a runtime's program is, if not on the PATH. `options`: more options of its run command, by runtime.
    `node_environment`: variables of the node that containers get too (X509_USER_PROXY, ...).
    `stop_seconds`: how long an orderly stop may take when the batch system ends the job; the pod's own grace is cut to it.
    """

    runtimes: tuple[str, ...] = (APPTAINER, SINGULARITY, PODMAN)
    programs: dict[str, str] = field(default_factory=dict)
    options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    node_environment: tuple[str, ...] = ()
    stop_seconds: float = 30.0
    images: ImageRules = ImageRules()
    volumes: VolumeRules = VolumeRules()
    cvmfs: CvmfsRules = CvmfsRules()
    security: SecurityRules = SecurityRules()
    stream: StreamRules = StreamRules()
    timing: Timing = Timing()  # noqa: RUF009  frozen
