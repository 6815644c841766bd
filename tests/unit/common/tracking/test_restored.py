"""Between a restart and the backend's first word of a pod, interLink keeps the state that it knows: ours may be older."""

from __future__ import annotations

import json
from pathlib import Path

from interlink_common.lifecycle.report import ContainerReport, PodReport, Running
from interlink_common.settings import PluginSettings
from interlink_common.testing.scripted import ScriptedBackend, Site
from interlink_common.tracking.node import VirtualNode
from interlink_common.tracking.pods import Intent, Pod
from interlink_common.tracking.records import Records

UID = "0f7f2a3e-0000-4000-8000-000000000001"
ASKED = json.dumps([{"metadata": {"uid": UID, "name": "p", "namespace": "n"}, "spec": {"containers": [{"name": "main"}]}}]).encode()


async def test_a_pod_not_yet_heard_of_since_the_restart_is_left_out(tmp_path: Path) -> None:
    records = Records(tmp_path)
    await records.insert(Pod(UID, "n", "p", Intent.ACTIVE, "job-1"), None)
    await records.close()
    records = Records(tmp_path)
    settings = PluginSettings(state_dir=tmp_path)
    try:
        node = VirtualNode(ScriptedBackend(settings, Site()), records, settings)
        node.registry.recovered = True
        assert node.status(ASKED) == b"[]"
        pod = node.registry.pods[UID]
        pod.report, pod.observed = PodReport((ContainerReport("main", Running(1.0), ready=True, started=True),)), True
        assert "running" in json.loads(node.status(ASKED))[0]["containers"][0]["state"]
    finally:
        await records.close()
