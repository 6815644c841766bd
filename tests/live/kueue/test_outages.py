"""Everything that may go wrong between the plugin and a remote cluster: states freeze, nothing is lost, nothing is taken for a success."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from structlog.testing import capture_logs

from interlink_common import faultpoints
from interlink_common.backend import Verdict
from interlink_common.errors import BackendUnavailable
from interlink_common.model.report import Running
from interlink_common.model.workload import File, FilesVolume, Mount
from interlink_common.virtualkubelet.client import PluginClient
from interlink_kueue import creating
from tests.live.kills import is_deleted_in_spite_of_a_kill, start, survives_a_kill_during_its_create, until_gone
from tests.live.kueue.conftest import NAMESPACE, StartRemote
from tests.live.kueue.remote import PATIENCE_SECONDS, Remote, a_pod, container, ended, shell, virtual_pod
from tests.servers import kubernetes
from tests.servers.kubernetes_plugin import Api, KubernetesPlugin

HTTPX_KEEPS_SECONDS = 5.0
"""How long an idle connection is used again: after that, a new one is made."""
FILES = FilesVolume("cm", (File("word", 0o644, b"s3cret"),))


async def test_an_api_server_that_was_killed(remote: Remote, cluster: kubernetes.Cluster) -> None:
    """The kubelet goes on meanwhile, and the end that came then is reported as it was."""
    pod, other = a_pod(shell("sleep 10; exit 6")), a_pod(shell("sleep 600"))
    await remote.running(pod)
    await remote.running(other)
    cluster.apiserver.kill()
    await remote.until_true(lambda: bool(remote.down))
    assert not remote.reports[pod.uid].finished
    with pytest.raises(BackendUnavailable):
        await remote.submit(a_pod(shell("exit 0")))
    cluster.apiserver.start()
    await asyncio.to_thread(cluster.wait_for_apiserver)
    assert ended(await remote.until(pod, lambda report: report.finished)).exit_code == 6
    assert isinstance(container(remote.reports[other.uid]).state, Running)
    await remote.until_true(lambda: not remote.down)


class Wire:
    """A connection to the API server that can be cut, and held up."""

    def __init__(self, port: int) -> None:
        self._port, self._writers = port, list[asyncio.StreamWriter]()
        self.held = asyncio.Event()
        """Set once a connection waits."""
        self._free = asyncio.Event()
        self._free.set()

    async def __aenter__(self) -> Wire:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1")
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> int:
        """Resets every connection; tells how many there were."""
        writers, self._writers = self._writers, []
        for writer in writers:
            writer.transport.abort()
        return len(writers)

    @asynccontextmanager
    async def holding(self) -> AsyncIterator[None]:
        """New connections meanwhile wait until afterwards; those that are there go on."""
        self.held.clear()
        self._free.clear()
        try:
            yield
        finally:
            self._free.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._free.is_set():
            self.held.set()
            await self._free.wait()
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._port)
        self._writers += [writer, there_writer]
        await asyncio.gather(self._copy(reader, there_writer), self._copy(there_reader, writer))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(65536):
                writer.write(data)
        writer.close()


@pytest_asyncio.fixture
async def wire(cluster: kubernetes.Cluster) -> AsyncIterator[Wire]:
    async with Wire(cluster.port) as wire:
        yield wire


def through(wire: Wire, cluster: kubernetes.Cluster, kubeconfig: Path) -> Path:
    path = cluster.directory / "wire.kubeconfig"
    path.write_text(kubeconfig.read_text().replace(f":{cluster.port}", f":{wire.port}"))
    return path


async def test_a_watch_that_is_cut(wire: Wire, start_remote: StartRemote, cluster: kubernetes.Cluster, kubeconfig: Path) -> None:
    """What happened meanwhile, and after, is reported."""
    remote = await start_remote(clusters={"default": {"kubeconfig": through(wire, cluster, kubeconfig)}})
    short, long = a_pod(shell("sleep 5; exit 6")), a_pod(shell("sleep 9; exit 7"))
    for pod in (short, long):
        await remote.running(pod)
    assert wire.cut()
    assert ended(await remote.until(short, lambda report: report.finished)).exit_code == 6
    assert wire.cut()
    assert ended(await remote.until(long, lambda report: report.finished)).exit_code == 7


async def test_a_version_that_has_expired(wire: Wire, start_remote: StartRemote, cluster: kubernetes.Cluster, kubeconfig: Path) -> None:
    """A watch that was idle is begun again where it was, and by then the API server has been restarted, and remembers nothing so old."""
    idle_seconds = HTTPX_KEEPS_SECONDS + 2.0
    reached = {"kubeconfig": through(wire, cluster, kubeconfig), "watch_idle_seconds": idle_seconds}
    remote = await start_remote(clusters={"default": reached})
    pod = a_pod(shell(f"sleep {idle_seconds + 5}; exit 6"))
    await remote.running(pod)
    with capture_logs() as logged:
        async with wire.holding():
            await asyncio.wait_for(wire.held.wait(), PATIENCE_SECONDS)
            cluster.apiserver.kill()
            cluster.apiserver.start()
            await asyncio.to_thread(cluster.wait_for_apiserver)
        assert ended(await remote.until(pod, lambda report: report.finished)).exit_code == 6
    assert [entry["event"] for entry in logged] == ["watch expired, listing again"]


async def test_a_running_pod_that_somebody_deletes_failed(remote: Remote) -> None:
    """Although its container ends with 0."""
    pod = a_pod(shell("trap 'exit 0' TERM; sleep 600 & wait $!"))
    await remote.running(pod)
    name = remote.remote_pod(pod)["metadata"]["name"]
    remote.api.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}")
    state = ended(await remote.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason, state.message) == (137, "DeletedRemotely", "the remote pod was deleted by somebody")
    await remote.until_nothing_is_left()
    await asyncio.sleep(0.5)
    assert ended(remote.reports[pod.uid]).exit_code == 137


async def test_an_ended_pod_that_somebody_deletes_keeps_its_end(remote: Remote) -> None:
    pod = a_pod(shell("exit 0"))
    await remote.run(pod)
    name = remote.remote_pod(pod)["metadata"]["name"]
    remote.api.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}")
    await remote.until_nothing_is_left()
    assert ended(remote.reports[pod.uid]).exit_code == 0


async def test_a_pod_that_somebody_deletes_runs_again_where_the_operator_wants_it(start_remote: StartRemote) -> None:
    remote = await start_remote(evictions={"deleted": "rerun"})
    pod = a_pod(shell("cat /cm/word; echo; sleep 600", mounts=(Mount("cm", "/cm"),)), volumes=(FILES,))
    await remote.running(pod)
    name = remote.remote_pod(pod)["metadata"]["name"]
    remote.api.call("DELETE", f"/api/v1/namespaces/{NAMESPACE}/pods/{name}")
    await remote.until(pod, lambda report: container(report).restart_count == 1 and isinstance(container(report).state, Running))
    assert await anext(aiter(remote.log_stream(pod, follow=True))) == b"s3cret\n"


async def test_a_pod_that_vanished_while_the_plugin_was_away_failed(remote: Remote) -> None:
    pod = a_pod(shell("sleep 600"))
    await remote.running(pod)
    await remote.stop()
    path = f"/api/v1/namespaces/{NAMESPACE}/pods/{remote.remote_pod(pod)['metadata']['name']}"
    remote.api.call("PATCH", path, {"metadata": {"finalizers": None}}, "application/merge-patch+json")
    remote.api.call("DELETE", path, {"gracePeriodSeconds": 0})
    remote.reports.clear()
    await remote.start()
    state = ended(await remote.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason) == (137, "DeletedRemotely")


async def test_a_restart_of_the_plugin_and_adoption_without_a_database(remote: Remote) -> None:
    pod = a_pod(shell("sleep 600"))
    before = container(await remote.running(pod))
    await remote.restart()
    assert container(await remote.until_running(pod)) == before
    (found,) = await remote.backend.inventory()
    assert (found.pod_uid, found.jid) == (pod.uid, remote.jobs[pod.uid].jid)
    assert found.workload is not None
    assert (found.workload.name, found.workload.namespace) == (pod.name, "team")
    assert found.workload.annotations == {"interlink.eu/adopted": "true"}


async def verdict(remote: Remote, wanted: Verdict) -> None:
    """Returns when `check` says that of the rights: the API server learns of a changed role by a watch."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while (await remote.backend.check())[1].verdict is not wanted:  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.1)


