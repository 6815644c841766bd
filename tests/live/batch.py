"""What has to hold on every batch system, whatever happens there without us: kills, outages, lost records, damage on our disk, and logs.

A backend's own tests subclass `BatchFaults` and `BatchLogs`, say how a site is made, and give it the hands of an administrator (`Site`).
Nothing is lost, nothing is doubled, and nobody is told of an end that is not known.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

import pytest

from interlink_common import faultpoints
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import CallError
from tests.live.site import FOREVER, Site, exit_code, state, until

AnySite = Site[Any]
MakeSite = Callable[[Mapping[str, object]], AnySite]


class BatchFaults:
    """`short_calls`: settings with which a call that gets no answer is given up within seconds."""

    short_calls: ClassVar[Mapping[str, object]] = {}
    job_ended_message: ClassVar[str] = ""
    """What a pod says whose job somebody has ended, as a regular expression."""
    podrunner_killed_message: ClassVar[str] = ""

    @pytest.fixture
    def make_site(self) -> MakeSite:
        """Makes a site with these settings beside its own."""
        raise NotImplementedError

    async def test_a_job_that_somebody_ends_has_failed_and_says_so(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            pod = await site.start(FOREVER)
            await site.running(pod)
            await site.logged(pod, "here\n")
            await site.end_job(pod)
            await site.ended(pod)
            assert (pod.phase, exit_code(pod) != 0) == ("Failed", True)
            assert re.search(self.job_ended_message, state(pod, "terminated")["message"])
            assert await site.client.read_logs(pod, "main") == "here\n"

    async def test_a_job_whose_podrunner_was_killed_has_failed_with_what_is_known(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            pod = await site.start(FOREVER)
            await site.running(pod)
            await site.kill_podrunners()
            await site.ended(pod)
            assert (pod.phase, exit_code(pod)) == ("Failed", 137)
            assert re.search(self.podrunner_killed_message, state(pod, "terminated")["message"])

    async def test_services_that_die_freeze_states_and_lose_nothing(self, make_site: MakeSite) -> None:
        async with make_site(self.short_calls) as site:
            deleted = await site.running(await site.start(FOREVER))
            running = await site.running(await site.start("sleep 30; exit 5"))
            async with site.services_down():
                late = await site.start("exit 4")
                await site.client.delete(deleted, grace_seconds=1)
                for _ in range(9):
                    phases = (await site.client.status(running), await site.client.status(late))
                    assert phases == ("Running", "Pending"), (running.document, late.document)
                    assert (await site.client.ping())["status"] == "ok"
                    await asyncio.sleep(1)
            for ending, code in ((running, 5), (late, 4)):
                await site.ended(ending)
                assert exit_code(ending) == code
            await site.emptied(deleted)

    async def test_a_network_that_is_cut_freezes_states(self, make_site: MakeSite) -> None:
        async with make_site(self.short_calls) as site:
            pod = await site.start("sleep 25; exit 3")
            await site.running(pod)
            async with site.network_cut():
                late = site.make("exit 2")
                creating = asyncio.create_task(site.client.create(late))
                for _ in range(8):
                    assert await site.client.status(pod) == "Running"
                    assert (await site.client.ping())["status"] == "ok"
                    await asyncio.sleep(1)
            await creating
            for ending, code in ((pod, 3), (late, 2)):
                await site.ended(ending)
                assert exit_code(ending) == code

    @pytest.mark.parametrize("fault", [faultpoints.RECORDED, faultpoints.SUBMITTED, faultpoints.JID_STORED])
    async def test_a_plugin_killed_during_a_create_has_one_job_in_the_end(
        self, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        await self.has_one_job_in_the_end(make_site, monkeypatch, fault)

    async def has_one_job_in_the_end(self, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
        """For a plugin with fault points of its own, too."""
        monkeypatch.setenv(faultpoints.VARIABLE, fault)
        async with make_site({}) as site:
            pod = site.make("echo once; sleep 1; exit 3")
            creating = asyncio.create_task(site.client.create(pod))
            await until(lambda: self.is_reached(site, pod), "the fault point was not reached")
            monkeypatch.delenv(faultpoints.VARIABLE)
            await site.plugin.restart()
            await asyncio.gather(creating, return_exceptions=True)
            await site.client.create(pod)
            await site.ended(pod)
            assert (exit_code(pod), await site.client.read_logs(pod, "main")) == (3, "once\n")
            await site.delete_all()
            assert await site.starts(pod) == 1

    def is_reached(self, site: AnySite, pod: VirtualPod) -> bool:
        """Whether the plugin, or the part of it that has the fault point, was killed."""
        return not site.plugin.runs()

    @pytest.mark.parametrize("fault", [faultpoints.DELETE_RECORDED, faultpoints.CANCELLED])
    async def test_a_plugin_killed_during_a_delete_leaves_nothing(
        self, make_site: MakeSite, monkeypatch: pytest.MonkeyPatch, fault: str
    ) -> None:
        monkeypatch.setenv(faultpoints.VARIABLE, fault)
        async with make_site({}) as site:
            pod = await site.start(FOREVER)
            await site.running(pod)
            await asyncio.gather(site.client.delete(pod, grace_seconds=1), return_exceptions=True)
            await until(lambda: not site.plugin.runs(), "the plugin was not killed")
            monkeypatch.delenv(faultpoints.VARIABLE)
            await asyncio.to_thread(site.plugin.start)
            await site.emptied(pod)
            with pytest.raises(CallError):
                await site.client.create(pod)

    async def test_a_lost_database_is_no_lost_pod(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            pod = await site.start("echo here; sleep 6; exit 3")
            await site.running(pod)
            await asyncio.to_thread(site.plugin.kill)
            for path in site.plugin.state.glob("records*"):
                path.unlink()
            await asyncio.to_thread(site.plugin.start)
            await site.ended(pod)
            assert (exit_code(pod), await site.client.read_logs(pod, "main")) == (3, "here\n")

    async def test_a_journal_that_was_torn_by_a_kill_is_whole_again(self, make_site: MakeSite) -> None:
        """The plugin was killed while it wrote: half a line is at the end of what it has."""
        async with make_site({}) as site:
            pod = await site.start("echo one; sleep 8; echo two; exit 3")
            await site.running(pod)
            await site.logged(pod, "one\n")
            await asyncio.to_thread(site.plugin.kill)
            newest = max((site.plugin.state / "pods" / pod.uid / "log").iterdir(), key=lambda path: path.stat().st_mtime_ns)
            with newest.open("ab") as file:
                file.write(b'{"log": "ma')
            await asyncio.to_thread(site.plugin.start)
            await site.ended(pod)
            assert (exit_code(pod), await site.client.read_logs(pod, "main")) == (3, "one\ntwo\n")

    async def test_jobs_of_others_are_left_alone(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            foreign = await site.start_foreign_job()
            try:
                await site.running(await site.start(FOREVER))
                await site.plugin.restart()  # and looks at every job of its user
                await site.running(await site.start(FOREVER))
                await site.delete_all()
                assert await site.has_foreign_job(foreign)
            finally:
                await site.end_foreign_job(foreign)

    async def test_a_job_goes_as_soon_as_it_has_ended_and_its_log_stays(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            pod = await site.start("echo said; exit 3")
            await site.ended(pod)
            await until(lambda: not site.plugin.jobs_of(pod.uid), "the job is not removed")
            await site.plugin.restart()
            assert await site.client.read_logs(pod, "main") == "said\n"
            assert exit_code(pod) == 3

    async def test_grace_of_a_deletion_is_the_pods(self, make_site: MakeSite) -> None:
        """Whatever the batch system does when it ends a job."""
        hook = {"preStop": {"exec": {"command": ["sh", "-c", "echo hook > /shared/hook"]}}}
        mounts = [{"name": "shared", "mountPath": "/shared"}]
        script = "trap 'cat /shared/hook; sleep 2; echo obeyed; exit 0' TERM; echo up; while :; do sleep 0.2 & wait $!; done"
        async with make_site({}) as site:
            pod = await site.start(
                script, container={"lifecycle": hook, "volumeMounts": mounts}, volumes=[{"name": "shared", "emptyDir": {}}]
            )
            await site.running(pod)
            await site.logged(pod, "up\n")
            following = asyncio.create_task(site.client.read_logs(pod, "main", follow=True))
            await asyncio.sleep(0.5)
            await site.client.delete(pod, grace_seconds=20)
            assert await following == self.last_log("up\nhook\nobeyed\n")
            await site.emptied(pod)

    def last_log(self, whole: str) -> str:
        """How much of it somebody sees who follows a pod's log when it is deleted."""
        return whole

    async def test_a_second_delete_with_less_grace_hurries_the_first(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            pod = await site.start("trap '' TERM; echo up; while :; do sleep 0.2; done")
            await site.running(pod)
            await site.client.delete(pod, grace_seconds=600)
            await asyncio.sleep(1)
            await site.client.delete(pod, grace_seconds=0)
            await site.emptied(pod)


class BatchLogs:
    """Logs, while a pod runs and afterwards."""

    @pytest.fixture
    def make_site(self) -> MakeSite:
        raise NotImplementedError

    async def test_a_line_is_seen_while_the_container_runs(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            pod = await site.start("for n in 1 2 3; do echo line $n; sleep 1; done; sleep 600")
            await site.running(pod)
            seen = b""
            async for chunk in site.client.logs(pod, "main", follow=True):
                seen += chunk
                if seen.count(b"\n") == 3:
                    break
            assert seen == b"line 1\nline 2\nline 3\n"
            assert await site.client.read_logs(pod, "main", tail=1) == "line 3\n"

    async def test_a_log_that_nobody_followed_is_there_when_it_is_asked_for(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            pod = await site.start("echo early; sleep 4; echo late; sleep 600")
            await site.running(pod)
            await asyncio.sleep(4)
            await site.logged(pod, "early\nlate\n")

    async def test_previous_and_init_containers(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            init = {"name": "init", "image": site.image, "command": ["sh", "-c", "echo of init"]}
            pod = await site.start(
                "echo attempt; [ -e /w/again ] && exit 0; touch /w/again; exit 9",
                initContainers=[init],
                restartPolicy="OnFailure",
                container={"volumeMounts": [{"name": "w", "mountPath": "/w"}]},
                volumes=[{"name": "w", "emptyDir": {}}],
            )
            await site.ended(pod)
            status = pod.container_status("main")
            assert (pod.phase, status["restartCount"], status["lastState"]["terminated"]["exitCode"]) == ("Succeeded", 1, 9)
            assert await site.client.read_logs(pod, "main", previous=True) == "attempt\n"
            assert await site.client.read_logs(pod, "init") == "of init\n"

    async def test_bytes_that_are_no_text(self, make_site: MakeSite) -> None:
        async with make_site({}) as site:
            pod = await site.start("printf '\\377\\000\\n\\342\\202\\n'")
            await site.ended(pod)
            got = b"".join([chunk async for chunk in site.client.logs(pod, "main")])
            assert got == b"\xff\x00\n\xe2\x82\n"
