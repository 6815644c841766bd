"""YAML as people write it for Kubernetes: only true and false are booleans, dates stay text, a key given twice is an error.

PyYAML's own rules (YAML 1.1) would make false of `mode: off`, a date of an unquoted 2026-01-01, and keep the last of two keys.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterator
from typing import Any

import yaml

_BOOL, _TIMESTAMP = "tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp"


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"{key.value} is given twice", key.start_mark)
                seen.add(key.value)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag not in (_BOOL, _TIMESTAMP)]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"true|True|TRUE|false|False|FALSE"), list("tTfF"))


def documents(text: str) -> Iterator[Any]:
    """The documents of a YAML text, empty ones as None. Raises ValueError with the end of a sentence: is not valid YAML at line 3."""
    try:
        yield from yaml.load_all(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        place = f" at line {mark.line + 1}" if mark else ""
        raise ValueError(f"is not valid YAML{place}{f': {problem}' if problem else ''}") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not valid YAML: {type(error).__name__}") from None


def value(text: str) -> Any:
    """One value as it would stand behind `key:`. Raises ValueError like `documents`."""
    found = list(documents(text))
    return found[0] if found else None


def scalar(plain: object) -> str:
    """A value on one line, as it stands behind `key:`; it reads back as the same value."""
    return yaml.safe_dump(plain, default_flow_style=True, width=10**6, allow_unicode=True).removesuffix("\n").removesuffix("\n...")


def dump(plain: object) -> str:
    """One document in block style, keys in their order."""
    return yaml.safe_dump(plain, sort_keys=False, allow_unicode=True, width=120)
