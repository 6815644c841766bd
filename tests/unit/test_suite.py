"""What `make test` does with its parts, on parts of a test each."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts import suite, test_servers
from scripts.suite import Part

PASSES, FAILS = "def test_it(): pass\n", "def test_it(): assert not 'so'\n"


@pytest.fixture
def parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Part, Part]:
    """One that passes and one that fails."""
    made = []
    for name, text in (("good", PASSES), ("bad", FAILS)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "test_it.py").write_text(text)
        made.append(Part(name, ["--rootdir", str(folder), "-c", "/dev/null", "-p", "no:cacheprovider", str(folder)], backend=name))
    good, bad = made
    monkeypatch.setattr(suite, "SUITE", (good, bad))
    monkeypatch.setattr(suite, "PARTS", {part.name: part for part in made})
    monkeypatch.setattr(suite, "BACKENDS", [part.backend for part in made])
    monkeypatch.setattr(test_servers, "packages", lambda: None)
    monkeypatch.delenv("REQUIRE_BACKENDS", raising=False)
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return good, bad


@pytest.mark.usefixtures("parts")
def test_a_part_that_fails_fails_the_whole_and_all_outputs_are_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert suite.main([]) == 1
    said = capsys.readouterr().out
    assert said.count("1 passed in") == 1
    assert said.count("1 failed in") == 1
    assert "assert not 'so'" in said
    assert re.search(r"^good +\d+:\d\d  passed\nbad +\d+:\d\d  FAILED$|^bad .*FAILED\ngood .*passed$", said, re.MULTILINE)
    assert said.endswith("1 passed, 1 failed, 0 skipped\n")


@pytest.mark.usefixtures("parts")
def test_one_part_alone() -> None:
    assert (suite.main(["good"]), suite.main(["bad"])) == (0, 1)


@pytest.mark.usefixtures("parts")
def test_what_is_not_there_is_named(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert suite.main(["ugly"]) == 2
    monkeypatch.setenv("REQUIRE_BACKENDS", "worse")
    assert suite.main([]) == 2
    assert capsys.readouterr().out == (
        "there is no part ugly; these exist: good, bad.\nREQUIRE_BACKENDS names worse; these exist: good, bad.\n"
    )
