"""Who we are for a computing element, whom we believe, and which of several a pod goes to; on ARC 7.2 and on 7.0."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

import pytest
from pyarcrest.arc import ARCRest

from interlink_arc.backend import ArcBackend
from interlink_arc.settings import ArcSettings
from interlink_common.backend import Verdict
from tests.live.arc.site import FOREIGN_JOB, FOREVER, PATIENCE_SECONDS, Site, exit_code, state
from tests.servers import arc
from tests.servers.arc import ComputingElement
from tests.servers.authority import Authority

pytestmark = pytest.mark.timeout(300)

BARE = {"runner.runtimes": ["process"]}
"""For elements whose nodes have no container runtime."""


async def batch_pod_runs(site: Site) -> None:
    init = {"name": "stage-in", "image": "busybox:1.36", "command": ["sh", "-c", "echo staged; exit 0"]}
    pod = await site.start("echo one; sleep 6; echo two; exit 4", initContainers=[init])
    await site.running(pod)
    assert await site.client.read_logs(pod, "main", follow=True) == "one\ntwo\n"
    await site.ended(pod)
    assert (exit_code(pod), await site.client.read_logs(pod, "stage-in")) == (4, "staged\n")
    forever = await site.start(FOREVER)
    await site.running(forever)
    await site.client.delete(forever, grace_seconds=5)
    await site.emptied(forever)


@pytest.mark.parametrize("user", ["alice", "bob"])
async def test_arc_7_0_by_proxy_and_by_token(older_arc_ce: ComputingElement, tmp_path: Path, user: str) -> None:
    assert older_arc_ce.version() == "7.0.0"
    async with Site(older_arc_ce, tmp_path, BARE, user=user) as site:
        await batch_pod_runs(site)


async def test_arc_7_2_by_token(arc_ce: ComputingElement, tmp_path: Path) -> None:
    async with Site(arc_ce, tmp_path, user="bob") as site:
        await batch_pod_runs(site)
        assert arc_ce.version() == "7.2.0"


async def test_a_certificate_and_its_key_are_two_files(arc_ce: ComputingElement, tmp_path: Path) -> None:
    whole = arc_ce.authority.user("alice").read_text()
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.write_text(whole[: whole.index("-----BEGIN PRIVATE KEY")])
    key.touch(mode=0o600)
    key.write_text(whole[whole.index("-----BEGIN PRIVATE KEY") :])
    own = {"credential.proxy_file": None, "credential.certificate_file": certificate, "credential.key_file": key}
    async with Site(arc_ce, tmp_path / "site", own) as site:
        pod = await site.start("exit 3")
        await site.ended(pod)
        assert exit_code(pod) == 3


@pytest.mark.parametrize("kind", ["proxy", "token"])
async def test_a_credential_that_has_ended_freezes_states_until_it_is_renewed_on_disk(
    arc_ce: ComputingElement, tmp_path: Path, kind: str
) -> None:
    def renewed(*, good: bool) -> Path:
        if kind == "token":
            return arc_ce.token(seconds=1200 if good else -60)
        return arc_ce.authority.proxy("alice", days=2 if good else -1)

    await asyncio.to_thread(renewed, good=True)
    async with Site(arc_ce, tmp_path, user="bob" if kind == "token" else "alice") as site:
        pod = await site.start("sleep 8; exit 3")
        await site.running(pod)
        await asyncio.to_thread(renewed, good=False)
        late = await site.start("exit 2")
        told = await site.waiting(late, "ContainerCreating", "the arc backend is unreachable")
        assert "does not accept the credential" in told or "does not answer" in told
        assert await site.client.status(pod) == "Running"
        await asyncio.to_thread(renewed, good=True)
        for ending, code in ((pod, 3), (late, 2)):
            await site.ended(ending)
            assert exit_code(ending) == code


async def test_a_stranger_waits_and_is_told_why(arc_ce: ComputingElement, tmp_path: Path) -> None:
    proxy = await asyncio.to_thread(arc_ce.authority.proxy, "carol")
    async with Site(arc_ce, tmp_path, {"credential.proxy_file": proxy}) as site:
        pod = await site.start()
        assert "does not accept the credential the plugin’s own" in await site.waiting(
            pod, "ContainerCreating", "the arc backend is unreachable"
        )


async def test_an_element_that_nobody_vouches_for_is_not_believed(arc_ce: ComputingElement, tmp_path: Path) -> None:
    other = await asyncio.to_thread(Authority, tmp_path / "other")
    async with Site(arc_ce, tmp_path / "site", {"trust.ca_directory": other.certificates}) as site:
        pod = await site.start()
        await site.waiting(pod, "ContainerCreating", "has a certificate for another name, or of an untrusted authority")


async def test_an_element_whose_certificate_was_revoked_is_not_believed(arc_ce: ComputingElement, tmp_path: Path) -> None:
    """The list of its own authority, in a directory of ours alone: the element itself goes on."""
    directory = tmp_path / "certificates"
    directory.mkdir()
    for path in arc_ce.certificates.iterdir():
        (directory / path.name).write_bytes(path.read_bytes())
    async with Site(arc_ce, tmp_path / "site", {"trust.ca_directory": directory}) as site:
        pod = await site.start("exit 3")
        await site.ended(pod)
        await asyncio.to_thread(arc_ce.authority.revoke, arc_ce.root / "ce/host.crt")
        (arc_ce.certificates / f"{arc_ce.authority.name}.r0").rename(directory / f"{arc_ce.authority.name}.r0")
        late = await site.start()
        await site.waiting(late, "ContainerCreating", "certificate revoked")
        (directory / f"{arc_ce.authority.name}.r0").unlink()
        await site.ended(late)


async def test_a_job_is_given_a_credential_that_is_renewed(arc_ce: ComputingElement, tmp_path: Path) -> None:
    async with Site(arc_ce, tmp_path, {"credential.delegate": True, "runner.node_environment": ["X509_USER_PROXY"]}) as site:
        pod = await site.start(FOREVER)
        await site.running(pod)
        delegation = (await site.described(pod)).split("DelegationID>")[1].removesuffix("</")
        assert delegation in (site.plugin.state / "delegations.json").read_text()
        given = await site.run(
            f"find /var/spool/arc/control/jobs -path '*{site.id(pod)[-3:]}/proxy' -exec openssl x509 -noout -subject -in {{}} \\;"
        )
        assert re.search(r"CN ?= ?alice", given)

        async def chain() -> str:
            return (await site.asked("POST", f"/delegations/{delegation}", params={"action": "get"})).text

        before = await chain()
        assert before.count("BEGIN CERTIFICATE") == 3
        await site.plugin.restart()  # it does not know when the delegation ends, and renews it
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (now := await chain()) == before:
            assert time.monotonic() < deadline, "it is not renewed"
            await asyncio.sleep(0.2)
        assert now.count("BEGIN CERTIFICATE") == 3


async def test_pods_go_to_elements_by_weight_and_not_to_one_that_is_down(
    arc_ce: ComputingElement, older_arc_ce: ComputingElement, tmp_path: Path
) -> None:
    ces = {
        "new": {"url": arc_ce.url, "weight": 1},
        "old": {"url": older_arc_ce.url, "weight": 2},
        "retired": {"url": "https://127.0.0.1:1/arex", "weight": 0},
    }
    tenants = {"only-old": {"credential": {"token_file": str(older_arc_ce.token())}, "ces": ["old"]}, "*": {}}
    async with Site(arc_ce, tmp_path, {"ces": ces, "tenants": tenants, "call_timeout_seconds": 5, **BARE}) as site:
        pods = [await site.start(FOREVER) for _ in range(6)]
        assert sum(site.job(pod).startswith(older_arc_ce.url) for pod in pods) == 4
        tokened = await site.start("exit 6", metadata={"namespace": "only-old"})
        assert site.job(tokened).startswith(older_arc_ce.url)
        await site.ended(tokened)
        assert exit_code(tokened) == 6
        await asyncio.gather(*map(site.running, pods))
        await asyncio.to_thread(older_arc_ce.kill)
        try:
            others = [await site.start("exit 3") for _ in range(3)]
            for other in others:
                await site.ended(other)
                assert site.job(other).startswith(arc_ce.url)
            for pod in pods:
                assert await site.client.status(pod) == "Running"
        finally:
            await asyncio.to_thread(older_arc_ce.restart)


async def test_a_full_disk_at_the_element_is_told_and_waited_for(arc_ce: ComputingElement, tmp_path: Path) -> None:
    with arc.running_ce(like=arc_ce, session_bytes=16 * 2**20) as small:
        async with Site(small, tmp_path) as site:
            await site.run("head -c 17M /dev/zero > /session/full 2> /dev/null || true")
            pod = await site.start("exit 3")
            told = await site.waiting(pod, "ContainerCreating", "not submitted yet")
            assert "cannot carry out the request now: 500" in told
            await site.run("rm /session/full")
            await site.ended(pod)
            assert exit_code(pod) == 3, state(pod, "terminated")["message"]


@pytest.mark.filterwarnings("ignore:ssl.PROTOCOL_TLS is deprecated:DeprecationWarning")
async def test_jobs_of_another_client_are_left_alone_and_ours_are_seen_by_it(arc_ce: ComputingElement, tmp_path: Path) -> None:
    """pyarcrest, with the same credential."""
    async with Site(arc_ce, tmp_path) as site:
        pod = await site.start(FOREVER)
        await site.running(pod)

        def with_pyarcrest() -> str:
            client = ARCRest.getClient(url=arc_ce.url.removesuffix("/arex"), proxypath=str(arc_ce.proxy))
            assert site.id(pod) in client.getJobsList()
            client.downloadDiagnoseFile(site.id(pod), "local", str(tmp_path / "local"))
            assert f"jobname=interlink-{pod.uid}" in (tmp_path / "local").read_text().splitlines()
            [made] = client.createJobs(FOREIGN_JOB)
            client.close()
            return str(made.value[0])

        theirs = await asyncio.to_thread(with_pyarcrest)
        await site.plugin.restart()  # and looks at every job of the credential
        await site.running(await site.start(FOREVER))
        await site.delete_all()
        assert theirs in {job["id"] for job in (await site.asked("GET", "/jobs")).json()["job"]}
        for action in ("kill", "clean"):
            await site.asked("POST", "/jobs", params={"action": action}, json={"job": [{"id": theirs}]})
            await asyncio.sleep(2)


async def test_check_tells_what_is_wrong(arc_ce: ComputingElement, tmp_path: Path) -> None:
    environments = [{"name": "ENV/CVMFS"}, {"name": "TEST/GPU"}]
    given = {
        "state_dir": tmp_path,
        "ces": {"test": {"url": arc_ce.url, "queue": "nosuch"}, "gone": {"url": "https://127.0.0.1:1/arex"}},
        "trust": {"ca_directory": arc_ce.certificates},
        "credential": {"proxy_file": arc_ce.proxy},
        "job": {"runtime_environments": environments},
    }
    backend = ArcBackend(ArcSettings.model_validate(given))
    rows = {(row.name, row.verdict, row.detail.partition(",")[0]) for row in await backend.check()}
    own = "the plugin’s own"
    assert ("test, " + own, Verdict.OK, arc_ce.url) in rows
    assert ("test, " + own, Verdict.WARNING, "it publishes no queue nosuch") in rows
    assert ("test, " + own, Verdict.WARNING, "it publishes no runtime environment ENV/CVMFS") in rows
    assert ("gone, " + own, Verdict.FAILED, "https://127.0.0.1:1/arex does not answer: All connection attempts failed") in rows
    assert ("test, " + own, Verdict.WARNING, "it publishes no runtime environment TEST/GPU") not in rows
    assert {gauge.value for gauge in backend.gauges() if gauge.name == "interlink_arc_ce_up"} == {1.0}
