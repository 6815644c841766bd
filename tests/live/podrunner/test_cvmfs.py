"""CVMFS on a worker node: repositories are looked at before they are mounted; cvmfsexec where there is no mount."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from interlink_common.model.workload import CvmfsVolume, Mount, Workload
from interlink_common.podrunner.config import CvmfsOptions
from interlink_common.testing.lifecycle_cases import pod, sh
from tests.live.podrunner.worker import Job, Node, entry

StartJob = Callable[..., Job]
CVMFSEXEC = """#!/bin/sh
# Stands for cvmfsexec: mounts in a namespace of its own, then runs what follows the two dashes.
here={here}
for name in "$@"; do
    if [ "$name" = -- ]; then break; fi
    asked="$asked $name"
done
echo "$asked" > "$here/asked"
while [ "$1" != -- ]; do shift; done
shift
exec unshare {options} --mount sh -c 'mount --bind "$0/repositories" "$0/mounted" && exec "$@"' "$here" "$@"
"""


@pytest.fixture
def root(scratch: Path) -> Path:
    """Where repositories of a name are; a directory that is open to all, as /cvmfs is."""
    for name in ("sft.cern.ch", "atlas.cern.ch"):
        (scratch / "repositories" / name).mkdir(parents=True)
        (scratch / "repositories" / name / "hello").write_text(f"of {name}\n")
    (scratch / "repositories" / "empty.cern.ch").mkdir()
    return scratch / "repositories"


def wants(image: str, volume: CvmfsVolume, text: str) -> Workload:
    return pod("cvmfs", sh("main", text, image=image, mounts=(Mount("cvmfs", "/cvmfs"),)), volumes=(volume,))


def test_repositories_are_there_and_read_only(node: Node, image: str, start: StartJob, root: Path) -> None:
    text = "cat /cvmfs/sft.cern.ch/hello /cvmfs/atlas.cern.ch/hello; touch /cvmfs/new 2>/dev/null && echo wrote"
    workload = wants(image, CvmfsVolume("cvmfs", ("sft.cern.ch", "atlas.cern.ch")), text)
    job = start(node, workload, cvmfs=CvmfsOptions(path=str(root)))
    job.end()
    assert job.log() == "of sft.cern.ch\nof atlas.cern.ch\n"


def test_a_part_of_a_repository(node: Node, image: str, start: StartJob, root: Path) -> None:
    job = start(
        node, wants(image, CvmfsVolume("cvmfs", ("sft.cern.ch",), "sft.cern.ch"), "cat /cvmfs/hello"), cvmfs=CvmfsOptions(str(root))
    )
    job.end()
    assert job.log() == "of sft.cern.ch\n"


@pytest.mark.parametrize(
    ("repository", "words"), [("none.cern.ch", "No such file or directory"), ("empty.cern.ch", "it is empty")], ids=["missing", "empty"]
)
def test_what_is_not_there_is_said(process_node: Node, start: StartJob, root: Path, repository: str, words: str) -> None:
    job = start(process_node, wants("", CvmfsVolume("cvmfs", (repository,)), "true"), cvmfs=CvmfsOptions(str(root)))
    wanted = f"CVMFS {root}/{repository} is not available on this node: {words}"
    job.until(lambda events: any(wanted in str(entry(report).state) for report in job.reports()))


def test_cvmfsexec_where_the_node_has_no_mount(node: Node, image: str, start: StartJob, root: Path, scratch: Path) -> None:
    mounted, program = scratch / "mounted", scratch / "cvmfsexec"
    mounted.mkdir()
    scratch.chmod(0o777)
    options = "" if not node.as_nobody and os.geteuid() == 0 else "--user --map-current-user --keep-caps"
    program.write_text(CVMFSEXEC.format(here=scratch, options=options))
    program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    rules = CvmfsOptions(path=str(mounted), cvmfsexec=str(program))
    job = start(node, wants(image, CvmfsVolume("cvmfs", ("sft.cern.ch",)), "cat /cvmfs/sft.cern.ch/hello"), cvmfs=rules)
    assert job.end().exit_code == 0
    assert job.log() == "of sft.cern.ch\n"
    assert (scratch / "asked").read_text().split() == ["sft.cern.ch"]
