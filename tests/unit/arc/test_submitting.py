"""Jobs that nobody here knows: of submits whose answer was lost, of lost records, and of others."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from interlink_arc.backend import ArcBackend
from interlink_arc.sites import Site
from interlink_arc.translate import describe
from interlink_common.backend import FoundJob
from interlink_common.errors import BackendUnavailable
from interlink_common.model.codec import stub
from interlink_common.model.workload import Workload
from tests.unit.arc.pods import a_pod, settings

URL = "https://one.test/arex"


class Remembering:
    """An element whose jobs are given: id -> (state, description). Kills end a job, cleans remove it."""

    def __init__(self, site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
        self.jobs: dict[str, tuple[str, str]] = {}
        self.calls: Counter[str] = Counter()
        for name in ("states", "ids", "diagnose", "act"):
            monkeypatch.setattr(site.element, name, getattr(self, name))

    async def states(self, wanted: object) -> dict[str, str]:
        self.calls["states"] += 1
        return {job: state for job, (state, _) in self.jobs.items()}

    async def ids(self) -> list[str]:
        self.calls["ids"] += 1
        return list(self.jobs)

    async def diagnose(self, job: str, item: str) -> str | None:
        self.calls["diagnose"] += 1
        return self.jobs[job][1] if job in self.jobs else None

    async def act(self, action: str, ids: list[str]) -> dict[str, int]:
        for job in ids:
            self.calls[action] += 1
            if action == "kill":
                self.jobs[job] = ("FAILED", self.jobs[job][1])
            else:
                del self.jobs[job]
        return dict.fromkeys(ids, 202)


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[ArcBackend, Site, Remembering]:
    backend = ArcBackend(settings(state_dir=tmp_path, ces={"one": {"url": URL}}))
    site = backend._sites.of("default", "one")
    return backend, site, Remembering(site, monkeypatch)


def described(workload: Workload, instance: str = "here") -> str:
    return describe(workload, "", settings(instance=instance)).decode()


def numbered(number: int) -> Workload:
    return replace(a_pod(), uid=f"uid-{number}")


async def test_what_an_inventory_finds_and_what_it_ends(world: tuple[ArcBackend, Site, Remembering]) -> None:
    backend, site, element = world
    backend._take_on(numbered(5), f"{URL}/e")
    element.jobs = {
        "a": ("RUNNING", described(numbered(1))),
        "b": ("PREPARING", described(numbered(2))),  # killed between the submit and the upload
        "c": ("RUNNING", described(numbered(3), "another plugin")),
        "d": ("RUNNING", "<a/>"),
        "e": ("RUNNING", described(numbered(5))),
        "f": ("RUNNING", described(numbered(5))),  # a second one, of a submit whose answer came late
    }
    found = await backend.inventory()
    assert sorted(found, key=lambda job: job.pod_uid) == [
        FoundJob("uid-1", f"{URL}/a", stub(numbered(1))),
        FoundJob("uid-5", f"{URL}/e", numbered(5)),
    ]
    assert set(element.jobs) == {"a", "c", "d", "e"}
    assert site.foreign == {"c", "d"}
    element.calls.clear()
    del element.jobs["d"]
    await backend.inventory()
    assert element.calls == {"states": 1, "ids": 1, "diagnose": 1}, (
        "foreign jobs are looked at once, and a state is never asked for job by job"
    )
    assert site.foreign == {"c"}


async def test_a_directory_is_kept_until_it_is_known_what_came_of_its_submit(
    world: tuple[ArcBackend, Site, Remembering], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend, site, _ = world
    for name, url in (("tried", URL), ("elsewhere", "https://gone.test/arex")):
        (tmp_path / "pods" / name).mkdir(parents=True)
        (tmp_path / "pods" / name / "tried").write_text(url)

    async def away() -> list[str]:
        raise BackendUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(site.element, "ids", away)
        with pytest.raises(BackendUnavailable):
            await backend.inventory()
        assert len(list((tmp_path / "pods").iterdir())) == 2
    assert await backend.inventory() == []
    assert list((tmp_path / "pods").iterdir()) == []
