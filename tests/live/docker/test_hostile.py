"""Hostile pods over HTTP, on a real engine: each is refused in a sentence that names the field, or runs correctly, and leaves nothing."""

from __future__ import annotations

import asyncio
import copy
import itertools
import json
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interlink_common.virtualkubelet.bodies import VirtualPod
from interlink_common.virtualkubelet.client import PluginClient
from interlink_common.virtualkubelet.judge import judge_sentence
from interlink_common.virtualkubelet.manifests import Manifests
from tests.servers.docker_engine import BUSYBOX_IMAGE, DockerEngine
from tests.servers.docker_plugin import DockerPlugin

Document = dict[str, Any]
Change = Callable[[Document], None]

CANARY = "nobody may touch this"
numbers = itertools.count()


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hostile")


@pytest.fixture(scope="module")
def plugin(engine: DockerEngine, directory: Path) -> Iterator[DockerPlugin]:
    plugin = DockerPlugin(engine, directory, {"security.allow_host_ports": False})
    plugin.start()
    yield plugin
    plugin.stop()


@pytest_asyncio.fixture
async def client(plugin: DockerPlugin) -> AsyncIterator[PluginClient]:
    async with PluginClient(plugin.listen) as client:
        yield client


@pytest.fixture(autouse=True)
def canary(directory: Path) -> Iterator[Path]:
    """A file of the host, in reach of `../../../../canary` from every volume; nothing may touch it or appear beside it."""
    path = directory / "state" / "canary"
    path.write_text(CANARY)
    path.chmod(0o600)
    before = beside(path)
    yield path
    assert (path.read_text(), path.stat().st_mode & 0o777, path.stat().st_uid) == (CANARY, 0o600, 0)
    assert beside(path) == before
    assert list((path.parent / "pods").glob("*")) == []


def beside(path: Path) -> list[str]:
    """But for the database, whose journal comes and goes."""
    return sorted(found.name for found in path.parent.iterdir() if found.name != "pods" and not found.name.startswith("records.sqlite3"))


def a_pod(script: str = "true", **spec: Any) -> VirtualPod:
    """An honest pod with a configMap `c` (key k) and an emptyDir `e`, both mounted."""
    main: Document = {
        "name": "main",
        "image": BUSYBOX_IMAGE,
        "command": ["sh", "-c", script],
        "volumeMounts": [{"name": "c", "mountPath": "/c"}, {"name": "e", "mountPath": "/e"}],
    }
    volumes: list[Document] = [{"name": "c", "configMap": {"name": "config"}}, {"name": "e", "emptyDir": {}}]
    whole = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, "containers": [main], "volumes": volumes, **spec}
    pod = {"metadata": {"name": f"hostile-{next(numbers)}"}, "spec": whole}
    config = {"metadata": {"name": "config"}, "data": {"k": "v"}}
    return VirtualPod.admit(Manifests(pod, {"config": config}, {}), now=time.time())


def put(path: str, value: object) -> Change:
    """Sets one value of a create body; `path` is dotted, numbers index lists."""

    def change(body: Document) -> None:
        *parents, last = path.split(".")
        target: Any = body
        for part in parents:
            target = target[int(part)] if isinstance(target, list) else target.setdefault(part, {})
        if isinstance(target, list):
            target[int(last)] = value
        else:
            target[last] = value

    return change


def spec(path: str, value: object) -> Change:
    return put(f"pod.spec.{path}", value)


def main(path: str, value: object) -> Change:
    return spec(f"containers.0.{path}", value)


def keys(path: str) -> Change:
    return spec("volumes.0.configMap.items", [{"key": "k", "path": path}])


def config_key(name: str) -> Change:
    return put("container.0.configMaps.0.data", {name: "v"})


def twice(body: Document) -> None:
    body["pod"]["spec"]["containers"] *= 2


def huge_number(body: Document) -> None:
    body["pod"]["spec"]["terminationGracePeriodSeconds"] = 10**40


