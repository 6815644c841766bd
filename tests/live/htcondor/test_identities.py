"""Whose jobs a namespace's are: a queue super user's choice, a SciToken's subject, an X.509 proxy's; and jobs in the container universe."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.htcondor.site import FOREVER, Site, exit_code
from tests.servers.container import unavailable
from tests.servers.htcondor import Pool, running_pool
from tests.servers.htcondor_trust import CONFIGURATION, Trust

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def pool() -> Iterator[Pool]:
    if reason := unavailable():
        pytest.skip(reason)
    with running_pool(extra=CONFIGURATION) as pool:
        yield pool


@pytest.fixture(scope="module")
def trust(pool: Pool, tmp_path_factory: pytest.TempPathFactory) -> Trust:
    return Trust(pool, tmp_path_factory.mktemp("trust"))


async def runs_as(site: Site, owner: str) -> None:
    """A pod that ends, and one that is deleted while it runs, with their logs."""
    short, long = await site.start("echo said; exit 3"), await site.start(FOREVER)
    await site.running(long)
    assert await site.attribute(long, "Owner") == f'"{owner}"'
    await site.ended(short)
    assert (exit_code(short), await site.client.read_logs(short, "main")) == (3, "said\n")
    await site.logged(long, "here\n")
    await site.delete_all()
    assert await asyncio.to_thread(site.pool.spooled) == []


async def test_a_queue_super_user_submits_for_others(pool: Pool, tmp_path: Path) -> None:
    tenants = {"team-a": {"owner": "alice"}, "team-b": {"owner": "bob"}}
    await asyncio.to_thread(pool.run, "condor_qusers -add site@pool.test")  # a super user counts as one once the schedd knows it
    async with Site(pool, tmp_path, {"tenants": tenants}) as site:
        pods = [await site.start(FOREVER, metadata={"namespace": f"team-{team}"}) for team in "abab"]
        for pod, owner in zip(pods, ("alice", "bob", "alice", "bob"), strict=True):
            await site.running(pod)
            assert await site.attribute(pod, "Owner") == f'"{owner}"'
            await site.logged(pod, "here\n")
        await site.delete_all()
        assert await asyncio.to_thread(pool.spooled) == []


async def test_who_is_no_super_user_is_told_so(pool: Pool, tmp_path: Path) -> None:
    settings = {"tenants": {"*": {"owner": "bob"}}, **pool.settings(tmp_path / "alice", "alice")}
    async with Site(pool, tmp_path / "site", settings) as site:
        pod = site.make()
        await site.client.create(pod)
        await site.waiting(pod, "ContainerCreating", "Setting owner to bob when active owner is alice is not permitted")


async def test_a_scitoken_is_renewed_on_disk(pool: Pool, trust: Trust, tmp_path: Path) -> None:
    token = await asyncio.to_thread(trust.scitoken, "bob", seconds=-60)
    credential = {"credential.token_file": None, "credential.scitoken_file": token, "credential.ca_directory": trust.certificates}
    async with Site(pool, tmp_path, credential) as site:
        pod = await site.start("exit 5")
        await site.waiting(pod, "ContainerCreating", "Failed to authenticate using SCITOKENS")
        assert await asyncio.to_thread(trust.scitoken, "bob") == token
        await site.ended(pod)
        assert exit_code(pod) == 5
        await runs_as(site, "bob")


async def test_an_x509_proxy_is_a_credential_and_goes_along(pool: Pool, trust: Trust, tmp_path: Path) -> None:
    proxy = await asyncio.to_thread(trust.proxy, "alice")
    credential = {"credential.token_file": None, "credential.x509_proxy_file": proxy, "credential.ca_directory": trust.certificates}
    async with Site(pool, tmp_path, credential) as site:
        await runs_as(site, "alice")


SITE_IMAGE = """\
mkdir -p /images/parts && cd /images/parts
mkdir -p dev etc home proc sys tmp usr/bin usr/lib usr/lib64 var
chmod 1777 tmp
ln -s usr/bin usr/lib usr/lib64 .
cp -L /usr/bin/python3 /usr/bin/busybox usr/bin
ln -s busybox usr/bin/sh
cp -a /usr/lib/python3* usr/lib
ldd /usr/bin/python3 /usr/lib/python3*/lib-dynload/*.so | grep -o '/[^ ]*\\.so[^ ]*' | sort -u > /tmp/libraries
while read -r file; do mkdir -p ".$(dirname "$file")"; cp -L "$file" ".$file"; done < /tmp/libraries
cp /etc/passwd /etc/group etc
echo inside > etc/where
apptainer build --sandbox /images/site /images/parts
"""
"""A directory with a shell and a Python, as an image that HTCondor's own test of images passes."""


async def test_jobs_of_the_container_universe_run_in_the_sites_image(pool: Pool, tmp_path: Path) -> None:
    await asyncio.to_thread(pool.run, SITE_IMAGE)
    settings = {"job.universe": "container", "job.container_image": "/images/site", "runner.runtimes": ["process"]}
    async with Site(pool, tmp_path, settings) as site:
        pod = await site.start("sleep 1; /bin/busybox cat /etc/where; exit 6")
        await site.ended(pod)
        assert (exit_code(pod), await site.client.read_logs(pod, "main")) == (6, "inside\n")
