"""Settings of the HTCondor plugin: which pool, as whom, what a job asks for, and what the operator lets pods do. The defaults deny."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from interlink_common.batchsystem.settings import CvmfsSettings, RunnerSettings
from interlink_common.settings import Group, PluginSettings

MEBIBYTE = 1024 * 1024
HoldPolicy = Literal["wait", "release", "fail"]
ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_PREFIX = "interlink"


def require_attributes(given: dict[str, str], setting: str, *, names: list[str] | None = None) -> dict[str, str]:
    for name in names if names is not None else list(given):
        if not ATTRIBUTE.fullmatch(name) or name.lower().startswith(RESERVED_PREFIX):
            raise ValueError(f"{setting}: {name} is not a name that an attribute may have here")
    for text in given.values():
        if "\n" in text or "\x1f" in text:
            raise ValueError(f"{setting}: an expression is one line")
    return given


class PoolSettings(Group):
    """Where the jobs go."""

    collector: str = Field("", description="host or host:port of the collector. Empty: the schedd's own, from schedd_address.")
    schedd: str = Field("", description="Name of the schedd, as condor_status -schedd shows it. Empty: the collector's only one.")
    call_timeout_seconds: float = Field(60.0, gt=0, description="How long one call may take before the pool counts as unreachable.")
    transfer_timeout_seconds: float = Field(300.0, gt=0, description="The same for calls that carry files.")


class CredentialSettings(Group):
    """Who we are for the schedd. Files must be readable by nobody else. Nothing set: HTCondor's own rules for this host."""

    token_file: Path | None = Field(None, description="An IDTOKEN (condor_token_create, condor_token_fetch).")
    scitoken_file: Path | None = Field(None, description="A SciToken or WLCG token; renewed tokens are read again when a call fails.")
    x509_proxy_file: Path | None = Field(None, description="An X.509 proxy, for authentication with SSL; also sent along with the job.")
    ca_directory: Path | None = Field(None, description="Certificates of the authorities that sign the schedd's, for SSL and SciTokens.")


class JobSettings(Group):
    """What every job asks for."""

    universe: Literal["vanilla", "container"] = Field("vanilla", description="container: HTCondor starts podrunner inside container_image.")
    container_image: str = Field(
        "", description="With universe container: an image with Python, and with what runner.runtimes names. A path is one of the nodes."
    )
    requirements: str = Field("", description="ClassAd expression that a slot must fulfil, besides what the pod asks for.")
    rank: str = Field("", description="ClassAd expression: which slots are better.")
    priority: int = Field(0, description="Among jobs of the same owner; higher is sooner.")
    accounting_group: str = Field("", description="Group of the job's accounting. Empty: none.")
    walltime_seconds: int | None = Field(None, gt=0, description="A job that runs longer is stopped; null: the site's own limit.")
    cpus: Literal["up", "down"] = Field("up", description="Fractions of a cpu, summed over the pod, are rounded up, or down to at least 1.")
    default_cpu_millis: int = Field(1000, gt=0, description="For a pod that asks for no cpu.")
    default_memory_bytes: int = Field(512 * MEBIBYTE, gt=0, description="For a pod that asks for no memory.")
    default_disk_bytes: int = Field(1024 * MEBIBYTE, gt=0, description="For a pod that asks for no ephemeral-storage.")
    runner_memory_bytes: int = Field(64 * MEBIBYTE, ge=0, description="Added to each pod's memory for podrunner itself.")
    annotations: list[str] = Field(
        default_factory=list, description="Pod annotations, * allowed, that become attributes. Ads are world-readable: none by default."
    )
    attributes: dict[str, str] = Field(
        default_factory=dict, description="More attributes of the job's ad: name -> ClassAd expression, e.g. WantFlocking: true."
    )

    @field_validator("attributes")
    @classmethod
    def _names(cls, attributes: dict[str, str]) -> dict[str, str]:
        return require_attributes(attributes, "job.attributes")


class TenantSettings(Group):
    """What differs for the pods of some namespaces. Empty: as everywhere."""

    credential: CredentialSettings | None = Field(None, description="Whose jobs these are; null: the plugin's own credential.")
    owner: str = Field("", description="Owner of the jobs, where the credential is a queue super user of the schedd.")
    accounting_group: str = Field("", description="Group of the job's accounting.")
    requirements: str = Field("", description="Added to job.requirements.")
    priority: int | None = Field(None, description="In place of job.priority.")
    attributes: dict[str, str] = Field(default_factory=dict, description="Added to job.attributes.")

    @field_validator("attributes")
    @classmethod
    def _names(cls, attributes: dict[str, str]) -> dict[str, str]:
        return require_attributes(attributes, "tenants.attributes")

    @field_validator("owner", "accounting_group")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not re.fullmatch(r"[A-Za-z0-9._@-]*", name):
            raise ValueError("owner and accounting_group may hold letters, digits and . _ @ - only")
        return name