async def test_rights_that_are_missing_are_named(start_remote: StartRemote, api: Api) -> None:
    remote = await start_remote()
    path = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{NAMESPACE}/roles/interlink"
    role = api.call("GET", path)
    fewer = [rule | {"verbs": [verb for verb in rule["verbs"] if verb != "create"] or ["patch"]} for rule in role["rules"]]
    api.call("PATCH", path, {"rules": fewer}, "application/merge-patch+json")
    try:
        pod = a_pod(shell("exit 0"))
        await verdict(remote, Verdict.FAILED)
        row = (await remote.backend.check())[1]
        missing = "create pods, create configmaps, create secrets, create services"
        assert row.detail == f"namespace {NAMESPACE}: the plugin has no right to {missing}"
        with pytest.raises(BackendUnavailable, match="lacks a right on the remote cluster: pods is forbidden"):
            await remote.submit(pod)
    finally:
        api.call("PATCH", path, {"rules": role["rules"]}, "application/merge-patch+json")
    await verdict(remote, Verdict.OK)
    assert ended(await remote.run(pod)).exit_code == 0


async def test_a_full_quota_of_the_namespace_is_waited_for(remote: Remote, api: Api) -> None:
    quotas = f"/api/v1/namespaces/{NAMESPACE}/resourcequotas"
    api.call("POST", quotas, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "0"}}})
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while "hard" not in api.call("GET", f"{quotas}/full").get("status", {}):  # noqa: ASYNC110  the event is in another process
                await asyncio.sleep(0.1)
        with pytest.raises(BackendUnavailable, match="exceeded quota: full"):
            await remote.submit(a_pod(shell("exit 0")))
    finally:
        api.call("DELETE", f"{quotas}/full")


