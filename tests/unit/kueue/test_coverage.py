"""What this backend declares: the few things that have no effect on the remote cluster."""

from __future__ import annotations

from dataclasses import replace

import pytest

from interlink_common.errors import Refused
from interlink_common.model.workload import ExternalVolume, Network
from interlink_common.translation.coverage import coverage
from interlink_kueue.backend import KueueBackend
from tests.unit.kueue.pods import pod


def test_what_has_no_effect_is_a_warning() -> None:
    meshed = replace(pod(), network=Network(mesh_script="mesh.sh", tunnel_commands="wstunnel"))
    assert coverage(meshed, KueueBackend.capabilities, "strict") == (
        "pod.metadata.annotations.slurm-job.vk.io/pre-exec is not supported by this backend",
        "pod.metadata.annotations.interlink.eu/wstunnel-client-commands is not supported by this backend",
    )


def test_volumes_of_unknown_kinds_are_refused() -> None:
    with pytest.raises(Refused, match=r"volumes\[v\]\.rbd"):
        coverage(pod(volumes=(ExternalVolume("v", "rbd", "v"),)), KueueBackend.capabilities, "warn")
