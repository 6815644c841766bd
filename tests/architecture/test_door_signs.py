"""Every package says what is in its folder and which module to open first, and names only modules that are there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = sorted(
    path.parent
    for pattern in ("common/interlink_common/**/__init__.py", "plugins/*/interlink_*/**/__init__.py")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: str(package.relative_to(ROOT)))
def test_a_package_has_a_door_sign(package: Path) -> None:
    sign = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    first = re.search(r"^Open `(\w+)` first", sign, re.MULTILINE)
    assert first, "the docstring of __init__.py says which module to open first"
    inside = {path.stem for path in package.iterdir()}
    named = set(re.findall(r"`([a-z_]+)`", sign))
    assert named <= inside, f"not in {package.name}: {named - inside}"
