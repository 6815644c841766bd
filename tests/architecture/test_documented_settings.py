"""Every setting that the documentation names exists: `group.name` in backticks, and each example of a configuration."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml
from pydantic import BaseModel

from interlink_common.cli.options import backend_type
from interlink_common.settings import PluginSettings
from scripts.docs_hooks import BACKENDS, load_coverage

DOCS = Path(__file__).parents[2] / "docs"
BATCH = ("htcondor", "arc")
PLUGINS = tuple(BACKENDS)
NAMED = re.compile(r"`([a-z][a-z_]*(?:\.(?:[a-z_]+|\*|NAME))+)(?:: [^`]*)?`")
OTHERS = re.compile(r".*\.(json|yaml|sh|pyz|md|py|io|com|org)|jobs\.batch|interlink_common\..*|hostname\.subdomain")
"""Names of files, hosts and Kubernetes' things, which look like settings."""
BLOCK = re.compile(r"^```yaml\n(?!--8<--)(.*?)^```", re.DOTALL | re.MULTILINE)


@cache
def settings_of(plugin: str) -> type[PluginSettings]:
    return backend_type(plugin).settings_type


def names_in(text: str) -> list[str]:
    return [name for name in NAMED.findall(text) if not OTHERS.fullmatch(name)]


def has(kind: Any, path: Sequence[str]) -> bool:
    """Whether a setting of that type has this path below it; * and NAME stand for any key of a map."""
    if not path:
        return True
    models = [part for part in (kind, *get_args(kind)) if isinstance(part, type) and issubclass(part, BaseModel)]
    if getattr(kind, "__origin__", None) is dict:
        return has(get_args(kind)[1], path[1:])
    return any(path[0] in model.model_fields and has(model.model_fields[path[0]].annotation, path[1:]) for model in models)


def claims() -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """(where, name of a setting, plugins that are said to have it). A page for several plugins names settings of one of them."""
    for plugin in PLUGINS:
        for name in names_in((DOCS / f"operators/{plugin}.md").read_text()):
            yield f"operators/{plugin}.md", name, (plugin,)
    for theme in load_coverage():
        for feature in theme.features:
            for plugin, cell in feature.cells.items():
                for name in names_in(cell.note):
                    yield f"coverage.yaml: {feature.id}", name, (plugin,)
    for name in names_in((DOCS / "podrunner.md").read_text()):
        yield "podrunner.md", name, BATCH


def test_every_named_setting_exists() -> None:
    found = [
        (where, name, plugin) for where, name, plugins in claims() for plugin in plugins if not has(settings_of(plugin), name.split("."))
    ]
    assert found == []


@pytest.mark.parametrize("page", ["index", "maps"])
def test_settings_of_a_page_for_all_plugins_exist(page: str) -> None:
    for name in names_in((DOCS / f"operators/{page}.md").read_text()):
        assert any(has(settings_of(plugin), name.split(".")) for plugin in PLUGINS), name


@pytest.mark.parametrize("plugin", PLUGINS)
def test_examples_of_a_configuration_are_valid(plugin: str, tmp_path: Path) -> None:
    for text in BLOCK.findall((DOCS / f"operators/{plugin}.md").read_text()):
        settings_of(plugin).model_validate({"state_dir": tmp_path, **yaml.safe_load(text)})


@pytest.mark.parametrize(("plugin", "group"), [("docker", "volumes"), *((plugin, "runner") for plugin in BATCH)])
def test_examples_of_maps_are_valid(plugin: str, group: str, tmp_path: Path) -> None:
    examples = BLOCK.findall((DOCS / "operators/maps.md").read_text())
    assert examples
    for text in examples:
        settings_of(plugin).model_validate({"state_dir": tmp_path, group: yaml.safe_load(text)})


def test_what_is_no_setting_is_found() -> None:
    assert names_in("`runner.json`, `runner.images`, `job.memory: whole`, `clusters.NAME.kubeconfig`, `pod.json`") == [
        "runner.images", "job.memory", "clusters.NAME.kubeconfig",
    ]  # fmt: skip
    assert has(settings_of("kueue"), ("clusters", "NAME", "kubeconfig"))
    assert has(settings_of("htcondor"), ("tenants", "*", "credential", "token_file"))
    assert not has(settings_of("kueue"), ("clusters", "NAME", "nothing"))
    assert not has(settings_of("docker"), ("runner", "images"))
