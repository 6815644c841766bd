"""What travels to worker nodes: standard library and itself only, in the Python of 3.9, and really imported by every Python found here."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

COMMON = Path(__file__).parents[2] / "common"
PACKAGE = COMMON / "interlink_common"
FILES = sorted(
    [
        PACKAGE / "__init__.py",
        *(PACKAGE / "model").rglob("*.py"),
        *(PACKAGE / "lifecycle").rglob("*.py"),
        *(PACKAGE / "agent").rglob("*.py"),
        *(PACKAGE / "podrunner").rglob("*.py"),
    ]
)
MODULES = [".".join(file.relative_to(COMMON).with_suffix("").parts).removesuffix(".__init__") for file in FILES]

SYNTAX = (3, 9)


def interpreters() -> list[str]:
    """Every CPython from 3.9 on that starts: of PATH, of the usual folder and of pyenv."""
    folders = [*os.environ["PATH"].split(":"), "/usr/bin", *map(str, Path.home().glob(".pyenv/versions/*/bin"))]
    names = [f"python3.{minor}" for minor in range(9, 20)]
    found: dict[str, str] = {}
    for candidate in filter(None, (shutil.which(name, path=folder) for name in names for folder in folders)):
        code = "import platform, sys; print(sys.version_info[:2], platform.python_implementation())"
        done = subprocess.run([candidate, "-c", code], capture_output=True, text=True, check=False)
        if done.returncode == 0:
            found.setdefault(done.stdout, candidate)
    return list(found.values()) or [sys.executable]


def imported(tree: ast.AST) -> set[str]:
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide what is imported"
            names |= {f"{node.module}.{alias.name}" for alias in node.names} if node.module in MODULES else {str(node.module)}
    return names


@pytest.mark.parametrize("file", FILES, ids=MODULES)
def test_imports_only_the_standard_library_and_what_travels_along(file: Path) -> None:
    tree = ast.parse(file.read_text(), feature_version=SYNTAX)
    strangers = {
        name
        for name in imported(tree)
        if name.partition(".")[0] not in sys.stdlib_module_names and name not in MODULES and name.rpartition(".")[0] not in MODULES
    }
    assert not strangers


@pytest.mark.parametrize("python", interpreters(), ids=lambda path: Path(path).name)
def test_every_python_of_this_machine_imports_it_without_any_package(python: str) -> None:
    code = f"import sys; sys.path.insert(0, sys.argv[1]); import {', '.join(MODULES)}"
    done = subprocess.run([python, "-I", "-S", "-B", "-W", "error", "-c", code, COMMON], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
