"""Manifest files: what belongs to which pod, and errors that name file and document."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from interlink_common.cli.manifests import read_pod, read_pods
from interlink_common.errors import BadRequest

POD = "kind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: c, env: [{name: A, value: 2026-01-01}, {name: B, value: yes}]}]}\n"


def test_pods_get_the_objects_of_their_namespace_from_all_files(tmp_path: Path) -> None:
    first, second = tmp_path / "a.yaml", tmp_path / "b.yaml"
    first.write_text(f"{POD}---\n---\nkind: Pod\nmetadata: {{name: q, namespace: other}}\nspec: {{containers: []}}\n")
    second.write_text(
        "kind: List\nitems:\n- {kind: ConfigMap, metadata: {name: m}, data: {k: here}}\n"
        "- {kind: ConfigMap, metadata: {name: m, namespace: other}, data: {k: there}}\n"
        "- {kind: Secret, metadata: {name: s}, stringData: {k: v}}\n"
    )
    here, there = read_pods([first, second], "default")
    assert (here.pod["metadata"], there.pod["metadata"]) == ({"name": "p", "namespace": "default"}, {"name": "q", "namespace": "other"})
    assert (here.config_maps["m"]["data"], there.config_maps["m"]["data"]) == ({"k": "here"}, {"k": "there"})
    assert (here.secrets["s"]["data"], dict(there.secrets)) == ({"k": "dg=="}, {})
    assert here.pod["spec"]["containers"][0]["env"] == [{"name": "A", "value": "2026-01-01"}, {"name": "B", "value": "yes"}]


def test_stdin_is_a_file_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(POD))
    assert read_pod(Path("-"), "ns").pod["metadata"] == {"name": "p", "namespace": "ns"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "F holds 0 pods; exactly one is needed."),
        (f"{POD}---\n{POD}", "F holds 2 pods; exactly one is needed."),
        ("a: [", "F is not valid YAML at line 1: expected the node content, but found '<stream end>'."),
        ("a: 1\na: 2", "F is not valid YAML at line 2: a is given twice."),
        (f"{POD}---\nhello", "F, document 2: this is not a Kubernetes object; it needs apiVersion, kind and metadata."),
        ("kind: Deployment", "F, document 1: a Deployment cannot be sent to a plugin; only Pod, ConfigMap, Secret can."),
        (
            "kind: List\nitems: [{kind: Job}]",
            "F, document 1, items[0]: a Job cannot be sent to a plugin; only Pod, ConfigMap, Secret can.",
        ),
        ("kind: List\nitems: 7", "F, document 1: items is not a list."),
        ("kind: Pod\nspec: {containers: []}", "F, document 1: the Pod has no metadata.name."),
        ("kind: Pod\nmetadata: {name: p}", "F, document 1: Pod p has no spec.containers."),
        ("kind: Secret\nmetadata: {name: s}\nstringData: [1]", "F, document 1: stringData of Secret s is not a map."),
        (
            "kind: Pod\nmetadata: {name: p, annotations: 3}\nspec: {containers: []}",
            "F, document 1: metadata.annotations of Pod p is not a map.",
        ),
    ],
)
def test_mistakes_name_file_and_document(tmp_path: Path, text: str, sentence: str) -> None:
    file = tmp_path / "x.yaml"
    file.write_text(text)
    with pytest.raises(BadRequest) as refused:
        read_pod(file, "default")
    assert str(refused.value).replace(str(file), "F") == sentence


def test_a_file_that_can_not_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff")
    for name, end in (("missing", "cannot be read: No such file or directory."), ("binary", "is not UTF-8 text.")):
        with pytest.raises(BadRequest) as refused:
            read_pods([tmp_path / name], "default")
        assert str(refused.value) == f"{tmp_path / name} {end}"
