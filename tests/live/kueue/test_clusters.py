"""Credentials and clusters: exec plugins, several clusters of which one is away, namespaces made of the virtual ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from interlink_common.backend import Verdict
from interlink_common.errors import BackendUnavailable, Refused
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
