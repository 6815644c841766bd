"""Databases of earlier versions: what was in them is there after the climb, and a newer one is refused."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest

from interlink_common.errors import ConfigurationError
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.tracking.pods import Intent
from interlink_common.tracking.records import Records
from interlink_common.tracking.schema import STEPS

VERSION_1 = """
CREATE TABLE pods (
    uid TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL,
    workload TEXT, jid TEXT, intent TEXT NOT NULL, grace_seconds INTEGER NOT NULL,
    not_offloaded TEXT NOT NULL, warnings TEXT NOT NULL,
    report TEXT, finished INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL, finished_at REAL
) WITHOUT ROWID
"""
COLUMNS = "uid, namespace, name, workload, jid, intent, grace_seconds, not_offloaded, warnings, report, finished, created_at, finished_at"


def container(name: str, kind: str, state: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """As version 1 wrote it: every field, and the state as a pair."""
    whole = {"name": name, "state": [kind, state], "last_state": None, "ready": False, "started": False, "restart_count": 0}
    return {**whole, "image": "i", "image_id": "", "container_id": "", "message": "", **fields}


def terminated(code: int, message: str = "") -> dict[str, Any]:
    return {"exit_code": code, "reason": "", "message": message, "started_at": None, "finished_at": 2.5, "container_id": ""}


REPORTS = (
    None,
    {"containers": [container("main", "running", {"started_at": 1.5}, ready=True, started=True)], "init_containers": [], "finished": False},
    {
        "containers": [container("main", "terminated", terminated(3, "bad \ud800"), restart_count=1, last_state=terminated(1))],
        "init_containers": [container("init", "waiting", {"reason": "PodInitializing", "message": ""})],
        "finished": True,
    },
)
READ = (
    None,
    PodReport((ContainerReport("main", Running(1.5), ready=True, started=True, image="i"),)),
    PodReport(
        (
            ContainerReport(
                "main", Terminated(3, message="bad \ud800", finished_at=2.5), Terminated(1, finished_at=2.5), restart_count=1, image="i"
            ),
        ),
        (ContainerReport("init", Waiting("PodInitializing"), image="i"),),
        finished=True,
    ),
)


def row(number: int, report: dict[str, Any] | None) -> tuple[object, ...]:
    jid, intent = (f"jid-{number}", "active") if report else (None, "creating")
    finished = report is not None and report["finished"]
    lists = '["side"]', '["a warning"]'
    text = json.dumps(report) if report else None
    return f"uid-{number}", "ns", f"pod-{number}", '{"uid":"u"}', jid, intent, 7, *lists, text, finished, 5.0, 9.0 if finished else None


def write_version_1(directory: Path, count: int) -> None:
    """So many pods, and a tenth as many tombstones."""
    rows = [row(number, REPORTS[number % 3]) for number in range(count)]
    rows += [(f"gone-{number}", "", "", None, None, "deleted", 7, "[]", "[]", None, 0, 4.0, None) for number in range(count // 10)]
    directory.mkdir(mode=0o700)
    db = sqlite3.connect(directory / "records.sqlite3")
    with db:
        db.execute(VERSION_1)
        db.executemany(f"INSERT INTO pods ({COLUMNS}) VALUES ({','.join('?' * 13)})", rows)
        db.execute("PRAGMA user_version = 1")
    db.close()


async def test_ten_thousand_records_of_version_1(tmp_path: Path) -> None:
    write_version_1(tmp_path / "state", 10_000)
    begin = time.perf_counter()
    records = Records(tmp_path / "state")
    loaded, tombstones = records.load()
    assert time.perf_counter() - begin < 20
    assert tombstones == {f"gone-{number}": 4.0 for number in range(1_000)}
    assert {record.uid for record in loaded} == {f"uid-{number}" for number in range(10_000)}
    for record in loaded:
        number = int(record.uid.removeprefix("uid-"))
        assert record.report == READ[number % 3]
        assert (record.name, record.namespace, record.grace_seconds) == (f"pod-{number}", "ns", 7)
        assert (record.not_offloaded, record.warnings) == (frozenset({"side"}), ("a warning",))
        assert (record.jid, record.intent) == ((f"jid-{number}", Intent.ACTIVE) if number % 3 else (None, Intent.CREATING))
        assert (record.created_at, record.finished_at) == (5.0, 9.0 if number % 3 == 2 else None)
        assert record.is_restored
    assert await records.workload_json("uid-9999") == '{"uid":"u"}'
    await records.close()
    records = Records(tmp_path / "state")
    assert len(records.load()[0]) == 10_000
    await records.close()


def test_a_climb_that_fails_leaves_the_database_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_version_1(tmp_path / "state", 10)
    before = dump(tmp_path / "state")

    def fail(_db: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patch:
        patch.setattr("interlink_common.tracking.schema.STEPS", (*STEPS, fail))
        with pytest.raises(ConfigurationError, match="database or disk is full"):
            Records(tmp_path / "state")
    assert dump(tmp_path / "state") == before


def dump(directory: Path) -> tuple[int, list[str]]:
    db = sqlite3.connect(directory / "records.sqlite3")
    found = db.execute("PRAGMA user_version").fetchone()[0], [" ".join(line.split()) for line in db.iterdump()]
    db.close()
    return found


async def test_a_new_database_has_the_newest_schema(tmp_path: Path) -> None:
    write_version_1(tmp_path / "old", 0)
    for directory in (tmp_path / "old", tmp_path / "new"):
        await Records(directory).close()
    assert dump(tmp_path / "new") == dump(tmp_path / "old")
    assert dump(tmp_path / "new")[0] == len(STEPS)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    db = sqlite3.connect(tmp_path / "records.sqlite3")
    db.execute(f"PRAGMA user_version = {len(STEPS) + 1}")
    db.close()
    sentence = f"their schema has version {len(STEPS) + 1}, and this plugin knows versions up to {len(STEPS)}"
    with pytest.raises(ConfigurationError, match=sentence):
        Records(tmp_path)
