"""The recorded create requests of a real interLink, in both environment modes, really run: only what the main container says is ours."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import pytest

from interlink_common.virtualkubelet.client import PluginClient
from tests.servers.docker_engine import DockerEngine
from tests.servers.docker_plugin import DockerPlugin

WIRE = Path(__file__).parents[2] / "wire"
SAY = """
echo 'command: $(B) $(A_FROM_CM) $$(A) $(NOT_SET)'
echo "args: $0"
for name in A B D LATER A_FROM_CM PW MYNAME MYANN GOOD_KEY P_user P_password; do env | grep "^$name="; done
for file in /data/x /cm/sub/a.conf /sec/password /dw/lab1 /dw/cpu /proj/tok /proj/key-b /proj/password /proj/ns \
  /var/run/secrets/kubernetes.io/serviceaccount/namespace; do echo "$file: $(stat -L -c %a $file) $(cat $file | tr '\\n' '|')"; done
od -An -tx1 /cm/blob.bin /proj/blob.bin
stat -c %F /etc/one.conf
"""
SAID = """\
command: one-two bee $(A) $(NOT_SET)
args: one x $(A)
A=one
B=one-two
D=$(LATER) $(A)
LATER=late
A_FROM_CM=bee
PW=p@ss'"w
MYNAME={name}
MYANN=a "quoted" team
GOOD_KEY=gk
P_user=alice
P_password=p@ss'"w
/data/x: 644 init|
/cm/sub/a.conf: 440 hello|world|
/sec/password: 600 p@ss'"w
/dw/lab1: 644 rich
/dw/cpu: 644 1
/proj/tok: 644 eyJ.REDACTED.jwt
/proj/key-b: 644 bee
/proj/password: 644 p@ss'"w
/proj/ns: 644 default
/var/run/secrets/kubernetes.io/serviceaccount/namespace: 644 default
 00 01 02 03 04 00 01 02 03 04
directory
"""
"""The last word: a subPath that is not in its volume becomes an empty directory, as the kubelet makes it."""


async def ended(client: PluginClient, pod: dict[str, Any]) -> dict[str, int]:
    """The exit codes, once every container has ended."""
    deadline = time.monotonic() + 60
    while True:
        answer = (await client.send("GET", "/status", [pod])).json()[0]
        states = {status["name"]: status["state"] for status in answer["initContainers"] + answer["containers"]}
        if all("terminated" in state for state in states.values()):
            return {name: state["terminated"]["exitCode"] for name, state in states.items()}
        assert time.monotonic() < deadline, answer
        await asyncio.sleep(0.2)


@pytest.mark.parametrize(("recording", "unexpanded"), [("01-create-rich-default.json", False), ("02-create-rich-skipdownward.json", True)])
async def test_a_recorded_pod_runs(engine: DockerEngine, tmp_path: Path, recording: str, unexpanded: bool) -> None:
    body = json.loads((WIRE / recording).read_text())["body"]
    pod = body["pod"]
    main = pod["spec"]["containers"][0]
    main["command"] = ["sh", "-c", SAY.replace("$(stat", "$$(stat").replace("$(cat", "$$(cat")]
    plugin = DockerPlugin(engine, tmp_path, {"skip_downward_api_resolution": unexpanded})
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
