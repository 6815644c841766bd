"""The schema of the records' database, as a ladder: each step brings the schema of one version to the next, its rows included.

A step never changes once it has been released: old databases go through all of them. A new database does too.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

from interlink_common.errors import ConfigurationError


def _pods(db: sqlite3.Connection) -> None:
    db.execute("""
        CREATE TABLE pods (
            uid TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL,
            workload TEXT, jid TEXT, intent TEXT NOT NULL, grace_seconds INTEGER NOT NULL,
            not_offloaded TEXT NOT NULL, warnings TEXT NOT NULL,
            report TEXT, finished INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL, finished_at REAL
        ) WITHOUT ROWID
    """)


def _tombstones_apart_and_reports_as_the_codec_writes_them(db: sqlite3.Connection) -> None:
    """Tombstones were pods with the intent `deleted`; a container's state was a pair, such as ["running", {"started_at": 1.0}]."""
    db.execute("CREATE TABLE tombstones (uid TEXT PRIMARY KEY, deleted_at REAL NOT NULL) WITHOUT ROWID")
    db.execute("INSERT INTO tombstones SELECT uid, created_at FROM pods WHERE intent = 'deleted'")
    db.execute("DELETE FROM pods WHERE intent = 'deleted'")
    rows = db.execute("SELECT uid, report FROM pods WHERE report IS NOT NULL").fetchall()
    db.executemany("UPDATE pods SET report = ? WHERE uid = ?", [(_with_tagged_states(report), uid) for uid, report in rows])


def _with_tagged_states(text: str) -> str:
    report = json.loads(text)
    for container in (*report["containers"], *report["init_containers"]):
        kind, fields = container["state"]
        container["state"] = {"type_": kind.capitalize(), **fields}
    return json.dumps(report, separators=(",", ":"))


STEPS: tuple[Callable[[sqlite3.Connection], None], ...] = (_pods, _tombstones_apart_and_reports_as_the_codec_writes_them)
"""The first makes version 1 of an empty database."""


def open_database(path: Path) -> sqlite3.Connection:
    """The database with the newest schema. Raises ConfigurationError if it is damaged, or newer than this plugin."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path)
    try:
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")
        _climb(db, path)
    except sqlite3.DatabaseError as error:
        db.close()
        raise ConfigurationError(f"the records in {path} cannot be read ({error}); move the file away: running jobs are adopted") from error
    except BaseException:
        db.close()
        raise
    return db


def _climb(db: sqlite3.Connection, path: Path) -> None:
    """Takes the steps that are missing, all or none."""
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version > len(STEPS):
        raise ConfigurationError(
            f"a newer plugin wrote the records in {path}: their schema has version {version}, and this plugin knows versions up to "
            f"{len(STEPS)}; start the newer plugin again, or choose another state_dir"
        )
    if version == len(STEPS):
        return
    with db:
        db.execute("BEGIN")
        for step in STEPS[version:]:
            step(db)
        db.execute(f"PRAGMA user_version = {len(STEPS)}")
