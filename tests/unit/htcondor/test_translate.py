"""Whole submit descriptions, compared; and that hostile pods change nothing but the strings that are theirs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import htcondor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.errors import BadRequest, Refused
from interlink_common.model.codec import packed_stub, stub, unpacked_stub
from interlink_common.model.workload import Container, CvmfsVolume, Placement, Resources, Workload
from interlink_htcondor.quoting import decoded
from interlink_htcondor.translate import Description, describe, kind, require_expressible, transaction
from tests.unit.htcondor.pods import UID, a_pod, settings

PLAIN = {
    "universe": "vanilla",
    "executable": "/shared/start.sh",
    "initialdir": "/pods/u/submit",
    "transfer_input_files": "/shared/podrunner.pyz,/shared/runner.json,pod.json",
    "should_transfer_files": "YES",
    "when_to_transfer_output": "ON_EXIT",
    "output": "podrunner.out",
    "error": "podrunner.err",
    "notification": "never",
    "kill_sig": "SIGTERM",
    "leave_in_queue": "JobStatus == 4 && (CompletionDate =?= undefined || CompletionDate == 0 || time() - CompletionDate < 864000)",
    "job_max_vacate_time": "InterLinkGraceSeconds + 30",
    "request_cpus": "1",
    "request_memory": "128",
    "request_disk": "1048576",
    "priority": "0",
    "My.WantIOProxy": "true",
    "My.WantGracefulRemoval": "true",
    "My.InterLinkInstance": '"here"',
    "My.InterLinkPodUid": f'"{UID}"',
    "My.InterLinkPodName": '"p"',
    "My.InterLinkNamespace": '"default"',
    "My.InterLinkOnEviction": '"rerun"',
    "My.InterLinkGraceSeconds": "30",
}


def described(pod: Workload, **groups: Any) -> Description:
    made = describe(pod, "/pods/u/submit", "/shared", settings(**groups))
    assert unpacked_stub(made.pop("My.InterLinkPod").strip('"')) == stub(pod)
    return made


def added(pod: Workload, **groups: Any) -> Description:
    """What differs from a plain pod."""
    return {key: value for key, value in described(pod, **groups).items() if PLAIN.get(key) != value}


def test_a_plain_pod() -> None:
    assert described(a_pod()) == PLAIN


@pytest.mark.parametrize(
    ("size", "groups", "expected"),
    [
        (Resources(1, 1), {}, {"request_memory": "65"}),
        (Resources(1500, 2**30), {}, {"request_cpus": "2", "request_memory": "1088"}),
        (Resources(1500, 2**30), {"job": {"cpus": "down"}}, {"request_memory": "1088"}),
        (Resources(100, 2**26), {"job": {"cpus": "down"}}, {}),
        (Resources(), {"job": {"default_cpu_millis": 4000, "runner_memory_bytes": 0}}, {"request_cpus": "4", "request_memory": "512"}),
        (Resources(1, 2**26, 2**30 + 1), {}, {"request_disk": "1048577"}),
        (Resources(1, 2**26, devices={"nvidia.com/gpu": 2}), {}, {"request_gpus": "2"}),
        (Resources(1, 2**26, devices={"intel.com/fpga": 1}), {"devices": {"custom": {"intel.com/fpga": "FPGAs"}}}, {"request_FPGAs": "1"}),
    ],
)  # fmt: skip
def test_what_a_pod_asks_for(size: Resources, groups: dict[str, Any], expected: Description) -> None:
    assert added(a_pod(size=size), **groups) == expected


GPU = Resources(1, 2**26, devices={"nvidia.com/gpu": 1})


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"annotations": {"interlink.eu/gpus-minimum-memory": "40Gi"}}, {"gpus_minimum_memory": "40960"}),
        ({"annotations": {"interlink.eu/gpus-minimum-capability": "8.0"}}, {"gpus_minimum_capability": "8.0"}),
        ({"placement": Placement({"nvidia.com/gpu.memory": "40960"})}, {"gpus_minimum_memory": "40960"}),
        (
            {"placement": Placement({"nvidia.com/gpu.product": "NVIDIA-A100-SXM4-40GB"})},
            {"require_gpus": 'regexp("^(NVIDIA )?A100[ -]SXM4[ -]40GB$", DeviceName)'},
        ),
    ],
)
def test_wishes_for_a_gpu(fields: dict[str, Any], expected: Description) -> None:
    assert added(a_pod(size=GPU, **fields)) == {"request_gpus": "1", **expected}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"annotations": {"interlink.eu/gpus-minimum-memory": 'much" || true'}, "size": GPU}, "gpus-minimum-memory"),
        ({"annotations": {"interlink.eu/gpus-minimum-capability": "8 || true"}, "size": GPU}, "gpus-minimum-capability"),
        ({"placement": Placement({"nvidia.com/gpu.product": 'x", true) || ("'}), "size": GPU}, "gpu.product"),
        ({"annotations": {"interlink.eu/on-eviction": "cry"}}, "on-eviction"),
        ({"volumes": (CvmfsVolume("c", ("a=b || true",)),)}, "CVMFS"),
        ({"size": Resources(devices={"example.org/quantum": 1})}, "example.org/quantum"),
    ],
)
def test_what_says_nothing_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    to_pool = settings(cvmfs={"attribute": "HAS_CVMFS_*"})
    with pytest.raises((Refused, BadRequest), match=field):
        describe(a_pod(**fields), "/d", "/s", to_pool)
    with pytest.raises((Refused, BadRequest), match=field):
        require_expressible(a_pod(**fields), to_pool)


def test_requirements_come_together() -> None:
    pod = a_pod(
        Container("main", "/cvmfs/unpacked.cern.ch/registry/image"),
        volumes=(CvmfsVolume("c", ("atlas.cern.ch", "sft-nightlies.cern.ch")),),
        annotations={"interlink.eu/on-eviction": "fail"},
        namespace="team-a",
    )
    made = added(
        pod,
        job={"requirements": 'OpSys == "LINUX"'},
        cvmfs={"attribute": "HAS_CVMFS_*"},
        tenants={"team-*": {"requirements": "IsOurs"}},
    )
    assert made["requirements"] == (
        '(OpSys == "LINUX") && (IsOurs) && (TARGET.HAS_CVMFS_atlas_cern_ch =?= true) && (TARGET.HAS_CVMFS_sft_nightlies_cern_ch =?= true)'
        " && (TARGET.HAS_CVMFS_unpacked_cern_ch =?= true) && (MY.NumShadowStarts =?= undefined || MY.NumShadowStarts == 0)"
    )


def test_a_slot_has_the_repositories_that_mapped_images_come_from() -> None:
    pod = a_pod(Container("main", "registry.example/team/x:1"))
    runner = {"images": {"registry.example": "/cvmfs/images.example/r"}}
    assert added(pod, cvmfs={"attribute": "HAS_*"}, runner=runner)["requirements"] == "(TARGET.HAS_images_example =?= true)"


@pytest.mark.parametrize(("namespace", "priority"), [("team-a", "1"), ("team-b", "2"), ("other", None)])
def test_the_most_specific_tenant_counts_and_nobody_else_is_served(namespace: str, priority: str | None) -> None:
    to_pool = settings(tenants={"team-*": {"priority": 2}, "team-a": {"priority": 1}})
    pod = replace(a_pod(), namespace=namespace)
    if priority is None:
        with pytest.raises(Refused, match=r"metadata\.namespace other is not served here; the operator can add it to the setting tenants"):
            require_expressible(pod, to_pool)
    else:
        require_expressible(pod, to_pool)
        assert describe(pod, "/d", "/s", to_pool)["priority"] == priority


def test_a_tenant_differs() -> None:
    tenants = {
        "team-a": {"owner": "alice", "accounting_group": "group_a", "priority": 5, "attributes": {"WantFlocking": "true"}},
        "*": {"accounting_group": "rest"},
    }
    assert added(a_pod(namespace="team-a"), tenants=tenants) == {
        "My.InterLinkNamespace": '"team-a"',
        "My.Owner": '"alice"',
        "accounting_group": "group_a",
        "priority": "5",
        "My.WantFlocking": "true",
    }
    assert added(a_pod(), tenants=tenants) == {"accounting_group": "rest"}


def test_the_deadline_is_a_walltime_too_and_the_site_has_the_last_word() -> None:
    assert added(a_pod(active_deadline_seconds=100)) == {"allowed_execute_duration": "190"}
    assert added(a_pod(active_deadline_seconds=100), job={"walltime_seconds": 60}) == {"allowed_execute_duration": "60"}


def test_an_htcondor_ce_gets_the_attributes_that_it_routes_by() -> None:
    attributes = {"xcount": "RequestCpus", "maxMemory": "RequestMemory", "maxWallTime": "1440", "remote_queue": '"grid"'}
    assert added(a_pod(), job={"attributes": attributes}) == {f"My.{name}": text for name, text in attributes.items()}


@pytest.mark.parametrize("group", ["job", "tenants"])
@pytest.mark.parametrize("name", ["a b", "InterLinkPodUid", "1x", "x=y", ""])
def test_an_attribute_has_a_plain_name_that_is_not_ours(group: str, name: str) -> None:
    attributes = {"attributes": {name: "true"}}
    with pytest.raises(ValueError, match="not an allowed name"):
        settings(**{group: attributes if group == "job" else {"*": attributes}})


def test_annotations_stay_out_of_ads_unless_the_operator_names_them() -> None:
    pod = a_pod(annotations={"example.org/note": "x", "other": "y"}, labels={"app.kubernetes.io/name": "web"})
    label = {"My.InterLinkLabel_app_2E_kubernetes_2E_io_2F_name": '"web"'}
    assert added(pod) == label
    assert added(pod, job={"annotations": ["example.org/*"]}) == {**label, "My.InterLinkAnnotation_example_2E_org_2F_note": '"x"'}


HOSTILE = st.text(max_size=30) | st.sampled_from(['"\nqueue 7', "$(HOME)", '" || true', "\\", "\x1f", "%"])


@given(st.dictionaries(HOSTILE, HOSTILE, max_size=3), HOSTILE, HOSTILE)
def test_a_hostile_pod_changes_only_its_own_strings(labels: dict[str, str], name: str, namespace: str) -> None:
    pod = a_pod(labels=labels, name=name, namespace=namespace)
    made = describe(pod, "/pods/u/submit", "/shared", settings(tenants={"[a]": {}}))
    for key, value in made.items():
        assert not {"\n", "\r", "\x1f"} & set(key + value)
        if "$" in value:
            assert value == PLAIN.get(key)
    assert decoded(made["My.InterLinkPodName"].strip('"')) == name
    assert {key: made[key] for key in PLAIN if key not in ("My.InterLinkPodName", "My.InterLinkNamespace")} == {
        key: value for key, value in PLAIN.items() if key not in ("My.InterLinkPodName", "My.InterLinkNamespace")
    }
    htcondor2.Submit(made)


def test_an_ad_holds_no_secret_and_unpacks_only_stubs() -> None:
    pod = a_pod(Container("main", "i", command=("s3cret",), args=("s3cret",), env={"A": "s3cret"}), annotations={"a": "s3cret"})
    assert "s3cret" not in str(unpacked_stub(packed_stub(pod)))
    assert unpacked_stub("no base64") is None
    assert unpacked_stub(packed_stub(a_pod())[:40]) is None


DESCRIPTIONS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("123")).map(lambda made: {"initialdir": "x", **made})


@given(st.lists(DESCRIPTIONS, min_size=1))
def test_a_transaction_says_the_same_as_the_descriptions(descriptions: list[Description]) -> None:
    alike = [each for each in descriptions if kind(each) == kind(descriptions[0])]
    template, items = transaction(alike)
    assert all(items), "an item needs a variable"
    said = [{key: item.get(value[2:-1], value) if value.startswith("$(") else value for key, value in template.items()} for item in items]
    assert said == alike


def test_jobs_of_two_owners_are_no_transaction() -> None:
    tenants = {"a": {"owner": "alice"}, "b": {"owner": "bob"}}
    first, second = (describe(replace(a_pod(), namespace=name), "/d", "/s", settings(tenants=tenants)) for name in "ab")
    assert sorted(first) == sorted(second)
    assert kind(first) != kind(second)
