"""interLink's mesh on a worker node: the script around the pod, the tunnels beside it, and neither without the operator's word."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from interlink_common.model.workload import Network, Workload
from interlink_common.testing.lifecycle_cases import pod, sh
from tests.live.podrunner.worker import Job, Node, entry

StartJob = Callable[..., Job]
MESH = """
cat <<'EOFMESH' > $TMPDIR/mesh.sh
#!/bin/bash
exec unshare {options} --net -- "$@"
EOFMESH
chmod +x $TMPDIR/mesh.sh
"""
NAMESPACE = "readlink /proc/self/ns/net"


def networked(text: str, network: Network, image: str = "") -> Workload:
    return pod("meshed", sh("main", text, image=image, mounts=()), network=network)


def mesh(node: Node) -> Network:
    return Network(mesh_script=MESH.format(options="--user --map-current-user --keep-caps" if node.as_nobody else ""))


def test_the_pod_runs_in_the_network_of_the_mesh(node: Node, image: str, start: StartJob, runtime: str) -> None:
    job = start(node, networked(NAMESPACE, mesh(node), image), allow_mesh=True)
    assert job.end().exit_code == 0
    assert job.log().startswith("net:[")
    assert job.log().strip() != str(Path("/proc/self/ns/net").readlink())


def test_a_stop_reaches_the_pod_through_the_mesh_script(process_node: Node, start: StartJob) -> None:
    job = start(process_node, networked("trap 'echo stopped; exit 0' TERM; echo up; sleep 600 & wait", mesh(process_node)), allow_mesh=True)
    job.until(lambda events: bool(job.log()))
    job.terminate()
    job.end()
    assert job.log() == "up\nstopped\n"


def test_a_mesh_script_that_fails_is_told(process_node: Node, start: StartJob) -> None:
    job = start(process_node, networked("true", Network(mesh_script="exit 7")), allow_mesh=True)
    assert job.failure().reason == "podrunner could not be started in bash: exit code 7"


def test_tunnels_run_beside_the_pod_until_its_end(process_node: Node, start: StartJob, scratch: Path) -> None:
    scratch.chmod(0o777)
    network = Network(tunnel_commands=f"readlink /proc/self/ns/net > {scratch}/tunnel\nsleep 600 &\nsleep 600")
    job = start(process_node, networked(f"until test -s {scratch}/tunnel; do sleep 0.05; done", network), allow_mesh=True)
    assert job.end().exit_code == 0
    assert (scratch / "tunnel").read_text().strip() == str(Path("/proc/self/ns/net").readlink())


def test_neither_without_the_operators_word(process_node: Node, start: StartJob) -> None:
    for network in (mesh(process_node), Network(tunnel_commands="true")):
        job = start(process_node, networked("true", network))
        job.until(lambda events, job=job: any("this site does not" in str(entry(report).state) for report in job.reports()))  # type: ignore[misc]


def test_a_pod_without_mesh_by_annotation(process_node: Node, start: StartJob) -> None:
    network = Network(mesh_script="exit 7", tunnel_commands="exit 7", mesh_disabled=True)
    job = start(process_node, networked("echo ran", network))
    assert job.end().exit_code == 0
