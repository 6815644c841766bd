"""Pods through a queue: Kueue's double on a real control plane admits them by quota, and they run on a real kubelet."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from interlink_common.errors import BackendUnavailable, Refused
from interlink_common.model.report import Running, Waiting
from interlink_common.model.workload import Container, Controller, Resources, Workload
from interlink_kueue import queues
from tests.live.kueue.conftest import NAMESPACE, StartRemote
from tests.live.kueue.remote import Remote, a_pod, container, cpu, ended, shell, waiting
from tests.servers.kueue import Kueue
from tests.servers.kueue_double import KueueDouble

GROUP = {"kueue.x-k8s.io/pod-group-name": "two"}
GROUP_COUNT = {"kueue.x-k8s.io/pod-group-total-count": "2"}


def forever(millis: int = 600, name: str = "main") -> Container:
    return shell("trap 'exit 0' TERM; sleep 600 & wait $!", name, requests=cpu(millis))


async def test_a_pod_waits_for_quota_says_why_and_runs_when_the_other_ends(queued: Remote, queue: str) -> None:
    first = a_pod(shell("until [ -e /tmp/go ]; do sleep 0.1; done", requests=cpu(600)))
    second = a_pod(shell("exit 4", requests=cpu(600)))
    await queued.running(first)
    await queued.submit(second)
    state = waiting(await queued.until_waiting(second, "Queued", "insufficient unused quota"))
    assert state == Waiting(
        "Queued",
        f"queue {queue}: couldn't assign flavors to pod set main: insufficient unused quota for cpu in flavor default, 200m more needed",
    )
    await queued.delete(first)
    report = await queued.until(second, lambda report: report.finished)
    assert ended(report).exit_code == 4


async def test_waiting_pods_tell_how_many_are_ahead(start_remote: StartRemote, queue: str) -> None:
    remote = await start_remote(tenants={"*": {"queue": queue}}, queues={"positions_seconds": 0.5})
    await remote.running(a_pod(forever()))
    waiters = [await remote.submit(a_pod(shell("exit 0", requests=cpu(600)))) for _ in range(2)]

    def messages() -> set[str]:
        states = [waiting(remote.reports[pod.uid]) for pod in waiters if pod.uid in remote.reports]
        return {state.message.partition(": ")[0] for state in states if state}

    await remote.until_true(lambda: messages() == {f"queue {queue}, next", f"queue {queue}, 1 ahead"}, lambda: str(messages()))


async def test_a_pod_that_never_fits_waits_and_says_so(queued: Remote, kueue: Kueue, queue: str) -> None:
    pod = a_pod(shell("exit 0", requests=cpu(1200)))
    await queued.submit(pod)
    report = await queued.until_waiting(pod, "Queued", "more than the queue can ever have")
    assert "request (1200m) > maximum capacity (1)" in container(report).state.message  # type: ignore[union-attr]
    kueue.set_quota(queue, {"cpu": "1200m", "memory": "1Gi"})
    assert ended(await queued.until(pod, lambda report: report.finished)).exit_code == 0


async def test_a_resource_that_the_queue_does_not_cover_is_refused(queued: Remote) -> None:
    gpu = Resources(cpu_millis=100, devices={"nvidia.com/gpu": 1})
    with pytest.raises(Refused, match=r"has no quota for nvidia\.com/gpu"):
        await queued.submit(a_pod(shell("exit 0", requests=gpu, limits=gpu)))


async def test_a_queue_that_is_not_there_is_waited_for(start_remote: StartRemote, kueue: Kueue) -> None:
    remote = await start_remote(tenants={"*": {"queue": "later"}})
    pod = a_pod(shell("exit 0", requests=cpu(100)))
    await remote.submit(pod)
    await remote.until_waiting(pod, "Queued", "the queue is not set up")
    kueue.queue(NAMESPACE, "later", {"cpu": "1"})
    assert ended(await remote.until(pod, lambda report: report.finished)).exit_code == 0


async def test_without_the_webhook_a_queued_pod_is_refused_and_never_runs(queued: Remote, kueue: Kueue) -> None:
    kueue.remove_webhook()
    try:
        await asyncio.sleep(1)  # the API server learns of it by a watch
        with pytest.raises(Refused, match="Kueue does not manage pods"):
            await queued.submit(a_pod(shell("exit 0", requests=cpu(100))))
        await queued.until_nothing_is_left()
    finally:
        kueue.install_webhook()
        await asyncio.sleep(1)


async def test_while_the_manager_is_down_creates_are_temporary(queued: Remote, kueue: Kueue) -> None:
    kueue.stop_webhook()
    try:
        pod = a_pod(shell("exit 0", requests=cpu(100)))
        with pytest.raises(BackendUnavailable, match="failed calling webhook"):
            await queued.submit(pod)
    finally:
        kueue.serve_webhook()
    assert ended(await queued.run(pod)).exit_code == 0


async def test_a_preempted_pod_runs_again_and_tells_the_story(queued: Remote, kueue: Kueue) -> None:
    pod = a_pod(shell("trap 'exit 0' TERM; echo $$; sleep 600 & wait $!", requests=cpu(600)))
    await queued.running(pod)
    kueue.evict(NAMESPACE, kueue.workload_of(queued.remote_pod(pod)))
    report = await queued.until(pod, lambda report: container(report).restart_count == 1 and isinstance(container(report).state, Running))
    last = container(report).last_state
    assert last is not None
    assert (last.exit_code, last.reason) == (0, "Preempted")
    assert "Preempted to accommodate a workload" in last.message
    between = [waiting(report) for report in queued.observed[pod.uid]]
    assert any(state and state.reason == "Preempted" and "it runs again" in state.message for state in between)
    assert not any(report.finished for report in queued.observed[pod.uid])
    await queued.until_true(lambda: len(queued.objects("pods", pod)) == 1)


async def test_a_preempted_pod_that_can_not_run_again_says_why(queued: Remote, kueue: Kueue) -> None:
    pod = a_pod(forever())
    await queued.running(pod)
    workload = kueue.workload_of(queued.remote_pod(pod))
    kueue.remove_webhook()
    try:
        await asyncio.sleep(1)  # the API server learns of it by a watch
        kueue.evict(NAMESPACE, workload)
        state = ended(await queued.until(pod, lambda report: report.finished))
        assert state.exit_code == 137
        assert state.message.startswith("run 1 ended (Preempted), and the pod cannot run again: queue ")
    finally:
        kueue.install_webhook()
        await asyncio.sleep(1)


async def test_an_eviction_may_end_the_pod_by_its_own_wish(queued: Remote, kueue: Kueue) -> None:
    pod = replace(a_pod(forever()), annotations={"interlink.eu/on-eviction": "fail"})
    await queued.running(pod)
    kueue.evict(NAMESPACE, kueue.workload_of(queued.remote_pod(pod)))
    state = ended(await queued.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason) == (137, "Preempted")
    assert "Preempted to accommodate" in state.message


async def test_a_deactivated_pod_does_not_run_again(queued: Remote, kueue: Kueue) -> None:
    pod = a_pod(forever())
    await queued.running(pod)
    kueue.deactivate(NAMESPACE, kueue.workload_of(queued.remote_pod(pod)))
    state = ended(await queued.until(pod, lambda report: report.finished))
    assert (state.exit_code, state.reason, state.message) == (137, "Deactivated", "The workload is deactivated")


async def test_a_queue_that_is_held_and_drained_takes_the_pod_again_later(queued: Remote, kueue: Kueue, queue: str) -> None:
    pod = a_pod(forever())
    await queued.running(pod)
    kueue.hold(queue)
    await queued.until_waiting(pod, "Queued", "the queue is held")
    kueue.hold(queue, "None")
    report = await queued.until_running(pod)
    assert container(report).restart_count == 1


async def test_eviction_while_the_plugin_is_away(queued: Remote, kueue: Kueue) -> None:
    pod = a_pod(forever())
    await queued.running(pod)
    await queued.stop()
    kueue.evict(NAMESPACE, kueue.workload_of(queued.remote_pod(pod)))
    queued.reports.clear()
    await queued.start()
    report = await queued.until(pod, lambda report: container(report).restart_count == 1 and isinstance(container(report).state, Running))
    assert container(report).last_state is not None


async def test_a_pod_chooses_its_queue_by_annotation(remote: Remote, queue: str) -> None:
    pod = replace(a_pod(shell("exit 0", requests=cpu(100))), annotations={"kueue.interlink.eu/queue-name": queue})
    assert ended(await remote.run(pod)).exit_code == 0
    assert remote.remote_pod(pod)["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == queue


async def test_a_group_is_admitted_as_a_whole_and_leaves_nothing(queued: Remote, kueue: Kueue) -> None:
    one, two = (a_pod(forever(400), labels=GROUP, annotations=GROUP_COUNT) for _ in range(2))
    await queued.submit(one)
    await queued.until_waiting(one, "Queued", "Kueue has not taken the pod up yet")
    await queued.submit(two)
    await asyncio.gather(queued.until_running(one), queued.until_running(two))
    assert kueue.workload_of(queued.remote_pod(one)) == kueue.workload_of(queued.remote_pod(two))


async def test_the_pods_of_an_owner_are_a_group_where_the_operator_says_so(start_remote: StartRemote, kueue: Kueue, queue: str) -> None:
    remote = await start_remote(tenants={"*": {"queue": queue}}, queues={"group_owners": {"PyTorchJob": "PET_NNODES"}})
    owner = Controller("PyTorchJob", "train", f"uid-{queue}")
    one, two = (a_pod(replace(forever(400), env={"PET_NNODES": "2"}), controller=owner) for _ in range(2))
    await remote.submit(one)
    await remote.until_waiting(one, "Queued", "Kueue has not taken the pod up yet")
    await remote.submit(two)
    await asyncio.gather(remote.until_running(one), remote.until_running(two))
    assert kueue.workload_of(remote.remote_pod(one)) == kueue.workload_of(remote.remote_pod(two))


async def a_running_group(queued: Remote, **annotations: str) -> tuple[Workload, Workload]:
    one, two = (a_pod(forever(400), labels=GROUP, annotations=GROUP_COUNT | annotations) for _ in range(2))
    await queued.submit(one)
    await queued.submit(two)
    await asyncio.gather(queued.until_running(one), queued.until_running(two))
    return one, two


async def test_an_evicted_group_runs_again_as_a_whole(queued: Remote, kueue: Kueue) -> None:
    """Twice, the second time while the plugin is away."""
    group = await a_running_group(queued)
    kueue.evict(NAMESPACE, kueue.workload_of(queued.remote_pod(group[0])))

    async def runs_again(pod: Workload, restarts: int) -> None:
        await queued.until(pod, lambda report: container(report).restart_count == restarts and isinstance(container(report).state, Running))

    await asyncio.gather(*(runs_again(pod, 1) for pod in group))
    for pod in group:
        last = container(queued.reports[pod.uid]).last_state
        assert last is not None
        assert last.reason == "Preempted"
        assert not any(report.finished for report in queued.observed[pod.uid])
    one, two = (kueue.workload_of(queued.remote_pod(pod)) for pod in group)
    assert one == two
    await queued.until_true(lambda: [len(queued.objects("pods", pod)) for pod in group] == [1, 1])
    await queued.stop()
    kueue.evict(NAMESPACE, one)
    queued.reports.clear()
    await queued.start()
    await asyncio.gather(*(runs_again(pod, 2) for pod in group))


async def test_members_of_an_evicted_group_fail_where_they_are_to_and_do_not_hang(queued: Remote, kueue: Kueue) -> None:
    group = await a_running_group(queued, **{"interlink.eu/on-eviction": "fail"})
    kueue.evict(NAMESPACE, kueue.workload_of(queued.remote_pod(group[0])))
    for pod in group:
        state = ended(await queued.until(pod, lambda report: report.finished))
        assert (state.exit_code, state.reason) == (137, "Preempted")


async def test_an_evicted_group_of_which_one_has_ended_fails(queued: Remote, kueue: Kueue) -> None:
    short = a_pod(shell("sleep 3", requests=cpu(400)), labels=GROUP, annotations=GROUP_COUNT)
    long = a_pod(forever(400), labels=GROUP, annotations=GROUP_COUNT)
    await queued.submit(short)
    await queued.submit(long)
    await queued.until_running(long)
    assert ended(await queued.until(short, lambda report: report.finished)).exit_code == 0
    kueue.evict(NAMESPACE, kueue.workload_of(queued.remote_pod(long)))
    state = ended(await queued.until(long, lambda report: report.finished))
    assert (state.exit_code, state.reason) == (137, "Preempted")
    assert state.message.endswith("; not all pods of its group can run again")
    assert ended(queued.reports[short.uid]).exit_code == 0


async def test_capacity_is_the_quota(queued: Remote) -> None:
    capacity = await queued.backend.capacity()
    assert (capacity.cpu_millis, capacity.memory_bytes, capacity.devices) == (1000, 2**30, {"example.com/fpga": 2})


async def test_the_queue_is_checked(queued: Remote, queue: str) -> None:
    rows = await queued.backend.check()
    assert [row.verdict for row in rows] == ["ok", "ok", "ok"], rows
    assert f"LocalQueue {queue} of {queue}, Kueue v1beta2" in rows[2].detail


@pytest.mark.parametrize("kueue", ["double"], indirect=True, scope="session")
async def test_an_older_kueue_is_spoken_to_in_its_own_version(start_remote: StartRemote, kueue: KueueDouble, queue: str) -> None:
    kueue.serve("v1beta1")
    try:
        remote = await start_remote(tenants={"*": {"queue": queue}})
        assert (await remote.backend.check())[2].detail == f"LocalQueue {queue} of {queue}, Kueue v1beta1"
        first, second = a_pod(forever()), a_pod(shell("exit 4", requests=cpu(600)))
        await remote.running(first)
        await remote.submit(second)
        await remote.until_waiting(second, "Queued", "insufficient unused quota")
        kueue.evict(NAMESPACE, kueue.workload_of(remote.remote_pod(first)))
        assert ended(await remote.until(second, lambda report: report.finished)).exit_code == 4
        await remote.until(first, lambda report: container(report).restart_count == 1 and isinstance(container(report).state, Running))
    finally:
        kueue.serve("v1beta1", "v1beta2")


async def test_the_older_version_says_the_same(
    start_remote: StartRemote, kueue: Kueue, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where both are served, as the real one does."""
    monkeypatch.setattr(queues, "VERSIONS", ("v1beta1",))
    remote = await start_remote(tenants={"*": {"queue": queue}})
    assert (await remote.backend.capacity()).cpu_millis == 1000
    first, second = a_pod(forever()), a_pod(shell("exit 4", requests=cpu(600)))
    await remote.running(first)
    await remote.submit(second)
    await remote.until_waiting(second, "Queued", "insufficient unused quota for cpu in flavor default, 200m more needed")
    kueue.deactivate(NAMESPACE, kueue.workload_of(remote.remote_pod(first)))
    assert ended(await remote.until(first, lambda report: report.finished)).reason == "Deactivated"
    assert ended(await remote.until(second, lambda report: report.finished)).exit_code == 4
