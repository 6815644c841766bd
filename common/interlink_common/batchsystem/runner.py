"""podrunner's options, from the operator's settings. Pure."""

from __future__ import annotations

from dataclasses import replace

from interlink_common.batchsystem.settings import CvmfsSettings, RunnerSettings
from interlink_common.podrunner.config import CvmfsRules, ImageRules, RunnerConfig, SecurityRules, StreamRules, VolumeRules


def runner_config(runner: RunnerSettings, cvmfs: CvmfsSettings, stream: StreamRules) -> RunnerConfig:
    """`stream`: how the events travel, which is the batch system's business; the bound on logs is the operator's."""
    maps = {"persistentVolumeClaim": runner.claims, "nfs": runner.nfs, "csi": runner.csi}
    return RunnerConfig(
        runtimes=tuple(runner.runtimes),
        programs=dict(runner.programs),
        node_environment=tuple(runner.node_environment),
        stop_seconds=runner.stop_seconds,
        images=ImageRules(
            sites=dict(runner.images),
            local=tuple(runner.image_directories),
            cache_directory=runner.image_cache,
            insecure_registries=tuple(runner.insecure_registries),
        ),
        volumes=VolumeRules(
            host_paths=tuple(runner.host_path_allow),
            external={f"{kind}/{key}": path for kind, paths in maps.items() for key, path in paths.items()},
        ),
        cvmfs=CvmfsRules(cvmfs.path, cvmfs.probe_timeout_seconds, cvmfs.cvmfsexec),
        security=SecurityRules(mesh=runner.allow_mesh, run_as=runner.allow_run_as, privileged=runner.allow_privileged),
        stream=replace(stream, log_bytes=runner.log_bytes),
    )