REFUSED: dict[str, tuple[Change, str]] = {
    "dots in a configMap key": (config_key("../../../../canary"), "configMap"),
    "slash in a configMap key": (config_key("a/b"), "configMap"),
    "dots in items": (keys("../../../../canary"), "items[0].path"),
    "dots in the middle of items": (keys("a/../../../../../canary"), "items[0].path"),
    "absolute path in items": (keys("/etc/cron.d/x"), "items[0].path"),
    "NUL in items": (keys("a\0b"), "items[0].path"),
    "dots in subPath": (main("volumeMounts.1.subPath", "../../.."), "volumeMounts[1].subPath"),
    "absolute subPath": (main("volumeMounts.1.subPath", "/etc"), "volumeMounts[1].subPath"),
    "dots in subPathExpr": (main("volumeMounts.1.subPathExpr", "../.."), "volumeMounts[1].subPathExpr"),
    "unknown variable in subPathExpr": (main("volumeMounts.1.subPathExpr", "$(NONE)"), "volumeMounts[1].subPathExpr"),
    "dots in mountPath": (main("volumeMounts.1.mountPath", "/../etc"), "volumeMounts[1].mountPath"),
    "root as mountPath": (main("volumeMounts.1.mountPath", "//"), "volumeMounts[1].mountPath"),
    "colon in mountPath": (main("volumeMounts.1.mountPath", "/e:/host"), "volumeMounts[1].mountPath"),
    "mountPath twice": (main("volumeMounts.1.mountPath", "/c/"), "volumeMounts"),
    "volume that is none": (main("volumeMounts.1.name", "nope"), "volumeMounts[1].name"),
    "root as terminationMessagePath": (main("terminationMessagePath", "/"), "terminationMessagePath"),
    "dots in terminationMessagePath": (main("terminationMessagePath", "/a/../../b"), "terminationMessagePath"),
    "shell in a pod name": (put("pod.metadata.name", "$(touch /x);`id`"), "metadata.name"),
    "path as UID": (put("pod.metadata.uid", "../../canary"), "metadata.uid"),
    "path as namespace": (put("pod.metadata.namespace", "../x"), "metadata.namespace"),
    "shell in a container name": (main("name", "a;reboot"), "containers[0].name"),
    "path as container name": (main("name", "../x"), "containers[0].name"),
    "path as volume name": (spec("volumes.1.name", "../x"), "volumes[1].name"),
    "unicode in a container name": (main("name", "mäin"), "containers[0].name"),
    "container name twice": (twice, "pod.spec"),
    "no containers": (spec("containers", None), "pod.spec.containers"),
    "option as image": (main("image", "--privileged --rm x"), "image"),
    "image of another runtime": (main("image", "/etc"), "image"),
    "absurd cpu": (main("resources", {"limits": {"cpu": "1e999"}}), "resources"),
    "absurd memory": (main("resources", {"limits": {"memory": "9" * 5000}}), "resources"),
    "negative memory": (main("resources", {"limits": {"memory": "-1Gi"}}), "resources"),
    "words as memory": (main("resources", {"limits": {"memory": "lots"}}), "resources"),
    "absurd grace": (huge_number, "terminationGracePeriodSeconds"),
    "absurd user": (main("securityContext", {"runAsUser": 2**63}), "runAsUser"),
    "NUL in an argument": (main("command", ["sh", "-c", "true\0false"]), "command"),
    "NUL in the environment": (main("env", [{"name": "A", "value": "\0"}]), "env[0].value"),
    "equals sign in a variable's name": (main("env", [{"name": "A=B", "value": ""}]), "env[0].name"),
    "value over a megabyte": (main("env", [{"name": "A", "value": "x" * 1_000_000}]), "env[0].value"),
    "unknown kind of volume": (spec("volumes.1", {"name": "e", "quobyte": {"volume": "x"}}), "quobyte"),
    "two kinds of one volume": (spec("volumes.1.hostPath", {"path": "/"}), "volumes[1]"),
    "hostPath": (spec("volumes.1", {"name": "e", "hostPath": {"path": "/etc"}}), "hostPath"),
    "hostPath with dots": (spec("volumes.1", {"name": "e", "hostPath": {"path": "/cvmfs/../etc"}}), "hostPath"),
    "claim without a map": (spec("volumes.1", {"name": "e", "persistentVolumeClaim": {"claimName": "x"}}), "persistentVolumeClaim"),
    "line break in hostAliases": (spec("hostAliases", [{"ip": "fe80::1%a\n1.2.3.4 b", "hostnames": ["a"]}]), "hostAliases[0].ip"),
    "line break in hostnames": (spec("hostAliases", [{"ip": "1.2.3.4", "hostnames": ["a\n1.2.3.5 b"]}]), "hostAliases[0].hostnames"),
    "line break in dns options": (spec("dnsConfig", {"options": [{"name": "a\nnameserver 1.2.3.4"}]}), "dnsConfig.options"),
    "line break in name servers": (spec("dnsConfig", {"nameservers": ["fe80::1%\nsearch x"]}), "dnsConfig.nameservers"),
    "line break in searches": (spec("dnsConfig", {"searches": ["a\nnameserver 1.2.3.4"]}), "dnsConfig.searches"),
    "privileged": (main("securityContext", {"privileged": True}), "securityContext.privileged"),
    "SYS_ADMIN": (main("securityContext", {"capabilities": {"add": ["SYS_ADMIN"]}}), "capabilities.add"),
    "all capabilities": (main("securityContext", {"capabilities": {"add": ["ALL"]}}), "capabilities.add"),
    "no seccomp": (main("securityContext", {"seccompProfile": {"type": "Unconfined"}}), "seccompProfile"),
    "no AppArmor": (main("securityContext", {"appArmorProfile": {"type": "Unconfined"}}), "appArmorProfile"),
    "hostNetwork": (spec("hostNetwork", True), "hostNetwork"),
    "hostPID": (spec("hostPID", True), "hostPID"),
    "hostIPC": (spec("hostIPC", True), "hostIPC"),
    "hostPort": (main("ports", [{"containerPort": 80, "hostPort": 22}]), "hostPort"),
    "unsafe sysctl": (spec("securityContext", {"sysctls": [{"name": "kernel.core_pattern", "value": "|/x"}]}), "sysctls"),
    "block device": (main("volumeDevices", [{"name": "e", "devicePath": "/dev/sda"}]), "volumeDevices"),
    "Bidirectional": (main("volumeMounts.1.mountPropagation", "Bidirectional"), "mountPropagation"),
    "header with a line break": (
        main("livenessProbe", {"httpGet": {"port": 80, "httpHeaders": [{"name": "a", "value": "b\r\nc: d"}]}}),
        "httpHeaders",
    ),
}


