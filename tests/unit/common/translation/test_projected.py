from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

import pytest

from interlink_common.errors import BadRequest, Refused
from interlink_common.model.workload import File, FilesVolume, Workload

Translated = Callable[..., Workload]

TOKEN = {"serviceAccountToken": {"path": "token"}}
WHOLE = {"configMap": {"name": "cm"}}
SECRET = {"metadata": {"name": "sec"}, "data": {"user": base64.b64encode(b"alice").decode()}}
S = "pod.spec.volumes[0].projected.sources[0]"


def projected(
    translated: Translated,
    sources: list[dict[str, Any]],
    contents: dict[str, str] | None,
    *,
    name: str = "v",
    mode: int | None = None,
    **data: Any,
) -> tuple[FilesVolume, tuple[str, ...]]:
    maps = [] if contents is None else [{"metadata": {"name": name, "creationTimestamp": None}, "data": contents}]
    workload = translated(
        {"volumeMounts": [{"name": name, "mountPath": "/v"}], "resources": {"limits": {"cpu": "250m"}}},
        spec={"volumes": [{"name": name, "projected": {"sources": sources, "defaultMode": mode}}]},
        metadata={"labels": {"app": "rich"}},
        data={"projectedvolumemaps": maps, **data},
    )
    volume = workload.volume(name)
    assert isinstance(volume, FilesVolume)
    return volume, workload.warnings


def downward(*items: dict[str, Any]) -> dict[str, Any]:
    return {"downwardAPI": {"items": list(items)}}


@pytest.mark.parametrize(
    ("sources", "contents", "data", "expected"),
    [
        ([], {}, {}, FilesVolume("v")),
        ([TOKEN], {"token": "t"}, {}, FilesVolume("v", (File("token", 0o400, b"t"),), secret=True)),
        ([WHOLE], {"b": "2", "a": "1"}, {}, FilesVolume("v", (File("a", 0o400, b"1"), File("b", 0o400, b"2")))),
        (
            [{"configMap": {"name": "cm", "items": [{"key": "a", "path": "sub/a", "mode": 0o444}]}}],
            {"sub/a": "1"},
            {},
            FilesVolume("v", (File("sub/a", 0o444, b"1"),)),
        ),
        # binaryData is lost in the map, but the object came because the pod mounts it elsewhere too.
        (
            [WHOLE],
            {"a": "1"},
            {"configMaps": [{"metadata": {"name": "cm"}, "data": {"a": "1"}, "binaryData": {"blob": "AAE="}}]},
            FilesVolume("v", (File("a", 0o400, b"1"), File("blob", 0o400, b"\0\1"))),
        ),
        (
            [{"secret": {"name": "sec", "items": [{"key": "user", "path": "who", "mode": 0o440}]}}],
            {},
            {"secrets": [SECRET]},
            FilesVolume("v", (File("who", 0o440, b"alice"),), secret=True),
        ),
        (
            [
                downward(
                    {"path": "label", "fieldRef": {"fieldPath": "metadata.labels['app']"}},
                    {"path": "cpu", "mode": 0o444, "resourceFieldRef": {"containerName": "c", "resource": "limits.cpu", "divisor": "1m"}},
                    {"path": "name", "fieldRef": {"fieldPath": "metadata.name"}},
                )
            ],
            {"name": "as interLink says"},
            {},
            FilesVolume("v", (File("cpu", 0o444, b"250"), File("label", 0o400, b"rich"), File("name", 0o400, b"as interLink says"))),
        ),
        # A source that is projected whole does not take what another names; of two whole ones, the last wins.
        (
            [WHOLE, TOKEN, {"secret": {"name": "sec"}}],
            {"a": "1", "token": "t", "user": "from the configMap"},
            {"secrets": [SECRET]},
            FilesVolume("v", (File("a", 0o400, b"1"), File("token", 0o400, b"t"), File("user", 0o400, b"alice")), secret=True),
        ),
    ],
)
def test_projected(translated: Translated, sources: Any, contents: Any, data: Any, expected: FilesVolume) -> None:
    assert projected(translated, sources, contents, mode=0o400, **data) == (expected, ())


def test_a_downward_api_volume_that_was_not_rewritten(translated: Translated) -> None:
    workload = translated(
        {"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        spec={"volumes": [{"name": "v", "downwardAPI": {"items": [{"path": "n", "fieldRef": {"fieldPath": "metadata.namespace"}}]}}]},
    )
    assert workload.volumes == (FilesVolume("v", (File("n", 0o644, b"ns"),)),)


def test_an_optional_secret_that_did_not_come_is_a_warning(translated: Translated) -> None:
    assert projected(translated, [{"secret": {"name": "sec", "optional": True}}], {}) == (
        FilesVolume("v", secret=True),
        ("volume v lacks the optional secret sec, because interLink did not send it",),
    )


def test_the_automatic_token_volume_may_be_switched_off_in_interlink(translated: Translated) -> None:
    assert projected(translated, [TOKEN], None, name="kube-api-access-x1") == (
        FilesVolume("kube-api-access-x1", secret=True),
        ("volume kube-api-access-x1 is empty, because interLink sent no service account token",),
    )


@pytest.mark.parametrize(
    ("sources", "error", "message"),
    [
        (
            [TOKEN],
            Refused,
            f"{S}.serviceAccountToken did not come with the pod: allow projected volumes in the virtual kubelet.",
        ),
        (
            [{"secret": {"name": "sec"}}],
            Refused,
            f"{S}.secret names an object that did not come with the pod: create it or mark it optional.",
        ),
        ([{"clusterTrustBundle": {"path": "x"}}], Refused, f"{S} is of a kind that is not supported: clusterTrustBundle."),
        ([{}], Refused, f"{S} is of a kind that is not supported: none."),
        ([downward({"path": "x"})], BadRequest, f"{S}.downwardAPI.items[0] must have a fieldRef or a resourceFieldRef."),
        ([TOKEN, TOKEN], BadRequest, "pod.spec.volumes[0].projected puts two keys at one path."),
        (
            [{"serviceAccountToken": {"path": "../token"}}],
            BadRequest,
            "pod.spec.volumes[0].projected must be a relative path without two dots as a component.",
        ),
    ],
)
def test_what_was_lost_on_the_way_is_refused_by_name(translated: Translated, sources: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        projected(translated, sources, {})
    assert str(caught.value) == message


def test_a_whole_config_map_may_be_empty_but_not_absent(translated: Translated) -> None:
    assert projected(translated, [WHOLE], {}) == (FilesVolume("v"), ())
    assert projected(translated, [{"configMap": {"name": "cm", "optional": True}}], None) == (FilesVolume("v"), ())
    with pytest.raises(Refused) as caught:
        projected(translated, [WHOLE], None)
    assert str(caught.value) == f"{S}.configMap did not come with the pod: allow projected volumes in the virtual kubelet."


def test_a_path_of_the_map_that_leaves_the_volume(translated: Translated) -> None:
    with pytest.raises(BadRequest, match="must be a relative path"):
        projected(translated, [WHOLE], {"../../etc/cron.d/x": "y"})
