"""A pod's skeleton: what a report needs of it, and nothing that may be a secret, as one word to be kept with its job. Pure.

Not even probes are in it, whose headers may hold a secret: what is kept with a job may be readable for many.
"""

from __future__ import annotations

import base64
import re
import zlib
from pathlib import Path

from interlink_common.errors import Refused
from interlink_common.model.codec import from_json, to_json
from interlink_common.model.workload import Container, Workload

SKELETON_BYTES = 1024 * 1024
SAFE_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,127}")


def require_safe_uid(uid: str) -> None:
    """Raises Refused for a UID that could leave its directory."""
    if not SAFE_UID.fullmatch(uid):
        raise Refused("metadata.uid must consist of letters, digits, - and _, and be at most 128 long")


def directory_of(state_dir: Path, uid: str) -> Path:
    """Where a batch plugin keeps what it has of a pod. Raises Refused for a UID that is not safe."""
    require_safe_uid(uid)
    return state_dir / "pods" / uid


def skeleton(workload: Workload) -> Workload:
    """The pod, bare."""

    def bare(container: Container) -> Container:
        return Container(container.name, container.image, sidecar=container.sidecar)

    return Workload(
        workload.uid,
        workload.name,
        workload.namespace,
        containers=tuple(map(bare, workload.containers)),
        init_containers=tuple(map(bare, workload.init_containers)),
        restart_policy=workload.restart_policy,
        grace_seconds=workload.grace_seconds,
        not_offloaded=workload.not_offloaded,
        not_offloaded_init=workload.not_offloaded_init,
    )


def packed(workload: Workload) -> str:
    """The skeleton as one word of letters, digits and + / =."""
    return base64.b64encode(zlib.compress(to_json(skeleton(workload)).encode("utf-8", "surrogatepass"))).decode("ascii")


def unpacked(text: str) -> Workload | None:
    """The skeleton again; None for anything else, since a job's owner may have changed it."""
    try:
        data = zlib.decompressobj().decompress(base64.b64decode(text, validate=True), SKELETON_BYTES)
        workload = from_json(data.decode("utf-8", "surrogatepass"))
    except (ValueError, zlib.error):
        return None
    return workload if workload.uid else None
