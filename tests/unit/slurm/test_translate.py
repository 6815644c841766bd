"""Whole lists of arguments, compared; and that nothing of a hostile pod is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.errors import Refused
from interlink_common.model.workload import Container, Resources, Workload
from interlink_slurm.settings import SlurmSettings
from interlink_slurm.translate import sbatch_arguments

UID = "5f0c-1"
DIRECTORY = Path("/shared/it's/pods") / UID / "job"


def settings(**more: Any) -> SlurmSettings:
    return SlurmSettings(instance="here", directory=Path("/shared"), state_dir=Path("/state"), listen="unix:///s", **more)


def a_pod(**more: Any) -> Workload:
    return Workload(UID, "name", "space", (Container("main", "busybox"),), **more)


def expected(*, cpus: int, mebibytes: int, more: list[str]) -> list[str]:
    return [
        f"--job-name=interlink-{UID}",
        "--comment=here",
        "--output=/dev/null",
        f"--error={DIRECTORY}/podrunner.err",
        "--export=NIL",
        "--no-requeue",
        "--nodes=1",
        "--ntasks=1",
        f"--cpus-per-task={cpus}",
        f"--mem={mebibytes}M",
        *more,
        f"--wrap=cd '/shared/it'\"'\"'s/pods/{UID}/job' && mkdir started && exec ./start.sh",
    ]


def test_a_plain_pod() -> None:
    assert sbatch_arguments(a_pod(), DIRECTORY, settings()) == expected(cpus=1, mebibytes=512 + 64, more=[])


def test_a_pod_with_everything() -> None:
    pod = a_pod(size=Resources(2500, 2**30 + 1, 2**20, {"nvidia.com/gpu": 2}), active_deadline_seconds=100, grace_seconds=40)
    job = {"partition": "short", "account": "us", "options": ["--qos=low"], "runner_memory_bytes": 0}
    offered = settings(job=job, devices={"nvidia.com/*": {"gres": "gpu:a100"}})
    more = ["--partition=short", "--account=us", "--time=4", "--gres=gpu:a100:2", "--qos=low"]
    assert sbatch_arguments(pod, DIRECTORY, offered) == expected(cpus=3, mebibytes=1025, more=more)


def test_a_device_that_nobody_maps() -> None:
    with pytest.raises(Refused, match=r"resource nvidia\.com/gpu is not offered here"):
        sbatch_arguments(a_pod(size=Resources(devices={"nvidia.com/gpu": 1})), DIRECTORY, settings())


@given(text=st.text(), words=st.lists(st.text()))
def test_nothing_of_the_pod_but_its_uid(text: str, words: list[str]) -> None:
    container = Container(text, text, command=tuple(words))
    hostile = Workload(UID, text, text, (container,), labels={text: text}, annotations={text: text})
    assert sbatch_arguments(hostile, DIRECTORY, settings()) == sbatch_arguments(a_pod(), DIRECTORY, settings())
