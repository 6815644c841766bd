"""The way to a running container: pulls and starts that fail, and the back-off, in the agent's hands."""

from __future__ import annotations

import pytest

from interlink_common.agent.runtime import StartError
from interlink_common.model.report import Terminated, Waiting
from interlink_common.testing.fake_node import Node, on_node
from interlink_common.testing.lifecycle_cases import SERVE, pod, sh
from interlink_common.testing.virtual_time import EPOCH, now

SERVER = pod("server", sh("main", SERVE))


def test_pull_errors_alternate_back_off_and_recover() -> None:
    async def story(node: Node) -> None:
        node.runtime.pull_errors["busybox:1"] = [StartError("ErrImagePull", "manifest unknown")] * 3
        began = now()
        node.agent.add(pod("p", sh("main", "exit 0")))
        (end,) = await node.ended("uid-p")
        assert end.exit_code == 0
        pulls = ["ErrImagePull", "ImagePullBackOff"] * 3
        assert [state.reason for state in node.waits("uid-p")] == ["ContainerCreating", *pulls, "ContainerCreating"]
        assert 70 <= now() - began < 75

    on_node(story)


def test_deadline_strikes_while_an_image_is_missing() -> None:
    async def story(node: Node) -> None:
        node.runtime.pull_errors["busybox:1"] = [StartError("ErrImagePull", "no route")] * 99
        node.agent.add(pod("p", sh("main", "exit 0"), policy="Always", active_deadline_seconds=60))
        words = "DeadlineExceeded: the pod was active longer than activeDeadlineSeconds; the container never ran"
        assert await node.ended("uid-p") == [Terminated(137, "DeadlineExceeded", words)]

    on_node(story)


def test_progress_of_a_pull_is_told() -> None:
    async def story(node: Node) -> None:
        node.runtime.pull_seconds = 60
        node.agent.add(SERVER)
        await node.until(lambda: Waiting("ContainerCreating", "pulling busybox:1") in node.waits("uid-server"))
        await node.agent.remove("uid-server", 0)
        assert ("start", "main", 0) not in node.runtime.journal

    on_node(story)


@pytest.mark.parametrize("reason", ["CreateContainerConfigError", "CreateContainerError", "FailedMount"])
def test_a_start_that_may_work_later_is_tried_again_under_the_same_number(reason: str) -> None:
    async def story(node: Node) -> None:
        node.runtime.start_errors["main"] = [StartError(reason, "not now")] * 3
        began = now()
        node.agent.add(pod("p", sh("main", "exit 0")))
        report = await node.finished("uid-p")
        assert (report.containers[0].restart_count, report.containers[0].last_state) == (0, None)
        assert 70 <= now() - began < 75
        assert [state.reason for state in node.waits("uid-p")] == ["ContainerCreating", reason]

    on_node(story)


def test_a_container_that_cannot_run_spends_its_attempt() -> None:
    async def story(node: Node) -> None:
        node.runtime.start_errors["main"] = [StartError("RunContainerError", "no such file: /bin/nope")] * 3
        node.agent.add(pod("never", sh("main", "exit 0")))
        (end,) = await node.ended("uid-never")
        assert (end.exit_code, end.reason, end.message) == (128, "ContainerCannotRun", "no such file: /bin/nope")
        node.agent.add(pod("again", sh("main", "exit 0"), policy="OnFailure"))
        (entry,) = (await node.finished("uid-again")).containers
        assert entry.restart_count == 2
        words = "back-off 10s restarting failed container=main pod=again_cases(uid-again): no such file: /bin/nope"
        assert Waiting("RunContainerError", words) in node.waits("uid-again")

    on_node(story)


def test_backoff_is_the_kubelets() -> None:
    async def story(node: Node) -> None:
        node.agent.add(pod("p", sh("main", "exit 1"), policy="Always"))
        await node.until(lambda: ("start", "main", 8) in node.runtime.journal)
        await node.agent.remove("uid-p", 0)
        words = [state.message.split()[1] for state in node.waits("uid-p") if state.reason == "CrashLoopBackOff"]
        assert words == ["0s", "10s", "20s", "40s", "1m20s", "2m40s", "5m0s"]
        assert 910 <= now() - EPOCH < 915

    on_node(story)


def test_backoff_is_forgotten_after_a_long_run() -> None:
    async def story(node: Node) -> None:
        runs = ("test -e /work/3 && exit 0", "test -e /work/2 && touch /work/3 && sleep 601", "test -e /work/1 && touch /work/2")
        node.agent.add(pod("p", sh("main", "; ".join([*runs, "touch /work/1", "exit 1"])), policy="OnFailure"))
        await node.finished("uid-p")
        words = [state.message.split()[1] for state in node.waits("uid-p") if state.reason == "CrashLoopBackOff"]
        assert words == ["0s", "10s", "0s"]

    on_node(story)
