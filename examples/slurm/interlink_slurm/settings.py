"""Settings of the Slurm plugin: how Slurm is reached, and what a job asks for. The rest is that of every batch plugin."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar

from pydantic import Field

from interlink_common.batchsystem.settings import BatchSettings, JobSettings, StreamSettings
from interlink_common.settings import PATTERN_KEYS, Group


class SlurmJobSettings(JobSettings):
    """What every job asks for."""

    partition: str = Field("", description="Empty: the cluster's default.")
    account: str = Field("", description="Empty: the user's default.")
    options: list[str] = Field(default_factory=list, description="More arguments of sbatch, such as --qos=short.")


class DeviceSettings(Group):
    """How one kind of accelerator is asked for."""

    gres: str = Field(description="Name of the generic resource in Slurm, with its type if need be: gpu, gpu:a100.")
    capacity: int = Field(0, ge=0, description="How many of them the virtual node offers.")


class SlurmSettings(BatchSettings):
    """Settings of `interlink-plugin serve slurm`."""

    plugin_name: ClassVar[str] = "slurm"

    directory: Path = Field(description="Directory of the pods' files. The worker nodes must see it under the same path.")
    command_prefix: list[str] = Field(
        default_factory=list, description="Words before every command of Slurm, where Slurm's programs cannot be started as they are."
    )
    call_timeout_seconds: float = Field(60.0, gt=0, description="A command of Slurm that takes longer is ended.")
    job: SlurmJobSettings = SlurmJobSettings()
    follow: StreamSettings = StreamSettings()
    devices: Annotated[dict[str, DeviceSettings], PATTERN_KEYS] = Field(
        default_factory=dict, description="Resource of a pod, such as nvidia.com/gpu, -> how it is asked for. Others are refused."
    )
