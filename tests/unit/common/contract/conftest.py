from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

WIRE = Path(__file__).parents[3] / "wire"


@pytest.fixture(scope="session")
def wire() -> dict[str, Any]:
    """Recorded requests by the number that begins their file's name; each has method, path, headers, body."""
    return {path.name[:2]: json.loads(path.read_text()) for path in sorted(WIRE.glob("*.json"))}