async def test_a_token_file_that_was_replaced_is_read_again(start_remote: StartRemote, cluster: kubernetes.Cluster) -> None:
    remote = await start_remote()
    token = cluster.directory / f"{NAMESPACE}.token"
    good = token.read_text()
    token.write_text("not a token")
    try:
        remote.backend._clusters["default"]._credentials = None
        await remote.backend._clusters["default"].close()
        with pytest.raises(BackendUnavailable):
            await remote.submit(a_pod(shell("exit 0")))
    finally:
        token.write_text(good)
    assert ended(await remote.run(a_pod(shell("exit 0")))).exit_code == 0


@pytest.fixture
async def plugin(api: Api, kubeconfig: Path, tmp_path: Path) -> AsyncIterator[KubernetesPlugin]:
    plugin = KubernetesPlugin(kubeconfig, api, NAMESPACE, tmp_path, {"instance": f"killed-{tmp_path.name[-20:]}".replace("_", "-")})
    yield plugin
    await asyncio.to_thread(plugin.stop)


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "fault",
    [faultpoints.RECORDED, creating.POD_CREATED, creating.FILES_CREATED, faultpoints.SUBMITTED, faultpoints.JID_STORED],
)
async def test_a_pod_survives_a_kill_during_its_create(plugin: KubernetesPlugin, fault: str) -> None:
    pod = virtual_pod("cat /cm/word; exit 5", restartPolicy="Never")
    await survives_a_kill_during_its_create(plugin, fault, pod, "s3cret")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [faultpoints.DELETE_RECORDED, faultpoints.CANCELLED])
async def test_a_delete_survives_a_kill(plugin: KubernetesPlugin, fault: str) -> None:
    await is_deleted_in_spite_of_a_kill(plugin, fault, virtual_pod("sleep 600"))


@pytest.mark.timeout(300)
async def test_a_pod_whose_create_was_cut_off_and_that_is_deleted_leaves_nothing(plugin: KubernetesPlugin) -> None:
    pod = virtual_pod("exit 0")
    await start(plugin, creating.FILES_CREATED)
    async with PluginClient(plugin.listen) as client:
        with pytest.raises(httpx.TransportError):
            await client.create(pod)
    await asyncio.to_thread(plugin.wait)
    assert len(await plugin.leftovers(pod.uid)) == 2
    await start(plugin)
    async with PluginClient(plugin.listen) as client:
        await client.delete(pod)
    await until_gone(plugin, pod)
