"""The recorded create requests of a real interLink, in both environment modes, run on a remote node: the same words as on Docker."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

import pytest

from interlink_common.virtualkubelet.client import PluginClient
from tests.live.docker.test_wire import SAID, SAY, WIRE, ended
from tests.live.kueue.conftest import NAMESPACE
from tests.servers.kubernetes_node import BUSYBOX_IMAGE
from tests.servers.kubernetes_plugin import Api, KubernetesPlugin


@pytest.mark.parametrize(("recording", "unexpanded"), [("01-create-rich-default.json", False), ("02-create-rich-skipdownward.json", True)])
async def test_a_recorded_pod_runs(api: Api, kubeconfig: Path, tmp_path: Path, recording: str, unexpanded: bool) -> None:
    body = json.loads((WIRE / recording).read_text())["body"]
    pod = body["pod"]
    for container in pod["spec"]["containers"] + pod["spec"]["initContainers"]:
        container |= {"image": BUSYBOX_IMAGE, "imagePullPolicy": "IfNotPresent"}
    pod["spec"]["containers"][0]["command"] = ["sh", "-c", SAY.replace("$(stat", "$$(stat").replace("$(cat", "$$(cat")]
    settings = {"skip_downward_api_resolution": unexpanded, "instance": f"wire-{unexpanded}"}
    plugin = KubernetesPlugin(kubeconfig, api, NAMESPACE, tmp_path, settings)
    plugin.start()
    try:
        async with PluginClient(plugin.listen) as client:
            created = await client.send("POST", "/create", body)
            assert (created.status_code, created.json()["PodUID"]) == (200, pod["metadata"]["uid"]), created.text
            assert await ended(client, pod) == {"prep": 0, "main": 0, "side": 0}
            query = {"Namespace": "default", "PodUID": pod["metadata"]["uid"], "PodName": pod["metadata"]["name"], "ContainerName": "main"}
            said = (await client.send("GET", "/getLogs", {**query, "Opts": {}})).text
            assert said == SAID.format(name=pod["metadata"]["name"])
            assert (await client.send("POST", "/delete", pod)).status_code == 200
            deadline = time.monotonic() + 60
            while left := await plugin.leftovers(pod["metadata"]["uid"]):
                assert time.monotonic() < deadline, left
                await asyncio.sleep(0.2)
    finally:
        plugin.stop()
