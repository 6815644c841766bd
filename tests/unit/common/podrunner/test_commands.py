"""What podrunner starts, as a whole: the command lines and environments of apptainer and podman."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.agent.runtime import StartError
from interlink_common.model.workload import Container, Resources, Security
from interlink_common.podrunner import apptainer as apptainer_module
from interlink_common.podrunner import processes
from interlink_common.podrunner.apptainer import Apptainer, environment_script
from interlink_common.podrunner.config import RunnerConfig
from interlink_common.podrunner.container_runtime import Bind, Launch
from interlink_common.podrunner.podman import Podman


def launch(directory: Path, container: Container, **fields: object) -> Launch:
    merged: dict[str, object] = {"image": "/images/x.sif", "environment": {}, "binds": (), "hostname": "", **fields}
    return Launch("uid-main-0", container, directory=directory, **merged)  # type: ignore[arg-type]  # a Launch's own


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Apptainer:
    monkeypatch.setattr(processes, "has_user_namespaces", lambda: True)
    monkeypatch.setattr(apptainer_module, "node_environment", lambda: {"PATH": "/bin"})
    return Apptainer("apptainer", "/usr/bin/apptainer", RunnerConfig(options={"apptainer": ("--fakeroot",)}), tmp_path / "job")


async def test_apptainer(tool: Apptainer, tmp_path: Path) -> None:
    container = Container(
        "main", "x", command=("sh", "-c"), args=("$HOME; 'x'",), working_dir="/work", limits=Resources(devices={"nvidia.com/gpu": 1})
    )
    binds = (Bind("/job/volumes/v", "/work"), Bind("/job/conf", "/etc/conf", True), Bind("/job/message", "/dev/termination-log"))
    program = await tool.program(launch(tmp_path, container, environment={"TOKEN": "s3cret", "HOME": "/h"}, binds=binds, hostname="pod"))
    assert program.arguments == (
        "/usr/bin/apptainer", "--silent", "exec",
        "--pid", "--no-init", "--contain", "--cleanenv", "--no-home", "--no-umask",
        "--workdir", f"{tmp_path}/tmp", "--pwd", "/work", "--overlay", f"{tmp_path}/overlay",
        "--userns", "--uts", "--hostname", "pod", "--nv",
        "--bind", "/job/volumes/v:/work", "--bind", "/job/conf:/etc/conf:ro", "--bind", "/job/message:/.podrunner/2",
        "--bind", f"{tmp_path}/environment.sh:/.singularity.d/env/99-podrunner.sh:ro",
        "--fakeroot", "/images/x.sif", "sh", "-c", "$HOME; 'x'",
    )  # fmt: skip
    assert program.environment == {
        "PATH": "/bin",
        "APPTAINER_NO_EVAL": "1",
        "APPTAINER_CONFIGDIR": f"{tmp_path}/job/runtime",
        "APPTAINER_TMPDIR": f"{tmp_path}/job/runtime/tmp",
        "APPTAINER_CACHEDIR": f"{tmp_path}/job/runtime/cache",
        "APPTAINERENV_TOKEN": "s3cret",
        "APPTAINERENV_HOME": "/h",
    }
    script = (tmp_path / "environment.sh").read_text()
    assert script == "export HOME=/h\nln -s /.podrunner/2 /dev/termination-log 2>/dev/null || :\n"


async def test_apptainer_with_a_read_only_root_and_its_own_kind_of_image(tool: Apptainer, tmp_path: Path) -> None:
    container = Container("main", "x", args=("a",), security=Security(read_only_root_filesystem=True))
    arguments = (await tool.program(launch(tmp_path, container))).arguments
    assert "--overlay" not in arguments
    assert arguments[2] == "run"
    assert arguments[-2:] == ("/images/x.sif", "a")


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"environment": {"a.b": "1"}}, "apptainer cannot pass the variable a.b"),
        ({"binds": (Bind("/a", "/b:c"),)}, "apptainer cannot mount /b:c"),
        ({"binds": (Bind("/a,b", "/c"),)}, "apptainer cannot mount /c"),
    ],
)
async def test_what_apptainer_can_not_take(tool: Apptainer, tmp_path: Path, fields: dict[str, object], words: str) -> None:
    with pytest.raises(StartError, match=words):
        await tool.program(launch(tmp_path, Container("main", "x", command=("true",)), **fields))


def test_how_apptainer_says_that_a_container_did_not_start(tool: Apptainer) -> None:
    told = tool.start_failure(255, 'before\n\x1b[31mFATAL:   "x": executable file not found in $PATH\n\x1b[0m')
    assert told is not None
    assert (told.exit_code, told.message) == (127, '"x": executable file not found in $PATH')
    assert tool.start_failure(255, "the program's own words") is None
    assert tool.start_failure(1, "FATAL: of the program") is None


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0")))
def test_any_home_survives_the_shell(home: str) -> None:
    script = environment_script(home, {}) + 'printf %s "$HOME"'
    done = subprocess.run(["sh", "-c", script], check=True, capture_output=True)
    assert done.stdout == home.encode()


async def test_podman(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tool = Podman("/bin/true", RunnerConfig(options={"podman": ("--security-opt=label=disable",)}), tmp_path)
    limits = Resources(cpu_millis=1500, memory_bytes=2**20)
    security = Security(run_as_user=1000, run_as_group=5)
    container = Container("main", "x", command=("sh", "-c"), args=("x",), working_dir="/w", limits=limits, security=security)
    binds = (Bind("/v", "/work"), Bind("/c", "/conf", True))
    environment = {"TOKEN": "s3cret", "LINES": "a\nb"}
    program = await tool.program(launch(tmp_path, container, image="box:1", environment=environment, binds=binds, hostname="pod"))
    assert program.arguments == (
        "/bin/true", "run", "--name", "uid-main-0", "--network", "host", "--log-driver", "none", "--pull", "never", "--http-proxy=false",
        "--pidfile", f"{tmp_path}/pid", "--hostname", "pod", "--workdir", "/w", "--user", "1000:5",
        "--memory=1048576", "--memory-swap=1048576", "--cpus=1.5",
        "--env-file", f"{tmp_path}/environment", "--secret", "uid-main-0-0,type=env,target=LINES",
        "--mount", "type=bind,src=/v,dst=/work", "--mount", "type=bind,src=/c,dst=/conf,ro=true",
        "--security-opt=label=disable", "--entrypoint", "sh", "box:1", "-c", "x",
    )  # fmt: skip
    assert (tmp_path / "environment").read_text() == "TOKEN=s3cret\n"
    assert (tmp_path / "environment").stat().st_mode & 0o777 == 0o600
