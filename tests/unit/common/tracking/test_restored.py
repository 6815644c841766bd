"""Between a restart and the backend's first word of a pod, interLink keeps the state that it knows: ours may be older."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from interlink_common.backend import Job
from interlink_common.errors import ConfigurationError
from interlink_common.model.report import ContainerReport, PodReport, Running, Terminated, Waiting
from interlink_common.settings import PluginSettings
from interlink_common.testing.scripted import ScriptedBackend, Site
from interlink_common.testing.scripts import Script
from interlink_common.tracking.composition import Subject
from interlink_common.tracking.last_known import last_known_entry
from interlink_common.tracking.node import VirtualNode
from interlink_common.tracking.pods import Intent, PodRecord
from interlink_common.tracking.records import Records
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.judge import judge_status
from tests.unit.common.tracking.world import World, create, eventually, make_pod, status

UID = "0f7f2a3e-0000-4000-8000-000000000001"
ASKED = json.dumps([{"metadata": {"uid": UID, "name": "p", "namespace": "n"}, "spec": {"containers": [{"name": "main"}]}}]).encode()


async def test_a_pod_not_yet_heard_of_since_the_restart_is_left_out(tmp_path: Path) -> None:
    records = Records(tmp_path)
    await records.insert(PodRecord(UID, "n", "p", Intent.ACTIVE, "job-1"), None)
    await records.close()
    records = Records(tmp_path)
    settings = PluginSettings(state_dir=tmp_path)
    try:
        node = VirtualNode(ScriptedBackend(settings, Site()), records, settings)
        node.registry.recovered = True
        assert node.status(ASKED) == b"[]"
        record = node.registry.pods[UID]
        record.observed(PodReport((ContainerReport("main", Running(1.0), ready=True, started=True),)), now=0.0)
        assert "running" in json.loads(node.status(ASKED))[0]["containers"][0]["state"]
    finally:
        await records.close()


CAUSE = "the scripted site is down; it comes back when its test says so."
OUTAGE = f"the scripted backend is unreachable since 1970-01-01T00:00:00Z ({CAUSE}); this is the last known state"


async def test_in_an_outage_the_states_of_the_request_stand_and_those_that_wait_say_since_when(world: World) -> None:
    """One container runs and one waits for its next attempt; the record of ours is older than what interLink knows."""
    pod: VirtualPod = make_pod(
        containers=[{"name": name, "image": "i", "command": Script(seconds=None).command()} for name in ("main", "side")]
    )
    failed = Terminated(1, "Error", "", 1.0, 2.0)
    main = ContainerReport("main", Running(3.0), ready=True, started=True, image="i", container_id="x://1")
    side = ContainerReport("side", Waiting("CrashLoopBackOff", "back-off 10s"), failed, image="i", container_id="x://2")
    async with world.plugin() as node:
        await create(node, pod)
        record = node.registry.pods[pod.uid]
        record.observed(PodReport((main, side)), now=0.0)
        status(node, pod)
        before = pod.container_status("main"), pod.container_status("side")
    world.site.set_reachable(False)
    async with world.plugin(recovered=False) as node:
        node.registry.backend._clock = lambda: 0.0
        await eventually(lambda: node.registry.backend.down_since is not None)
        for _ in range(2):
            assert judge_status(pod, node.status(json.dumps(pod.status_body()).encode()))
            told = {"waiting": {"reason": "CrashLoopBackOff", "message": f"back-off 10s {OUTAGE}"}}
            assert pod.container_status("main") == before[0]
            assert pod.container_status("side") == {**before[1], "state": told}


STATUS = {"name": "a", "state": {"waiting": {"reason": "X"}}}
RUNS = {"name": "b", "state": {"running": {"startedAt": "1970-01-01T00:00:01Z"}}}
ENDED = {"name": "b", "state": {"terminated": {"exitCode": 0}}}
FAILED = {"name": "i", "state": {"terminated": {"exitCode": 3}}}


@pytest.mark.parametrize(
    ("statuses", "inits"),
    [
        ("null", "null"),
        ("{", "[]"),
        ("3", "[]"),
        ([STATUS], None),
        ([STATUS, {"name": "b", "state": {}}], []),
        ([STATUS, {"name": "b", "state": 3}], []),
        ([STATUS, RUNS], None),
        ([STATUS, RUNS], [FAILED]),
        ([{**ENDED, "name": "a"}, ENDED], [{"name": "i", "state": {"waiting": {"reason": "X"}}}]),
        ([{**RUNS, "name": "a"}, RUNS], [{**ENDED, "name": "i"}]),
    ],
)
def test_where_the_request_tells_too_little_or_nothing_waits_the_pod_is_left_out(statuses: Any, inits: Any) -> None:
    texts = [text if isinstance(text, str) else json.dumps(text) for text in (statuses, inits)]
    assert last_known_entry(Subject("u", "n", "p", "j", ("a", "b"), ("i",)), texts[0].encode(), texts[1].encode(), OUTAGE) is None


async def test_settings_that_are_wrong_are_told_and_may_be_put_right(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = [ConfigurationError("token_file may be read by others")]
    start = ScriptedBackend.start

    async def failing(self: ScriptedBackend, jobs: Sequence[Job]) -> None:
        if errors:
            raise errors.pop()
        await start(self, jobs)

    monkeypatch.setattr(ScriptedBackend, "start", failing)
    async with world.plugin(recovered=False) as node:
        await eventually(lambda: "(token_file may be read by others)" in node.registry.backend.sentence)
        await eventually(node.registry.backend.up.is_set)
