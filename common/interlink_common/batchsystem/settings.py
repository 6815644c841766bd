"""Settings that every plugin of a batch system has: what podrunner may do on a worker node. The defaults deny."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from interlink_common.model.site import is_node_path
from interlink_common.settings import Group, HostPathAllow, ImageDirectories, ImageMap, PluginSettings, map_of_exports, map_of_names

MEBIBYTE = 1024 * 1024
GIBIBYTE = 1024 * MEBIBYTE

NODE_PATH = "an absolute path on the node, or one that begins with a $VARIABLE of it"
NodePathsOfNames = Annotated[dict[str, str], map_of_names(is_node_path, NODE_PATH)]
NodePathsOfExports = Annotated[dict[str, str], map_of_exports(is_node_path, NODE_PATH)]
RuntimeName = Literal["apptainer", "singularity", "podman", "process"]


class CvmfsSettings(Group):
    """CernVM-FS on the worker nodes."""

    path: str = Field("/cvmfs", description="Where the nodes mount CVMFS.")
    probe_timeout_seconds: float = Field(30.0, gt=0, description="A repository that does not answer within this time is missing.")
    cvmfsexec: str = Field("", description="Program that mounts repositories if the node has no mount. Empty: none.")


class RunnerSettings(Group):
    """podrunner, which runs the pod on the worker node."""

    runtimes: list[RuntimeName] = Field(
        default_factory=lambda: list[RuntimeName](("apptainer", "singularity", "podman")),
        description="Container runtimes to look for, in this order; the first that works is used. process: none, the pod runs bare"
        " on the node.",
    )
    programs: dict[str, str] = Field(default_factory=dict, description="Runtime -> its program, if it is not on the PATH.")
    pythons: list[str] = Field(default_factory=list, description="Python interpreters (3.9 or newer) to try before the usual ones.")
    node_environment: list[str] = Field(default_factory=list, description="Environment variables of the node that containers get too.")
    images: ImageMap = Field(default_factory=dict, description="Image name, or the beginning of one, -> path on the node, or another name.")
    image_directories: ImageDirectories = Field(
        default_factory=lambda: ["/cvmfs/unpacked.cern.ch"], description="Directories below which pods may name images by path."
    )
    image_cache: str = Field(
        "", description="Directory of the node that keeps pulled images for all jobs. Empty: each job pulls its images itself."
    )
    insecure_registries: list[str] = Field(default_factory=list, description="host:port of registries without TLS.")
    host_path_allow: HostPathAllow = Field(
        default_factory=list, description="Directories of the node below which a hostPath is allowed; `:ro` at the end: read-only."
    )
    claims: NodePathsOfNames = Field(
        default_factory=dict,
        description="Name of a claim, or namespace/name, or a pattern of them -> path on the node. The path may contain the"
        " variables of the pattern, such as `{user}`. The most specific key counts; `:ro` at the end: read-only.",
    )
    nfs: NodePathsOfExports = Field(
        default_factory=dict, description="server:/path, or namespace/server:/path, -> path on the node, including what is below."
    )
    csi: NodePathsOfNames = Field(default_factory=dict, description="CSI driver name, or namespace/name, or a pattern -> path on the node.")
    allow_mesh: bool = Field(False, description="Run interLink's network scripts (mesh and tunnels) on the node.")
    allow_run_as: bool = Field(
        False, description="Let pods choose a uid. Only podman gives it to them; with other runtimes they run as the job's user."
    )
    allow_privileged: bool = Field(False, description="Start pods that request privileged, without more rights.")
    stop_seconds: float = Field(300.0, gt=0, description="Longest grace period when the batch system stops the job.")
    log_bytes: int = Field(0, ge=0, description="How many bytes of a container's log are kept. 0: all.")


class JobSettings(Group):
    """What every job requests."""

    walltime_seconds: int | None = Field(None, gt=0, description="Walltime that each job requests. null: the site's own limit.")
    default_cpu_millis: int = Field(1000, gt=0, description="For a pod that requests no CPU, in thousandths of a CPU.")
    default_memory_bytes: int = Field(512 * MEBIBYTE, gt=0, description="For a pod that requests no memory.")
    default_disk_bytes: int = Field(GIBIBYTE, gt=0, description="For a pod that requests no ephemeral-storage.")
    runner_memory_bytes: int = Field(64 * MEBIBYTE, ge=0, description="Added to each pod's memory for podrunner itself.")


class FollowSettings(Group):
    """How the plugin follows the jobs."""

    poll_seconds: float = Field(
        2.0, gt=0, description="Pause between two queries for all jobs. It becomes longer by itself if queries are slow."
    )


class StreamSettings(FollowSettings):
    """How the plugin follows the jobs."""

    quiet_poll_seconds: float = Field(
        30.0, gt=0, description="The plugin reads a running job that writes nothing less and less often, down to once in this time."
    )
    reads_per_round: int = Field(100, ge=1, description="Largest number of jobs whose streams the plugin reads in one round.")


class CapacitySettings(Group):
    """What the virtual node offers."""

    cpu_millis: int | None = Field(None, ge=0, description="With source fixed.")
    memory_bytes: int | None = Field(None, ge=0, description="With source fixed.")
    pods: int | None = Field(1000, gt=0, description="Number of pods that the node offers.")


class BatchSettings(PluginSettings):
    """Settings of every plugin of a batch system; a plugin adds its own groups, and fields to these."""

    instance: str = Field(
        "", description="Marks the plugin's jobs among those of its user. Empty: node_name, or else the path of the state directory."
    )
    job: JobSettings = JobSettings()
    follow: FollowSettings = StreamSettings()
    capacity: CapacitySettings = CapacitySettings()
    cvmfs: CvmfsSettings = CvmfsSettings()
    runner: RunnerSettings = RunnerSettings()

    def model_post_init(self, context: object, /) -> None:
        super().model_post_init(context)
        if not self.instance:
            self.instance = self.node_name or str(self.state_dir)
