"""What is decided of a job that is followed: holds, and whether its files are fetched."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlink_htcondor import states
from interlink_htcondor.ads import COMPLETED, HELD, IDLE, RUNNING, JobAd, News
from interlink_htcondor.journal import SpoolJournal
from interlink_htcondor.pods import REFETCH_BYTES_PER_SECOND, CondorPod
from interlink_htcondor.settings import HoldSettings
from tests.unit.htcondor.pods import a_pod


def job(number: int, status: int = IDLE, **fields: Any) -> JobAd:
    return JobAd(f"{number}.0", "uid", status, {"ClusterId": number, "ProcId": 0, **fields})


@pytest.mark.parametrize(
    ("policy", "fields", "fails", "due"),
    [
        ("wait", {"HoldReasonCode": 13}, False, False),
        ("fail", {"HoldReasonCode": 13}, True, False),
        ("fail", {"HoldReasonCode": 1}, False, False),
        ("release", {"HoldReasonCode": 13, "NumHolds": 1, "ServerTime": 159}, False, False),
        ("release", {"HoldReasonCode": 13, "NumHolds": 1, "ServerTime": 160}, False, True),
        ("release", {"HoldReasonCode": 13, "NumHolds": 1, "ServerTime": 160, "CurrentHosts": 1}, False, False),
        ("release", {"HoldReasonCode": 13, "NumHolds": 3, "ServerTime": 339}, False, False),
        ("release", {"HoldReasonCode": 13, "NumHolds": 3, "ServerTime": 340}, False, True),
        ("release", {"HoldReasonCode": 13, "NumHolds": 6, "ServerTime": 9999}, True, False),
        ("release", {"HoldReasonCode": 1, "NumHolds": 1, "ServerTime": 9999}, False, False),
        ("release", {"HoldReasonCode": 34, "NumHolds": 1, "ServerTime": 9999}, False, False),
    ],
)
def test_the_policy_on_holds(policy: Any, fields: dict[str, Any], fails: bool, due: bool) -> None:
    held, holds = job(1, HELD, EnteredCurrentStatus=100, **fields), HoldSettings(policy=policy)
    assert (states.fails_held(held, holds), states.is_due_for_release(held, holds)) == (fails, due)


@pytest.mark.parametrize(
    ("news", "fetched", "seconds", "worth"),
    [
        ("7:1:100:0:0", News(), 0.0, True),
        ("7:0:0:0:0", News(), 99.0, False),
        ("7:2:100:0:0", News(7, 1, 60), 0.0, False),
        ("7:2:100:0:0", News(7, 1, 50), 0.0, True),
        ("7:2:100:0:40", News(7, 1, 60), 0.0, True),
        ("8:2:100:0:0", News(7, 9, 900), 0.0, True),
        (f"7:2:{8 * REFETCH_BYTES_PER_SECOND + 1}:0:0", News(7, 1, 8 * REFETCH_BYTES_PER_SECOND), 7.9, False),
        (f"7:2:{8 * REFETCH_BYTES_PER_SECOND + 1}:0:0", News(7, 1, 8 * REFETCH_BYTES_PER_SECOND), 8.0, True),
    ],
)
def test_what_is_here_already_is_fetched_again_for_as_much_that_is_new_or_after_a_while(
    tmp_path: Path, news: str, fetched: News, seconds: float, worth: bool
) -> None:
    pod = CondorPod(a_pod(), "1.0", SpoolJournal(tmp_path), since=0.0, row=job(1, RUNNING, InterLinkNews=news))
    pod.fetched, pod.fetched_at = fetched, 100.0
    assert pod.is_worth_a_fetch(100.0 + seconds) is worth


def test_a_completed_job_is_fetched_whatever_it_costs(tmp_path: Path) -> None:
    pod = CondorPod(a_pod(), "1.0", SpoolJournal(tmp_path), since=0.0, row=job(1, COMPLETED, InterLinkNews="7:2:100:0:0"))
    pod.fetched, pod.fetched_at = News(7, 1, 99), 100.0
    assert pod.is_worth_a_fetch(100.0)
