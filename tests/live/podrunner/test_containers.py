"""What a container on a worker node gets: its environment and nothing else, its volumes, its command, the pod's localhost."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from interlink_common.model.workload import (
    Container,
    EmptyDirVolume,
    ExecAction,
    ExternalVolume,
    File,
    FilesVolume,
    HostPathVolume,
    Mount,
    Probe,
    Security,
    TcpAction,
    Workload,
)
from interlink_common.testing.lifecycle_cases import SERVE, pod, probe, sh
from tests.live.podrunner.worker import Job, Node, ended, entry
from tests.servers import podman

StartJob = Callable[..., Job]
HOSTILE = {
    "PLAIN": "value",
    "QUOTES": "a \"b\" 'c' `d` $(e) $F \\ end",
    "LINES": "one\ntwo\n",
    "UNICODE": "é ✓",
    "EMPTY": "",
    "SECRET": "s3cret-value",
    "PATH": "/bin:/usr/bin:/custom",
    "HOME": "/a home's",
    "LD_PRELOAD_": "x",
}


def one(image: str, container: Container, name: str = "one", **fields: Any) -> Workload:
    return pod(name, replace(container, image=image), **fields)


def test_environment_is_the_pods_and_nothing_of_the_node(node: Node, image: str, start: StartJob) -> None:
    script = "cat /proc/self/environ"
    job = start(node, one(image, sh("main", script, env=HOSTILE, mounts=()), "envpod"))
    job.end()
    seen = dict(pair.split("=", 1) for pair in job.log().split("\0") if "=" in pair)
    assert {name: seen.get(name) for name in HOSTILE} == HOSTILE
    assert seen["HOSTNAME"] == "envpod"
    assert "LEAKED" not in seen


def test_secrets_are_in_no_argument_list(node: Node, image: str, start: StartJob) -> None:
    job = start(node, one(image, sh("main", SERVE, env={"TOKEN": "s3cret-in-env", "OTHER": "s3cret\nlines"}, mounts=())))
    job.until(lambda events: any(entry(report).ready for report in job.reports()))
    lines = [path.read_bytes() for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
    assert not [line for line in lines if b"s3cret" in line]


def test_volumes(node: Node, image: str, start: StartJob, scratch: Path) -> None:
    given, site = scratch / "given", scratch / "site"
    for folder in (given, site):
        folder.mkdir()
        (folder / "data").write_text(folder.name)
        folder.chmod(0o777)
    workload = one(
        image,
        sh(
            "main",
            "cat /etc/conf/app.yaml /etc/conf/deep/er /one/file /host/data /site/data /work/inner/app.yaml; stat -c %a /etc/conf/run.sh; "
            "touch /work/new /sub/new && ls /work/below; "
            "for place in /etc/conf/new /site/new /etc/conf/app.yaml; do touch $place 2>/dev/null && echo wrote $place; done; "
            "cat /etc/conf/bytes | od -An -tx1",
            mounts=(
                Mount("conf", "/etc/conf"),
                Mount("conf", "/one/file", sub_path="app.yaml"),
                Mount("conf", "/work/inner"),
                Mount("work", "/work"),
                Mount("work", "/sub", sub_path="below"),
                Mount("host", "/host"),
                Mount("claim", "/site"),
            ),
        ),
        volumes=(
            FilesVolume(
                "conf",
                (
                    File("app.yaml", 0o644, b"app"),
                    File("deep/er", 0o400, b"deep"),
                    File("run.sh", 0o755, b"#!"),
                    File("bytes", 0o644, b"\x00\xff\n"),
                ),
                secret=True,
            ),
            EmptyDirVolume("work"),
            HostPathVolume("host", str(given), "Directory"),
            ExternalVolume("claim", "persistentVolumeClaim", "data"),
        ),
    )
    job = start(node, workload, host_path_allow=(str(scratch),), claims={"data": f"{site}:ro"})
    assert job.end().exit_code == 0
    assert job.log() == "appdeepappgivensiteapp755\nnew\n 00 ff 0a\n"


def test_a_claim_of_a_namespace_reaches_its_own_directory(node: Node, image: str, start: StartJob, scratch: Path) -> None:
    """Beside a claim of that name for everybody, and the homes that a pattern finds."""
    places = {"everybodys": "of everybody", "team-a": "of team-a", "home/bob": "of bob", "home/eve": "of eve"}
    for place, words in places.items():
        (scratch / place).mkdir(parents=True)
        (scratch / place / "whose").write_text(f"{words}\n")
    claims = {"data": f"{scratch}/everybodys", "team-a/data": f"{scratch}/team-a:ro", "claim-{user}": f"{scratch}/home/{{user}}"}
    main = sh("main", "cat /data/whose /home/whose", mounts=(Mount("data", "/data"), Mount("home", "/home", read_only=True)))
    for namespace, user, log in (("team-a", "bob", "of team-a\nof bob\n"), ("team-b", "eve", "of everybody\nof eve\n")):
        volumes = (
            ExternalVolume("data", "persistentVolumeClaim", "data"),
            ExternalVolume("home", "persistentVolumeClaim", f"claim-{user}"),
        )
        job = start(node, one(image, main, namespace=namespace, volumes=volumes), claims=claims)
        assert job.end().exit_code == 0
        assert job.log() == log


def test_what_a_site_does_not_allow_is_said(node: Node, image: str, start: StartJob) -> None:
    volumes = {
        "the host path /etc is not allowed on this site": HostPathVolume("it", "/etc"),
        "the NFS export server:/export is not mapped on this site": ExternalVolume("it", "nfs", "server:/export"),
        "the claim claim-.. matches claim-{user}, but": ExternalVolume("it", "persistentVolumeClaim", "claim-.."),
    }
    for words, volume in volumes.items():
        job = start(
            node, one(image, sh("main", "true", mounts=(Mount("it", "/it"),)), volumes=(volume,)), claims={"claim-{user}": "/srv/{user}"}
        )
        job.until(lambda events, words=words, job=job: any(words in str(entry(report).state) for report in job.reports()))  # type: ignore[misc]


def test_a_sub_path_does_not_lead_out_of_its_volume(node: Node, image: str, start: StartJob) -> None:
    workload = one(
        image,
        sh("main", "cat /out/passwd", mounts=(Mount("work", "/out", sub_path="link"),)),
        inits=(one(image, sh("trick", "ln -s /etc /work/link")).containers[0],),
        volumes=(EmptyDirVolume("work"),),
    )
    job = start(node, workload)
    job.until(lambda events: any("leads out of its volume" in str(entry(report).state) for report in job.reports()))


def test_containers_share_localhost_and_emptydirs(node: Node, image: str, start: StartJob, free_port: int) -> None:
    server = f"mkdir -p /work/www; echo shared > /work/www/page; cd /work/www; busybox httpd -f -p 127.0.0.1:{free_port} & wait"
    client = f"until busybox wget -q -O - http://127.0.0.1:{free_port}/page; do sleep 0.1; done"
    workload = pod("local", *(one(image, c).containers[0] for c in (sh("client", client),)), inits=(sidecar(image, server, free_port),))
    job = start(node, workload)
    assert job.end().exit_code == 0
    assert job.log("client") == "shared\n"


def sidecar(image: str, text: str, port: int) -> Container:
    return replace(
        sh("server", text), image=image, sidecar=True, startup_probe=Probe(TcpAction(port), period_seconds=1, failure_threshold=60)
    )


def test_exec_probes_run_in_the_container(node: Node, image: str, start: StartJob) -> None:
    """The file is in the container's own file system, the variable in its environment."""
    readiness = probe('test "$COLOUR" = red && test -e "$PLACE/mine" && test -e /work/mine', failures=100)
    text = 'mkdir -p "$PLACE"; touch "$PLACE/mine" /work/mine; ' + SERVE
    environment = {"COLOUR": "red", "PLACE": "/tmp/of-the-container-podrunner", "PATH": "/bin:/usr/bin"}
    job = start(node, one(image, sh("main", text, env=environment, readiness_probe=readiness)))
    job.until(lambda events: any(entry(report).ready for report in job.reports()))


