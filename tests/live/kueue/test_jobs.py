"""Pods that become suspended Jobs: Kueue starts them, stops them and starts them again by itself."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from interlink_common import faultpoints
from interlink_common.errors import Refused
from interlink_common.model.report import PodReport, Running
from interlink_common.model.workload import File, FilesVolume, Mount, Workload
from interlink_kueue import creating, labels
from tests.live.kills import survives_a_kill_during_its_create
from tests.live.kueue.conftest import NAMESPACE, StartRemote
from tests.live.kueue.remote import PATIENCE_SECONDS, Remote, a_pod, container, cpu, ended, shell, virtual_pod, waiting
from tests.servers.kubernetes_plugin import Api, KubernetesPlugin
from tests.servers.kueue import Kueue

FAIL = {"interlink.eu/on-eviction": "fail"}


@pytest_asyncio.fixture
async def remote(start_remote: StartRemote, queue: str) -> Remote:
    return await start_remote(tenants={"*": {"queue": queue, "remote_kind": "job"}})


def forever(on_term: str = "exit 0", **fields: Any) -> Workload:
    return a_pod(shell(f"trap '{on_term}' TERM; echo begun; sleep 600 & wait $!", requests=cpu(600)), **fields)


def the_job(remote: Remote, pod: Workload) -> dict[str, Any]:
    return max(remote.objects("jobs", pod), key=lambda found: int(found["metadata"]["labels"][labels.RUN]))


def evict(remote: Remote, kueue: Kueue, pod: Workload) -> None:
    kueue.evict(NAMESPACE, kueue.workload_of(the_job(remote, pod)))


def runs_again(restarts: int = 1) -> Callable[[PodReport], bool]:
    return lambda report: container(report).restart_count == restarts and isinstance(container(report).state, Running)


def names(remote: Remote, kind: str, pod: Workload) -> set[str]:
    return {found["metadata"]["name"] for found in remote.objects(kind, pod)}


def delete_as_somebody(remote: Remote, path: str) -> None:
    remote.api.call("DELETE", path, {"propagationPolicy": "Background"})


async def test_a_job_runs_with_its_files_and_tells_its_exit_code(remote: Remote) -> None:
    files = FilesVolume("files", (File("key", 0o644, b"value"),))
    main = shell("cat /files/key; exit 3", requests=cpu(100), mounts=(Mount("files", "/files"),))
    pod = a_pod(main, volumes=(files,))
    state = ended(await remote.run(pod))
    assert (state.exit_code, state.reason) == (3, "Error")
    assert await remote.log(pod) == "value"
    assert len(names(remote, "jobs", pod)) == len(names(remote, "configmaps", pod)) == 1
    await remote.delete(pod)
    await remote.until_nothing_is_left()


async def test_a_job_waits_for_quota_and_says_why(remote: Remote, queue: str) -> None:
    first, second = forever(), a_pod(shell("exit 0", requests=cpu(600)))
    await remote.running(first)
    await remote.submit(second)
    state = waiting(await remote.until_waiting(second, "Queued", "insufficient unused quota"))
    assert state is not None
    assert state.message.startswith(f"queue {queue}")
    await remote.delete(first)
    assert ended(await remote.until(second, lambda report: report.finished)).exit_code == 0


@pytest.mark.parametrize("on_term", ["exit 0", "exit 5"])
async def test_a_preempted_job_is_started_again_by_kueue(remote: Remote, kueue: Kueue, on_term: str) -> None:
    pod = forever(on_term)
    await remote.running(pod)
    for restarts in (1, 2):
        evict(remote, kueue, pod)
        await remote.until(pod, runs_again(restarts))
    last = container(remote.reports[pod.uid]).last_state
    assert last is not None
    assert (last.exit_code, last.reason) == (int(on_term[-1]), "Preempted")
    assert "Preempted to accommodate a workload" in last.message
    assert not any(report.finished for report in remote.observed[pod.uid])
    assert await remote.log(pod) == "begun\n"
    await remote.until_true(lambda: len(names(remote, "pods", pod)) == 1)
    assert len(names(remote, "jobs", pod)) == 1


async def test_a_queue_that_is_held_and_drained_takes_the_job_again_later(remote: Remote, kueue: Kueue, queue: str) -> None:
    pod = forever()
    await remote.running(pod)
    kueue.hold(queue)
    state = waiting(await remote.until_waiting(pod, "Queued", "the queue is held"))
    assert state is not None
    assert "run 2 after ClusterQueueStopped" in state.message
    kueue.hold(queue, "None")
    await remote.until(pod, runs_again())


async def test_a_job_that_is_not_to_run_again_fails_and_is_stopped(remote: Remote, kueue: Kueue) -> None:
    pod = forever(annotations=FAIL)
    await remote.running(pod)
    evict(remote, kueue, pod)
    state = ended(await remote.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason) == (137, "Preempted")
    await remote.until_true(lambda: not names(remote, "jobs", pod))
    await remote.until_true(lambda: not names(remote, "pods", pod))
    assert ended(remote.reports[pod.uid]) == state


async def test_a_deactivated_job_does_not_run_again(remote: Remote, kueue: Kueue) -> None:
    pod = forever()
    await remote.running(pod)
    kueue.deactivate(NAMESPACE, kueue.workload_of(the_job(remote, pod)))
    state = ended(await remote.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason, state.message) == (137, "Deactivated", "The workload is deactivated")
    await remote.until_true(lambda: not names(remote, "jobs", pod))


async def test_evictions_while_the_plugin_is_away(remote: Remote, kueue: Kueue) -> None:
    """Kueue has admitted the Job again by then."""
    pod = forever()
    await remote.running(pod)
    (before,) = names(remote, "pods", pod)
    await remote.stop()
    evict(remote, kueue, pod)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while len(names(remote, "pods", pod)) < 2:  # noqa: ASYNC110  the event is in another process
            await asyncio.sleep(0.1)
    remote.reports.clear()
    await remote.start()
    last = container(await remote.until(pod, runs_again())).last_state
    assert last is not None
    assert (last.exit_code, last.reason) == (0, "Replaced")
    assert last.message.startswith("Replaced: Previously: Preempted to accommodate a workload")
    await remote.until_true(lambda: before not in names(remote, "pods", pod))


async def test_a_plugin_that_starts_again_knows_its_jobs(remote: Remote, kueue: Kueue) -> None:
    running, done = forever(), a_pod(shell("exit 4", requests=cpu(100)))
    await remote.running(running)
    await remote.run(done)
    await remote.restart()
    await remote.until_running(running)
    assert ended(await remote.until(done, lambda report: report.finished)).exit_code == 4
    found = {(one.pod_uid, one.jid) for one in await remote.backend.inventory()}
    assert found == {(pod.uid, remote.jobs[pod.uid].jid) for pod in (running, done)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("fault", [creating.POD_CREATED, creating.FILES_CREATED, faultpoints.SUBMITTED])
async def test_a_job_survives_a_kill_during_its_create(kubeconfig: Path, api: Api, tmp_path: Path, queue: str, fault: str) -> None:
    settings = {"instance": queue, "tenants": {"*": {"queue": queue, "remote_kind": "job"}}}
    plugin = KubernetesPlugin(kubeconfig, api, NAMESPACE, tmp_path, settings)
    try:
        pod = virtual_pod("cat /cm/word; exit 5", restartPolicy="Never")
        await survives_a_kill_during_its_create(plugin, fault, pod, "s3cret")
    finally:
        await asyncio.to_thread(plugin.stop)


async def test_a_job_that_was_not_created_completely_is_undone(remote: Remote) -> None:
    (job, *_) = remote.backend.plan(forever())
    remote.api.call("POST", labels.jobs_path(NAMESPACE), job)
    assert remote.objects("jobs")
    assert not await remote.backend.inventory()
    await remote.until_nothing_is_left()


@pytest.mark.parametrize("kind", ["jobs", "pods"])
async def test_what_somebody_deletes_is_failed_and_never_a_success(remote: Remote, kind: str) -> None:
    pod = forever()
    await remote.running(pod)
    (name,) = names(remote, kind, pod)
    path = labels.jobs_path(NAMESPACE) if kind == "jobs" else labels.pods_path(NAMESPACE)
    delete_as_somebody(remote, f"{path}/{name}")
    state = ended(await remote.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason) == (137, "DeletedRemotely")
    await remote.until_true(lambda: not names(remote, "pods", pod))
    assert remote.reports[pod.uid].finished


async def test_a_job_that_somebody_deletes_while_it_waits_to_run_again_has_failed(remote: Remote, kueue: Kueue, queue: str) -> None:
    pod = forever()
    await remote.running(pod)
    kueue.hold(queue)
    await remote.until_waiting(pod, "Queued", "the queue is held")
    delete_as_somebody(remote, f"{labels.jobs_path(NAMESPACE)}/{the_job(remote, pod)['metadata']['name']}")
    state = ended(await remote.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason) == (137, "DeletedRemotely")
    assert container(remote.reports[pod.uid]).restart_count == 1
    await remote.until_true(lambda: not names(remote, "pods", pod))


async def test_a_pod_chooses_to_be_a_job_where_it_may(start_remote: StartRemote, queue: str) -> None:
    chosen = {labels.REMOTE_KIND: "job"}
    remote = await start_remote(tenants={"*": {"queue": queue}}, queues={"remote_kind_annotation": True})
    pod = a_pod(shell("exit 0", requests=cpu(100)), annotations=chosen)
    assert ended(await remote.run(pod)).exit_code == 0
    assert names(remote, "jobs", pod)
    with pytest.raises(Refused, match="restartPolicy Never"):
        await remote.submit(replace(a_pod(shell("exit 0"), annotations=chosen), restart_policy="Always"))


async def test_what_no_pod_of_the_job_could_be_is_refused(remote: Remote) -> None:
    main = shell("exit 0", requests=cpu(100))
    with pytest.raises(Refused, match="the remote cluster does not accept the pod: "):
        await remote.submit(replace(a_pod(main), hostname="Not_A_Name"))
    assert not remote.leftovers()
