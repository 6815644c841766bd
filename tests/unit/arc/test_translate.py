"""Whole job descriptions, compared; and that hostile pods change nothing in them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from interlink_arc.translate import Choice, choice, describe, marked, wants_cvmfs
from interlink_common.errors import Refused
from interlink_common.model.codec import packed_stub, stub
from interlink_common.model.workload import Container, CvmfsVolume, Placement, Resources, Workload
from tests.unit.arc.pods import UID, a_pod, settings

SPACE = 'xmlns="http://www.eu-emi.eu/es/2010/12/adl" xmlns:nordugrid-adl="http://www.nordugrid.org/es/2011/12/nordugrid-adl"'
STAGING = (
    "<DataStaging>{delegation}<InputFile><Name>start.sh</Name><IsExecutable>true</IsExecutable></InputFile>"
    "<OutputFile><Name>events.jsonl</Name></OutputFile>"
    "<OutputFile><Name>podrunner.err</Name></OutputFile></DataStaging>"
)
PLAIN_RESOURCES = (
    f"<IndividualPhysicalMemory>{2 * 2**26}</IndividualPhysicalMemory><DiskSpaceRequirement>{2**30}</DiskSpaceRequirement>"
    "<SlotRequirement><NumberOfSlots>1</NumberOfSlots><SlotsPerHost>1</SlotsPerHost></SlotRequirement>"
)


def expected(pod: Workload, resources: str = PLAIN_RESOURCES, *, priority: str = "", delegation: str = "") -> str:
    return (
        f"<ActivityDescription {SPACE}><ActivityIdentification><Name>interlink-{UID}</Name>"
        f"<Description>interlink:here:{packed_stub(pod)}</Description></ActivityIdentification>"
        f"<Application><Executable><Path>start.sh</Path></Executable><Error>podrunner.err</Error>{priority}</Application>"
        f"<Resources>{resources}</Resources>{STAGING.format(delegation=delegation)}</ActivityDescription>"
    )


def test_a_plain_pod() -> None:
    assert describe(a_pod(), "", settings()).decode() == expected(a_pod())


def test_a_pod_with_everything() -> None:
    pod = a_pod(
        size=Resources(2500, 2**30, 2**20, {"nvidia.com/gpu": 2}),
        active_deadline_seconds=100,
        grace_seconds=40,
        volumes=(CvmfsVolume("c"),),
    )
    made = describe(
        pod,
        "gpu",
        settings(
            job={"priority": 60, "walltime_seconds": 1000, "runtime_environments": [{"name": "ENV/PROXY"}], "runner_memory_bytes": 0},
            cvmfs={"runtime_environments": [{"name": "ENV/CVMFS"}, {"name": "ENV/PROXY"}]},
            devices={"nvidia.com/*": {"runtime_environments": [{"name": "ENV/GPU", "options": ["gpus={count}", "<&>"]}]}},
        ),
        delegation="abc",
    )
    resources = (
        "<RuntimeEnvironment><Name>ENV/PROXY</Name></RuntimeEnvironment><RuntimeEnvironment><Name>ENV/CVMFS</Name></RuntimeEnvironment>"
        "<RuntimeEnvironment><Name>ENV/GPU</Name><Option>gpus=2</Option><Option>&lt;&amp;&gt;</Option></RuntimeEnvironment>"
        f"<IndividualPhysicalMemory>{-(-(2**30) // 3)}</IndividualPhysicalMemory><DiskSpaceRequirement>{2**20}</DiskSpaceRequirement>"
        "<TotalCPUTime>600</TotalCPUTime><WallTime>200</WallTime>"
        "<SlotRequirement><NumberOfSlots>3</NumberOfSlots><SlotsPerHost>3</SlotsPerHost></SlotRequirement><QueueName>gpu</QueueName>"
    )
    priority = "<nordugrid-adl:Priority>60</nordugrid-adl:Priority>"
    assert made.decode() == expected(pod, resources, priority=priority, delegation="<DelegationID>abc</DelegationID>")


def test_memory_is_asked_for_by_slot_or_whole_and_a_tenant_has_a_walltime_of_its_own() -> None:
    pod = a_pod(size=Resources(2000, 2**30))
    made = describe(pod, "", settings(job={"memory": "whole", "cpu_time": False}, tenants={"def*": {"walltime_seconds": 77}})).decode()
    assert f"<IndividualPhysicalMemory>{2**30 + 2**26}</IndividualPhysicalMemory>" in made
    assert "<WallTime>77</WallTime>" in made
    assert "CPUTime" not in made


DEVICES = {"a/gpu": {"queue": "gpu", "ces": ["two"]}, "a/fpga": {"queue": "fpga"}, "a/nic": {}}


@pytest.mark.parametrize(
    ("pod", "groups", "where"),
    [
        ({}, {}, Choice(("one", "two"), "")),
        ({}, {"tenants": {"default": {"queue": "theirs", "ces": ["one"]}}}, Choice(("one",), "theirs")),
        ({"placement": Placement({"disk": "fast"})}, {"queues": {"disk=slow": "s", "disk=fast": "f"}}, Choice(("one", "two"), "f")),
        ({"size": Resources(devices={"a/gpu": 1})}, {"tenants": {"*": {"queue": "theirs"}}}, Choice(("two",), "gpu")),
        ({"size": Resources(devices={"a/nic": 1})}, {}, Choice(("one", "two"), "")),
    ],
)
def test_where_a_job_may_go(pod: dict[str, Any], groups: dict[str, Any], where: Choice) -> None:
    assert choice(a_pod(**pod), settings(devices=DEVICES, **groups)) == where


@pytest.mark.parametrize(
    ("devices", "groups", "words"),
    [
        ({"b/gpu": 1}, {}, "resource b/gpu is not offered here; the operator can map it with devices"),
        ({"a/gpu": 1, "a/fpga": 1}, {}, "the pod requests devices of different queues: fpga, gpu"),
        ({"a/gpu": 1}, {"tenants": {"*": {"ces": ["one"]}}}, "there is no computing element for pods of namespace default"),
        ({}, {"tenants": {"team-*": {}}}, "namespace default is not served here; the operator can add it to the setting tenants"),
    ],
)
def test_where_no_job_can_go(devices: dict[str, int], groups: dict[str, Any], words: str) -> None:
    with pytest.raises(Refused, match=words):
        choice(a_pod(size=Resources(devices=devices)), settings(devices=DEVICES, **groups))


def test_cvmfs_is_wanted_by_volume_and_by_image() -> None:
    here = settings(runner={"images": {"registry.example": "/cvmfs/images.example/r"}})
    assert not wants_cvmfs(a_pod(), here)
    assert wants_cvmfs(a_pod(volumes=(CvmfsVolume("c"),)), here)
    assert wants_cvmfs(a_pod(Container("main", "/cvmfs/unpacked.cern.ch/x")), here)
    assert wants_cvmfs(a_pod(Container("main", "registry.example/x:1")), here)


@given(st.text(), st.text(), st.text(), st.text())
def test_no_byte_of_a_pod_is_in_its_description_and_its_stub_comes_back(name: str, image: str, label: str, command: str) -> None:
    container = Container("main", image, command=(command,))
    pod = replace(a_pod(container), name=name, namespace=name, labels={label: label}, annotations={label: label})
    made = describe(pod, "", settings()).decode()
    assert made == expected(pod)
    assert marked(made, "here") == stub(pod)
    assert marked(made, "elsewhere") is None


@given(st.text())
def test_an_instance_may_have_any_name(instance: str) -> None:
    made = describe(a_pod(), "", settings(instance=instance)).decode()
    ET.fromstring(made)
    assert marked(made, instance or str(settings(instance=instance).instance)) == stub(a_pod())


FOREIGN = "<a><ActivityIdentification><Description>interlink:here:AAAA</Description></ActivityIdentification></a>"


@pytest.mark.parametrize("description", ["", "<", "<a/>", FOREIGN])
def test_what_is_not_ours(description: str) -> None:
    assert marked(description, "here") is None


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"ces": {"a": {"url": "http://one.test/arex"}}}, "the url of a computing element is https"),
        ({"ces": {"a": {"url": "https://one.test/arex/"}}}, "without a slash at the end"),
        ({"tenants": {"*": {"ces": ["three"]}}}, r"tenants.\*.ces names three, which is not in ces"),
        ({"credential": {"key_file": "/k"}}, "certificate_file and key_file must be set together"),
        ({"credential": {"token_file": "/t", "delegate": True}}, "delegate needs an X.509 credential"),
        ({"job": {"runtime_environments": [{"name": "A B"}]}}, "letters, digits and"),
    ],
)
def test_settings_that_can_not_be(groups: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        settings(**groups)
