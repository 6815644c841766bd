"""The durable rows pod <-> job: SQLite with WAL, in the state directory, owned by exactly one process.

Intents are committed (and synced) before the backend is called; reports, which the backend can tell again, are written in batches.
All database work runs in one thread of its own, so the event loop never waits for a disk.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import stat
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from interlink_common.errors import ConfigurationError
from interlink_common.model.codec import decode, encode
from interlink_common.model.report import PodReport
from interlink_common.tracking.pods import Intent, PodRecord
from interlink_common.tracking.schema import open_database

T = TypeVar("T")


class Records:
    """The database of one virtual node. `close` it to let another process have the directory.

    Raises ConfigurationError if the directory can't be used: taken by another process, not writable, damaged, or newer than this version.
    """

    def __init__(self, state_dir: Path) -> None:
        self._dirty: dict[str, PodRecord] = {}
        self.changed = asyncio.Event()
        """Set when a report waits to be written by `flush`."""
        self._path = state_dir / "records.sqlite3"
        self._lock_fd = _lock_directory(state_dir)
        self._executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="records")
        try:
            self._db = self._in_thread(lambda: open_database(self._path))
        except BaseException:
            self._release()
            raise

    def load(self) -> tuple[list[PodRecord], dict[str, float]]:
        """All pods (their workloads stay on disk) and the tombstones: UID -> unix time of the deletion."""
        return self._in_thread(self._load)

    async def insert(self, record: PodRecord, workload_json: str | None) -> None:
        """Durable when it returns."""
        row = (
            record.uid, record.namespace, record.name, workload_json, record.jid, record.intent, record.grace_seconds,
            json.dumps(sorted(record.not_offloaded)), json.dumps(record.warnings), record.created_at,
        )  # fmt: skip
        columns = "uid, namespace, name, workload, jid, intent, grace_seconds, not_offloaded, warnings, created_at"
        sql = f"INSERT OR REPLACE INTO pods ({columns}) VALUES (?,?,?,?,?,?,?,?,?,?)"  # noqa: S608  the columns are the constant above
        await self._write((sql, row))

    async def update(self, record: PodRecord) -> None:
        """Writes the pod's intent, JID and grace. Durable when it returns."""
        values = (record.intent, record.jid, record.grace_seconds, record.uid)
        await self._write(("UPDATE pods SET intent = ?, jid = ?, grace_seconds = ? WHERE uid = ?", values))

    async def bury(self, uid: str, deleted_at: float) -> None:
        """Replaces the row by a tombstone: the UID and the time, and nothing else of the pod."""
        self._dirty.pop(uid, None)
        await self._write(
            ("DELETE FROM pods WHERE uid = ?", (uid,)),
            ("INSERT OR REPLACE INTO tombstones VALUES (?, ?)", (uid, deleted_at)),
        )

    async def erase(self, uid: str) -> None:
        """Removes the row."""
        self._dirty.pop(uid, None)
        await self._write(("DELETE FROM pods WHERE uid = ?", (uid,)))

    async def erase_tombstones(self, before: float) -> None:
        """Removes tombstones older than that unix time, and empties the write-ahead log, where old secrets would linger."""
        await self._write(("DELETE FROM tombstones WHERE deleted_at < ?", (before,)))
        await self._run(lambda: self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())

    async def workload_json(self, uid: str) -> str | None:
        """The recorded Workload, None if there is no such row or it was adopted without one."""
        return await self._run(lambda: self._workload(uid))

    def workloads_json(self, uids: Sequence[str]) -> list[str | None]:
        """As `workload_json`, for callers in a thread of their own: it blocks."""
        return self._in_thread(lambda: [self._workload(uid) for uid in uids])

    def note_report(self, record: PodRecord) -> None:
        """Has the pod's report written with the next `flush`."""
        self._dirty[record.uid] = record
        self.changed.set()

    async def flush(self) -> None:
        """Writes all noted reports in one transaction."""
        records, self._dirty = self._dirty, {}
        self.changed.clear()
        rows = [(record.report, record.finished_at, record.uid) for record in records.values() if record.report is not None]

        def write() -> None:
            encoded = [(_report_json(report), report.finished, finished_at, uid) for report, finished_at, uid in rows]
            with self._db:
                self._db.executemany("UPDATE pods SET report = ?, finished = ?, finished_at = ? WHERE uid = ?", encoded)

        try:
            if rows:
                await self._run(write)
        except BaseException:
            self._dirty = records | self._dirty
            self.changed.set()
            raise

    async def close(self) -> None:
        """Writes what is noted, closes the database and frees the directory."""
        try:
            await self.flush()
            await self._run(self._db.close)
        finally:
            self._release()

    def _load(self) -> tuple[list[PodRecord], dict[str, float]]:
        columns = "uid, namespace, name, intent, jid, grace_seconds, not_offloaded, warnings, report, created_at, finished_at"
        records = []
        for row in self._db.execute(f"SELECT {columns} FROM pods"):  # noqa: S608  the columns are the constant above
            uid, namespace, name, intent, jid, grace_seconds, not_offloaded, warnings, report, created_at, finished_at = row
            records.append(
                PodRecord(
                    uid, namespace, name, Intent(intent), jid, grace_seconds,
                    not_offloaded=frozenset(json.loads(not_offloaded)),
                    warnings=tuple(json.loads(warnings)),
                    report=decode(json.loads(report), PodReport) if report else None,
                    is_restored=True,
                    created_at=created_at,
                    finished_at=finished_at,
                )
            )  # fmt: skip
        return records, dict(self._db.execute("SELECT uid, deleted_at FROM tombstones").fetchall())

    def _workload(self, uid: str) -> str | None:
        row = self._db.execute("SELECT workload FROM pods WHERE uid = ?", (uid,)).fetchone()
        return row[0] if row else None

    async def _write(self, *statements: tuple[str, tuple[object, ...]]) -> None:
        """All of them in one transaction."""

        def write() -> None:
            with self._db:
                for sql, values in statements:
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
        raise ConfigurationError(f"the state_dir {state_dir} cannot be used ({error.strerror}); choose a directory of your own") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigurationError(
            f"the state_dir {state_dir} is in use by another plugin process; stop that one, or give this one a state_dir of its own"
        ) from None
    return descriptor


def _report_json(report: PodReport) -> str:
    """ASCII, because a container's message may hold lone surrogates."""
    return json.dumps(encode(report, PodReport), separators=(",", ":"))
