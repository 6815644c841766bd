"""Capacity, the queue's order, reasons, policies on holds, credentials, and errors of the SDK."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import htcondor2
import pytest

from interlink_common.backend import NodeCapacity
from interlink_common.errors import BackendUnavailable, ConfigurationError
from interlink_htcondor import states
from interlink_htcondor.ads import COMPLETED, HELD, IDLE, RUNNING, JobAd, News
from interlink_htcondor.backend import HTCondorBackend
from interlink_htcondor.capacity import offered
from interlink_htcondor.client import answer, is_refusal
from interlink_htcondor.identities import Identities, environment_of
from interlink_htcondor.journal import SpoolJournal
from interlink_htcondor.pods import REFETCH_BYTES_PER_SECOND, CondorPod
from interlink_htcondor.process import ClientProcess
from interlink_htcondor.settings import CredentialSettings, HoldSettings
from tests.unit.htcondor.pods import a_pod, settings

SLOTS: list[dict[str, Any]] = [
    {"PartitionableSlot": True, "TotalSlotCpus": 8, "TotalSlotMemory": 1024, "TotalSlotGPUs": 2, "TotalSlotFPGAs": 1, "Cpus": 2},
    {"DynamicSlot": True, "TotalSlotCpus": 6, "TotalSlotMemory": 512, "Cpus": 6},
    {"Cpus": 1, "Memory": 100, "TotalSlotCpus": 1, "TotalSlotMemory": 100},
]


def test_a_partitionable_slot_counts_whole() -> None:
    devices = {"custom": {"intel.com/fpga": "FPGAs"}}
    assert offered(SLOTS, settings(devices=devices)) == NodeCapacity(9000, 1124 * 2**20, 1000, {"nvidia.com/gpu": 2, "intel.com/fpga": 1})


async def test_fixed_capacity_is_not_asked_for() -> None:
    fixed = {"source": "fixed", "cpu_millis": 5, "devices": {"nvidia.com/gpu": 1}, "pods": 3}
    assert await HTCondorBackend(settings(capacity=fixed)).capacity() == NodeCapacity(5, None, 3, {"nvidia.com/gpu": 1})


def job(number: int, status: int = IDLE, **fields: Any) -> JobAd:
    return JobAd(f"{number}.0", "uid", status, {"ClusterId": number, "ProcId": 0, **fields})


def test_the_order_of_the_queue() -> None:
    jobs = [job(1, QDate=5), job(2, QDate=4), job(3, QDate=9, JobPrio=1), job(4, HELD)]
    assert states.count_ahead(jobs) == {"3.0": 0, "2.0": 1, "1.0": 2}


@pytest.mark.parametrize(
    ("ad", "reason"),
    [
        (job(1, RequestCpus=9), "no slot of the pool has 9 cpus, the largest has 8"),
        (job(1, RequestMemory=2048), "no slot of the pool has 2048 MiB of memory, the largest has 1024"),
        (job(1, RequestGPUs=3), "no slot of the pool has 3 GPUs, the largest has 2"),
        (job(1, RequestCpus=8, LastRejMatchReason="no match found "), "no match found"),
        (job(1, HELD, RequestCpus=9), ""),
        (job(1), ""),
    ],
)
def test_why_a_job_waits(ad: JobAd, reason: str) -> None:
    assert states.why_unmatched(ad, SLOTS) == reason


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


def test_a_credential_is_a_private_file(tmp_path: Path) -> None:
    token = tmp_path / "token"
    for mode, complaint in ((None, "can not be read"), (0o644, "may be read by others")):
        if mode is not None:
            token.touch()
            token.chmod(mode)
        with pytest.raises(ConfigurationError, match=complaint):
            environment_of(CredentialSettings(token_file=token), settings(), tmp_path / "credentials")
    token.chmod(0o600)
    told = environment_of(CredentialSettings(token_file=token), settings(pool={"collector": "cm"}), tmp_path / "credentials")
    assert told["_CONDOR_SEC_TOKEN_DIRECTORY"] == str(tmp_path / "credentials")
    assert (told["_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS"], told["_CONDOR_COLLECTOR_HOST"]) == ("IDTOKENS", "cm")
    assert (tmp_path / "credentials").stat().st_mode & 0o777 == 0o700


def test_other_credentials(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("scitoken_file", "x509_proxy_file")}
    for path in files.values():
        path.touch(0o600)
    told = environment_of(CredentialSettings(**files, ca_directory=tmp_path), settings(), tmp_path / "credentials")
    assert told["_CONDOR_SEC_CLIENT_AUTHENTICATION_METHODS"] == "SCITOKENS,SSL"
    assert (told["_CONDOR_SCITOKENS_FILE"], told["X509_USER_PROXY"]) == tuple(map(str, files.values()))


async def test_a_second_plugin_waits_for_the_processes_of_the_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("interlink_htcondor.identities.LOCK_PATIENCE_SECONDS", 0.1)
    first, second = (Identities(settings(state_dir=tmp_path)) for _ in range(2))
    await first.open()
    with pytest.raises(BackendUnavailable):
        await second.open()
    await first.close()
    await second.open()
    await second.close()


async def test_a_pool_that_is_not_there_is_unavailable(tmp_path: Path) -> None:
    process = ClientProcess("test", ("127.0.0.1:1", "nobody"), {"CONDOR_CONFIG": "/dev/null", "PATH": "/bin"}, None)
    with pytest.raises(BackendUnavailable, match="HTCondor pool"):
        await process.call("versions", timeout_seconds=30)
    with pytest.raises(BackendUnavailable, match="did not answer in time"):
        await process.call("versions", timeout_seconds=0.0)
    await process.close()


def test_every_exception_of_the_sdk_is_told_and_only_a_submit_is_refused() -> None:
    exceptions = [kind for kind in vars(htcondor2).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert htcondor2.HTCondorException in exceptions

    class Broken:
        def __init__(self, error: Exception) -> None:
            self.error = error

        def query(self) -> None:
            raise self.error

        submit = query

        def forget(self) -> None:
            pass

    for kind in [*exceptions, OSError, RuntimeError, ValueError, KeyError, LookupError]:
        for call in ("query", "submit"):
            told = answer(Broken(kind("SECMAN:2004")), f'{{"call": "{call}", "arguments": {{}}}}')  # type: ignore[arg-type]
            assert told["error"]
            assert told["refused"] == (call == "submit" and kind in (ValueError, KeyError))
    assert is_refusal(htcondor2.HTCondorException("Failed to parse submit expression"), "submit")
