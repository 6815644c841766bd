"""The real chain: kubectl, kube-apiserver, interLink's virtual kubelet and API server, our plugin, a Docker engine.

What is asserted is what a person sees with kubectl. The virtual kubelet asks for states every five seconds, so these tests are
slow and poll; they share one cluster and one plugin, and each pod has a name of its own.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable

import pytest

from tests.e2e.chain import PATIENCE_SECONDS, Chain, Document, exit_codes, until
from tests.servers.docker_plugin import DockerPlugin
from tests.servers.interlink import Node, Programs
from tests.servers.kubernetes import Cluster

pytestmark = [pytest.mark.e2e, pytest.mark.live, pytest.mark.timeout(300), pytest.mark.xdist_group("docker")]


@pytest.fixture(scope="module")
def chain(programs: Programs, cluster: Cluster, plugin: DockerPlugin, image: str) -> Chain:
    node = Node(programs, cluster, "vk-docker", plugin.listen)
    node.start()
    return Chain(node, image)


FILES = """
set -e
cat /cm/sub/motd /secret/password /work/prepared
echo "$GREETING $NAME"
"""


def files_of(chain: Chain, name: str) -> list[Document]:
    secret = base64.b64encode(b"p@ss'\"w\n").decode()
    mounts = [
        {"name": "cm", "mountPath": "/cm"}, {"name": "secret", "mountPath": "/secret"}, {"name": "work", "mountPath": "/work"},
    ]  # fmt: skip
    env = [
        {"name": "GREETING", "value": "$(NAME) $$(NAME)"},
        {"name": "NAME", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
    ]
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"{name}-cm"}, "data": {"motd": "hello\n"}},
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": f"{name}-secret"}, "data": {"password": secret}},
        chain.manifest(
            name,
            chain.shell("main", FILES, volumeMounts=mounts, env=env[::-1]),
            chain.shell("other", "exit 0"),
            initContainers=[chain.shell("prepare", "echo prepared > /work/prepared; echo done", volumeMounts=mounts)],
            volumes=[
                {"name": "cm", "configMap": {"name": f"{name}-cm", "items": [{"key": "motd", "path": "sub/motd"}]}},
                {"name": "secret", "secret": {"secretName": f"{name}-secret"}},
                {"name": "work", "emptyDir": {}},
            ],
            automountServiceAccountToken=True,
        ),
    ]


def assert_files_arrived(chain: Chain, name: str) -> None:
    chain.apply(*files_of(chain, name))
    status = chain.in_phase(name, "Succeeded", "Failed")
    assert exit_codes(status) == {"prepare": 0, "main": 0, "other": 0}, chain.logs(name, "-c", "main")
    assert chain.logs(name, "-c", "main") == f"hello\np@ss'\"w\nprepared\n{name} $(NAME) {name}\n"
    assert chain.logs(name, "-c", "prepare") == "done\n"


def test_files_inits_and_two_containers_with_the_default_environment(chain: Chain) -> None:
    assert_files_arrived(chain, "files")


def test_the_same_with_skip_downward_api_resolution(
    programs: Programs, cluster: Cluster, skipping_plugin: DockerPlugin, image: str
) -> None:
    node = Node(programs, cluster, "vk-skipping", skipping_plugin.listen, skip_downward_api_resolution=True)
    try:
        node.start()
        assert_files_arrived(Chain(node, image), "files-skipping")
    finally:
        node.close()


def test_a_failing_pod_tells_its_exit_code_and_message(chain: Chain) -> None:
    chain.apply(chain.manifest("fails", chain.shell("main", "printf 'disk is full' > /dev/termination-log; exit 3")))
    assert exit_codes(chain.in_phase("fails", "Succeeded", "Failed")) == {"main": 3}
    assert "Error: 3" in chain.cluster.kubectl("get", "pod", "fails", "-o", "jsonpath={.status.reason}")
    assert "disk is full" in chain.cluster.kubectl("describe", "pod", "fails")


def test_a_failing_init_fails_the_pod_and_the_virtual_kubelet_lives(chain: Chain) -> None:
    inits = [chain.shell("one", "exit 0"), chain.shell("two", "exit 4"), chain.shell("three", "echo ran")]
    chain.apply(chain.manifest("init-fails", chain.shell("main", "echo ran"), initContainers=inits))
    status = chain.in_phase("init-fails", "Failed", "Succeeded")
    codes = exit_codes(status)
    assert (status["phase"], codes["one"], codes["two"]) == ("Failed", 0, 4)
    assert codes["main"] not in (None, 0)
    chain.apply(chain.manifest("after-init-fails", chain.shell("main", "exit 0")))
    assert chain.in_phase("after-init-fails", "Succeeded", "Failed")["phase"] == "Succeeded"


def test_a_native_sidecar_serves_and_does_not_hold_the_pod_up(chain: Chain) -> None:
    sidecar = chain.shell("beside", "echo serving; sleep 3600", restartPolicy="Always")
    chain.apply(chain.manifest("sidecar", chain.shell("main", "exit 0"), initContainers=[sidecar]))
    assert chain.in_phase("sidecar", "Succeeded", "Failed")["phase"] == "Succeeded"
    assert chain.logs("sidecar", "-c", "beside") == "serving\n"


def test_a_pod_is_ready_only_when_its_probe_says_so(chain: Chain) -> None:
    probe = {"exec": {"command": ["test", "-f", "/tmp/ready"]}, "periodSeconds": 1}
    chain.apply(chain.manifest("ready", chain.shell("main", "sleep 15; touch /tmp/ready; sleep 3600", readinessProbe=probe)))
    until(lambda: "NotReady" in json.dumps(chain.container("ready", "main")), "a container that waits for its readiness probe")
    assert chain.container("ready", "main")["ready"] is False
    until(lambda: chain.container("ready", "main").get("ready"), "a ready container")
    chain.cluster.kubectl("delete", "pod", "ready")


def test_on_failure_restarts_and_keeps_the_previous_log(chain: Chain) -> None:
    script = "if test -e /work/ran; then echo second; exit 0; fi; touch /work/ran; echo first; exit 5"
    main = chain.shell("main", script, volumeMounts=[{"name": "work", "mountPath": "/work"}])
    chain.apply(chain.manifest("again", main, restartPolicy="OnFailure", volumes=[{"name": "work", "emptyDir": {}}]))
    assert chain.in_phase("again", "Succeeded", "Failed")["phase"] == "Succeeded"
    told = chain.container("again", "main")
    assert (told["restartCount"], told["lastState"]["terminated"]["exitCode"]) == (1, 5)
    assert (chain.logs("again"), chain.logs("again", "--previous")) == ("second\n", "first\n")


def test_a_refused_pod_says_why(chain: Chain) -> None:
    main = chain.shell("main", "true", volumeMounts=[{"name": "etc", "mountPath": "/host"}])
    chain.apply(chain.manifest("refused", main, volumes=[{"name": "etc", "hostPath": {"path": "/etc"}}]))
    status = chain.in_phase("refused", "Failed", "Succeeded")
    assert status["phase"] == "Failed"
    assert "hostPath" in status["message"]
    assert "hostPath" in chain.cluster.kubectl("describe", "pod", "refused")


def test_logs_are_followed_to_the_end(chain: Chain) -> None:
    chain.apply(chain.manifest("follow", chain.shell("main", "for i in 1 2 3 4 5 6 7 8; do echo line $i; sleep 1; done")))
    chain.in_phase("follow", "Running", "Succeeded")
    following = chain.cluster.follow("logs", "-f", "follow")
    output, _ = following.communicate(timeout=PATIENCE_SECONDS)
    assert output == "".join(f"line {number}\n" for number in range(1, 9))
    assert chain.logs("follow", "--tail=2") == "line 7\nline 8\n"


def test_delete_leaves_nothing_on_the_engine(chain: Chain, leftovers: Callable[[str], list[str]]) -> None:
    chain.apply(chain.manifest("deleted", chain.shell("main", "sleep 3600"), volumes=[{"name": "work", "emptyDir": {}}]))
    chain.in_phase("deleted", "Running")
    uid = chain.cluster.get("pod", "deleted")["metadata"]["uid"]
    assert leftovers(uid), "the pod is nowhere on the engine, so this test would prove nothing"
    chain.cluster.kubectl("delete", "pod", "deleted")
    until(lambda: not leftovers(uid), "an engine without the pod")


@pytest.mark.parametrize("restarted", ["virtual kubelet", "plugin"])
def test_a_pod_survives_restarts(chain: Chain, plugin: DockerPlugin, restarted: str) -> None:
    name = f"survives-{restarted.replace(' ', '-')}"
    chain.apply(chain.manifest(name, chain.shell("main", "echo once; sleep 20; exit 6")))
    chain.in_phase(name, "Running")
    before = chain.container(name, "main")
    if restarted == "plugin":
        plugin.kill()
        plugin.start()
    else:
        chain.node.restart_vk()
    assert exit_codes(chain.in_phase(name, "Failed", "Succeeded")) == {"main": 6}
    assert chain.container(name, "main")["containerID"] == before["containerID"]
    assert chain.logs(name) == "once\n"
