"""One job: its files, the programs that podrunner is wrapped in, and how its end is reported."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, Optional

from interlink_common.model.codec import decode, from_json
from interlink_common.model.images import cvmfs_repositories
from interlink_common.model.workload import CvmfsVolume, Workload
from interlink_common.podrunner import exitcodes, network
from interlink_common.podrunner.chirp import ChirpSink
from interlink_common.podrunner.config import CHIRP, CvmfsOptions, RunnerConfig
from interlink_common.podrunner.events import Failed
from interlink_common.podrunner.processes import own_program, remove_directory
from interlink_common.podrunner.sinks import EVENTS_FILE, FileSink, Sink
from interlink_common.podrunner.supervisor import NoContainerRuntime, run_pod

INSIDE = "inside"
INSIDE_PID = "podrunner.pid"

log = logging.getLogger(__name__)


def run_job(arguments: Sequence[str]) -> int:
    """`arguments`: the directory, and "inside" when podrunner already runs in the pod's network. Returns the exit code."""
    os.umask(0o022)
    directory = Path(arguments[0] if arguments else ".").resolve()
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="podrunner: %(message)s")
    try:
        pod = from_json(read_file(directory, "pod.json").decode("utf-8", "surrogatepass"))
        config = decode(json.loads(read_file(directory, "runner.json")), RunnerConfig)
    except (OSError, ValueError, RecursionError) as error:
        return asyncio.run(_fail(FileSink(directory / EVENTS_FILE), f"the files of the job cannot be read: {error}", exitcodes.BAD_BUNDLE))
    wrapper = () if INSIDE in arguments else wrapping(pod, config, directory)
    if wrapper:
        return run_wrapped(wrapper, directory)
    (directory / INSIDE_PID).write_text(str(os.getpid()))
    gc.enable()
    return asyncio.run(_run(pod, config, directory))


def read_file(directory: Path, name: str) -> bytes:
    """A file of the job: from its directory, else from the archive that podrunner itself runs from. Raises OSError."""
    try:
        return (directory / name).read_bytes()
    except FileNotFoundError:
        loader: Any = sys.modules[__name__].__loader__
        if not hasattr(loader, "archive"):
            raise
        return bytes(loader.get_data(f"{loader.archive}/{name}"))


async def _run(workload: Workload, config: RunnerConfig, directory: Path) -> int:
    sink = sink_of(config, directory)
    try:
        return await run_pod(workload, config, directory, sink)
    except NoContainerRuntime as error:
        remove_directory(directory / "runtime")
        return await _fail(sink, f"{exitcodes.MEANINGS[exitcodes.NO_RUNTIME]}: {error}", exitcodes.NO_RUNTIME)
    except Exception as error:  # whatever it is, the stream says so before podrunner ends
        log.exception("internal error of podrunner")
        return await _fail(sink, f"{exitcodes.MEANINGS[exitcodes.BROKEN]}: {type(error).__name__}", exitcodes.BROKEN)


async def _fail(sink: Sink, reason: str, exit_code: int) -> int:
    log.error("%s", reason)
    await sink.write_end(Failed(reason, exit_code, time.time_ns()))
    return exit_code


def sink_of(config: RunnerConfig, directory: Path) -> Sink:
    """The configured sink."""
    if config.stream.sink == CHIRP:
        return ChirpSink(directory, config.stream.window_bytes, announce=config.stream.announce)
    return FileSink(directory / EVENTS_FILE)


def wrapping(workload: Workload, config: RunnerConfig, directory: Path) -> tuple[str, ...]:
    """The words before podrunner's own command: cvmfsexec where the node has no CVMFS, and the mesh script."""
    words = network.mesh_wrapper(workload.network, directory, allowed=config.allow_mesh)
    repositories = cvmfs_repositories(workload, config.images, config.cvmfs.path)
    if needs_cvmfsexec(workload, repositories, config.cvmfs):
        words += (config.cvmfs.cvmfsexec, *repositories, "--")
    return words


def needs_cvmfsexec(workload: Workload, repositories: Sequence[str], options: CvmfsOptions) -> bool:
    """Whether the pod wants CVMFS, and the node has not even the directory of one repository: autofs shows it before it is mounted."""
    wanted = repositories or any(isinstance(volume, CvmfsVolume) for volume in workload.volumes)
    return bool(wanted and options.cvmfsexec) and not any(Path(options.path, name).is_dir() for name in repositories or ("",))


def run_wrapped(wrapper: Sequence[str], directory: Path) -> int:
    """podrunner inside of something else; signals go straight to it, for a wrapper need not pass them on."""
    (directory / INSIDE_PID).unlink(missing_ok=True)
    command = (*wrapper, *own_program(str(directory), INSIDE))
    environment = {**os.environ, "TMPDIR": str(network.scratch(directory))}
    child = subprocess.Popen(command, env=environment, cwd=directory, stdin=subprocess.DEVNULL)  # noqa: S603  the operator's words

    def pass_on(number: int, _: Optional[FrameType]) -> None:
        with contextlib.suppress(OSError, ValueError):
            os.kill(int((directory / INSIDE_PID).read_text()), number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, pass_on)
    code = child.wait()
    remove_directory(network.scratch(directory))
    if not (directory / INSIDE_PID).exists():
        reason = f"podrunner could not be started in {Path(wrapper[0]).name}: exit code {code}"
        return asyncio.run(_fail(FileSink(directory / EVENTS_FILE), reason, exitcodes.BROKEN))
    return code if code >= 0 else 128 - code
