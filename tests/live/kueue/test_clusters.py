"""Credentials and clusters: exec plugins, several clusters of which one is away, namespaces made of the virtual ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from kubernetes.config import incluster_config

from interlink_common.backend import Verdict
from interlink_common.errors import BackendUnavailable, Refused
from interlink_kueue import client
from interlink_kueue.client import ApiRefusal
from tests.live.kueue.conftest import NAMESPACE, StartRemote
from tests.live.kueue.remote import a_pod, ended, shell
from tests.servers.kubernetes import Cluster, free_port


async def test_an_exec_plugin_gives_the_token(start_remote: StartRemote, cluster: Cluster, kubeconfig: Path, tmp_path: Path) -> None:
    token = (cluster.directory / f"{NAMESPACE}.token").read_text()
    answer = {"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential", "status": {"token": token}}
    (tmp_path / "answer").write_text(json.dumps(answer))
    plugin = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "cat",
        "args": [str(tmp_path / "answer")],
        "interactiveMode": "Never",
    }
    by_exec = cluster.kubeconfig("by-exec", {"exec": plugin}, NAMESPACE)
    remote = await start_remote(clusters={"default": {"kubeconfig": by_exec}})
    assert ended(await remote.run(a_pod(shell("exit 4")))).exit_code == 4


async def test_the_account_of_the_pod_that_the_plugin_runs_in(
    start_remote: StartRemote, cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what a kubelet mounts into it; the token is replaced while the plugin runs, as a kubelet does."""
    token = (cluster.directory / f"{NAMESPACE}.token").read_text()
    for name, content in (("token", token), ("ca.crt", (cluster.pki / "ca.crt").read_text()), ("namespace", NAMESPACE)):
        (tmp_path / name).write_text(content)
    monkeypatch.setattr(incluster_config, "SERVICE_TOKEN_FILENAME", str(tmp_path / "token"))
    monkeypatch.setattr(incluster_config, "SERVICE_CERT_FILENAME", str(tmp_path / "ca.crt"))
    monkeypatch.setattr(client, "NAMESPACE_FILE", tmp_path / "namespace")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", str(cluster.port))
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    remote = await start_remote(clusters={"default": {}})
    assert ended(await remote.run(a_pod(shell("exit 3")))).exit_code == 3
    await remote.stop()
    (tmp_path / "token").write_text("of yesterday")
    await remote.start()
    with pytest.raises(ApiRefusal) as caught:
        await remote.backend._clusters["default"].call("GET", f"/api/v1/namespaces/{NAMESPACE}/pods")
    assert caught.value.is_denied
    (tmp_path / "token").write_text(token)
    assert ended(await remote.run(a_pod(shell("exit 4")))).exit_code == 4


@pytest.fixture
def nowhere(cluster: Cluster, kubeconfig: Path) -> Path:
    """Credentials for a cluster that does not answer."""
    path = cluster.directory / "nowhere.kubeconfig"
    path.write_text(kubeconfig.read_text().replace(f":{cluster.port}", f":{free_port()}"))
    return path


async def test_a_cluster_that_is_away_does_not_hide_the_others(start_remote: StartRemote, kubeconfig: Path, nowhere: Path) -> None:
    remote = await start_remote(
        clusters={"default": {"kubeconfig": kubeconfig}, "away": {"kubeconfig": nowhere}},
        tenants={"team": {}, "other": {"cluster": "away", "queue": "any"}},
    )
    assert ended(await remote.run(a_pod(shell("exit 5")))).exit_code == 5
    with pytest.raises(BackendUnavailable, match="does not answer"):
        await remote.submit(replace(a_pod(shell("exit 0")), namespace="other"))
    with pytest.raises(Refused, match=r"metadata\.namespace third is not served here"):
        await remote.submit(replace(a_pod(shell("exit 0")), namespace="third"))
    assert [row.verdict for row in await remote.backend.check()] == [Verdict.OK, Verdict.OK, Verdict.FAILED]
    assert not remote.down


async def test_a_namespace_that_does_not_exist_is_waited_for(start_remote: StartRemote) -> None:
    """The account has no rights there, which is what the API server says first."""
    remote = await start_remote(tenants={"*": {"namespace": "of-{namespace}"}})
    with pytest.raises(BackendUnavailable, match="lacks a right on the remote cluster"):
        await remote.submit(a_pod(shell("exit 0")))
