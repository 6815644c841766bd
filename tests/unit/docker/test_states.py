"""The engine's inspect answers -> AttemptStatus, whole objects compared."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from interlink_common.agent.runtime import SANDBOX, AttemptStatus
from interlink_docker.states import STATES, attempt_status, ended_with_sandbox, ended_without_sandbox, moment, sandbox_status

NEVER = "0001-01-01T00:00:00Z"
LABELS = {"interlink.eu/container": "main", "interlink.eu/attempt": "3", "interlink.eu/backoff-seconds": "40.0"}


def inspected(status: str, started: str = NEVER, finished: str = NEVER, **state: Any) -> dict[str, Any]:
    told = {"Status": status, "StartedAt": started, "FinishedAt": finished, "ExitCode": 0, "Error": "", "OOMKilled": False, **state}
    return {"Id": "abc", "Image": "sha256:1", "Created": "1970-01-01T00:00:01Z", "State": told, "Config": {"Labels": LABELS}}


def expected(state: str, **fields: Any) -> AttemptStatus:
    return AttemptStatus("main", 3, state, id="docker://abc", image_id="sha256:1", backoff_seconds=40.0, **fields)


AT_2, AT_3 = "1970-01-01T00:00:02.5Z", "1970-01-01T00:00:03Z"


@pytest.mark.parametrize(
    ("told", "wanted"),
    [
        (inspected("created"), expected("created")),
        (inspected("running", AT_2), expected("running", started_at=2.5)),
        (inspected("paused", AT_2), expected("running", started_at=2.5)),
        (
            inspected("exited", AT_2, AT_3),
            expected("exited", started_at=2.5, finished_at=3.0, exit_code=0, reason="Completed"),
        ),
        (
            inspected("exited", AT_2, AT_3, ExitCode=7),
            expected("exited", started_at=2.5, finished_at=3.0, exit_code=7, reason="Error"),
        ),
        (
            inspected("exited", AT_2, AT_3, ExitCode=137, OOMKilled=True),
            expected("exited", started_at=2.5, finished_at=3.0, exit_code=137, oom_killed=True, reason="OOMKilled"),
        ),
        (
            inspected("exited", AT_2, AT_3, OOMKilled=True),
            expected("exited", started_at=2.5, finished_at=3.0, exit_code=0, reason="Completed"),
        ),
        (
            inspected("created", ExitCode=127, Error='exec: "x": not found'),
            expected("exited", finished_at=1.0, exit_code=127, reason="StartError", message="exec: ”x”: not found"),
        ),
        (
            inspected("created", Error="port is taken"),
            expected("exited", finished_at=1.0, exit_code=128, reason="StartError", message="port is taken"),
        ),
        (
            inspected("exited", AT_3, AT_2),
            expected("exited", started_at=2.5, finished_at=2.5, exit_code=0, reason="Completed"),
        ),
        (inspected("dead", AT_2, AT_3, ExitCode=1), expected("exited", started_at=2.5, finished_at=3.0, exit_code=1, reason="Error")),
    ],
)
def test_states(told: dict[str, Any], wanted: AttemptStatus) -> None:
    assert attempt_status(told) == wanted


def test_what_is_being_removed_or_unknown_or_foreign_is_nothing() -> None:
    assert attempt_status(inspected("removing", AT_2, AT_3, ExitCode=137)) is None
    assert attempt_status(inspected("hibernating")) is None
    foreign = inspected("exited")
    foreign["Config"]["Labels"] = None
    assert attempt_status(foreign) is None


def test_every_state_of_the_engine_is_in_the_table() -> None:
    """Docker Engine API, ContainerState.Status; but `removing`, which is gone."""
    assert set(STATES) == {"created", "running", "paused", "restarting", "exited", "dead"}


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (None, None),
        ("", None),
        (NEVER, None),
        ("1970-01-01T00:00:01Z", 1.0),
        ("1970-01-01T00:00:01.25Z", 1.25),
        ("1970-01-01T02:00:01.25+02:00", 1.25),
        ("1970-01-01T00:00:00.000000001Z", 1e-9),
    ],
)
def test_moment(text: str | None, wanted: float | None) -> None:
    assert moment(text) == wanted


STOPPED = "The container ended because the engine or the pod sandbox was stopped."


@pytest.mark.parametrize(
    ("started", "finished", "exit_code", "sandbox_finished", "is_victim"),
    [
        (10.0, 100.0, 0, NEVER, False),
        (10.0, 100.0, 0, "1970-01-01T00:01:39Z", True),
        (10.0, 100.0, 137, "1970-01-01T00:01:30Z", True),
        (10.0, 99.5, 0, "1970-01-01T00:01:40Z", True),
        (10.0, 90.0, 0, "1970-01-01T00:01:40Z", False),
        (10.0, 500.0, 0, "1970-01-01T00:01:40Z", False),
        (101.0, 102.0, 0, "1970-01-01T00:01:40Z", False),
        (None, 100.0, 128, "1970-01-01T00:01:40Z", False),
    ],
)
def test_an_end_with_the_sandbox_is_no_success(
    started: float | None, finished: float, exit_code: int, sandbox_finished: str, is_victim: bool
) -> None:
    found = expected("exited", started_at=started, finished_at=finished, exit_code=exit_code, reason="Completed")
    wanted = replace(found, exit_code=exit_code or 143, reason="EngineStopped", message=STOPPED) if is_victim else found
    assert ended_with_sandbox(found, inspected("exited", finished=sandbox_finished)) == wanted


@pytest.mark.parametrize(("finished", "is_victim"), [(2.9, False), (3.1, True)])
def test_a_sandbox_that_was_killed_ended_nothing_that_had_ended_before(finished: float, is_victim: bool) -> None:
    found = expected("exited", started_at=2.5, finished_at=finished, exit_code=0, reason="Completed")
    sandbox = inspected("exited", finished=AT_3, ExitCode=137)
    assert (ended_with_sandbox(found, sandbox).exit_code == 143) is is_victim


@pytest.mark.parametrize(("running", "state"), [(True, "running"), (False, "exited")])
def test_the_sandbox(running: bool, state: str) -> None:
    assert sandbox_status(inspected("any", Running=running)) == AttemptStatus(SANDBOX, 0, state)


def test_an_end_after_which_the_sandbox_is_gone() -> None:
    done, killed = expected("exited", exit_code=0), expected("exited", exit_code=137)
    assert ended_without_sandbox(done) == done
    assert ended_without_sandbox(killed) == replace(killed, message="The pod sandbox was removed by somebody else.")