def test_working_directory_and_read_only_root(node: Node, image: str, start: StartJob, runtime: str) -> None:
    job = start(node, one(image, sh("main", "pwd; touch here && ls", working_dir="/work")))
    assert job.end().exit_code == 0
    assert job.log() == "/work\nhere\n"
    if runtime != "process":
        text = "touch /new 2>/dev/null && echo wrote; touch /work/new && echo volume"
        job = start(node, one(image, sh("main", text, security=Security(read_only_root_filesystem=True))))
        job.end()
        assert job.log() == "volume\n"


def test_a_user_of_its_own(podman_node: Node, start: StartJob) -> None:
    """Where the operator allows it; it can write where a pod's containers can."""
    text = "id -u; id -g; touch /work/new && echo wrote; echo told > /dev/termination-log"
    container = sh("main", text, security=Security(run_as_user=1234, run_as_group=99), image=podman.IMAGE)
    job = start(podman_node, pod("user", container), allow_run_as=True)
    assert ended(job.end().report).message == "told\n"
    assert job.log() == "1234\n99\nwrote\n"
    denied = start(podman_node, pod("user", container))
    denied.until(lambda _: any("requests the user 1234" in str(entry(report).state) for report in denied.reports()))


def test_host_aliases_and_host_name(node: Node, image: str, start: StartJob, runtime: str) -> None:
    job = start(node, one(image, sh("main", "cat /etc/hosts; hostname"), "named", host_aliases=(("10.1.2.3", ("db", "db.local")),)))
    job.end()
    name = socket.gethostname() if runtime == "process" else "named"
    assert job.log().endswith(f"127.0.0.1\tnamed\n# Entries added by HostAliases.\n10.1.2.3\tdb\tdb.local\n{name}\n")


