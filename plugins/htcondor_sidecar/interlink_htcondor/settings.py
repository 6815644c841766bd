"""Settings of the HTCondor plugin: the pool, the credential, what a job requests, and what the operator lets pods do. The defaults deny."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from interlink_common.batchsystem.settings import MEBIBYTE, BatchSettings, CapacitySettings, CvmfsSettings, FollowSettings, JobSettings
from interlink_common.settings import PATTERN_KEYS, Group

HoldPolicy = Literal["wait", "release", "fail"]
ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
RESERVED_PREFIX = "interlink"


def require_attributes(given: dict[str, str], setting: str, *, names: list[str] | None = None) -> dict[str, str]:
    for name in names if names is not None else list(given):
        if not ATTRIBUTE.fullmatch(name) or name.lower().startswith(RESERVED_PREFIX):
            raise ValueError(f"{setting}: {name} is not an allowed name of an attribute")
    for text in given.values():
        if "\n" in text or "\x1f" in text:
            raise ValueError(f"{setting}: an expression must be one line")
    return given


class PoolSettings(Group):
    """The pool that runs the jobs."""

    collector: str = Field("", description="host or host:port of the collector. Empty: the schedd's own, from schedd_address.")
    schedd: str = Field("", description="Name of the schedd, as condor_status -schedd shows it. Empty: the collector's only one.")
    call_timeout_seconds: float = Field(60.0, gt=0, description="How long one call may take before the pool counts as unreachable.")
    transfer_timeout_seconds: float = Field(300.0, gt=0, description="The same for calls that transfer files.")


class CredentialSettings(Group):
    """The plugin's credential for the schedd. No other user may be able to read the files. None: HTCondor's own rules for this host."""

    token_file: Path | None = Field(None, description="File with an IDTOKEN (condor_token_create, condor_token_fetch).")
    scitoken_file: Path | None = Field(None, description="File with a SciToken or WLCG token. The plugin reads it again when a call fails.")
    x509_proxy_file: Path | None = Field(
        None, description="File with an X.509 proxy, for authentication with SSL. The plugin also sends it with the job."
    )
    ca_directory: Path | None = Field(
        None, description="Directory with the certificates of the authorities that sign the schedd's certificate, for SSL and SciTokens."
    )


class PoolJobSettings(JobSettings):
    """What every job requests."""

    universe: Literal["vanilla", "container"] = Field("vanilla", description="container: HTCondor starts podrunner inside container_image.")
    container_image: str = Field(
        "", description="With universe container: an image with Python, and with what runner.runtimes names. A path is one of the nodes."
    )
    requirements: str = Field("", description="ClassAd expression that a slot must fulfil, in addition to what the pod requests.")
    rank: str = Field("", description="ClassAd expression: the job prefers slots with a higher value.")
    priority: int = Field(0, description="Priority among the jobs of one owner; a higher value starts sooner.")
    accounting_group: str = Field("", description="Accounting group of the jobs. Empty: none.")
    cpus: Literal["up", "down"] = Field("up", description="How to round the sum of a pod's CPU requests; down gives at least 1.")
    annotations: list[str] = Field(
        default_factory=list,
        description="Annotations of the pod that become attributes of the ad; * is allowed. Everybody can read ads, so the default"
        " is none.",
    )
    attributes: dict[str, str] = Field(
        default_factory=dict, description="More attributes of the ad: name -> ClassAd expression, for example WantFlocking: true."
    )

    @field_validator("attributes")
    @classmethod
    def _names(cls, attributes: dict[str, str]) -> dict[str, str]:
        return require_attributes(attributes, "job.attributes")


class TenantSettings(Group):
    """Settings for the pods of some namespaces. Empty: as for all others."""

    credential: CredentialSettings | None = Field(None, description="Whose jobs these are; null: the plugin's own credential.")
    owner: str = Field("", description="Owner of the jobs, if the credential is a queue super user of the schedd.")
    accounting_group: str = Field("", description="Accounting group of the jobs.")
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
    """How a job requests accelerators. A pattern is the name of a Kubernetes resource; * stands for anything."""

    gpus: list[str] = Field(default_factory=lambda: ["nvidia.com/gpu", "amd.com/gpu"], description="Resources that become request_gpus.")
    custom: dict[str, str] = Field(
        default_factory=dict,
        description="Resource -> name of the machine resource. With amd.com/xilinx_u55c: FPGAs, the job has request_FPGAs.",
    )

    @field_validator("custom")
    @classmethod
    def _names(cls, custom: dict[str, str]) -> dict[str, str]:
        return require_attributes(custom, "devices.custom", names=list(custom.values()))


class EvictionSettings(Group):
    """What happens to a pod whose job was evicted, or whose worker node was lost. The annotation interlink.eu/on-eviction overrides it."""

    policy: Literal["rerun", "fail"] = Field(
        "rerun", description="rerun: the pod runs from the start when a slot is free. fail: the pod has failed."
    )


class HoldSettings(Group):
    """What happens to a pod whose job is held. A job that a user holds always waits."""

    policy: HoldPolicy = Field("wait", description="wait: wait for you. release: release the job after a pause. fail: the pod fails.")
    release_after_seconds: float = Field(60.0, gt=0, description="Pause before the first release; it doubles each time.")
    releases: int = Field(5, ge=1, description="The pod fails after this number of releases.")


class PoolFollowSettings(FollowSettings):
    """How the plugin follows the jobs."""

    event_log: Path | None = Field(
        None, description="The schedd's EVENT_LOG, if the plugin can read it. The plugin then sees changes at once."
    )
    resync_seconds: float = Field(30.0, gt=0, description="Pause between two queries for all jobs if the plugin follows the event log.")
    stream: Literal["chirp", "file"] = Field(
        "chirp", description="chirp: logs and the states of containers are live. file: they arrive when the job has ended."
    )
    window_bytes: int = Field(
        32 * MEBIBYTE,
        ge=MEBIBYTE,
        description="How much of a pod's stream the spool directory may contain. When it is full, the containers block on their output.",
    )


class PoolCapacitySettings(CapacitySettings):
    """What the virtual node offers."""

    source: Literal["pool", "fixed"] = Field("pool", description="pool: the resources of the slots. fixed: the numbers below.")
    constraint: str = Field("", description="ClassAd expression that selects the slots that count.")
    devices: dict[str, int] = Field(default_factory=dict, description="With source fixed: resource -> number.")


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


class HTCondorSettings(BatchSettings):
    """Settings of `interlink-plugin serve htcondor`."""

    plugin_name: ClassVar[str] = "htcondor"

    pool: PoolSettings = PoolSettings()
    credential: CredentialSettings = CredentialSettings()
    tenants: Annotated[dict[str, TenantSettings], PATTERN_KEYS] = Field(
        default_factory=lambda: {"*": TenantSettings()},
        description="Namespace, or a pattern, -> what differs there. The most specific key counts. Pods without one are refused.",
    )
    job: PoolJobSettings = PoolJobSettings()
    devices: DeviceSettings = DeviceSettings()
    evictions: EvictionSettings = EvictionSettings()
    holds: HoldSettings = HoldSettings()
    follow: PoolFollowSettings = PoolFollowSettings()
    capacity: PoolCapacitySettings = PoolCapacitySettings()
    cvmfs: PoolCvmfsSettings = PoolCvmfsSettings()
