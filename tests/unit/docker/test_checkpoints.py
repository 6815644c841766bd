"""The agent's checkpoints on disk: durable, off the event loop, and no reason to lose a pod when it is damaged."""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from interlink_common.lifecycle.memory import PodMemory, to_checkpoint
from interlink_docker import checkpoints
from interlink_docker.checkpoints import Checkpoint, Checkpoints
from interlink_docker.settings import DockerSettings

TEXT = to_checkpoint(PodMemory(started_at=1.0))


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoints:
    return Checkpoints(DockerSettings(state_dir=tmp_path))


async def test_what_is_saved_is_read(kept: Checkpoints, tmp_path: Path) -> None:
    assert kept.read("u") == Checkpoint()
    await kept.save("u", to_checkpoint(PodMemory()))
    await kept.save("u", TEXT)
    assert kept.read("u") == Checkpoint(TEXT)
    assert list((tmp_path / "pods/u").iterdir()) == [tmp_path / "pods/u/memory.json"]
    assert stat.S_IMODE((tmp_path / "pods/u/memory.json").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "pods/u").stat().st_mode) == 0o700


async def test_a_save_is_synced_before_it_replaces_the_last_and_never_in_the_event_loop(
    kept: Checkpoints, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    rename, sync = Path.replace, os.fsync

    def told(what: str) -> None:
        assert threading.current_thread() is not threading.main_thread()
        done.append(what)

    def syncing(descriptor: int) -> None:
        told(str(Path(f"/proc/self/fd/{descriptor}").readlink()))
        sync(descriptor)

    def renaming(path: Path, target: Path) -> Path:
        told("rename")
        return rename(path, target)

    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(Path, "replace", renaming)
    await kept.save("u", TEXT)
    await kept.save("u", TEXT)
    directory = f"{tmp_path}/pods/u"
    assert done == [f"{directory}/memory.new", "rename", directory, f"{tmp_path}/pods", f"{directory}/memory.new", "rename", directory]


@pytest.mark.parametrize("damage", ["", "{", TEXT[:-5], "[]", '{"version":99}', TEXT.replace("1.0", "1.0,\0")])
async def test_a_damaged_memory_is_set_aside_and_the_pod_goes_on(kept: Checkpoints, tmp_path: Path, damage: str) -> None:
    await kept.save("u", TEXT)
    (tmp_path / "pods/u/memory.json").write_text(damage)
    assert kept.read("u") == Checkpoint()
    assert (tmp_path / "pods/u/memory.damaged").read_text() == damage
    await kept.save("u", TEXT)
    assert kept.read("u") == Checkpoint(TEXT)


async def test_an_adopted_pod_stays_adopted_whatever_becomes_of_its_memory(kept: Checkpoints, tmp_path: Path) -> None:
    await kept.mark_adopted("u")
    assert kept.read("u") == Checkpoint("", adopted=True)
    await kept.save("u", TEXT)
    (tmp_path / "pods/u" / checkpoints.CHECKPOINT).write_bytes(b"\xff")
    assert kept.read("u") == Checkpoint("", adopted=True)
