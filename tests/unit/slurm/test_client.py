"""What becomes of the words, exit codes and silence of Slurm's programs: here one program plays all of them."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from interlink_common.errors import BackendUnavailable, PluginError, Refused
from interlink_slurm.client import Slurm
from interlink_slurm.settings import SlurmSettings

WRITES = "import sys; print(sys.argv[1:])"


def slurm(program: str) -> Slurm:
    return Slurm(
        SlurmSettings(
            instance="here",
            directory=Path("/shared"),
            state_dir=Path("/state"),
            listen="unix:///s",
            command_prefix=[sys.executable, "-c", program],
            call_timeout_seconds=5,
        )
    )


def failing(words: str) -> str:
    return f"import sys; sys.exit({words!r})"


async def test_arguments_arrive_as_they_are() -> None:
    answer = await slurm(WRITES).submit(["--comment=$(id) 'x' \"y\"\n|", "--wrap=z"])
    assert answer == str(["sbatch", "--parsable", "--comment=$(id) 'x' \"y\"\n|", "--wrap=z"])


async def test_a_job_is_cancelled_by_its_number_and_its_pod(tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    await slurm(f"import pathlib, sys; pathlib.Path({str(seen)!r}).write_text(str(sys.argv[1:]))").cancel("4/u1")
    assert seen.read_text() == str(["scancel", "--name=interlink-u1", "4"])


async def test_the_id_without_the_cluster() -> None:
    assert await slurm("print('17;test')").submit([]) == "17"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("sbatch: error: Batch job submission failed: Invalid partition name specified", Refused),
        ("sbatch: error: Batch job submission failed: Requested node configuration is not available", Refused),
        ("sbatch: error: Batch job submission failed: Unable to contact slurm controller (connect failure)", BackendUnavailable),
        ("sbatch: error: Batch job submission failed: Socket timed out on send/recv operation", BackendUnavailable),
        ("sbatch: error: Munge encode failed: Failed to access the socket", BackendUnavailable),
        ("sbatch: error: Batch job submission failed: Protocol authentication error", BackendUnavailable),
    ],
)
async def test_errors_of_sbatch(words: str, error: type[PluginError]) -> None:
    with pytest.raises(error, match=words.partition("(")[0].rstrip()):
        await slurm(failing(words)).submit([])


async def test_other_programs_refuse_nothing() -> None:
    with pytest.raises(BackendUnavailable, match="squeue failed: no such thing"):
        await slurm(failing("no such thing")).jobs()


async def test_a_program_that_does_not_end_is_ended() -> None:
    silent = slurm("import time; time.sleep(1000)")
    silent._settings.call_timeout_seconds = 0.5
    with pytest.raises(BackendUnavailable, match=r"scancel did not end within 0\.5 s"):
        await silent.cancel("1/u1")


async def test_a_program_that_is_not_there() -> None:
    missing = slurm("")
    missing._settings.command_prefix = ["/nonexistent/program"]
    with pytest.raises(BackendUnavailable, match="/nonexistent/program cannot be started: No such file or directory"):
        await missing.version()
