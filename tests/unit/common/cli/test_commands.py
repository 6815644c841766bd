"""The commands that talk to a backend or to nobody: what they print, and how they say no."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import pytest
import yaml

from interlink_common.backend import CheckResult, Verdict
from interlink_common.cli import options
from interlink_common.cli.configuration import load
from interlink_common.errors import BackendUnavailable
from interlink_common.model.workload import Workload
from interlink_common.settings import PluginSettings
from interlink_common.testing.scripted import ScriptedBackend
from interlink_common.testing.scripts import Script
from tests.unit.common.cli.conftest import ENTRY_POINTS, PROGRAM
from tests.unit.common.cli.samples import SampleSettings

Cli = Callable[..., Any]
Write = Callable[..., Path]
SECRET = {"kind": "Secret", "metadata": {"name": "s"}, "stringData": {"password": "hunter22"}}


def test_version_and_help(cli: Cli) -> None:
    assert cli("--version").stdout.startswith("interlink-plugin ")
    listed = cli("--help").stdout
    for command in ("serve", "check", "translate", "run", "status", "logs", "delete", "config", "devices", "report"):
        assert command in listed
        assert cli(command, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["serve", "nope"], "There is no plugin nope; installed: scripted."),
        (["serve", "scripted", "--set", "listen"], "--set listen has no value; write --set listen=VALUE."),
        (["serve", "scripted", "--config", "/missing"], "The configuration file /missing cannot be read: No such file or directory."),
        (["check", "scripted", "--set", "lissten=x"], "There is no setting lissten (from the command line --set); did you mean listen?"),
        (["config", "--schema", "--example"], "--schema and --example exclude each other; give one."),
        (["translate", "a", "b", "c"], "give one plugin at most, and one manifest."),
        (["run", "/missing.yaml"], "/missing.yaml cannot be read: No such file or directory."),
        (["run", "-"], "stdin holds 0 pods; exactly one is needed."),
        (["status"], "Say which pod: a manifest, --uid or --name."),
        (["status", "a.yaml", "--name", "a"], "Give either manifests, or --uid or --name."),
        (["status", "--name", "a", "--connect", "https://x"], "--connect must be unix:///path.sock or http://host:port."),
        (["logs", "--name", "a", "--since", "5"], "--since 5 is no duration; write it like 90s, 5m or 1h30m."),
        (["logs", "--name", "a", "--since-time", "noon"], "--since-time noon is no time; write it like 2026-07-01T12:00:00Z."),
        (["logs", "--name", "a", "--since-time", "2026-07-01"], "--since-time 2026-07-01 has no time zone; end it with Z for UTC."),
        (["logs", "--name", "a", "--since", "5s", "--since-time", "x"], "--since and --since-time exclude each other; give one."),
        (["logs", "a.yaml", "-c", "x", "--all-containers"], "--all-containers and --container exclude each other; give one."),
        (["logs", "--name", "a", "--all-containers"], "--all-containers needs the pod's manifest, which names them."),
        (["logs", "-"], "The manifest holds 0 pods; exactly one is needed."),
    ],
)
def test_mistakes_are_one_sentence_and_exit_code_2(cli: Cli, words: list[str], sentence: str) -> None:
    result = cli(*words, stdin="")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].removeprefix("Error: ") == sentence


def test_a_plugin_that_does_not_answer(cli: Cli, tmp_path: Path) -> None:
    result = cli("status", "--name", "a", "--connect", f"unix://{tmp_path}/none.sock")
    assert result.exit_code == 2
    assert result.stderr.startswith("No plugin answers there")


def test_an_error_of_our_own_is_a_sentence_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_name: object) -> None:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("interlink_common.cli.options.backend_type", broken)
    result = cli("check", "scripted")
    assert result.exit_code == 70
    assert result.stderr == "interlink-plugin has an error of its own (ZeroDivisionError); interlink-plugin --debug COMMAND shows where.\n"


@pytest.mark.parametrize(
    ("entry_point", "sentence"),
    [
        (
            "no_such_module:Backend",
            "The plugin bad cannot be loaded: ModuleNotFoundError: No module named 'no_such_module'; install it again.",
        ),
        ("json:loads", "The plugin bad is not a subclass of interlink_common.backend.Backend; its package is broken."),
    ],
)
def test_a_broken_plugin_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch, entry_point: str, sentence: str) -> None:
    point = EntryPoint("bad", entry_point, options.GROUP)
    monkeypatch.setattr(ENTRY_POINTS, lambda group: [point] if group == options.GROUP else [])
    result = cli("config")
    assert (result.exit_code, result.stderr) == (2, f"{sentence}\n")


def test_which_plugin_is_meant_must_be_clear(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ENTRY_POINTS, lambda group: [])
    assert cli("config").stderr == "No plugin is installed; install one, for example interlink-plugin-docker.\n"
    points = [EntryPoint(name, "json:loads", options.GROUP) for name in ("b", "a")]
    monkeypatch.setattr(ENTRY_POINTS, lambda group: points)
    assert cli("config").stderr == "Several plugins are installed (a, b); name one.\n"


def test_check_prints_rows_and_fails_with_them(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [CheckResult("engine", Verdict.OK, "1.2"), CheckResult("disk", Verdict.WARNING, "small", "Buy one")]

    async def check(_self: object) -> list[CheckResult]:
        return rows

    monkeypatch.setattr(ScriptedBackend, "check", check)
    told = cli("check", "scripted")
    assert told.exit_code == 0
    assert [line.split() for line in told.stdout.splitlines()] == [
        ["CHECK", "VERDICT", "DETAIL", "REMEDY"],
        ["engine", "ok", "1.2"],
        ["disk", "warning", "small", "Buy", "one"],
    ]
    rows.append(CheckResult("socket", Verdict.FAILED, "gone", "Start it"))
    told = cli("check", "scripted", "--output", "json")
    assert told.exit_code == 1
    assert json.loads(told.stdout)[-1] == {"check": "socket", "verdict": "failed", "detail": "gone", "remedy": "Start it"}


def test_a_check_that_raises_is_a_failed_row(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    async def check(_self: object) -> list[CheckResult]:
        raise BackendUnavailable("the site is down.")

    monkeypatch.setattr(ScriptedBackend, "check", check)
    told = cli("check", "scripted", "-o", "json")
    assert told.exit_code == 1
    assert json.loads(told.stdout) == [{"check": "backend", "verdict": "failed", "detail": "the site is down.", "remedy": ""}]


def test_devices(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("devices", "scripted").stdout == "The scripted backend offers no devices.\n"

    async def devices(_self: object) -> list[dict[str, str]]:
        return [{"id": "gpu0", "model": "A"}, {"id": "gpu1", "model": "B"}]

    monkeypatch.setattr(ScriptedBackend, "devices", devices)
    assert [line.split() for line in cli("devices", "scripted").stdout.splitlines()] == [["ID", "MODEL"], ["gpu0", "A"], ["gpu1", "B"]]
    assert json.loads(cli("devices", "scripted", "-o", "json").stdout)[1]["id"] == "gpu1"


def test_config_shows_each_value_with_its_source(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(ScriptedBackend, "settings_type", SampleSettings)
    monkeypatch.setenv("INTERLINK_PLUGIN_REMOTE__URL", "https://user:geheim@host/")
    file = tmp_path / "c.yaml"
    file.write_text("remote: {token: geheim}\n")
    file.chmod(0o600)
    told = cli("config", "--config", file, "--set", "collector.mode=off")
    lines = told.stdout.splitlines()
    assert lines[0].startswith("listen: unix:///")
    assert "  mode: 'off'  # command line --set" in lines
    assert "  url: https://*****@host/  # environment INTERLINK_PLUGIN_REMOTE__URL" in lines
    assert f"  token: '**********'  # file {file}" in lines
    assert yaml.safe_load(told.stdout).keys() == SampleSettings.model_fields.keys()
    assert "geheim" not in told.output
    as_json = json.loads(cli("config", "--config", file, "-o", "json").stdout)
    assert as_json["remote.token"] == {"value": "**********", "source": f"file {file}"}
    assert as_json["collector.mode"] == {"value": "warn", "source": "default"}


def test_config_example_and_schema(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(cli("config", "scripted", "--example").stdout)
    assert load(PluginSettings, file=file, environment={}).settings == PluginSettings()
    assert set(json.loads(cli("config", "scripted", "--schema").stdout)["properties"]) == set(PluginSettings.model_fields)


def test_report_tells_what_support_needs_and_no_secret(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedBackend, "settings_type", SampleSettings)
    monkeypatch.setenv("INTERLINK_PLUGIN_REMOTE__TOKEN", "geheim")
    told = cli("report")
    assert told.exit_code == 0
    assert [line for line in told.stdout.splitlines() if line.startswith("# ")] == [
        "# Versions", "# Platform", "# Configuration of scripted", "# Checks",
    ]  # fmt: skip
    assert "interlink-plugin-common " in told.stdout
    assert "token: '**********'  # environment INTERLINK_PLUGIN_REMOTE__TOKEN" in told.stdout
    assert "geheim" not in told.output


def secret_pod(manifest: Write, **changes: Any) -> Path:
    path = manifest("p", SECRET, main=Script())
    documents = list(yaml.safe_load_all(path.read_text()))
    spec = documents[0]["spec"]
    spec["containers"][0]["env"] = [{"name": "PW", "valueFrom": {"secretKeyRef": {"name": "s", "key": "password"}}}]
    spec["containers"][0]["volumeMounts"] = [{"name": "v", "mountPath": "/v"}]
    spec["volumes"] = [{"name": "v", "secret": {"secretName": "s"}}]
    spec.update(changes)
    path.write_text(yaml.safe_dump_all(documents))
    return path


def test_translate_shows_the_plan_without_secrets(cli: Cli, manifest: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    path = secret_pod(manifest)
    whole = cli("translate", path, "-o", "json")
    told = json.loads(whole.stdout)
    assert whole.exit_code == 0
    assert told["workload"]["name"] == "p"
    assert told["workload"]["containers"][0]["env"] == {"PW": "*****"}
    assert told["workload"]["volumes"][0]["files"][0]["data"] == "*****"

    def plan(_self: object, workload: Workload) -> list[dict[str, Any]]:
        return [{"Name": workload.name, "Env": [f"PW={workload.containers[0].env['PW']}"]}, {"n": 1}]

    monkeypatch.setattr(ScriptedBackend, "plan", plan)
    assert cli("translate", "scripted", path).stdout == "Name: p\nEnv:\n- PW=*****\n---\nn: 1\n"


def test_translate_refuses_as_the_server_does(cli: Cli, manifest: Write) -> None:
    told = cli("translate", secret_pod(manifest, hostNetwork=True))
    assert told.exit_code == 2
    assert told.stdout == ""
    assert "hostNetwork" in told.stderr


def test_translate_warns_on_stderr(cli: Cli, manifest: Write) -> None:
    path = secret_pod(manifest, hostAliases=[{"ip": "10.0.0.1", "hostnames": ["a"]}])
    told = cli("translate", path)
    assert told.exit_code == 0
    assert [line for line in told.stderr.splitlines() if line.startswith("warning: ") and "hostAliases" in line]


def test_a_malformed_pod_is_refused_in_a_sentence(cli: Cli, manifest: Write) -> None:
    told = cli("translate", secret_pod(manifest, volumes=[{"name": "v", "secret": 7}]))
    assert told.exit_code == 2
    assert told.stderr.startswith("Pod p is malformed")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            ["config", "scripted", "--set", "x=1"],
            "There is no setting x (from the command line --set); interlink-plugin config lists them.",
        ),
        (["serve", "scripted", "--listen", "ftp://x"], "listen is ftp://x; it must be unix:///path.sock or http://host:port"),
    ],
)
def test_the_program_itself(distributions: Path, tmp_path: Path, words: list[str], sentence: str) -> None:
    """The entry point, with its exit code and no traceback, in a process of its own (serve changes its process's logging)."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [str(distributions), os.environ.get("PYTHONPATH")]))}
    command = [str(PROGRAM), *words, "--set", f"state_dir={tmp_path}"]  # the default one may be in use on this machine
    told = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (told.returncode, told.stdout, told.stderr) == (2, "", f"{sentence}\n")
