"""Settings of the ARC plugin: which computing elements, as whom, what a job asks for, and what the operator lets pods do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from interlink_common.batchsystem.settings import CvmfsSettings, RunnerSettings
from interlink_common.settings import Group, PluginSettings

GIBIBYTE = 1024**3
MEBIBYTE = 1024**2
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


class CredentialSettings(Group):
    """Who we are for a computing element. Files must be readable by nobody else; renewed ones are read again by themselves."""

    proxy_file: Path | None = Field(None, description="An X.509 proxy (or certificate, key and chain in one file).")
    certificate_file: Path | None = Field(None, description="An X.509 certificate; with key_file.")
    key_file: Path | None = Field(None, description="The key of certificate_file, without a passphrase.")
    token_file: Path | None = Field(None, description="A token (JWT) of an issuer that the computing element trusts.")
    delegate: bool = Field(
        False, description="Delegate the X.509 credential to the jobs, and renew it: for jobs or runtime environments that need one."
    )

    @model_validator(mode="after")
    def _whole(self) -> CredentialSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file go together")
        if self.delegate and self.proxy_file is None and self.certificate_file is None:
            raise ValueError("delegate needs an X.509 credential")
        return self


class TrustSettings(Group):
    """Whom we believe that they are the computing element. Verified always."""

    ca_directory: Path = Field(
        Path("/etc/grid-security/certificates"),
        description="Certificates of authorities by hash (as of IGTF), with their revocation lists where there are any.",
    )


class RuntimeEnvironment(Group):
    """A runtime environment of the site that a job asks for, such as ENV/CVMFS."""

    name: str = Field(description="As the computing element knows it.")
    options: list[str] = Field(default_factory=list, description="Its arguments.")

    @field_validator("name")
    @classmethod
    def _plain(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("the name of a runtime environment may hold letters, digits and . _ / - only")
        return name


class ElementSettings(Group):
    """One computing element."""

    url: str = Field(description="https://host[:port]/arex")
    weight: int = Field(1, ge=0, description="Its share of new pods beside the others; 0: none, only what runs there is looked after.")
    queue: str = Field("", description="Queue of the jobs there. Empty: the computing element's own choice.")

    @field_validator("url")
    @classmethod
    def _https(cls, url: str) -> str:
        if not re.fullmatch(r"https://[^/?#\s]+/[^?#\s]*[^/?#\s]", url):
            raise ValueError("the url of a computing element is https://host[:port]/arex, without a slash at the end")
        return url


class JobSettings(Group):
    """What every job asks for."""

    walltime_seconds: int | None = Field(None, gt=0, description="Asked for each job; null: the queue's own limit.")
    cpu_time: bool = Field(True, description="Ask for as much cpu time as the walltime times the cpus, where a walltime is asked for.")
    priority: int | None = Field(None, ge=0, le=100, description="Among jobs of the computing element; 50 is its own default.")
    default_cpu_millis: int = Field(1000, gt=0, description="For a pod that asks for no cpu.")
    default_memory_bytes: int = Field(512 * MEBIBYTE, gt=0, description="For a pod that asks for no memory.")
    default_disk_bytes: int = Field(GIBIBYTE, gt=0, description="For a pod that asks for no ephemeral-storage.")
    runner_memory_bytes: int = Field(64 * MEBIBYTE, ge=0, description="Added to each pod's memory for podrunner itself.")
    memory: Literal["per-slot", "whole"] = Field(
        "per-slot", description="ARC counts memory for each slot of a job; whole: ask for the pod's sum for each, where a site wants that."
    )
    runtime_environments: list[RuntimeEnvironment] = Field(default_factory=list, description="Of every job.")


class DeviceSettings(Group):
    """How one kind of accelerator is asked for; what is empty is not asked for."""

    queue: str = Field("", description="Queue whose nodes have it.")
    ces: list[str] = Field(default_factory=list, description="Names of computing elements that have it. Empty: all.")
    runtime_environments: list[RuntimeEnvironment] = Field(
        default_factory=list, description="Runtime environments that set it up; {count} in an option stands for how many."
    )
    capacity: int = Field(0, ge=0, description="How many of them the virtual node offers.")


class TenantSettings(Group):
    """What differs for the pods of some namespaces. Empty: as everywhere."""

    credential: CredentialSettings | None = Field(None, description="Whose jobs these are; null: the plugin's own credential.")
    ces: list[str] = Field(default_factory=list, description="Names of computing elements they may use. Empty: all.")
    queue: str = Field("", description="Queue of their jobs.")
    walltime_seconds: int | None = Field(None, gt=0, description="In place of job.walltime_seconds.")


class FollowSettings(Group):
    """How states are learnt."""

    poll_seconds: float = Field(2.0, gt=0, description="Pause between two looks at the states of all jobs, one request for each element.")
    quiet_poll_seconds: float = Field(
        30.0, gt=0, description="A running job whose stream has nothing new is looked at less and less often, down to this."
    )
    reads_per_round: int = Field(100, ge=1, description="Streams of running jobs that are read in one round, at most.")


class CapacitySettings(Group):
    """What the virtual node offers."""

    source: Literal["ces", "fixed"] = Field("ces", description="ces: what the computing elements publish. fixed: the numbers below.")
    cpu_millis: int | None = Field(None, ge=0, description="Fixed, or null.")
    memory_bytes: int | None = Field(None, ge=0, description="Fixed, or null.")
    pods: int | None = Field(1000, gt=0, description="Pods of the node.")


class ElementCvmfsSettings(CvmfsSettings):
    """CernVM-FS on the worker nodes."""

    runtime_environments: list[RuntimeEnvironment] = Field(
        default_factory=list, description="Asked for by a job that wants CVMFS, such as ENV/CVMFS."
    )


class ArcSettings(PluginSettings):
    """Settings of `interlink-plugin serve arc`."""

    plugin_name: ClassVar[str] = "arc"

    instance: str = Field("", description="Marks this plugin's jobs among those of its credential. Empty: node_name, else the state path.")
    ces: dict[str, ElementSettings] = Field(default_factory=dict, description="Computing elements by a name of your own.")
    credential: CredentialSettings = CredentialSettings()
    trust: TrustSettings = TrustSettings()
    tenants: dict[str, TenantSettings] = Field(
        default_factory=dict, description="Namespace, or pattern with *, -> what differs; first fit."
    )
    job: JobSettings = JobSettings()
    devices: dict[str, DeviceSettings] = Field(
        default_factory=dict, description="Resource of a pod, such as nvidia.com/gpu, -> how it is asked for. Others are refused."
    )
    queues: dict[str, str] = Field(
        default_factory=dict, description="Node selector of a pod as key=value -> queue of its job. Others are not looked at."
    )
    cvmfs: ElementCvmfsSettings = ElementCvmfsSettings()
    follow: FollowSettings = FollowSettings()
    capacity: CapacitySettings = CapacitySettings()
    runner: RunnerSettings = RunnerSettings()
    call_timeout_seconds: float = Field(60.0, gt=0, description="How long one request may take before the element counts as unreachable.")
    requests_at_once: int = Field(16, ge=1, description="To one computing element, for each credential.")
    jobs_per_call: int = Field(100, ge=1, description="In one request that submits, kills or cleans many.")

    def model_post_init(self, context: object, /) -> None:
        super().model_post_init(context)
        if not self.instance:
            self.instance = self.node_name or str(self.state_dir)

    @model_validator(mode="after")
    def _known_elements(self) -> ArcSettings:
        for group, entries in (("tenants", self.tenants), ("devices", self.devices)):
            for pattern, entry in entries.items():
                for name in entry.ces:
                    if name not in self.ces:
                        raise ValueError(f"{group}.{pattern}.ces names {name}, which is not in ces")
        return self
