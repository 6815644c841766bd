"""What a pod's job is on a real pool: what it asks for, what its ad tells the world, and what it does not."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.live.htcondor.site import FOREVER, Site, exit_code, until
from tests.servers.htcondor import Pool

pytestmark = pytest.mark.timeout(240)

SECRET = "no-one-may-see-this"
DEVICES = {"devices.custom": {"intel.com/fpga": "FPGAs"}}


async def test_nothing_of_a_secret_is_in_the_ad_or_in_what_others_may_read(site: Site) -> None:
    secret = {"metadata": {"name": "s"}, "data": {"token": "bm8tb25lLW1heS1zZWUtdGhpcw=="}}
    pod = await site.start(
        f"trap 'exit 0' TERM; cat /s/token; echo; while :; do sleep 1 & wait $!; done # {SECRET}",
        container={"volumeMounts": [{"name": "s", "mountPath": "/s"}], "env": [{"name": "PASSWORD", "value": SECRET}]},
        secrets={"s": secret},
        volumes=[{"name": "s", "secret": {"secretName": "s"}}],
        metadata={"annotations": {"note": SECRET}},
    )
    await site.running(pod)
    assert SECRET not in await site.condor(f"condor_q -allusers -long {site.job(pod)}")
    readable = await site.condor("cd $(condor_config_val SPOOL) && find . -path '*cluster*' -type f -perm /077 -exec cat {} +")
    assert SECRET not in readable
    found = await site.condor("cd $(condor_config_val SPOOL) && find . -name pod.json -exec stat -c %a {} +")
    assert set(found.split()) == {"600"}
    await until(lambda: any(SECRET.encode() in path.read_bytes() for path in site.plugin.state.glob("pods/*/log/*")), "no log was taken")
    ours = [path for path in site.plugin.state.rglob("*") if path.is_file() and "records" not in path.name]
    assert not [path for path in ours if path.name == "pod.json"]
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in ours if SECRET.encode() in path.read_bytes())


async def test_hostile_labels_and_names_of_namespaces_are_strings_of_the_ad(site: Site) -> None:
    pod = site.make(FOREVER)
    pod.document["metadata"]["labels"] = {"app.kubernetes.io/name": "web", "x": '" || true\nqueue 7 $(HOME) \\'}
    await site.client.create(pod)
    await site.running(pod)
    assert await site.attribute(pod, "InterLinkLabel_app_2E_kubernetes_2E_io_2F_name") == '"web"'
    assert await site.attribute(pod, "InterLinkLabel_x") == '"%22 || true%0Aqueue 7 %24(HOME) %5C"'
    assert await site.attribute(pod, "Owner") == '"site"'


async def test_cpu_memory_gpus_and_cards_are_matched(htcondor_pool: Pool, tmp_path: Path) -> None:
    async with Site(htcondor_pool, tmp_path, DEVICES) as site:
        resources = {"cpu": "1500m", "memory": "100Mi", "ephemeral-storage": "32Mi", "nvidia.com/gpu": "1", "intel.com/fpga": "1"}
        pod = await site.start(
            FOREVER,
            container={"resources": {"limits": resources}},
            metadata={"annotations": {"interlink.eu/gpus-minimum-memory": "30Gi"}},
            nodeSelector={"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"},
        )
        greedy = await site.start(container={"resources": {"limits": {"nvidia.com/gpu": "3"}}})
        await site.running(pod)
        asked = "RequestCpus RequestMemory RequestDisk RequestGPUs RequestFPGAs AssignedGPUs AssignedFPGAs"
        told = (await site.condor(f"condor_q -allusers {site.job(pod)} -af {asked}")).split()
        assert told[:5] == ["2", "164", "32768", "1", "1"]
        assert told[5].startswith("GPU-")
        assert told[6] in ("fpga0", "fpga1")
        await site.waiting(greedy, "Queued", "no slot of the pool has 3 GPUs, the largest has 2")
        resources = (await site.client.ping())["resources"]
        assert {each["resourceType"]: each["available"] for each in resources["accelerators"]} == {
            "nvidia.com/gpu": "2",
            "intel.com/fpga": "2",
        }
        assert (resources["cpu"], resources["memory"]) == ("32", "32Gi")


async def test_cvmfs_is_asked_for_by_the_slots_attribute(htcondor_pool: Pool, tmp_path: Path) -> None:
    async with Site(htcondor_pool, tmp_path, {"cvmfs.attribute": "HAS_CVMFS_*"}) as site:
        annotations = {"cvmfs.interlink.eu/repositories": "atlas.cern.ch"}
        pod = await site.start(metadata={"annotations": annotations})
        requirements = await site.attribute(pod, "Requirements")
        assert "HAS_CVMFS_atlas_cern_ch" in requirements
        elsewhere = await site.start(metadata={"annotations": {"cvmfs.interlink.eu/repositories": "lhcb.cern.ch"}})
        await site.waiting(pod, "FailedMount", "/cvmfs/atlas.cern.ch is not available on this node")  # the slot says more than it has
        await site.waiting(elsewhere, "Queued")


async def test_namespaces_have_owners_of_their_own(htcondor_pool: Pool, tmp_path: Path) -> None:
    alice = htcondor_pool.token("alice", tmp_path / "alice/alice.token")
    tenants = {"team-a": {"credential": {"token_file": str(alice)}, "accounting_group": "group_a", "priority": 3}, "*": {}}
    async with Site(htcondor_pool, tmp_path / "site", {"tenants": tenants}) as site:
        ours, theirs = await site.start(FOREVER), await site.start("sleep 2; exit 3", metadata={"namespace": "team-a"})
        await site.running(ours)
        assert await site.attribute(ours, "Owner") == '"site"'
        told = await site.condor(f"condor_q -allusers {site.job(theirs)} -af Owner AcctGroup JobPrio")
        assert told.split() == ["alice", "group_a", "3"]
        await site.ended(theirs)
        assert exit_code(theirs) == 3


async def test_states_are_followed_by_the_event_log(htcondor_pool: Pool, tmp_path: Path) -> None:
    settings = {"follow.event_log": htcondor_pool.event_log, "follow.poll_seconds": 600, "follow.resync_seconds": 600}
    async with Site(htcondor_pool, tmp_path, settings) as site:
        pod = await site.start("echo one; sleep 5; echo two; exit 4")
        await site.running(pod)
        assert await site.client.read_logs(pod, "main", follow=True) == "one\ntwo\n"
        await site.ended(pod)
        assert exit_code(pod) == 4