@pytest.mark.parametrize(("change", "field"), REFUSED.values(), ids=REFUSED.keys())
async def test_refused(client: PluginClient, plugin: DockerPlugin, change: Change, field: str) -> None:
    pod = a_pod()
    body = copy.deepcopy(pod.create_body())
    change(body)
    answer = await client.send("POST", "/create", body)
    assert (400 <= answer.status_code < 500, field in answer.text) == (True, True), answer.text
    judge_sentence(answer.text)
    assert await plugin.leftovers(pod.uid) == []


BROKEN: dict[str, bytes] = {
    "no JSON": b"\xff\xfe{",
    "deep JSON": b'{"pod":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep fields": b'{"pod":{"metadata":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"}}",
    "half of a character": b'{"pod":{"metadata":{"name":"\\ud800"}}}',
    "number of 10000 digits": b'{"pod":{"spec":{"terminationGracePeriodSeconds":' + b"9" * 10_000 + b"}}}",
    "not a number": b'{"pod":{"spec":{"terminationGracePeriodSeconds":NaN}}}',
    "empty": b"",
    "null": b"null",
}


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
@pytest.mark.parametrize(
    "call", [("POST", "/create"), ("GET", "/status"), ("GET", "/getLogs"), ("POST", "/delete")], ids=lambda call: call[1]
)
async def test_broken_body(client: PluginClient, call: tuple[str, str], body: bytes) -> None:
    answer = await client.send(*call, body)
    if (call[1], body) == ("/status", b"null"):
        assert answer.status_code == 200  # Go's empty list: the ping
        return
    assert 400 <= answer.status_code < 500, answer.text
    judge_sentence(answer.text)


async def test_a_body_that_is_too_large(client: PluginClient) -> None:
    answer = await client.send("POST", "/create", b" " * (64 * 1024 * 1024 + 1))
    assert answer.status_code == 413
    judge_sentence(answer.text)


@pytest.mark.parametrize("uid", ["../../canary", "..", "a/../../../canary", "\0", "x" * 1000])
async def test_a_deletion_of_a_uid_that_is_a_path(client: PluginClient, uid: str) -> None:
    body = a_pod().delete_body(now=time.time())
    body["metadata"]["uid"] = uid
    answer = await client.send("POST", "/delete", body)
    assert answer.status_code == 200 or 400 <= answer.status_code < 500, answer.text


async def finished(client: PluginClient, plugin: DockerPlugin, pod: VirtualPod, body: Document | None = None) -> Document:
    """Runs the pod to its end, deletes it, waits until nothing of it is left; returns its end and its log (of `main`)."""
    answer = await client.send("POST", "/create", body or pod.create_body())
    assert answer.status_code == 200, answer.text
    pod.created(pod.uid, answer.json()["PodJID"])
    try:
        await client.wait_for(pod, lambda pod: pod.ended)
        end = pod.container_status("main")["state"]["terminated"]
        chunks = [chunk async for chunk in client.logs(pod, "main")]
        return {"exit": end["exitCode"], "message": end.get("message", ""), "log": b"".join(chunks)}
    finally:
        await gone(client, plugin, pod)


async def gone(client: PluginClient, plugin: DockerPlugin, pod: VirtualPod) -> None:
    await client.delete(pod)
    async with asyncio.timeout(60):
        while await plugin.leftovers(pod.uid):  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0.1)


async def test_ten_thousand_variables(client: PluginClient, plugin: DockerPlugin) -> None:
    pod = a_pod("env | grep -c '^MANY_[0-9]*=value$'")
    pod.document["spec"]["containers"][0]["env"] = [{"name": f"MANY_{number}", "value": "value"} for number in range(10_000)]
    assert (await finished(client, plugin, pod))["log"] == b"10000\n"


async def test_values_with_shell_line_breaks_and_unicode(client: PluginClient, plugin: DockerPlugin) -> None:
    value = "$(reboot) `id` ; rm -rf / \"'\n\tñ€😀 \\"
    pod = a_pod('printf %s "$A"; printf %s "$1"')
    main = pod.document["spec"]["containers"][0]
    main["env"], main["args"] = [{"name": "A", "value": value}], ["name", value.replace("$(", "$$(")]
    assert (await finished(client, plugin, pod))["log"].decode() == value * 2


async def test_missing_maps(client: PluginClient, plugin: DockerPlugin) -> None:
    pod = a_pod("cat /c/k")
    for container in [None, [], [{"name": "main", "configMaps": None, "secrets": None, "projectedvolumemaps": None}]]:
        answer = await client.send("POST", "/create", {**pod.create_body(), "container": container})
        assert (400 <= answer.status_code < 500, "configMap" in answer.text) == (True, True), answer.text
        judge_sentence(answer.text)
        assert await plugin.leftovers(pod.uid) == []


async def test_paths_with_every_character(client: PluginClient, plugin: DockerPlugin) -> None:
    """Commas, spaces, quotes and line breaks are characters of a path, not of an option."""
    path = "/e,readonly=1,src= '\"\n$(id)/ü"
    pod = a_pod('echo fine > "$A/file"; cat "$A/file"; cat "/d$A"')
    main = pod.document["spec"]["containers"][0]
    main["env"] = [{"name": "A", "value": path}]
    main["volumeMounts"][1].update(mountPath=path, subPath=path[1:])
    pod.document["spec"]["volumes"][0]["configMap"]["items"] = [{"key": "k", "path": path[1:]}]
    main["volumeMounts"][0]["mountPath"] = "/d"
    assert (await finished(client, plugin, pod))["log"] == b"fine\nv"


@pytest.mark.parametrize("kind", [{}, {"medium": "Memory"}], ids=["disk", "memory"])
@pytest.mark.parametrize("target", ["/", "../../../../..", "/proc/1/root", "loop"])
async def test_sub_path_through_a_link_to_the_host(client: PluginClient, plugin: DockerPlugin, kind: Document, target: str) -> None:
    """The second container never sees the host: it does not start, and says why. Engines since 26 spend the attempt on their own words."""
    first = {"name": "first", "image": BUSYBOX_IMAGE, "volumeMounts": [{"name": "e", "mountPath": "/e"}]}
    first["command"] = ["sh", "-c", f"ln -s {target} /e/loop"]
    pod = a_pod("true", initContainers=[first])
    pod.document["spec"]["volumes"][1]["emptyDir"] = kind
    pod.document["spec"]["containers"][0]["volumeMounts"][1]["subPath"] = "loop"
    await client.create(pod)
    try:
        await client.wait_for(pod, lambda pod: pod.ended or "subPath" in json.dumps(pod.status.get("containerStatuses")))
        state = pod.container_status("main")["state"]
        if waiting := state.get("waiting"):
            assert "subPath" in waiting["message"], state
        else:
            assert (state["terminated"]["exitCode"], "StartError: " in state["terminated"]["message"]) == (128, True), state
    finally:
        await gone(client, plugin, pod)


async def test_links_to_the_host_are_removed_and_not_followed(client: PluginClient, plugin: DockerPlugin, canary: Path) -> None:
    script = f"for way in / {canary} {canary.parent} ../../../..; do ln -s $way /e/$((n=n+1)); done; mkfifo /e/fifo; ls /e | wc -l"
    assert (await finished(client, plugin, a_pod(script)))["log"] == b"5\n"


async def test_a_tree_deeper_than_a_path(client: PluginClient, plugin: DockerPlugin) -> None:
    script = "cd /e; n=0; while [ $n -lt 2200 ]; do mkdir x && cd -P x || exit 1; n=$((n+1)); done 2>/dev/null; echo $n"
    pod = a_pod(script)
    pod.document["spec"]["volumes"][1]["emptyDir"] = {"sizeLimit": "1Gi"}
    log = (await finished(client, plugin, pod))["log"]
    assert int(log or b"0") > 1500, log


async def test_a_huge_termination_message(client: PluginClient, plugin: DockerPlugin) -> None:
    pod = a_pod("head -c 50000000 /dev/zero | tr '\\0' x > /dev/termination-log; printf '<\\377end>' >> /dev/termination-log; exit 3")
    end = await finished(client, plugin, pod)
    assert (end["exit"], end["message"].endswith("x<\ufffdend>"), len(end["message"]) <= 4096) == (3, True, True)


async def test_a_termination_message_that_is_a_link_or_a_fifo(client: PluginClient, plugin: DockerPlugin, canary: Path) -> None:
    """It is a mount of one file: a container can't put another there."""
    script = f"rm -f /e/why; ln -s {canary} /e/why; mkfifo /e/why; echo mine > /e/why; exit 3"
    pod = a_pod(script)
    pod.document["spec"]["containers"][0]["terminationMessagePath"] = "/e/why"
    end = await finished(client, plugin, pod)
    assert (end["exit"], CANARY in end["message"], "mine" in end["message"]) == (3, False, True)


async def test_binary_log(client: PluginClient, plugin: DockerPlugin) -> None:
    """The engine's json-file writes U+FFFD for what is not UTF-8; headers of its frames in the text stay text."""
    frame = "\\001\\000\\000\\000\\000\\000\\000\\377"
    end = await finished(
        client, plugin, a_pod(f"printf 'a\\000b\\033[31m{frame}\\n'; head -c 70000 /dev/zero | tr '\\0' z; echo; echo end")
    )
    lines = end["log"].split(b"\n")
    assert [lines[0].replace(b"\xef\xbf\xbd", b"\xff"), lines[1], lines[2]] == [
        b"a\0b\x1b[31m\x01\0\0\0\0\0\0\xff", b"z" * 70_000, b"end"
    ]  # fmt: skip
