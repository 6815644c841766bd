"""What holds for every test: which backend a live test belongs to, and what is said of a backend that can't run on this machine."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, NoReturn

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.live.batch", "tests.live.kills", "tests.live.site")
"""They assert for several suites, and are to say what they found."""

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")
"""A slow machine is no failure: nothing here is asserted on time."""

if TYPE_CHECKING:
    from tests.servers.arc import ComputingElement
    from tests.servers.htcondor import Pool
    from tests.servers.slurm import Cluster

Unavailable = Callable[[str, str], NoReturn]


def required_backends() -> set[str]:
    """Backends that must run, from REQUIRE_BACKENDS: names separated by commas."""
    return {name.strip() for name in os.environ.get("REQUIRE_BACKENDS", "").split(",")} - {""}


def backend_of(nodeid: str) -> str | None:
    """The backend that a test needs, by its place. The chain of real interLink programs counts as one."""
    match PurePosixPath(nodeid.partition("::")[0]).parts:
        case ("tests", "live", backend, _, *_):
            return backend
        case ("tests", "contract", file):
            return file.removeprefix("test_").removesuffix(".py")
        case ("tests", "e2e", *_):
            return "interlink"
    return None


@pytest.fixture(scope="session")
def unavailable() -> Unavailable:
    """Call it with a backend and the reason why it can't run here: skips, or fails if REQUIRE_BACKENDS names the backend."""

    def report(backend: str, reason: str) -> NoReturn:
        if backend in required_backends():
            pytest.fail(f"{backend} must run here (REQUIRE_BACKENDS) but can't: {reason}", pytrace=False)
        pytest.skip(reason)

    return report


@pytest.fixture(scope="session")
def arc_ce(unavailable: Unavailable) -> Iterator[ComputingElement]:
    """A real ARC computing element, for all tests that need one of their own kind."""
    from tests.servers import arc, container  # noqa: PLC0415  tests without servers need no SDK

    if reason := container.unavailable():
        unavailable("arc", reason)
    with arc.running_ce() as ce:
        yield ce


@pytest.fixture(scope="session")
def older_arc_ce(arc_ce: ComputingElement) -> Iterator[ComputingElement]:
    """One of an older release, which trusts whom the other trusts."""
    from tests.servers import arc, arc_image  # noqa: PLC0415  tests without servers need no SDK

    with arc.running_ce(arc_image.OLDER, like=arc_ce) as ce:
        yield ce


@pytest.fixture(scope="session")
def htcondor_pool(unavailable: Unavailable) -> Iterator[Pool]:
    """The one pool of all tests on HTCondor, which is why it is made here. They run in one worker, see PARALLEL in the Makefile."""
    from tests.servers import container, htcondor  # noqa: PLC0415  tests without servers need no SDK

    if reason := container.unavailable():
        unavailable("htcondor", reason)
    with htcondor.running_pool() as pool:
        yield pool


@pytest.fixture(scope="session")
def slurm_cluster(unavailable: Unavailable) -> Iterator[Cluster]:
    """The one Slurm of all tests on it."""
    from tests.servers import container, slurm  # noqa: PLC0415  tests without servers need no SDK

    if reason := container.unavailable():
        unavailable("slurm", reason)
    with slurm.running_cluster() as cluster:
        yield cluster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.nodeid.startswith("tests/live/"):
            item.add_marker(pytest.mark.live)
            if item.get_closest_marker("xdist_group") is None:
                item.add_marker(pytest.mark.xdist_group(backend_of(item.nodeid)))


class BackendsRun:
    """Which backends ran, and why the others did not. Lives in the process that reports, whatever processes run the tests."""

    def __init__(self) -> None:
        self.ran: set[str] = set()
        self.reasons: defaultdict[str, set[str]] = defaultdict(set)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._note(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._note(report)

    def _note(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        backend = backend_of(report.nodeid)
        if backend is None:
            return
        if report.skipped and isinstance(report.longrepr, tuple):
            self.reasons[backend].add(report.longrepr[2].removeprefix("Skipped: "))
        elif report.failed or report.when == "call":
            self.ran.add(backend)

    def missing(self) -> set[str]:
        return required_backends() - self.ran

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.missing() and session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        absent = {backend: reasons for backend, reasons in sorted(self.reasons.items()) if backend not in self.ran}
        if absent or self.missing():
            terminalreporter.section("backends that did not run")
        for backend, reasons in absent.items():
            terminalreporter.line(f"{backend}: {'; '.join(sorted(reasons))}")
        if missing := self.missing():
            terminalreporter.line(f"FAILED: REQUIRE_BACKENDS names {', '.join(sorted(missing))}, of which no test ran", red=True)


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(BackendsRun(), "backends-run")
