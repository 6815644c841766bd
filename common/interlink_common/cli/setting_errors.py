"""What is wrong with a configuration, as sentences for the operator: pydantic's error types and unknown names translated.

No sentence repeats a value: it could be a secret.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel, ValidationError

from interlink_common.cli.setting_paths import groups, nearest, renamed, single_settings

_EXPECTED: dict[str, Callable[[dict[str, Any]], str]] = {
    "missing": lambda _: "must be set: it has no default",
    "extra_forbidden": lambda _: "is not a known setting",
    "bool_type": lambda _: "must be true or false",
    "bool_parsing": lambda _: "must be true or false",
    "int_type": lambda _: "must be a whole number",
    "int_parsing": lambda _: "must be a whole number",
    "int_from_float": lambda _: "must be a whole number",
    "float_type": lambda _: "must be a number",
    "float_parsing": lambda _: "must be a number",
    "string_type": lambda _: "must be a text; put it in quotes",
    "path_type": lambda _: "must be a path; put it in quotes",
    "list_type": lambda _: "must be a list such as [a, b]",
    "dict_type": lambda _: "must be a map such as {name: value}",
    "model_type": lambda _: "must be a group of settings",
    "literal_error": lambda context: f"must be one of {context['expected'].replace(chr(39), '')}",
    "greater_than": lambda context: f"must be greater than {context['gt']:g}",
    "greater_than_equal": lambda context: f"must be at least {context['ge']:g}",
    "less_than": lambda context: f"must be less than {context['lt']:g}",
    "less_than_equal": lambda context: f"must be at most {context['le']:g}",
}


def first_error(error: ValidationError, settings_type: type[BaseModel]) -> tuple[str, str]:
    """The path of the setting that the first error is about ("" for none), and the sentence without its full stop."""
    detail = error.errors(include_url=False, include_input=False)[0]
    location = [str(part) for part in detail["loc"]]
    full = ".".join(location)
    known = dict(single_settings(settings_type))
    path = next((".".join(location[:end]) for end in range(len(location), 0, -1) if ".".join(location[:end]) in known), full)
    context = detail.get("ctx") or {}
    if detail["type"] in ("value_error", "assertion_error"):
        sentence = str(context.get("error") or detail["msg"]).rstrip(".")
        return path, sentence if not full or sentence.startswith(full) else f"{full}: {sentence}"
    expected = _EXPECTED.get(detail["type"])
    return path, f"{full} {expected(context) if expected else 'is not valid: ' + detail['msg']}"


def unknown_setting(path: str, settings_type: type[BaseModel], origin: str) -> str:
    """The sentence for a name that is no single setting."""
    names = [name for name, _ in single_settings(settings_type)]
    new = renamed(settings_type).get(path)
    if new:
        return f"{path} was renamed: write {new} (from the {origin})."
    inside = [name for name in names if name.startswith(f"{path}.")]
    if inside:
        return f"{path} is a group of settings; set one of them, such as {inside[0]} (from the {origin})."
    whole = next((name for name in names if path.startswith(f"{name}.")), None)
    if whole:
        return f"{path} cannot be set alone; set {whole} as a whole (from the {origin})."
    meant = nearest(path, [*names, *groups(settings_type)])
    remedy = f"did you mean {meant}?" if meant else "interlink-plugin config lists them."
    return f"There is no setting {path} (from the {origin}); {remedy}"