class DeviceSettings(Group):
    """How accelerators are asked for. A pattern is a resource name of Kubernetes; * stands for anything."""

    gpus: list[str] = Field(default_factory=lambda: ["nvidia.com/gpu", "amd.com/gpu"], description="Resources that are request_gpus.")
    custom: dict[str, str] = Field(
        default_factory=dict, description="Resource -> name of the machine resource: amd.com/xilinx_u55c: FPGAs means request_FPGAs."
    )

    @field_validator("custom")
    @classmethod
    def _names(cls, custom: dict[str, str]) -> dict[str, str]:
        return require_attributes(custom, "devices.custom", names=list(custom.values()))


class EvictionSettings(Group):
    """What becomes of a pod whose job was evicted, or whose worker node was lost. Annotation interlink.eu/on-eviction wins."""

    policy: Literal["rerun", "fail"] = Field("rerun", description="rerun: from the start, when a slot is free. fail: the pod has failed.")


class HoldSettings(Group):
    """What becomes of a pod whose job is held. A hold by somebody's hand always waits."""

    policy: HoldPolicy = Field("wait", description="wait for the operator; release after a while; fail the pod.")
    release_after_seconds: float = Field(60.0, gt=0, description="The first pause before a release; it doubles each time.")
    releases: int = Field(5, ge=1, description="After so many releases the pod fails.")


class FollowSettings(Group):
    """How states are learnt."""

    poll_seconds: float = Field(2.0, gt=0, description="Pause between two bulk queries; longer by itself where they are slow.")
    event_log: Path | None = Field(None, description="The schedd's EVENT_LOG, if it can be read here: states are then seen at once.")
    resync_seconds: float = Field(30.0, gt=0, description="Pause between two bulk queries where the event log is followed.")
    stream: Literal["chirp", "file"] = Field("chirp", description="chirp: live logs and states. file: both only when the job has ended.")
    window_bytes: int = Field(32 * MEBIBYTE, ge=MEBIBYTE, description="Log of one pod that may wait in the spool; then its output waits.")


class CapacitySettings(Group):
    """What the virtual node offers."""

    source: Literal["pool", "fixed"] = Field("pool", description="pool: what the slots have. fixed: the numbers below.")
    constraint: str = Field("", description="ClassAd expression: the slots that count.")
    cpu_millis: int | None = Field(None, ge=0, description="Fixed, or null.")
    memory_bytes: int | None = Field(None, ge=0, description="Fixed, or null.")
    pods: int | None = Field(1000, gt=0, description="Pods of the node.")
    devices: dict[str, int] = Field(default_factory=dict, description="Fixed: resource -> how many.")


class PoolCvmfsSettings(CvmfsSettings):
    """CernVM-FS on the worker nodes."""

    attribute: str = Field(
        "", description="Slot attribute that must be true for each repository; * is its name with _ for . and -: HAS_CVMFS_*. Empty: none."
    )

    @field_validator("attribute")
    @classmethod
    def _name(cls, attribute: str) -> str:
        if attribute and not ATTRIBUTE.fullmatch(attribute.replace("*", "x")):
            raise ValueError("cvmfs.attribute must be the name of a slot attribute, with * for the repository")
        return attribute


class HTCondorSettings(PluginSettings):
    """Settings of `interlink-plugin serve htcondor`."""

    plugin_name: ClassVar[str] = "htcondor"

    instance: str = Field("", description="Marks this plugin's jobs on a shared schedd. Empty: node_name, else the state directory's path.")
    pool: PoolSettings = PoolSettings()
    credential: CredentialSettings = CredentialSettings()
    tenants: dict[str, TenantSettings] = Field(
        default_factory=dict, description="Namespace, or pattern with *, -> what differs; first fit."
    )
    job: JobSettings = JobSettings()
    devices: DeviceSettings = DeviceSettings()
    evictions: EvictionSettings = EvictionSettings()
    holds: HoldSettings = HoldSettings()
    follow: FollowSettings = FollowSettings()
    capacity: CapacitySettings = CapacitySettings()
    cvmfs: PoolCvmfsSettings = PoolCvmfsSettings()
    runner: RunnerSettings = RunnerSettings()

    def model_post_init(self, context: object, /) -> None:
        super().model_post_init(context)
        if not self.instance:
            self.instance = self.node_name or str(self.state_dir)
