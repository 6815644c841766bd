from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from interlink_common.contract.requests import CreateRequest, parse_create
from interlink_common.model.workload import Workload
from interlink_common.translation.translate import translate

WIRE = Path(__file__).parents[3] / "wire"
METADATA = {"name": "pod", "namespace": "ns", "uid": "u-1"}


@pytest.fixture(scope="session")
def wire() -> dict[str, Any]:
    """Bodies of recorded requests by the number that begins their file's name."""
    return {path.name[:2]: json.loads(path.read_text())["body"] for path in sorted(WIRE.glob("*.json"))}


@pytest.fixture(scope="session")
def request_of() -> Callable[..., CreateRequest]:
    """A create request with one container `c`: fields of that container, of the spec, of the metadata, and what came with it."""

    def request_of(
        container: dict[str, Any] | None = None,
        spec: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
        data: dict[str, Any] | None = None,
        status: dict[str, Any] | None = None,
    ) -> CreateRequest:
        body = {
            "pod": {
                "metadata": METADATA | (metadata or {}),
                "spec": {"containers": [{"name": "c", "image": "i:1", **(container or {})}], **(spec or {})},
                "status": status,
            },
            "container": [{"name": "c", **(data or {})}],
        }
        return parse_create(json.dumps(body).encode())

    return request_of


@pytest.fixture(scope="session")
def translated(request_of: Callable[..., CreateRequest]) -> Callable[..., Workload]:
    """`request_of`, translated; `unexpanded` is the setting skip_downward_api_resolution. CVMFS claims: cvmfs-claim."""

    def translated(*arguments: Any, unexpanded: bool = False, **named: Any) -> Workload:
        return translate(
            request_of(*arguments, **named),
            skip_downward_api_resolution=unexpanded,
            cvmfs_claims=["cvmfs-claim"],
            node_name="virtual-node",
        )

    return translated
