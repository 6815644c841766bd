"""Settings that can't be meant, and names that they no longer have."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from interlink_common.cli.configuration import load
from interlink_common.errors import ConfigurationError
from interlink_kueue.settings import KueueSettings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("volumes: {csi_drivers: [d.example.org]}", "volumes.csi_drivers was renamed: write volumes.csi (from the file F)."),
        ("volumes: {nfs: ['srv:/a']}", "volumes.nfs must be a map such as {name: value} (from the file F)."),
        ("volumes: {nfs: {'srv:/a': /a}}", "volumes.nfs: srv:/a must map to server:/path, not to /a (from the file F)."),
        ("volumes: {claims: {a: /srv/a}}", "volumes.claims: a must map to the name of a claim, not to /srv/a (from the file F)."),
        (
            "volumes: {claims: {'a-{x}': 'b-{y}'}}",
            "volumes.claims: a-{x} maps to a target with {y}, which the key does not have (from the file F).",
        ),
        ("tenants: {'team-{': {}}", "tenants: team-{ has a brace that holds no {name} (from the file F)."),
        (
            "volumes: {host_path_allow: [data]}",
            "volumes.host_path_allow: must hold absolute paths without two dots as a component, not data (from the file F).",
        ),
    ],
)
def test_what_can_not_be_meant_is_refused_at_the_start(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "kueue.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refusal:
        load(KueueSettings, file=file, environment={})
    assert str(refusal.value).replace(str(file), "F") == words


def test_what_can_be_meant() -> None:
    maps: dict[str, Any] = {"claims": {"a-{x}": "b-{x}:ro"}, "nfs": {"srv:/": "near:/x:ro"}, "csi": {"*": "d.example.org"}}
    assert KueueSettings.model_validate({"volumes": maps}).volumes.model_dump(include=set(maps)) == maps