def test_what_can_not_be_executed_is_told_as_a_kubelet_tells_it(node: Node, image: str, start: StartJob) -> None:
    job = start(node, one(image, Container("main", image, command=("/no/such/program",))))
    state = ended(job.end().report)
    assert state.reason == "ContainerCannotRun"
    assert state.exit_code in (127, 128)
    assert "/no/such/program" in state.message


def test_the_end_of_the_log_as_termination_message(node: Node, image: str, start: StartJob) -> None:
    job = start(node, one(image, sh("main", "echo the reason is this >&2; exit 3", termination_message_fallback=True)))
    state = ended(job.end().report)
    assert (state.exit_code, state.message) == (3, "the reason is this\n")


def test_an_empty_dir_over_its_limit_evicts_the_pod(node: Node, image: str, start: StartJob) -> None:
    text = "head -c 3000000 /dev/zero > /work/big; " + SERVE
    timing = replace(node.config.timing, excess_seconds=0.2)
    job = start(node, one(image, sh("main", text), volumes=(EmptyDirVolume("work", size_limit_bytes=2**20),)), timing=timing)
    assert "Usage of EmptyDir volume work exceeds the limit 1048576 bytes" in ended(job.end().report).message


def test_a_pre_stop_hook_runs_in_the_container(node: Node, image: str, start: StartJob) -> None:
    text = "trap 'cat /work/said; exit 0' TERM; touch /work/up; sleep 600 & wait"
    hook = ExecAction(("sh", "-c", "echo goodbye > /work/said"))
    job = start(node, one(image, sh("main", text, pre_stop=hook, startup_probe=probe("test -e /work/up", failures=50))))
    job.until(lambda events: any(entry(report).started for report in job.reports()))
    job.terminate()
    job.end()
    assert job.log() == "goodbye\n"


def test_what_a_job_leaves_has_the_pod_in_one_private_file(node: Node, image: str, start: StartJob) -> None:
    job = start(node, one(image, sh("main", "true", env={"TOKEN": "s3cret"}, mounts=())))
    job.end()
    holders = [path.name for path in job.directory.iterdir() if b"s3cret" in path.read_bytes()]
    assert holders == ["pod.json"]
    assert (job.directory / "pod.json").stat().st_mode & 0o777 == 0o600
    assert (job.directory / "events.jsonl").stat().st_mode & 0o777 == 0o600
    json.loads((job.directory / "runner.json").read_bytes())
