"""Precedence, origins, and one sentence for every mistake an operator can make."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from interlink_common.cli import configuration
from interlink_common.cli.configuration import Origin, example, load, schema
from interlink_common.cli.setting_paths import single_settings
from interlink_common.errors import ConfigurationError
from interlink_common.settings import PluginSettings
from tests.unit.common.cli.samples import Pool, SampleSettings

MODE = "INTERLINK_PLUGIN_REMOTE__MODE"


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_line_beats_environment_beats_file_beats_default(tmp_path: Path) -> None:
    file = written(tmp_path / "c.yaml", "remote: {mode: off, url: a://file, tags: [f]}\nnode_name: file\n")
    environment = {"INTERLINK_PLUGIN_REMOTE__URL": "b://env", "INTERLINK_PLUGIN_NODE_NAME": "env", "OTHER": "x"}
    found = load(SampleSettings, file=file, environment=environment, line=[("node_name", "a", "--set"), ("node_name", "b", "--set")])
    settings = found.settings
    assert (settings.remote.mode, settings.remote.url, settings.remote.tags, settings.node_name) == ("off", "b://env", ["f"], "b")
    assert found.origins["remote.mode"] == Origin("file", str(file))
    assert found.origins["remote.url"] == Origin("environment", "INTERLINK_PLUGIN_REMOTE__URL")
    assert found.origins["node_name"] == Origin("line", "--set")
    assert found.origins["listen"] == Origin("default")
    assert list(found.origins) == [path for path, _ in single_settings(SampleSettings)]


@pytest.mark.parametrize(
    ("path", "text", "value"),
    [
        ("node_name", "123", "123"),
        ("node_name", "null", "null"),
        ("remote.verify", "false", False),
        ("remote.ca_file", "null", None),
        ("remote.ca_file", "/a b", Path("/a b")),
        ("remote.mode", "off", "off"),
        ("remote.pools", '{"a": {"size": 3}}', {"a": Pool(size=3)}),
        ("remote.tags", "[a, 'on', b]", ["a", "on", "b"]),
        ("max_request_bytes", "1024", 1024),
        ("finished_retention_seconds", "null", None),
        ("finished_retention_seconds", "1.5", 1.5),
        ("telemetry.listen", "null", None),
    ],
)
def test_texts_of_line_and_environment_are_read_by_the_type_of_the_setting(path: str, text: str, value: object) -> None:
    variable = f"INTERLINK_PLUGIN_{path.upper().replace('.', '__')}"
    for found in (load(SampleSettings, environment={}, line=[(path, text, "--set")]), load(SampleSettings, environment={variable: text})):
        actual: Any = found.settings
        for part in path.split("."):
            actual = getattr(actual, part)
        assert actual == value


def test_an_old_name_is_named_with_the_new_one_wherever_it_stands() -> None:
    with pytest.raises(ConfigurationError, match=r"^remote\.address was renamed: write remote\.url \(from the environment INTERLINK_"):
        load(SampleSettings, environment={"INTERLINK_PLUGIN_REMOTE__ADDRESS": "a://b"})
    with pytest.raises(ValidationError, match="address was renamed: write url"):
        SampleSettings.model_validate({"remote": {"address": "a://b"}})


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("remote: {moed: on}", "There is no setting remote.moed (from the file F); did you mean remote.mode?"),
        ("remote: {address: a://b}", "remote.address was renamed: write remote.url (from the file F)."),
        ("mode: on", "There is no setting mode (from the file F); did you mean remote.mode?"),
        ("zzzzzz: 1", "There is no setting zzzzzz (from the file F); interlink-plugin config lists them."),
        ("remote: 3", "remote must be a group of settings, one per line as name: value (from the file F)."),
        ("- a", "The configuration must be a group of settings, one per line as name: value (from the file F)."),
        ("a: [", "The configuration file F is not valid YAML at line 1: expected the node content, but found '<stream end>'."),
        ("node_name: a\nnode_name: b", "The configuration file F is not valid YAML at line 2: node_name is given twice."),
        ("a: 1\n---\nb: 2", "The configuration file F holds 2 documents; one is expected."),
        ("node_name: 5", "node_name must be a text; put it in quotes (from the file F)."),
        ("remote: {mode: maybe}", "remote.mode must be one of off or on (from the file F)."),
        ("remote: {verify: perhaps}", "remote.verify must be true or false (from the file F)."),
        ("remote: {tags: x}", "remote.tags must be a list such as [a, b] (from the file F)."),
        ("remote: {tags: [1]}", "remote.tags.0 must be a text; put it in quotes (from the file F)."),
        ("remote: {pools: {a: {size: big}}}", "remote.pools.a.size must be a whole number (from the file F)."),
        ("remote: {pools: {a: {sise: 1}}}", "remote.pools.a.sise is not a known setting (from the file F)."),
        ("remote: {url: nowhere}", "remote.url must have a scheme (from the file F)."),
        ("remote: {verify: false, ca_file: /x}", "remote.ca_file is useless with remote.verify false."),
        ("max_request_bytes: 0", "max_request_bytes must be greater than 0 (from the file F)."),
        ("submit_timeout_seconds: 120", "submit_timeout_seconds must be less than 120 (from the file F)."),
        ("max_request_bytes: many", "max_request_bytes must be a whole number (from the file F)."),
    ],
)
def test_mistakes_in_the_file(tmp_path: Path, text: str, sentence: str) -> None:
    file = written(tmp_path / "c.yaml", text)
    with pytest.raises(ConfigurationError) as refused:
        load(SampleSettings, file=file, environment={})
    assert str(refused.value).replace(str(file), "F") == sentence


@pytest.mark.parametrize(
    ("environment", "line", "sentence"),
    [
        ({MODE: "maybe"}, [], f"remote.mode must be one of off or on (from the environment {MODE})."),
        (
            {"INTERLINK_PLUGIN_REMOT__MODE": "on"},
            [],
            "There is no setting remot.mode (from the environment INTERLINK_PLUGIN_REMOT__MODE); did you mean remote.mode?",
        ),
        (
            {"INTERLINK_PLUGIN_REMOTE": "{}"},
            [],
            "remote is a group of settings; set one of them, such as remote.url (from the environment INTERLINK_PLUGIN_REMOTE).",
        ),
        (
            {},
            [("remote.pools.a.size", "3")],
            "remote.pools.a.size cannot be set alone; set remote.pools as a whole (from the command line --set).",
        ),
        (
            {},
            [("remote.verify", "'")],
            "remote.verify is not valid YAML at line 1: found unexpected end of stream (from the command line --set).",
        ),
        ({}, [("remote.verify", "")], "remote.verify must be true or false (from the command line --set)."),
        (
            {},
            [("remote.token", "geheim")],
            "remote.token is a secret, and every user of this machine can see the command line; give it in the file or the environment.",
        ),
    ],
)  # fmt: skip
def test_mistakes_in_environment_and_line(environment: dict[str, str], line: list[tuple[str, str]], sentence: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        load(SampleSettings, environment=environment, line=[(path, text, "--set") for path, text in line])
    assert str(refused.value) == sentence


@pytest.mark.parametrize("name", ["missing.yaml", "."])
def test_an_unreadable_file_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read: "):
        load(SampleSettings, file=tmp_path / name, environment={})


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_bytes(b"node_name: \xff\xfe")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        load(SampleSettings, file=tmp_path / "c.yaml", environment={})


def test_an_empty_group_and_an_empty_file_are_no_mistake(tmp_path: Path) -> None:
    for text in ("", "# nothing\n", "remote:\n"):
        assert load(SampleSettings, file=written(tmp_path / "c.yaml", text), environment={}).settings == SampleSettings()


@pytest.mark.parametrize(
    "name",
    [
        "SERVICE_HOST",
        "SERVICE_PORT",
        "SERVICE_PORT_HTTP",
        "PORT",
        "PORT_80_TCP",
        "PORT_80_TCP_ADDR",
        "A_SERVICE_HOST",
        "A_PORT_80_UDP_PROTO",
    ],
)
def test_service_links_of_kubernetes_are_no_settings(name: str) -> None:
    """Kubernetes, "Service", environment variables: a Service named interlink-plugin puts these into every container."""
    assert load(SampleSettings, environment={f"INTERLINK_PLUGIN_{name}": "tcp://10.0.0.1:80"}).settings == SampleSettings()


def test_a_secret_that_everybody_can_read_is_a_warning(tmp_path: Path) -> None:
    file = written(tmp_path / "c.yaml", "remote: {token: geheim}")
    file.chmod(0o644)
    (warning,) = load(SampleSettings, file=file, environment={}).warnings
    assert warning == f"The configuration file {file} holds a secret (remote.token) and every user can read it; chmod o-r it."
    file.chmod(0o640)
    assert load(SampleSettings, file=file, environment={}).warnings == ()
    file = written(tmp_path / "d.yaml", "node_name: x")
    file.chmod(0o644)
    assert load(SampleSettings, file=file, environment={}).warnings == ()


def test_a_user_without_a_home_is_told_to_set_the_state_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 12345)

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(ConfigurationError, match=r"^listen and state_dir must be set: this user has no home directory\.$"):
        load(SampleSettings, environment={})


@pytest.mark.parametrize(
    ("variables", "directory"),
    [
        ({"XDG_RUNTIME_DIR": "/run/user/12345"}, "/run/user/12345/interlink"),
        ({"XDG_STATE_HOME": "/home/x/state"}, "/home/x/state/interlink"),
        ({"HOME": "/home/x"}, "/home/x/.local/state/interlink"),
    ],
)
def test_the_socket_of_a_user_is_where_nobody_else_can_make_one(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], directory: str
) -> None:
    for name in ("XDG_RUNTIME_DIR", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.geteuid", lambda: 12345)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert load(SampleSettings, environment={}).settings.listen == f"unix://{directory}/{SampleSettings.plugin_name}.sock"


@pytest.mark.parametrize("settings_type", [PluginSettings, SampleSettings])
def test_the_example_loads_back_as_the_defaults(tmp_path: Path, settings_type: type[PluginSettings]) -> None:
    file = written(tmp_path / "c.yaml", example(settings_type))
    found = load(settings_type, file=file, environment={})
    assert found.settings == settings_type()
    assert {origin.kind for origin in found.origins.values()} == {"file"}, "a setting is missing in the example"


def test_the_example_explains_each_setting() -> None:
    lines = example(SampleSettings).splitlines()
    start = lines.index("# Where jobs go.")
    assert lines[start : start + 13] == [
        "# Where jobs go.",
        "remote:",
        "  # Address of the remote.",
        "  url: ''",
        "",
        "  # Logs us in.",
        "  token: null",
        "",
        "  # Check its certificate.",
        "  verify: true",
        "",
        "  # Its CA.",
        "  ca_file: null",
    ]
    assert "  # Whether it is used. One of: off, on." in lines
    described = [field.description for _, field in single_settings(PluginSettings)]
    assert all(described), "every setting says what it means"


def test_the_schema_knows_every_setting_and_refuses_others() -> None:
    told = schema(SampleSettings)
    assert told["additionalProperties"] is False
    assert set(told["properties"]) == set(SampleSettings.model_fields)
    assert told["$defs"]["Remote"]["properties"]["url"]["description"] == "Address of the remote."


def told(load_it: Callable[[], object]) -> str:
    """The sentence with which it is refused; empty if it is taken."""
    try:
        load_it()
    except ConfigurationError as error:
        return str(error)
    return ""


@given(path=st.sampled_from([path for path, _ in single_settings(SampleSettings)]), text=st.text(max_size=30))
def test_any_text_is_taken_or_refused_in_one_sentence(path: str, text: str) -> None:
    sentence = told(lambda: load(SampleSettings, environment={f"INTERLINK_PLUGIN_{path.upper().replace('.', '__')}": text}))
    assert not sentence or (path in sentence and "pydantic" not in sentence)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=2), max_leaves=3
)
trees = st.dictionaries(
    st.sampled_from(["remote", "node_name", "listen", "collector", "x"]), values | st.dictionaries(st.text(max_size=5), values)
)


@given(tree=trees)
def test_any_tree_is_taken_or_refused_in_one_sentence(tmp_path_factory: pytest.TempPathFactory, tree: dict[str, object]) -> None:
    file = tmp_path_factory.getbasetemp() / "any.yaml"
    file.write_text(yaml.safe_dump(tree))
    sentence = told(lambda: load(SampleSettings, file=file, environment={}))
    assert not sentence or str(file) in sentence


def test_what_others_import_is_there() -> None:
    assert configuration.__all__ == ["PREFIX", "Configuration", "Origin", "example", "load", "schema"]
