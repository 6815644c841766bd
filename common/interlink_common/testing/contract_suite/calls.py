"""The part of the contract suite about deletion, and about bodies that are wrong, hostile or large."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from interlink_common.testing.contract_suite.base import PATIENCE_SECONDS, ContractBase, Pods, RunningPlugin
from interlink_common.testing.contract_suite.pods import FOREVER
from interlink_common.testing.scripts import Script
from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import CallError, PluginClient
from interlink_common.virtualkubelet.judge import judge_sentence

NOT_JSON = [b"", b"{", b"\xff\xfe", b"[1,", b"[" * 5000, b'{"a":' * 5000]
WRONG = {
    "/create": [b"null", b"3", b"{}", b"[]", b'{"pod": 3}', b'{"pod": {"metadata": {"name": "x"}}}', b'{"pod": {}, "container": 7}'],
    "/status": [b"{}", b"3", b"[3]", b'["x"]', b'[{"metadata": []}]'],
    "/delete": [b"null", b"[]", b"3", b"{}", b'{"metadata": 3}', b'{"metadata": {"uid": 3}}'],
    "/getLogs": [b"null", b"[]", b"{}", b'{"PodUID": 3}', b'{"PodUID": "x", "ContainerName": "c", "Opts": 3}'],
}
HOSTILE_NAMES = ["../../../../tmp/x", "a;touch /tmp/pwned", "$(id)", "a'b\"c", "a\nb", "ü" * 70, "x" * 5000, "-rf", ".", ""]


class CallContract(ContractBase):
    async def test_delete_ends_a_running_pod_and_leaves_nothing(self, plugin: RunningPlugin, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=FOREVER)
        await client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)
        await client.delete(pod)
        await self.emptied(plugin, pod.uid)
        answer = await client.send("GET", "/status", pod.status_body())
        assert (answer.status_code, [told for told in answer.json() or [] if told.get("UID") == pod.uid]) == (200, [])

    async def test_what_ignores_the_stop_is_killed_after_the_grace(self, plugin: RunningPlugin, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=Script(seconds=None, stop_seconds=3600.0))
        await client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)
        await client.delete(pod, grace_seconds=1)
        await self.emptied(plugin, pod.uid)

    async def test_a_second_delete_with_less_grace_hurries_the_first(
        self, plugin: RunningPlugin, client: PluginClient, pods: Pods
    ) -> None:  # fmt: skip
        """kubectl delete, and then --grace-period=0."""
        pod = await pods.start(main=Script(seconds=None, stop_seconds=3600.0))
        await client.wait_for(pod, "Running", timeout_seconds=PATIENCE_SECONDS)
        await client.delete(pod, grace_seconds=3600)
        await client.delete(pod, grace_seconds=1)
        await self.emptied(plugin, pod.uid)

    async def test_delete_twice_and_delete_of_an_unknown_pod_are_no_errors(self, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=Script())
        await client.delete(pod)
        await client.delete(pod)
        await client.delete(pods.make(main=Script()))

    async def test_delete_wins_over_a_create_under_way(self, plugin: RunningPlugin, client: PluginClient, pods: Pods) -> None:
        pod = pods.make(main=FOREVER)
        creating = asyncio.create_task(client.create(pod))
        await asyncio.sleep(0)
        await client.delete(pod)
        await asyncio.gather(creating, return_exceptions=True)
        await client.delete(pod)
        await self.emptied(plugin, pod.uid)

    async def test_a_deleted_pod_is_not_created_again(self, plugin: RunningPlugin, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=FOREVER)
        await client.delete(pod, grace_seconds=0)
        with pytest.raises(CallError) as caught:
            await client.create(pod)
        assert 400 <= caught.value.code < 500
        await self.emptied(plugin, pod.uid)

    async def test_a_delete_outlives_a_restart_of_the_plugin(self, plugin: RunningPlugin, client: PluginClient, pods: Pods) -> None:
        pod = await pods.start(main=FOREVER)
        await client.delete(pod, grace_seconds=0)
        await plugin.restart()
        await self.emptied(plugin, pod.uid)

    async def test_a_list_of_one_is_accepted_as_create(self, client: PluginClient, pods: Pods) -> None:
        """interLink before 0.5."""
        pod = pods.make(main=Script())
        answer = await client.send("POST", "/create", [pod.create_body()])
        assert answer.status_code == 200, answer.text
        await client.wait_for(pod, "Succeeded", timeout_seconds=PATIENCE_SECONDS)

    @pytest.mark.parametrize("path", WRONG)
    async def test_bad_bodies_are_answered_4xx_in_one_sentence(self, client: PluginClient, path: str) -> None:
        for body in [*NOT_JSON, *WRONG[path]]:
            answer = await client.send("POST" if path in ("/create", "/delete") else "GET", path, body)
            assert 400 <= answer.status_code < 500, (body[:80], answer.status_code, answer.text)
            judge_sentence(answer.text)

    @pytest.mark.parametrize("field", ["pod", "namespace", "uid", "container", "volume", "label", "variable", "subPath", "key", "path"])
    async def test_hostile_names_are_refused_or_harmless(self, plugin: RunningPlugin, client: PluginClient, pods: Pods, field: str) -> None:
        for name in HOSTILE_NAMES:
            body = _with_hostile(pods.make(main=Script()), field, name)
            answer = await client.send("POST", "/create", body)
            if answer.status_code != 200:
                assert 400 <= answer.status_code < 500, (name[:80], answer.status_code, answer.text)
                judge_sentence(answer.text)
            await client.send("POST", "/delete", body["pod"])
            await self.emptied(plugin, body["pod"]["metadata"]["uid"])

    async def test_two_containers_of_one_name_are_refused(self, client: PluginClient, pods: Pods) -> None:
        pod = pods.make(main=Script())
        pod.document["spec"]["containers"] *= 2
        with pytest.raises(CallError) as caught:
            await client.create(pod)
        assert 400 <= caught.value.code < 500

    async def test_ten_thousand_variables_are_refused_or_run(self, client: PluginClient, pods: Pods) -> None:
        pod = pods.make(main=Script())
        pod.document["spec"]["containers"][0]["env"] = [{"name": f"V{number}", "value": "x" * 10} for number in range(10_000)]
        answer = await client.send("POST", "/create", pod.create_body())
        assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text
        assert (await client.ping())["status"] == "ok"


def _with_hostile(pod: VirtualPod, field: str, name: str) -> dict[str, Any]:
    """The pod's create body with the name in one place; it is sent as it is, past everything that would refuse it earlier."""
    body = json.loads(json.dumps(pod.create_body()))
    metadata, spec = body["pod"]["metadata"], body["pod"]["spec"]
    container = spec["containers"][0]
    data: dict[str, str] = {"key": "text"}
    source: dict[str, Any] = {"name": "cm", "defaultMode": 0o644}
    mount = {"name": "v", "mountPath": "/v"}
    volume = {"name": "v", "configMap": source}
    if field in ("pod", "namespace", "uid"):
        metadata[{"pod": "name"}.get(field, field)] = name
    elif field == "container":
        container["name"] = body["container"][0]["name"] = name
    elif field == "volume":
        volume["name"] = mount["name"] = name
    elif field == "label":
        metadata.setdefault("labels", {})[name] = name
    elif field == "variable":
        container["env"] = [{"name": name, "value": name}]
    elif field == "subPath":
        mount["subPath"] = name
    elif field == "key":
        data = {name: "text"}
    else:
        source["items"] = [{"key": "key", "path": name}]
    spec["volumes"] = [*(spec.get("volumes") or []), volume]
    container["volumeMounts"] = [*(container.get("volumeMounts") or []), mount]
    body["container"][0]["configMaps"] = [{"metadata": {"name": "cm"}, "data": data}]
    return dict(body)
