"""What the agent adds to the decisions: it carries them out, survives its own end and the runtime's, and cleans up."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from functools import partial

import pytest

from interlink_common.agent.runtime import RuntimeUnavailable
from interlink_common.model.report import Running
from interlink_common.model.workload import EmptyDirVolume, ExecAction, SleepAction
from interlink_common.testing.fake_node import Node, on_node
from interlink_common.testing.lifecycle_cases import SERVE, pod, probe, sh
from interlink_common.testing.virtual_time import now

SERVER = pod("server", sh("main", SERVE))


def test_a_runtime_that_is_away_freezes_the_pod() -> None:
    async def story(node: Node) -> None:
        node.agent.add(pod("p", sh("main", "sleep 100; exit 3")))
        await node.running("uid-p")
        before = node.agent.report("uid-p")
        node.runtime.unavailable = True
        await asyncio.sleep(1000)
        assert node.agent.report("uid-p") == before
        node.runtime.unavailable = False
        node.agent.wake_all()
        (end,) = await node.ended("uid-p")
        assert end.exit_code == 3

    on_node(story)


def test_an_action_that_was_lost_is_done_again_without_a_wake() -> None:
    async def story(node: Node) -> None:
        node.runtime.unavailable = True
        node.agent.add(pod("p", sh("main", "exit 0")))
        await asyncio.sleep(100)
        assert node.agent.report("uid-p") is None
        node.runtime.unavailable = False
        await node.finished("uid-p")

    on_node(story)


@pytest.mark.parametrize("at_seconds", [0.05, 1.05, 2.55, 4.05, 30.0])
def test_restart_of_the_process_at_any_moment(at_seconds: float) -> None:
    """The second agent goes on from what was saved: nothing runs twice, nothing is lost."""
    story_pod = pod(
        "p",
        sh("main", "sleep 2; test -e /work/hook", post_start=ExecAction(("touch", "/work/hook"))),
        inits=(sh("init", "sleep 1"), sh("side", SERVE, sidecar=True, pre_stop=SleepAction(1))),
    )

    async def story(node: Node) -> None:
        node.runtime.pull_seconds = 0.5
        node.agent.add(story_pod)
        await asyncio.sleep(at_seconds)
        await node.close()
        await asyncio.sleep(1)
        node.restart()
        node.agent.add(story_pod, node.saved.get("uid-p", ""))
        assert [end.exit_code for end in await node.ended("uid-p")] == [0, 0, 0]
        starts = [event for event in node.runtime.journal if event[0] == "start"]
        assert starts == [("start", "init", 0), ("start", "side", 0), ("start", "main", 0)]

    on_node(story)


def test_pre_stop_then_term_then_kill_within_the_grace() -> None:
    async def story(node: Node) -> None:
        stubborn = sh("main", "trap '' TERM; sleep 900 & wait", pre_stop=ExecAction(("sleep", "4")))
        node.agent.add(pod("p", stubborn, grace_seconds=10))
        await node.running("uid-p")
        began = now()
        await node.agent.remove("uid-p", 10)
        assert [verb for verb, name, _ in node.runtime.journal if name == "main"][-4:] == ["exec", "TERM", "KILL", "exit"]
        assert 10 <= now() - began < 11

    on_node(story)


def test_a_pre_stop_that_hangs_leaves_the_minimum_grace() -> None:
    async def story(node: Node) -> None:
        node.agent.add(pod("p", sh("main", "trap '' TERM; sleep 900 & wait", pre_stop=ExecAction(("sleep", "400")))))
        await node.running("uid-p")
        began = now()
        await node.agent.remove("uid-p", 5)
        assert 7 <= now() - began < 8

    on_node(story)


def test_a_second_delete_hurries_the_first() -> None:
    async def story(node: Node) -> None:
        node.agent.add(pod("p", sh("main", "sleep 900")))
        await node.running("uid-p")
        began = now()
        first = asyncio.create_task(node.agent.remove("uid-p", 600))
        await asyncio.sleep(1)
        await node.agent.remove("uid-p", 0)
        await first
        assert now() - began < 5
        assert node.runtime.uids == set()

    on_node(story)


def test_remove_waits_for_the_runtime_and_takes_pods_it_never_had() -> None:
    async def story(node: Node) -> None:
        node.agent.add(SERVER)
        await node.running("uid-server")
        await node.close()
        node.restart()
        node.runtime.unavailable = True
        removal = asyncio.create_task(node.agent.remove(SERVER, 5))
        await asyncio.sleep(300)
        assert not removal.done()
        node.runtime.unavailable = False
        await removal
        assert node.runtime.uids == set()
        assert [verb for verb, *_ in node.runtime.journal][-3:] == ["TERM", "exit", "remove"]
        await node.agent.remove("uid-server", 5)

    on_node(story)


def test_closing_ends_a_removal_with_a_word() -> None:
    async def story(node: Node) -> None:
        node.agent.add(pod("p", sh("main", "sleep 900")))
        await node.running("uid-p")
        removal = asyncio.create_task(node.agent.remove("uid-p", 600))
        await asyncio.sleep(1)
        await node.close()
        with pytest.raises(RuntimeUnavailable, match="closed"):
            await removal
        assert node.runtime.uids == {"uid-p"}

    on_node(story)


def test_a_container_that_vanished_has_failed_and_the_policy_applies() -> None:
    async def story(node: Node) -> None:
        node.agent.add(SERVER)
        node.agent.add(pod("again", sh("main", SERVE), policy="Always"))
        await node.running("uid-server")
        await node.running("uid-again")
        node.runtime.vanish("uid-server", "main")
        node.runtime.vanish("uid-again", "main")
        (end,) = await node.ended("uid-server")
        message = "ContainerStatusUnknown: the container was removed from the runtime by somebody else"
        assert (end.exit_code, end.reason, end.message) == (137, "ContainerStatusUnknown", message)
        await node.until(lambda: node.entry("uid-again", "main").restart_count == 1)

    on_node(story)


def test_ended_containers_that_somebody_pruned_keep_their_codes() -> None:
    async def story(node: Node) -> None:
        node.agent.add(pod("p", sh("main", "sleep 50"), sh("other", "exit 4"), inits=(sh("init", "exit 0"),)))
        await node.running("uid-p")
        node.runtime.vanish("uid-p", "init")
        node.runtime.vanish("uid-p", "other")
        assert [end.exit_code for end in await node.ended("uid-p")] == [0, 0, 4]

    on_node(story)


def test_an_adopted_pod_is_observed_but_not_started() -> None:
    async def story(node: Node) -> None:
        whole = pod("p", sh("main", "sleep 9; exit 1"), policy="Always")
        node.agent.add(whole)
        await node.running("uid-p")
        await node.close()
        node.restart()
        stub = replace(whole, containers=(replace(whole.containers[0], command=None),))
        node.agent.add(stub, adopted=True)
        await node.running("uid-p")
        (end,) = await node.ended("uid-p")
        assert end.exit_code == 1
        assert [event for event in node.runtime.journal if event[0] == "start"] == [("start", "main", 0)]

    on_node(story)


def test_an_adopted_pod_of_which_nothing_is_left_fails_saying_so() -> None:
    async def story(node: Node) -> None:
        node.agent.add(SERVER, adopted=True)
        (end,) = await node.ended("uid-server")
        assert (end.exit_code, end.reason) == (137, "NotRestartable")
        assert "the plugin lost its state" in end.message

    on_node(story)


def test_a_pod_over_its_storage_is_evicted() -> None:
    async def story(node: Node) -> None:
        node.agent.add(replace(SERVER, volumes=(EmptyDirVolume("work", size_limit_bytes=1),), restart_policy="Always"))
        await node.running("uid-server")
        await asyncio.sleep(60)
        node.runtime.excess_words = "the emptyDir work is over its limit"
        began = now()
        (end,) = await node.ended("uid-server")
        assert now() - began <= 11
        assert (end.exit_code, end.reason) == (137, "Evicted")
        assert end.message == "Evicted: the emptyDir work is over its limit"

    on_node(story)


def test_readiness_comes_and_goes() -> None:
    async def story(node: Node) -> None:
        server = sh("main", f"sleep 5; touch /work/ok; sleep 20; rm /work/ok; {SERVE}", readiness_probe=probe("test -e /work/ok"))
        node.agent.add(pod("p", server))

        def is_ready(wanted: bool) -> bool:
            return node.agent.report("uid-p") is not None and node.entry("uid-p", "main").ready is wanted

        for ready in (False, True, False):
            await node.until(partial(is_ready, ready))
        assert node.entry("uid-p", "main").started
        await node.agent.remove("uid-p", 0)

    on_node(story)


def test_startup_probe_holds_the_others_back_and_kills_past_its_threshold() -> None:
    async def story(node: Node) -> None:
        main = sh("main", "trap 'exit 9' TERM; sleep 900 & wait", startup_probe=probe("false", failures=5), liveness_probe=probe("false"))
        node.agent.add(pod("p", main))
        (end,) = await node.ended("uid-p")
        assert "startup probe" in end.message
        assert len([event for event in node.runtime.journal if event[0] == "exec"]) == 5

    on_node(story)


def test_finished_and_idle_pods_cost_no_task_and_no_timer() -> None:
    async def story(node: Node) -> None:
        for number in range(200):
            node.agent.add(replace(SERVER if number % 2 else pod("done", sh("main", "exit 0")), uid=f"uid-{number}"))
        await node.until(lambda: len(node.runtime.journal) >= 700)
        await asyncio.sleep(5)
        tasks = {task.get_name() for task in asyncio.all_tasks()} - {"fake main"}
        assert {name for name in tasks if name.startswith("pod")} == set()

    on_node(story)


def test_a_finished_pod_is_reported_again_after_a_restart_without_a_look() -> None:
    async def story(node: Node) -> None:
        done = pod("p", sh("main", "exit 2"))
        node.agent.add(done)
        before = await node.finished("uid-p")
        await node.close()
        node.restart()
        node.runtime.unavailable = True
        node.agent.add(done, node.saved["uid-p"])
        assert node.agent.report("uid-p") == before
        node.runtime.unavailable = False
        await node.agent.remove("uid-p", 0)

    on_node(story)


def test_a_save_that_fails_holds_the_pod_up(caplog: pytest.LogCaptureFixture) -> None:
    async def story(node: Node) -> None:
        broken = True

        def save(uid: str, text: str) -> None:
            if broken:
                raise OSError("disk full")

        await node.close()
        node.restart()
        node.agent._context = replace(node.agent._context, save=save)
        node.agent.add(pod("p", sh("main", "exit 0")))
        await asyncio.sleep(60)
        assert node.runtime.journal == []
        broken = False
        await node.finished("uid-p")

    on_node(story)
    assert "a sync of pod uid-p failed" in caplog.text


def test_nothing_is_done_before_what_must_be_remembered_is_saved() -> None:
    async def story(node: Node) -> None:
        node.saving_seconds = 100
        node.agent.add(pod("p", sh("main", "exit 0")))
        await asyncio.sleep(90)
        assert (node.runtime.journal, node.saved) == ([], {})
        await node.finished("uid-p")
        assert len(node.runtime.journal) > 1

    on_node(story)


@pytest.mark.parametrize("verb", ["storage_excess", "execute", "kill"])
def test_a_mistake_in_the_runtime_fails_no_container(verb: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    async def story(node: Node) -> None:
        async def mistake(*_: object) -> None:
            raise KeyError(verb)

        probed = sh("main", SERVE, liveness_probe=probe("true"))
        node.agent.add(replace(pod("p", probed), volumes=(EmptyDirVolume("work", size_limit_bytes=1),)))
        await node.running("uid-p")
        with monkeypatch.context() as patch:
            patch.setattr(node.runtime, verb, mistake)
            removal = asyncio.create_task(node.agent.remove("uid-p", 60)) if verb == "kill" else None
            await asyncio.sleep(50)
            assert isinstance(node.entry("uid-p", "main").state, Running)
        await (removal or node.agent.remove("uid-p", 60))
        assert node.runtime.uids == set()

    on_node(story)
    assert "of pod uid-p failed" in caplog.text


def test_a_deadline_during_a_kill_for_liveness_still_fails_the_pod() -> None:
    async def story(node: Node) -> None:
        main = sh("main", "trap 'exit 0' TERM; sleep 900 & wait", liveness_probe=probe("false", delay=5), pre_stop=SleepAction(10))
        node.agent.add(pod("p", main, policy="Always", active_deadline_seconds=8, grace_seconds=30))
        (end,) = await node.ended("uid-p")
        assert (end.exit_code, end.reason) == (137, "DeadlineExceeded")

    on_node(story)
