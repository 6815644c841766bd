"""Settings that can't be meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from interlink_common.cli.configuration import load
from interlink_common.errors import ConfigurationError
from interlink_docker.settings import DockerSettings


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "volumes: {claims: {data: ../data}}",
            "volumes.claims: data must map to an absolute path or the name of an engine volume, not to ../data",
        ),
        (
            "volumes: {claims: {'claim-{user}': '/home/{name}'}}",
            "volumes.claims: claim-{user} maps to a target with {name}, which the key does not have",
        ),
        ("volumes: {csi: {'a/b/c': vol}}", "volumes.csi: a/b/c has more than one slash"),
        ("volumes: {nfs: {/export: /mnt}}", "volumes.nfs: /export is not server:/path or namespace/server:/path"),
        (
            "volumes: {host_path_allow: [/data/../etc]}",
            "volumes.host_path_allow: must hold absolute paths without two dots as a component, not /data/../etc",
        ),
        (
            "images: {mirrors: {docker.io: ''}}",
            "images.mirrors: docker.io must be an image name, or the front of one, that stands for a path or another name",
        ),
        (
            "images: {mirrors: {docker.io: a.example, index.docker.io: b.example}}",
            "images.mirrors: index.docker.io and docker.io are the same name",
        ),
    ],
)
def test_what_can_not_be_meant_is_refused_at_the_start(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "docker.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as refusal:
        load(DockerSettings, file=file, environment={})
    assert str(refusal.value) == f"{words} (from the file {file})."
