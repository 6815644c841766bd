"""Settings of the ARC plugin: the computing elements, the credential, what a job requests, and what the operator lets pods do."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator, model_validator

from interlink_common.batchsystem.settings import BatchSettings, CapacitySettings, CvmfsSettings, JobSettings, StreamSettings
from interlink_common.settings import PATTERN_KEYS, Group

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*")


class CredentialSettings(Group):
    """The plugin's credential. No other user may be able to read the files; the plugin reads renewed files again by itself."""

    proxy_file: Path | None = Field(None, description="File with an X.509 proxy (or with certificate, key and chain).")
    certificate_file: Path | None = Field(None, description="File with an X.509 certificate; key_file must be set too.")
    key_file: Path | None = Field(None, description="File with the key of certificate_file, without a passphrase.")
    token_file: Path | None = Field(None, description="File with a token (JWT) of an issuer that the computing element trusts.")
    delegate: bool = Field(
        False, description="Delegate the X.509 credential to the jobs and renew it, for jobs or runtime environments that need one."
    )

    @model_validator(mode="after")
    def _whole(self) -> CredentialSettings:
        if (self.certificate_file is None) != (self.key_file is None):
            raise ValueError("certificate_file and key_file must be set together")
        if self.delegate and self.proxy_file is None and self.certificate_file is None:
            raise ValueError("delegate needs an X.509 credential")
        return self


class TrustSettings(Group):
    """Authorities that the plugin trusts. It always verifies the certificate of a computing element."""

    ca_directory: Path = Field(
        Path("/etc/grid-security/certificates"),
        description="Directory with the certificates of authorities, named by hash as IGTF does, and with their revocation lists if"
        " there are any.",
    )


class RuntimeEnvironment(Group):
    """A runtime environment of the site that a job requests, such as ENV/CVMFS."""

    name: str = Field(description="Its name at the computing element.")
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
    weight: int = Field(
        1, ge=0, description="Its share of the new pods, relative to the others. 0: no new pods; the plugin follows its pods to their end."
    )
    queue: str = Field("", description="Queue of the jobs at this computing element. Empty: its own choice.")

    @field_validator("url")
    @classmethod
    def _https(cls, url: str) -> str:
        if not re.fullmatch(r"https://[^/?#\s]+/[^?#\s]*[^/?#\s]", url):
            raise ValueError("the url of a computing element is https://host[:port]/arex, without a slash at the end")
        return url


class ElementJobSettings(JobSettings):
    """What every job requests."""

    cpu_time: bool = Field(True, description="If the job requests a walltime, also request CPU time: the walltime times the CPUs.")
    priority: int | None = Field(
        None, ge=0, le=100, description="Priority among the jobs of the computing element, whose own default is 50."
    )
    memory: Literal["per-slot", "whole"] = Field(
        "per-slot",
        description="per-slot: request the pod's memory divided by the slots, as ARC counts. whole: request all of it for each slot,"
        " for sites that want this.",
    )
    runtime_environments: list[RuntimeEnvironment] = Field(default_factory=list, description="Runtime environments of every job.")


class DeviceSettings(Group):
    """How a job requests one kind of accelerator."""

    queue: str = Field("", description="Queue whose nodes have this device.")
    ces: list[str] = Field(default_factory=list, description="Names of the computing elements that have this device. Empty: all.")
    runtime_environments: list[RuntimeEnvironment] = Field(
        default_factory=list, description="Runtime environments that set it up. {count} in an option stands for the number of devices."
    )
    capacity: int = Field(0, ge=0, description="How many devices of this kind the virtual node offers.")


class TenantSettings(Group):
    """Settings for the pods of some namespaces. Empty: as for all others."""

    credential: CredentialSettings | None = Field(None, description="Whose jobs these are; null: the plugin's own credential.")
    ces: list[str] = Field(default_factory=list, description="Names of the computing elements that they may use. Empty: all.")
    queue: str = Field("", description="Queue of their jobs.")
    walltime_seconds: int | None = Field(None, gt=0, description="In place of job.walltime_seconds.")


class ElementCapacitySettings(CapacitySettings):
    """What the virtual node offers."""

    source: Literal["ces", "fixed"] = Field("ces", description="ces: what the computing elements publish. fixed: the numbers below.")


class ElementCvmfsSettings(CvmfsSettings):
    """CernVM-FS on the worker nodes."""

    runtime_environments: list[RuntimeEnvironment] = Field(
        default_factory=list, description="Runtime environments of jobs that need CVMFS, such as ENV/CVMFS."
    )


class ArcSettings(BatchSettings):
    """Settings of `interlink-plugin serve arc`."""

    plugin_name: ClassVar[str] = "arc"

    ces: dict[str, ElementSettings] = Field(default_factory=dict, description="Computing elements by a name of your own.")
    credential: CredentialSettings = CredentialSettings()
    trust: TrustSettings = TrustSettings()
    tenants: Annotated[dict[str, TenantSettings], PATTERN_KEYS] = Field(
        default_factory=lambda: {"*": TenantSettings()},
        description="Namespace, or a pattern, -> what differs there. The most specific key counts. Pods without one are refused.",
    )
    job: ElementJobSettings = ElementJobSettings()
    devices: Annotated[dict[str, DeviceSettings], PATTERN_KEYS] = Field(
        default_factory=dict, description="Resource of a pod, such as nvidia.com/gpu, -> how a job requests it. The plugin refuses others."
    )
    queues: dict[str, str] = Field(
        default_factory=dict,
        description="Node selector of a pod as key=value -> queue of its job. The plugin ignores other node selectors.",
    )
    cvmfs: ElementCvmfsSettings = ElementCvmfsSettings()
    follow: StreamSettings = StreamSettings()
    capacity: ElementCapacitySettings = ElementCapacitySettings()
    call_timeout_seconds: float = Field(
        60.0, gt=0, description="How long one request may take before the computing element counts as unreachable."
    )
    requests_at_once: int = Field(
        16, ge=1, description="Largest number of requests at the same time to one computing element, for each credential."
    )
    jobs_per_call: int = Field(100, ge=1, description="Largest number of jobs in one request that submits, kills or cleans.")

    @model_validator(mode="after")
    def _known_elements(self) -> ArcSettings:
        for group, entries in (("tenants", self.tenants), ("devices", self.devices)):
            for pattern, entry in entries.items():
                for name in entry.ces:
                    if name not in self.ces:
                        raise ValueError(f"{group}.{pattern}.ces names {name}, which is not in ces")
        return self
