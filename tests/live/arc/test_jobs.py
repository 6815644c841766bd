"""What a pod's job is at a real computing element: what it asks for, what its description tells, and what it does not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from interlink_common.virtualkubelet.client import CallError
from tests.live.arc.site import FOREVER, Site, exit_code, state
from tests.servers.arc import RUNTIME_ENVIRONMENT, ComputingElement

pytestmark = pytest.mark.timeout(240)

SECRET = "no-one-may-see-this"
GPU = {"name": RUNTIME_ENVIRONMENT, "options": ["{count}"]}


async def test_secrets_are_in_files_of_the_job_alone_and_go_with_it(site: Site) -> None:
    secret = {"metadata": {"name": "s"}, "data": {"token": "bm8tb25lLW1heS1zZWUtdGhpcw=="}}
    pod = await site.start(
        f"trap 'exit 0' TERM; cat /s/token; echo; while :; do sleep 1 & wait $!; done # {SECRET}",
        container={"volumeMounts": [{"name": "s", "mountPath": "/s"}], "env": [{"name": "PASSWORD", "value": SECRET}]},
        secrets={"s": secret},
        volumes=[{"name": "s", "secret": {"secretName": "s"}}],
        metadata={"annotations": {"note": SECRET}, "labels": {"name": SECRET}},
    )
    await site.running(pod)
    assert await site.run(f"grep -rlF {SECRET} /var/spool/arc /var/log/arc || true") == ""
    found = (await site.run(f"cd /session/{site.id(pod)} && stat -c '%n %a %U' . start.sh events.jsonl")).splitlines()
    assert found == [". 700 alice", "start.sh 700 alice", "events.jsonl 600 alice"]
    read = "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read('pod.json').decode())"
    assert SECRET in await site.run(f'python3 -c "{read}" /session/{site.id(pod)}/start.sh')
    await site.logged(pod, f"{SECRET}\n")
    ours = [path for path in site.plugin.state.rglob("*") if path.is_file() and "records" not in path.name]
    holders = [path for path in ours if SECRET.encode() in path.read_bytes()]
    assert holders
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0 for path in holders)
    await site.delete_all()
    assert await site.run(f"grep -rlF {SECRET} /session || true") == ""


async def test_what_is_asked_for(arc_ce: ComputingElement, tmp_path: Path) -> None:
    settings = {
        "devices": {
            "nvidia.com/gpu": {"queue": "gpu", "capacity": 2, "runtime_environments": [{"name": "TEST/GPU", "options": ["{count}"]}]}
        },
        "runner.node_environment": ["TEST_RUNTIME_ENVIRONMENT"],
        "job.walltime_seconds": 600,
        "job.priority": 70,
        "queues": {"disk=fast": "main"},
    }
    async with Site(arc_ce, tmp_path, settings) as site:
        limits = {"cpu": "1500m", "memory": "100Mi", "ephemeral-storage": "32Mi", "nvidia.com/gpu": "1"}
        pod = await site.start("echo of $TEST_RUNTIME_ENVIRONMENT", container={"resources": {"limits": limits}})
        greedy = await site.start("true", nodeSelector={"disk": "fast"})
        local = (await site.asked("GET", f"/jobs/{site.id(pod)}/diagnose/local")).text.splitlines()
        assert {"queue=gpu", "priority=70", f"jobname=interlink-{pod.uid}"} <= set(local)
        assert "queue=main" in (await site.asked("GET", f"/jobs/{site.id(greedy)}/diagnose/local")).text.splitlines()
        described = await site.described(pod)
        for words in (
            "<NumberOfSlots>2</NumberOfSlots><SlotsPerHost>2</SlotsPerHost>",
            f"<IndividualPhysicalMemory>{(100 + 64) * 2**20 // 2}</IndividualPhysicalMemory>",
            f"<DiskSpaceRequirement>{32 * 2**20}</DiskSpaceRequirement>",
            "<TotalCPUTime>1200</TotalCPUTime><WallTime>600</WallTime>",
            f"<Name>{RUNTIME_ENVIRONMENT}</Name><Option>1</Option>",
        ):
            assert words in described
        await site.ended(pod)
        assert await site.client.read_logs(pod, "main") == "of 1\n"
        told = (await site.client.ping())["resources"]
        assert {each["resourceType"]: each["available"] for each in told["accelerators"]} == {"nvidia.com/gpu": "2"}
        assert int(told["cpu"]) > 0


async def test_a_runtime_environment_that_is_not_there(arc_ce: ComputingElement, tmp_path: Path) -> None:
    async with Site(arc_ce, tmp_path, {"cvmfs.runtime_environments": [{"name": "ENV/CVMFS"}]}) as site:
        pod = await site.start(metadata={"annotations": {"cvmfs.interlink.eu/repositories": "atlas.cern.ch"}})
        await site.ended(pod)
        told = state(pod, "terminated")
        assert (pod.phase, told["exitCode"]) == ("Failed", 137)
        assert told["message"].endswith("Job submission to LRMS failed; it requested the runtime environments ENV/CVMFS")


async def test_cvmfs_is_checked_on_the_node(site: Site) -> None:
    pod = await site.start(metadata={"annotations": {"cvmfs.interlink.eu/repositories": "atlas.cern.ch"}})
    await site.waiting(pod, "FailedMount", "/cvmfs/atlas.cern.ch is not available on this node")


async def test_a_queue_that_does_not_exist_is_a_refusal(arc_ce: ComputingElement, tmp_path: Path) -> None:
    async with Site(arc_ce, tmp_path, {"tenants": {"*": {"queue": "nosuch"}}}) as site:
        with pytest.raises(CallError, match="Requested queue nosuch is not allowed for this user") as refused:
            await site.start()
        assert refused.value.code == 422


async def test_namespaces_have_credentials_of_their_own(arc_ce: ComputingElement, tmp_path: Path) -> None:
    tenants = {"team-b": {"credential": {"token_file": str(arc_ce.token())}, "queue": "gpu"}, "*": {}}
    async with Site(arc_ce, tmp_path, {"tenants": tenants}) as site:
        ours = await site.start(FOREVER)
        theirs = await site.start("id -un; exit 3", metadata={"namespace": "team-b"})
        await site.running(ours)
        await site.ended(theirs)
        assert exit_code(theirs) == 3
        assert (await site.run(f"stat -c %U /session/{site.id(ours)}")).strip() == "alice"
        assert (await site.asked("GET", f"/jobs/{site.id(theirs)}/session")).status_code == 404
