"""The durable rows pod <-> job: SQLite with WAL, in the state directory, owned by exactly one process.

Intents are committed (and synced) before the backend is called; reports, which the backend can tell again, are written in batches.
All database work runs in one thread of its own, so the event loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import sqlite3
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from interlink_common.errors import ConfigurationError
from interlink_common.tracking.pods import Intent, Pod
from interlink_common.tracking.reportcodec import decode_report, encode_report

T = TypeVar("T")

SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE pods (
    uid TEXT PRIMARY KEY, namespace TEXT NOT NULL, name TEXT NOT NULL,
    workload TEXT, jid TEXT, intent TEXT NOT NULL, grace_seconds INTEGER NOT NULL,
    not_offloaded TEXT NOT NULL, warnings TEXT NOT NULL,
    report TEXT, finished INTEGER NOT NULL DEFAULT 0, created_at REAL NOT NULL, finished_at REAL
) WITHOUT ROWID
"""


class Records:
    """The database of one virtual node. `close` it to let another process have the directory.

    Raises ConfigurationError if the directory can't be used: taken by another process, not writable, damaged, or newer than this version.
    """

    def __init__(self, state_dir: Path) -> None:
        self._dirty: dict[str, Pod] = {}
        self.changed = asyncio.Event()
        """Set when a report waits to be written by `flush`."""
        self._path = state_dir / "records.sqlite3"
        self._lock_fd = _lock_directory(state_dir)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="records")
        try:
            self._db = self._in_thread(lambda: _open(self._path))
        except BaseException:
            self._release()
            raise

    def load(self) -> tuple[list[Pod], dict[str, float]]:
        """All pods (their workloads stay on disk) and the tombstones: UID -> unix time of the deletion."""
        return self._in_thread(self._load)

    async def insert(self, pod: Pod, workload_json: str | None) -> None:
        """Durable when it returns."""
        row = (
            pod.uid, pod.namespace, pod.name, workload_json, pod.jid, pod.intent, pod.grace_seconds,
            json.dumps(sorted(pod.not_offloaded)), json.dumps(pod.warnings), pod.created_at,
        )  # fmt: skip
        await self._write(
            "INSERT OR REPLACE INTO pods (uid, namespace, name, workload, jid, intent, grace_seconds, not_offloaded, warnings, created_at)"
            " VALUES (?,?,?,?,?,?,?,?,?,?)",
            row,
        )

    async def update(self, pod: Pod) -> None:
        """Writes the pod's intent, JID and grace. Durable when it returns."""
        values = (pod.intent, pod.jid, pod.grace_seconds, pod.uid)
        await self._write("UPDATE pods SET intent = ?, jid = ?, grace_seconds = ? WHERE uid = ?", values)

    async def bury(self, uid: str, deleted_at: float) -> None:
        """Replaces the row by a tombstone that holds nothing but the UID and the time."""
        self._dirty.pop(uid, None)
        await self._write(
            "UPDATE pods SET intent = 'deleted', created_at = ?, namespace = '', name = '', workload = NULL, jid = NULL, report = NULL,"
            " not_offloaded = '[]', warnings = '[]' WHERE uid = ?",
            (deleted_at, uid),
        )

    async def erase(self, uid: str) -> None:
        """Removes the row."""
        self._dirty.pop(uid, None)
        await self._write("DELETE FROM pods WHERE uid = ?", (uid,))

    async def erase_tombstones(self, before: float) -> None:
        """Removes tombstones older than that unix time, and empties the write-ahead log, where old secrets would linger."""
        await self._write("DELETE FROM pods WHERE intent = 'deleted' AND created_at < ?", (before,))
        await self._run(lambda: self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())

    async def workload_json(self, uid: str) -> str | None:
        """The recorded Workload, None if there is no such row or it was adopted without one."""
        return await self._run(lambda: self._workload(uid))

    def workloads_json(self, uids: Sequence[str]) -> list[str | None]:
        """As `workload_json`, for callers in a thread of their own: it blocks."""
        return self._in_thread(lambda: [self._workload(uid) for uid in uids])

    def note_report(self, pod: Pod) -> None:
        """Has the pod's report written with the next `flush`."""
        self._dirty[pod.uid] = pod
        self.changed.set()

    async def flush(self) -> None:
        """Writes all noted reports in one transaction."""
        pods, self._dirty = self._dirty, {}
        self.changed.clear()
        rows = [(pod.report, pod.finished_at, pod.uid) for pod in pods.values() if pod.report is not None]

        def write() -> None:
            encoded = [(encode_report(report), report.finished, finished_at, uid) for report, finished_at, uid in rows]
            with self._db:
                self._db.executemany("UPDATE pods SET report = ?, finished = ?, finished_at = ? WHERE uid = ?", encoded)

        try:
            if rows:
                await self._run(write)
        except BaseException:
            self._dirty = pods | self._dirty
            self.changed.set()
            raise

    async def close(self) -> None:
        """Writes what is noted, closes the database and frees the directory."""
        try:
            await self.flush()
            await self._run(self._db.close)
        finally:
            self._release()

    def _load(self) -> tuple[list[Pod], dict[str, float]]:
        pods, tombstones = [], {}
        columns = "uid, namespace, name, intent, jid, grace_seconds, not_offloaded, warnings, report, created_at, finished_at"
        for row in self._db.execute(f"SELECT {columns} FROM pods"):  # noqa: S608  the columns are the constant above
            uid, namespace, name, intent, jid, grace_seconds, not_offloaded, warnings, report, created_at, finished_at = row
            if intent == Intent.DELETED:
                tombstones[uid] = created_at
                continue
            pod = Pod(uid, namespace, name, Intent(intent), jid, grace_seconds, created_at=created_at, finished_at=finished_at)
            pod.not_offloaded = frozenset(json.loads(not_offloaded))
            pod.warnings = tuple(json.loads(warnings))
            pod.report = decode_report(report) if report else None
            pod.observed = False
            pods.append(pod)
        return pods, tombstones

    def _workload(self, uid: str) -> str | None:
        row = self._db.execute("SELECT workload FROM pods WHERE uid = ?", (uid,)).fetchone()
        return row[0] if row else None

    async def _write(self, sql: str, values: tuple[object, ...]) -> None:
        def write() -> None:
            with self._db:
                self._db.execute(sql, values)

        await self._run(write)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)

    def _in_thread(self, work: Callable[[], T]) -> T:
        return self._executor.submit(work).result()

    def _release(self) -> None:
        self._executor.shutdown()
        os.close(self._lock_fd)


def _lock_directory(state_dir: Path) -> int:
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = state_dir.stat()
        if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise ConfigurationError(
                f"the state_dir {state_dir} belongs to another user or can be written by others; "
                f"choose one that only this user can write, such as {state_dir}/interlink"
            )
        descriptor = os.open(state_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"the state_dir {state_dir} can not be used ({error.strerror}); choose a directory of your own") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(
            f"the state_dir {state_dir} is in use by another plugin process; stop that one, or give this one a state_dir of its own"
        ) from None
    return descriptor


def _open(path: Path) -> sqlite3.Connection:
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    db = sqlite3.connect(path)
    try:
        db.executescript("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA secure_delete = ON;")
        version = db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            with db:
                db.execute("BEGIN")
                db.execute(_SCHEMA)
                db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        elif version != SCHEMA_VERSION:
            raise ConfigurationError(
                f"the records in {path} have schema version {version}, this plugin writes version {SCHEMA_VERSION}; "
                "use the plugin version that wrote them, or another state_dir"
            )
    except sqlite3.DatabaseError as error:
        db.close()
        raise ConfigurationError(
            f"the records in {path} can not be read ({error}); move the file away: running jobs are adopted"
        ) from error
    except BaseException:
        db.close()
        raise
    return db
