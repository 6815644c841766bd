"""Fills markers in the pages when mkdocs builds them, so that the coverage table, settings and layers are each written once.

A marker is `<!-- coverage -->`, `<!-- layers: AN IMPORT-LINTER CONTRACT -->` or `<!-- settings of PLUGIN, PLUGIN: GROUP, GROUP -->`.
mkdocs.yml names this file under `hooks`. tests/architecture reads the coverage table with `load_coverage`.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import yaml
from pydantic.fields import FieldInfo

from interlink_common.cli.options import backend_type
from interlink_common.cli.reference import plain
from interlink_common.cli.setting_paths import single_settings

ROOT = Path(__file__).parents[1]
COVERAGE = ROOT / "docs/coverage.yaml"
BACKENDS = {"docker": "Docker", "kueue": "Kueue", "htcondor": "HTCondor", "arc": "ARC"}
VALUES = ("yes", "map", "warn", "refuse", "none")
PROVERS = {**BACKENDS, "podrunner": "podrunner (HTCondor and ARC)", "library": "every backend"}
MARKER = re.compile(r"<!-- (?:(?P<coverage>coverage)|layers: (?P<layers>.+)|settings of (?P<plugins>.+): (?P<groups>.+)) -->")


@dataclass(frozen=True)
class Cell:
    """What one backend does with one feature."""

    value: str
    note: str


@dataclass(frozen=True)
class Feature:
    """One row: `cells` by backend, `tests` by what they prove it for (`PROVERS`)."""

    id: str
    feature: str
    cells: Mapping[str, Cell]
    tests: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class Theme:
    """A group of rows."""

    title: str
    features: Sequence[Feature]


def load_coverage() -> Sequence[Theme]:
    """The table as docs/coverage.yaml has it. Raises KeyError or ValueError for an entry of another shape."""
    themes = yaml.load(COVERAGE.read_text(), yaml.BaseLoader)
    return [Theme(theme["theme"], [_feature(entry) for entry in theme["features"]]) for theme in themes]


def _feature(entry: dict[str, Any]) -> Feature:
    if unknown := set(entry) - {"id", "feature", "tests", *BACKENDS}:
        raise ValueError(f"{entry['id']}: unknown keys {', '.join(sorted(unknown))}")
    return Feature(entry["id"], entry["feature"], {backend: _cell(entry[backend]) for backend in BACKENDS}, entry["tests"])


def _cell(entry: str | dict[str, str]) -> Cell:
    return Cell(entry, "") if isinstance(entry, str) else Cell(entry["value"], entry["note"])


def on_page_markdown(markdown: str, **_: object) -> str:
    """mkdocs calls this with the text of each page."""

    def filled(marker: re.Match[str]) -> str:
        if marker["coverage"]:
            return "\n".join(coverage_page())
        if marker["layers"]:
            return layers(marker["layers"])
        return "\n".join(settings_table(marker["plugins"].split(", "), marker["groups"].split(", ")))

    return MARKER.sub(filled, markdown)


def coverage_page() -> Iterator[str]:
    """For each theme a narrow table of values, the notes, and the tests folded away."""
    for theme in load_coverage():
        yield f"## {theme.title}\n"
        yield f"| | {' | '.join(BACKENDS.values())} |"
        yield "|---|" + "---|" * len(BACKENDS)
        for feature in theme.features:
            cells = (_link(feature, backend, cell) for backend, cell in feature.cells.items())
            yield f"| {feature.feature} | {' | '.join(cells)} |"
        yield ""
        for feature in theme.features:
            yield from _notes(feature)
        yield from _tests(theme)


def _link(feature: Feature, backend: str, cell: Cell) -> str:
    """The value; a link to the note where there is one."""
    value = "–" if cell.value == "none" else cell.value
    return f'[{value}](#{_anchor(feature, cell)} "{BACKENDS[backend]}: see the note")' if cell.note else value


def _anchor(feature: Feature, cell: Cell) -> str:
    """Of a note; backends with the same note share it."""
    return f"{feature.id}-{next(backend for backend, other in feature.cells.items() if other.note == cell.note)}"


def _notes(feature: Feature) -> Iterator[str]:
    notes: dict[str, list[str]] = {}
    for backend, cell in feature.cells.items():
        if cell.note:
            notes.setdefault(cell.note, []).append(backend)
    for note, backends in notes.items():
        anchor = _anchor(feature, feature.cells[backends[0]])
        names = ", ".join(BACKENDS[backend] for backend in backends)
        yield f'- <span id="{anchor}"></span>**{_short(feature)}**, {names}: {note}.'
    if notes:
        yield ""


def _short(feature: Feature) -> str:
    """The feature's name up to the first colon or comma outside of code."""
    return re.split(r"[:,;](?=(?:[^`]*`[^`]*`)*[^`]*$)", feature.feature)[0]


def _tests(theme: Theme) -> Iterator[str]:
    yield '<details class="tests"><summary>Tests</summary><dl>'
    for feature in theme.features:
        yield f"<dt>{_html(feature.feature)}</dt>"
        for prover, tests in feature.tests.items():
            names = "<br>".join(f"<code>{escape(_wrapped(test))}</code>".replace("\u200b", "<wbr>") for test in tests)
            yield f"<dd>{PROVERS[prover]}: {names}</dd>"
    yield "</dl></details>\n"


def _wrapped(test: str) -> str:
    """With places where a narrow screen may break the line."""
    return re.sub(r"(/|::|_)", "\\1\u200b", test)


def _html(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(text, quote=False))


def layers(contract: str) -> str:
    """The layers of an import-linter contract, the highest first. Raises LookupError if there is none of that name."""
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    for entry in linter["contracts"]:
        if entry["name"] == contract:
            return "\n".join(["```", *entry["layers"], "```"])
    raise LookupError(f"pyproject.toml has no import-linter contract {contract!r}")


def settings_table(plugins: Sequence[str], groups: Sequence[str]) -> Iterator[str]:
    """The settings in these groups that all these plugins have, with their defaults and meanings."""
    common, *others = [dict(single_settings(backend_type(plugin).settings_type)) for plugin in plugins]
    yield "| setting | default | meaning |"
    yield "|---|---|---|"
    for group in groups:
        for name, field in common.items():
            if name.startswith(f"{group}.") and all(name in other for other in others):
                yield f"| `{name}` | {_default(field)} | {field.description} |"


def _default(field: FieldInfo) -> str:
    default = plain(field.get_default(call_default_factory=True, validated_data={}))
    if default in (None, "", [], {}):
        return "none"
    if isinstance(default, bool):
        return "yes" if default else "no"
    return ", ".join(f"`{each}`" for each in (default if isinstance(default, list) else [default]))
