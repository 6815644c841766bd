"""What a container finds: hosts, resolv.conf, and its share of the job's devices."""

from __future__ import annotations

from interlink_common.model.workload import Container, Dns, Resources, Workload
from interlink_common.podrunner.devices import device_environment
from interlink_common.podrunner.hostfiles import hosts, resolv_conf


def test_hosts() -> None:
    assert hosts("127.0.0.1 localhost", "pod", ()) == "127.0.0.1 localhost\n127.0.0.1\tpod\n"


def test_resolv_conf() -> None:
    node = "# of the node\nnameserver 10.0.0.1\nsearch example.org\noptions ndots:1\n"
    wanted = Dns(nameservers=("1.1.1.1",), searches=("a", "example.org"), options=("ndots:5",))
    assert resolv_conf(node, wanted) == "nameserver 10.0.0.1\nnameserver 1.1.1.1\nsearch example.org a\noptions ndots:1 ndots:5\n"
    assert resolv_conf(node, Dns("None", ("1.1.1.1",))) == "nameserver 1.1.1.1\n"


def test_each_container_gets_its_share_of_the_jobs_devices() -> None:
    def gpu(name: str, count: int, sidecar: bool = False) -> Container:
        return Container(name, "x", limits=Resources(devices={"nvidia.com/gpu": count}), sidecar=sidecar)

    init, side, one, none, two = gpu("init", 2), gpu("side", 1, True), gpu("one", 1), Container("none", "x"), gpu("two", 2)
    pod = Workload("u", "n", "ns", (one, none, two), (init, side))
    node = {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b,GPU-c,GPU-d", "ROCR_VISIBLE_DEVICES": "0"}
    shares = [device_environment(pod, container, node).get("CUDA_VISIBLE_DEVICES") for container in (init, side, one, none, two)]
    assert shares == ["GPU-a,GPU-b", "GPU-a", "GPU-b", "", "GPU-c,GPU-d"]
    assert device_environment(pod, one, {}) == {}
