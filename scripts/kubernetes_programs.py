"""etcd and Kubernetes' own programs for the tests: those of KUBEBUILDER_ASSETS, else built once from the Go module beside the test servers.

They go into a folder of the user's cache that is named by what they are made of, so an old one is never taken for a new one.
Building takes Go and about seven minutes on two cores.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from scripts.packages import Missing, say

MODULE = Path(__file__).parents[1] / "tests/servers/kubernetes_programs"
CONTROL_PLANE = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl")
NODE = ("kube-scheduler", "kubelet")
PLAIN_FLAGS = "-s -w"
STAMP = "k8s.io/component-base/version"
"""Without it every program says v0.0.0, and what compares versions fails."""


def cache_root() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "interlink-kubernetes"


def version() -> str:
    """Of k8s.io/kubernetes, with its v."""
    lines = (MODULE / "go.mod").read_text().splitlines()
    return next(words[1] for line in lines if len(words := line.removeprefix("require").split()) >= 2 and words[0] == "k8s.io/kubernetes")


def folder() -> Path:
    """Where the programs are, or will be."""
    if given := os.environ.get("KUBEBUILDER_ASSETS"):
        return Path(given)
    return cache_root() / f"{version()}-{made_of(MODULE, linker_flags())}"


def missing(*names: str) -> list[str]:
    return [name for name in names if not os.access(folder() / name, os.X_OK)]


def build(*names: str) -> None:
    """Builds what is not there yet, saying so. Raises Missing where that is not possible."""
    wanted = missing(*names)
    if not wanted:
        return
    if os.environ.get("KUBEBUILDER_ASSETS"):
        raise Missing(f"KUBEBUILDER_ASSETS is {folder()}, where {', '.join(wanted)} cannot be executed: unset it to have them built.")
    say(f"Building {', '.join(wanted)} of Kubernetes {version()}, once, into {folder()}; that takes some minutes.")
    for name in wanted:
        package = "go.etcd.io/etcd/server/v3" if name == "etcd" else f"k8s.io/kubernetes/cmd/{name}"
        compile_go(MODULE, package, folder() / name, linker_flags())


def linker_flags() -> str:
    release = version()
    major, minor, _ = release.removeprefix("v").split(".", 2)
    stamps = {"gitVersion": release, "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join([PLAIN_FLAGS, *(f"-X {STAMP}.{name}={value}" for name, value in stamps.items())])


def made_of(module: Path, flags: str = PLAIN_FLAGS) -> str:
    """A name for what a Go module's programs are made of."""
    content = b"".join((module / name).read_bytes() for name in ("go.mod", "go.sum")) + flags.encode()
    return hashlib.sha256(content).hexdigest()[:12]


def compile_go(module: Path, package: str, target: Path, flags: str = PLAIN_FLAGS) -> None:
    """One program of a Go module, with linker flags. It leaves the processors to whoever tests meanwhile.

    Raises Missing where there is no Go, or it fails.
    """
    go = shutil.which("go")
    if go is None:
        raise Missing(f"{target.name} is not here, and building it needs Go: install it, or set KUBEBUILDER_ASSETS for Kubernetes' own.")
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f"{target.name}.part")
    done = subprocess.run(
        ["nice", go, "build", "-trimpath", "-o", part, "-ldflags", flags, package],
        cwd=module, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise Missing(f"{target.name} cannot be built:\n{done.stdout[-3000:]}")
    part.replace(target)
