"""The files of a batch job: what is in them, their modes, and that nothing of the pod is in the shell text."""

from __future__ import annotations

import io
import json
import zipfile

import pytest

from interlink_common.jobbundle.bundle import build, build_one_file, podrunner_archive
from interlink_common.model.codec import decode, from_json
from interlink_common.model.workload import Container, File, FilesVolume, Workload
from interlink_common.podrunner.config import RunnerConfig

POD = Workload(
    uid="uid",
    name="pod",
    namespace="default",
    containers=(Container("main", "busybox", command=("sh", "-c", "'; rm -rf / #"), env={"TOKEN": "s3cret"}),),
    volumes=(FilesVolume("keys", (File("key", 0o400, b"\x00s3cret"),), secret=True),),
)


def test_files_and_modes() -> None:
    files = build(POD, RunnerConfig()).files
    modes = {name: file.mode for name, file in files.items()}
    assert modes == {"start.sh": 0o755, "pod.json": 0o600, "runner.json": 0o600, "podrunner.pyz": 0o644}
    assert from_json(files["pod.json"].data.decode()) == POD


def test_options_travel() -> None:
    config = RunnerConfig(runtimes=("process",), options={"apptainer": ("--nv",)}, images={"a": "/b.sif"}, stop_seconds=5.0)
    assert decode(json.loads(build(POD, config).files["runner.json"].data), RunnerConfig) == config


def test_the_shell_text_and_the_archive_depend_on_no_pod() -> None:
    one, other = build(POD, RunnerConfig()).files, build(Workload("u", "n", "ns", ()), RunnerConfig()).files
    assert (one["start.sh"], one["podrunner.pyz"]) == (other["start.sh"], other["podrunner.pyz"])


def test_python_candidates_come_first() -> None:
    script = build(POD, RunnerConfig(), pythons=["/opt/py/bin/python3"]).files["start.sh"].data.decode()
    assert "for python in /opt/py/bin/python3 python3 " in script


@pytest.mark.parametrize("path", ["python3", "/opt/$(id)/python", "/a b", "/a;b", ""])
def test_a_candidate_that_a_shell_could_misread_is_no_candidate(path: str) -> None:
    with pytest.raises(ValueError, match="plain absolute path"):
        build(POD, RunnerConfig(), pythons=[path])


def test_the_archive_is_the_same_every_time() -> None:
    first = podrunner_archive()
    podrunner_archive.cache_clear()
    assert podrunner_archive() == first
    with zipfile.ZipFile(io.BytesIO(first)) as archive:
        assert {entry.date_time for entry in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.testzip() is None


def test_one_file_is_a_shell_text_and_an_archive_with_everything() -> None:
    files, whole = build(POD, RunnerConfig()).files, build_one_file(POD, RunnerConfig())
    assert whole.startswith(files["start.sh"].data.replace(b"podrunner.pyz", b"start.sh"))
    with zipfile.ZipFile(io.BytesIO(whole)) as archive, zipfile.ZipFile(io.BytesIO(files["podrunner.pyz"].data)) as plain:
        assert archive.testzip() is None
        assert set(archive.namelist()) == {*plain.namelist(), "pod.json", "runner.json"}
        assert all(archive.read(name) == files[name].data for name in ("pod.json", "runner.json"))
