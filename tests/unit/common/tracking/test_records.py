"""The database: what it keeps, who may open it, what it refuses."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from interlink_common.errors import ConfigurationError
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.tracking.pods import Intent, PodRecord
from interlink_common.tracking.records import Records

REPORT = PodReport(
    containers=(
        ContainerReport(
            "a", Running(1.5), Terminated(1, "Error", "bad \ud800", 1.0, 2.0, "x://1"), True, True, 1, "i", "sha", "x://2", "why"
        ),
        ContainerReport("b", Waiting("CrashLoopBackOff", "m")),
    ),
    init_containers=(ContainerReport("i", Terminated(0)),),
    finished=True,
)


async def test_everything_a_status_needs_is_loaded_again(tmp_path: Path) -> None:
    pod = PodRecord("u", "ns", "n", Intent.CREATING, grace_seconds=7, not_offloaded=frozenset({"x"}), warnings=("w",), created_at=5.0)
    records = Records(tmp_path)
    await records.insert(pod, '{"secret": 1}')
    pod.submitted("j")
    await records.update(pod)
    pod.observed(REPORT, now=9.0)
    records.note_report(pod)
    await records.close()
    records = Records(tmp_path)
    (loaded,), tombstones = records.load()
    assert tombstones == {}
    fields = (
        "uid",
        "namespace",
        "name",
        "intent",
        "jid",
        "grace_seconds",
        "not_offloaded",
        "warnings",
        "report",
        "created_at",
        "finished_at",
    )
    assert [getattr(loaded, field) for field in fields] == [getattr(pod, field) for field in fields]
    assert await records.workload_json("u") == '{"secret": 1}'
    await records.close()


def contents(directory: Path) -> bytes:
    return b"".join(path.read_bytes() for path in directory.iterdir())


async def test_a_grave_holds_nothing_but_uid_and_time(tmp_path: Path) -> None:
    records = Records(tmp_path)
    await records.insert(PodRecord("u", "ns", "n", warnings=("hush-hush",)), "top-secret")
    await records.bury("u", 3.0)
    assert records.load() == ([], {"u": 3.0})
    assert await records.workload_json("u") is None
    await records.erase_tombstones(before=4.0)
    assert records.load() == ([], {})
    await records.close()
    left = contents(tmp_path)
    assert b"top-secret" not in left
    assert b"hush-hush" not in left


async def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    records = Records(tmp_path / "state")
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "state").iterdir()} == {0o600}
    await records.close()


async def test_a_second_process_is_refused_and_the_next_one_is_not(tmp_path: Path) -> None:
    records = Records(tmp_path)
    program = f"from pathlib import Path; from interlink_common.tracking.records import Records; Records(Path({str(tmp_path)!r}))"
    other = await asyncio.to_thread(subprocess.run, [sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert other.returncode == 1
    assert f"the state_dir {tmp_path} is in use by another plugin process" in other.stderr
    await records.close()
    await Records(tmp_path).close()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "records.sqlite3").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigurationError, match="move the file away"):
        Records(tmp_path)


def test_a_directory_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="state_dir"):
        Records(tmp_path / "file")


async def test_a_failed_flush_keeps_the_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(tmp_path)
    pod = PodRecord("u", report=REPORT)
    await records.insert(pod, None)
    records.note_report(pod)
    with monkeypatch.context() as patch:
        patch.setattr("interlink_common.tracking.records._report_json", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await records.flush()
    await records.flush()
    assert records.load()[0][0].report == REPORT
    await records.close()


@pytest.mark.parametrize("mode", [0o1777, 0o770])
async def test_a_directory_that_others_write_is_refused_and_left_as_it_is(tmp_path: Path, mode: int) -> None:
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(mode)
    with pytest.raises(ConfigurationError, match=f"choose one that only this user can write, such as {shared}/interlink"):
        Records(shared)
    assert stat.S_IMODE(shared.stat().st_mode) == mode
    assert list(shared.iterdir()) == []


async def test_a_directory_of_somebody_else_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: tmp_path.stat().st_uid + 1)
    with pytest.raises(ConfigurationError, match="belongs to another user"):
        Records(tmp_path)


async def test_a_directory_of_our_own_keeps_its_mode_and_a_new_one_is_private(tmp_path: Path) -> None:
    for name, mode in (("made", 0o755), ("new/state", 0o700)):
        directory = tmp_path / name
        if name == "made":
            directory.mkdir(mode=0o755)
        await Records(directory).close()
        assert stat.S_IMODE(directory.stat().st_mode) == mode
        assert {stat.S_IMODE(path.stat().st_mode) for path in directory.iterdir()} == {0o600}


async def test_a_report_whose_write_failed_is_still_to_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = Records(tmp_path)
    pod = PodRecord("u", "n", "p", Intent.ACTIVE, "j")
    await records.insert(pod, None)
    pod.observed(REPORT, now=9.0)
    records.note_report(pod)

    def full(report: PodReport) -> str:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("interlink_common.tracking.records._report_json", full)
        with pytest.raises(sqlite3.OperationalError):
            await records.flush()
    assert records.changed.is_set()
    await records.flush()
    assert not records.changed.is_set()
    assert records.load()[0][0].report == REPORT
    await records.close()
