"""podrunner's options, from the operator's settings. Pure."""

from __future__ import annotations

from dataclasses import replace

from interlink_common.batchsystem.settings import CvmfsSettings, RunnerSettings
from interlink_common.podrunner.config import CvmfsOptions, RunnerConfig, StreamRules


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
