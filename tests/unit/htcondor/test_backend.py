"""What the queue is asked for, and what is concluded from its answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from interlink_common.backend import FoundJob, Job, LogQuery
from interlink_common.batchsystem.jobs import Phase
from interlink_common.errors import BackendUnavailable
from interlink_common.model.codec import packed_stub, stub
from interlink_common.model.report import PodReport, Terminated, Waiting
from interlink_common.podrunner.events import LogLine, encode
from interlink_htcondor.ads import COMPLETED, HELD, IDLE, REMOVED, RUNNING
from interlink_htcondor.backend import HTCondorBackend
from interlink_htcondor.identities import Identities
from interlink_htcondor.journal import SpoolJournal
from tests.unit.htcondor.pods import UID, a_pod, settings


class Queue:
    """A schedd's answers: the ads of its queue and of its history, and the orders that it was given."""

    def __init__(self, backend: HTCondorBackend, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ads: dict[str, dict[str, Any]] = {}
        self.history: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.removed: list[tuple[list[str], str]] = []
        monkeypatch.setattr(backend, "_call_own", self.call)
        monkeypatch.setattr(backend, "_remove_jobs", self.remove)

    def add(self, number: int, uid: str = UID, status: int = IDLE, **fields: Any) -> None:
        mark = {"InterLinkPodUid": uid, "InterLinkPod": packed_stub(a_pod(uid=uid))}
        self.ads[f"{number}.0"] = {"ClusterId": number, "ProcId": 0, "JobStatus": status, **mark, **fields}

    async def call(self, name: str, **arguments: Any) -> Any:
        self.asked.append(name)
        return list(self.ads.values()) if name == "query" else self.history

    async def remove(self, namespace: str, jids: Sequence[str], reason: str, grace_seconds: int) -> None:
        self.removed.append((list(jids), reason))
        for jid in jids:
            self.ads.pop(jid, None)


@pytest.fixture
def backend(tmp_path: Path) -> HTCondorBackend:
    return HTCondorBackend(settings(state_dir=tmp_path))


@pytest.fixture
def queue(backend: HTCondorBackend, monkeypatch: pytest.MonkeyPatch) -> Queue:
    return Queue(backend, monkeypatch)


def follow(backend: HTCondorBackend, jid: str = "1.0", uid: str = UID) -> None:
    backend._take_on(a_pod(uid=uid), jid).since = 0.0


async def report(backend: HTCondorBackend) -> PodReport | None:
    await backend.follower.look()
    return dict(backend.follower._reports_of_changed()).get(UID)


async def test_what_an_inventory_finds_and_what_it_removes(backend: HTCondorBackend, queue: Queue) -> None:
    queue.add(1)
    queue.add(2)
    queue.add(3, "lost")
    queue.add(4, "lost")
    queue.add(5, "half", HELD, HoldReasonCode=16)
    queue.add(6, "other")
    queue.ads["6.0"]["InterLinkPod"] = packed_stub(a_pod())
    queue.add(7, "held", HELD, HoldReasonCode=16)
    follow(backend)
    follow(backend, "7.0", "held")
    follow(backend, "8.0", "gone")
    found = sorted(await backend.inventory(), key=lambda job: job.jid)
    assert found == [
        FoundJob(UID, "1.0", a_pod()),
        FoundJob("lost", "3.0", stub(a_pod(uid="lost"))),
        FoundJob("held", "7.0", a_pod(uid="held")),
        FoundJob("gone", "8.0", a_pod(uid="gone")),
    ]
    assert sorted(jid for jids, _ in queue.removed for jid in jids) == ["2.0", "4.0", "5.0"]


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([], "job 1.0 is no longer in the queue, and no reason is known"),
        ([{"ClusterId": 1, "ProcId": 0, "JobStatus": REMOVED, "RemoveReason": "by an admin"}], "job 1.0 was removed: by an admin"),
        ([{"ClusterId": 1, "ProcId": 0}], "job 1.0 was removed: no reason is given"),
        ([{"ClusterId": 1, "ProcId": 0, "JobStatus": COMPLETED, "ExitBySignal": True, "ExitSignal": 9}], "job 1.0 was ended by signal 9"),
    ],
)
async def test_history_says_why_a_job_left_the_queue_and_is_asked_once(
    backend: HTCondorBackend, queue: Queue, history: list[dict[str, Any]], message: str
) -> None:
    queue.history = history
    follow(backend)
    lost = await report(backend)
    assert lost is not None
    assert lost.finished
    assert isinstance(lost.containers[0].state, Terminated)
    assert lost.containers[0].state.message == message
    assert await report(backend) is None
    assert queue.asked == ["query", "history", "query"]


async def test_who_had_a_job_removed_does_not_ask_why(backend: HTCondorBackend, queue: Queue) -> None:
    follow(backend)
    backend.follower.pods[UID].being_removed = True
    await report(backend)
    assert queue.asked == ["query"]
    assert backend.follower.pods[UID].phase is Phase.GONE


async def test_the_queue_tells_how_many_are_ahead_and_what_no_slot_has(backend: HTCondorBackend, queue: Queue) -> None:
    queue.add(1, RequestCpus=64, QDate=2)
    queue.add(2, "other", QDate=1)
    backend._slots = [{"TotalSlotCpus": 8}]
    follow(backend)
    waiting = await report(backend)
    assert waiting is not None
    assert waiting.containers[0].state == Waiting(
        "Queued", "job 1.0 waits in the queue, 1 of this node’s jobs ahead, no slot of the pool has 64 cpus, the largest has 8"
    )


async def test_the_job_of_an_ended_pod_is_removed_whatever_it_does_but_for_one_that_goes_anyway(
    backend: HTCondorBackend, queue: Queue
) -> None:
    for number, (uid, status) in enumerate([("running", RUNNING), ("held", HELD), ("removed", REMOVED)]):
        queue.add(number, uid, status)
        follow(backend, f"{number}.0", uid)
        backend.follower.pods[uid].final = PodReport((), finished=True)
    await report(backend)
    await backend.follower._clean()
    assert {jid for jids, _ in queue.removed for jid in jids} == {"0.0", "1.0"}
    await backend.follower.close()


async def test_logs_of_recorded_pods_can_be_read_while_a_process_of_the_last_plugin_is_still_in_a_call(
    backend: HTCondorBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interlink_htcondor.identities.LOCK_PATIENCE_SECONDS", 0.1)
    SpoolJournal(backend.directory(UID)).append(encode(LogLine("main", 0, "stdout", 1, b"said")))
    last = Identities(settings(state_dir=backend.state))
    await last.open()
    job = Job(UID, "1.0", a_pod())
    with pytest.raises(BackendUnavailable):
        await backend.start([job])
    assert b"".join([chunk async for chunk in backend.logs(job, LogQuery("main"))]) == b"said\n"
    await last.close()
    await backend.close()
