"""podrunner on the worker node: what it can do with a pod, and its options from the operator's settings. Pure."""

from __future__ import annotations

from dataclasses import replace

from interlink_common.backend import Capabilities, CheckResult, Support, Verdict
from interlink_common.batchsystem.settings import CvmfsSettings, RunnerSettings
from interlink_common.podrunner.config import CvmfsOptions, RunnerConfig, StreamRules

PODRUNNER = Capabilities(
    init_containers=Support.YES,
    sidecars=Support.YES,
    several_containers=Support.YES,
    restart_policies=frozenset({"Never", "OnFailure", "Always"}),
    probes=Support.YES,
    hooks=Support.YES,
    files_volumes=Support.YES,
    empty_dir=Support.YES,
    host_path=Support.YES,
    external_volume_kinds=frozenset({"persistentVolumeClaim", "nfs", "csi"}),
    cvmfs=Support.YES,
    mount_propagation=Support.WARN,
    sub_path=Support.YES,
    device_resources=frozenset({"*/*"}),
    ephemeral_storage=Support.YES,
    active_deadline=Support.YES,
    tty=Support.WARN,
    stdin=Support.WARN,
    host_ports=Support.WARN,
    host_namespaces=Support.REFUSE,
    privileged=Support.YES,
    run_as=Support.YES,
    capabilities=Support.WARN,
    read_only_root_filesystem=Support.WARN,
    seccomp=Support.WARN,
    fs_group=Support.WARN,
    sysctls=Support.REFUSE,
    host_aliases=Support.WARN,
    dns_config=Support.WARN,
    share_process_namespace=Support.WARN,
    image_pull_secrets=Support.YES,
    mesh_network=Support.YES,
)
"""What every plugin can do whose jobs run podrunner."""


def check_runtimes(runner: RunnerSettings) -> CheckResult:
    """The row of `interlink-plugin check` that says how pods are kept apart on the worker nodes."""
    if "process" in runner.runtimes:
        return CheckResult(
            "runtimes",
            Verdict.WARNING,
            "pods can run without a container runtime on the worker nodes",
            "Remove process from runner.runtimes",
        )
    return CheckResult("runtimes", Verdict.OK, f"{', '.join(runner.runtimes)}, whichever the worker nodes have")


def runner_config(runner: RunnerSettings, cvmfs: CvmfsSettings, stream: StreamRules) -> RunnerConfig:
    """`stream`: how the events travel, which is the batch system's business; the bound on logs is the operator's."""
    return RunnerConfig(
        runtimes=tuple(runner.runtimes),
        programs=dict(runner.programs),
        node_environment=tuple(runner.node_environment),
        images=dict(runner.images),
        image_directories=tuple(runner.image_directories),
        image_cache=runner.image_cache,
        insecure_registries=tuple(runner.insecure_registries),
        host_path_allow=tuple(runner.host_path_allow),
        claims=dict(runner.claims),
        nfs=dict(runner.nfs),
        csi=dict(runner.csi),
        allow_mesh=runner.allow_mesh,
        allow_run_as=runner.allow_run_as,
        allow_privileged=runner.allow_privileged,
        stop_seconds=runner.stop_seconds,
        cvmfs=CvmfsOptions(cvmfs.path, cvmfs.probe_timeout_seconds, cvmfs.cvmfsexec),
        stream=replace(stream, log_bytes=runner.log_bytes),
    )
