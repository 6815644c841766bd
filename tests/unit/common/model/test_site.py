"""What the site has for a volume, and which of its directories a pod may reach."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from interlink_common.model import site
from interlink_common.model.site import NotOffered, Storage, storage
from interlink_common.model.workload import CvmfsVolume, ExternalVolume


@dataclass(frozen=True)
class Maps:
    claims: dict[str, str] = field(default_factory=dict)
    nfs: dict[str, str] = field(default_factory=dict)
    csi: dict[str, str] = field(default_factory=dict)


MAPS = Maps(
    claims={
        "data": "/srv/data",
        "team-a/data": "/srv/a/data:ro",
        "scratch-*": "/scratch:ro",
        "claim-{username}": "/home/{username}",
        "{team}/shared-{what}": "/srv/{team}/x-{what}:ro",
        "node-{user}": "$DATA/${POOL}/{user}",
    },
    nfs={
        "srv.example:/export": "/mnt/export",
        "srv.example:/export/closed": "/mnt/closed:ro",
        "team-a/srv.example:/export": "/mnt/a",
        "other:/": "/mnt/other",
    },
    csi={"driver.example": "/csi", "team-a/driver.example": "/csi-a:ro"},
)


def claim(name: str) -> ExternalVolume:
    return ExternalVolume("v", "persistentVolumeClaim", name)


def export(key: str) -> ExternalVolume:
    return ExternalVolume("v", "nfs", key)


@pytest.mark.parametrize(
    ("volume", "namespace", "expected"),
    [
        (claim("data"), "default", Storage("/srv/data")),
        (claim("data"), "team-a", Storage("/srv/a/data", True)),
        (claim("scratch-7"), "default", Storage("/scratch", True)),
        (claim("claim-bob"), "default", Storage("/home/bob")),
        (claim("shared-x"), "team-b", Storage("/srv/team-b/x-x", True)),
        (claim("node-bob"), "default", Storage("[$DATA/${POOL}/]bob")),
        (export("srv.example:/export"), "default", Storage("/mnt/export")),
        (export("SRV.example:/export//a/./b"), "default", Storage("/mnt/export", below="a/b")),
        (export("srv.example:/export/closed/b"), "default", Storage("/mnt/closed", True, "b")),
        (export("srv.example:/export/closed/b"), "team-a", Storage("/mnt/a", below="closed/b")),
        (export("other:/x"), "default", Storage("/mnt/other", below="x")),
        (export("other:/"), "default", Storage("/mnt/other")),
        (ExternalVolume("v", "csi", "driver.example"), "default", Storage("/csi")),
        (ExternalVolume("v", "csi", "driver.example"), "team-a", Storage("/csi-a", True)),
    ],
)
def test_storage(volume: ExternalVolume, namespace: str, expected: Storage) -> None:
    def expand(words: str) -> str:
        return f"[{words}]" if "$" in words else words

    assert storage(volume, namespace, MAPS, expand) == expected


@pytest.mark.parametrize(
    ("volume", "words", "setting"),
    [
        (claim("other"), "the claim other is not mapped", "claims"),
        (claim("team-a/data"), "the claim team-a/data is not mapped", "claims"),
        (claim("claim-"), "is not mapped", "claims"),
        (claim("claim-a/b"), "is not mapped", "claims"),
        (claim("claim-.."), r"the claim claim-\.\. matches claim-{username}, but the value of {username} cannot", "claims"),
        (claim("claim-a..b"), "cannot be part of a path", "claims"),
        (claim("claim-.ssh"), "cannot be part of a path", "claims"),
        (claim("claim-a\0b"), "cannot be part of a path", "claims"),
        (claim("claim-a\nb"), "cannot be part of a path", "claims"),
        (claim("claim-$HOME"), "cannot be part of a path", "claims"),
        (claim("claim-{username}"), "cannot be part of a path", "claims"),
        (claim("claim-x:ro"), "cannot be part of a path", "claims"),
        (claim("claim-" + "x" * 254), "cannot be part of a path", "claims"),
        (export("srv.example:/exports"), "the NFS export srv.example:/exports is not mapped", "nfs"),
        (export("srv.example:/export/../etc"), "is not mapped", "nfs"),
        (export("srv:/export"), "is not mapped", "nfs"),
        (export("srv.example"), "is not mapped", "nfs"),
        (ExternalVolume("v", "csi", "other"), "the CSI driver other is not mapped", "csi"),
        (ExternalVolume("v", "flexVolume", "v"), "flexVolume v is not mapped", "claims"),
    ],
)
def test_what_is_not_there(volume: ExternalVolume, words: str, setting: str) -> None:
    with pytest.raises(NotOffered, match=words) as refusal:
        storage(volume, "default", MAPS)
    assert refusal.value.setting == setting
    assert refusal.value.remedy("runner").endswith(f" here; the operator can allow it with runner.{setting}")


@given(st.text(), st.text(), st.sampled_from(["claim-{x}", "{x}", "{n}/{x}", "a{x}b"]))
def test_no_claim_leads_out_of_its_place(name: str, namespace: str, key: str) -> None:
    target = "/home/{x}/data" if "{n}" not in key else "/home/{n}-{x}/data"
    for wanted in (name, f"claim-{name}", f"a{name}b"):
        try:
            found = storage(claim(wanted), namespace, Maps(claims={key: target})).target
        except NotOffered:
            continue
        assert posixpath.normpath(found) == found
        assert posixpath.dirname(posixpath.dirname(found)) == "/home"
        assert found.isprintable()


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"data": "srv"}, "data must map to a path, not to srv"),
        ({"data": ""}, "not to an empty text"),
        ({"data": ":ro"}, "must map to"),
        ({"data": "/srv/../etc"}, "must map to"),
        ({"": "/srv"}, "a key is empty"),
        ({"a/b/c": "/srv"}, "a/b/c has more than one slash"),
        ({"claim-{user": "/srv"}, "brace"),
        ({"claim-{user}": "/home/{name}"}, r"\{name\}, which the key does not have"),
        ({"claim": "/home/{user}"}, r"\{user\}, which the key does not have"),
        ({"claim-{user}": "/home/{user"}, "brace"),
        ({"claim-{user}": "/home/{}"}, "which the key does not have"),
        ({"{a}/{a}": "/home/{a}"}, "twice"),
    ],
)
def test_maps_of_names_that_can_not_be_meant(entries: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        site.require_names(entries, site.is_node_path, "a path")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ({"/export": "/mnt"}, "is not server:/path"),
        ({"srv": "/mnt"}, "is not server:/path"),
        ({"srv:/a/../b": "/mnt"}, "is not server:/path"),
        ({"*:/a": "/mnt"}, "is not server:/path"),
        ({"a/b/srv:/x": "/mnt"}, "is not server:/path"),
        ({"srv:/x": "mnt"}, "must map to"),
        ({"srv:/x": "/mnt/{user}"}, "which the key does not have"),
        ({"srv:/x": "/mnt", "SRV://x/": "/other"}, "is the same as"),
        ({"team-{/srv:/x": "/mnt"}, "brace"),
    ],
)
def test_maps_of_exports_that_can_not_be_meant(entries: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        site.require_exports(entries, site.is_node_path, "a path")


def test_maps_that_can_be_meant() -> None:
    site.require_names({**MAPS.claims, **MAPS.csi}, site.is_node_path, "a path")
    site.require_exports({**MAPS.nfs, "fd00::1:/x": "$NFS/x:ro"}, site.is_node_path, "a path")
    site.require_directories(["/", "/data:ro", "/data//x/"])


@pytest.mark.parametrize("entry", ["", "data", ":ro", "/data/../etc", "~/x"])
def test_directories_that_can_not_be_meant(entry: str) -> None:
    with pytest.raises(ValueError, match="must hold absolute paths"):
        site.require_directories([entry])


@pytest.mark.parametrize(
    ("path", "held_by", "read_only"),
    [
        ("/data/x", "/data", False),
        ("/data", "/data", False),
        ("//data//x", "/data", False),
        ("/data/closed/x", "/data/closed", True),
        ("/data/closed/open/x", "/data/closed/open", False),
        ("/twice", "/twice", True),
        ("/database", None, False),
        ("/data/../etc", None, False),
        ("data/x", None, False),
        ("/climbing/x", None, False),
    ],
)
def test_the_innermost_rule_counts(path: str, held_by: str | None, read_only: bool) -> None:
    rules = site.host_path_rules(["/data", "/data/closed:ro", "/data/closed/open/", "/twice", "/twice:ro", "/x/../climbing", "data"])
    found = site.holding(path, rules)
    assert (found[-1] if found else None) == held_by
    assert held_by is None or rules[held_by] is read_only


def test_links_of_the_operator_count_and_those_that_a_pod_may_have_made_do_not() -> None:
    links = {"/data": "/mnt/disk", "/data/sub": "/etc", "/also": "/mnt/disk"}
    rules = site.host_path_rules(["/data", "/data/sub:ro", "/also:ro"])
    assert site.resolved(rules, lambda path: links.get(path, path)) == {"/mnt/disk": True, "/mnt/disk/sub": True}


@pytest.mark.parametrize(
    ("volume", "directories"),
    [
        (CvmfsVolume("v"), ("/cvmfs",)),
        (CvmfsVolume("v", ("a.example", "b.example")), ("/cvmfs/a.example", "/cvmfs/b.example")),
        (CvmfsVolume("v", ("a.example",), "a.example/x"), ("/cvmfs/a.example",)),
    ],
)
def test_what_must_be_there_of_cvmfs(volume: CvmfsVolume, directories: tuple[str, ...]) -> None:
    assert site.cvmfs_directories(volume, "/cvmfs") == directories
