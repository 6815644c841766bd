"""The settings of a plugin as a tree of names: which are groups, which are single settings, and the nearest known name to a wrong one."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo


def group_of(field: FieldInfo) -> type[BaseModel] | None:
    """The model behind a field that is a group of settings; None for a single setting."""
    annotation = field.annotation
    return annotation if inspect.isclass(annotation) and issubclass(annotation, BaseModel) else None


def single_settings(model: type[BaseModel], prefix: str = "") -> Iterator[tuple[str, FieldInfo]]:
    """Every single setting by its path ("collector.mode"), in the order of the source."""
    for name, field in model.model_fields.items():
        group = group_of(field)
        if group:
            yield from single_settings(group, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", field


def groups(model: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """The path of every group."""
    for name, field in model.model_fields.items():
        group = group_of(field)
        if group:
            yield f"{prefix}{name}"
            yield from groups(group, f"{prefix}{name}.")


def renamed(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """Old path -> new path of every setting that has another name now."""
    found = {f"{prefix}{old}": f"{prefix}{new}" for old, new in getattr(model, "renamed", {}).items()}
    for name, field in model.model_fields.items():
        group = group_of(field)
        if group:
            found |= renamed(group, f"{prefix}{name}.")
    return found


def nearest(path: str, known: list[str]) -> str | None:
    """The known path that was probably meant: the same name in another group, else one spelled alike."""
    last = {name.rpartition(".")[2]: name for name in known}
    own = path.rpartition(".")[2]
    if own in last:
        return last[own]
    alike = difflib.get_close_matches(path, known, n=1, cutoff=0.6)
    if alike:
        return alike[0]
    ends_alike = difflib.get_close_matches(own, last, n=1, cutoff=0.75)
    return last[ends_alike[0]] if ends_alike else None


def value_at(settings: BaseModel, path: str) -> Any:
    """The value at that path."""
    value: Any = settings
    for name in path.split("."):
        value = getattr(value, name)
    return value


def holds_secret(field: FieldInfo) -> bool:
    """Whether the setting is declared as a secret (SecretStr, alone or optional)."""
    return SecretStr in (field.annotation, *get_args(field.annotation))


def is_text(field: FieldInfo) -> bool:
    """Whether a text is taken as it stands: str, Path, SecretStr or a Literal of texts, alone or optional."""
    return all(kind in (str, Path, SecretStr) or get_origin(kind) is Literal for kind in _kinds(field))


def is_optional(field: FieldInfo) -> bool:
    return type(None) in get_args(field.annotation)


def choices(field: FieldInfo) -> tuple[str, ...]:
    """The values of a Literal; none for other types."""
    return tuple(str(choice) for kind in _kinds(field) if get_origin(kind) is Literal for choice in get_args(kind))


def _kinds(field: FieldInfo) -> list[Any]:
    """The alternatives of the annotation without None."""
    annotation = field.annotation
    alternatives = [annotation] if get_origin(annotation) in (None, Literal, list, dict) else list(get_args(annotation))
    return [kind for kind in alternatives if kind is not type(None)]
