"""A container's environment, in the two modes of interLink, which the body does not tell apart (setting `skip_downward_api_resolution`).

False: the virtual kubelet has flattened and expanded everything, in random order; expanding again would turn `$$(A)` into a value.
True: the list is ordered and unexpanded; `envFrom` is appended, never over an explicit name; some references are still there.

Lost on the way and not to be had back: which values came from a Secret or ConfigMap (Kubernetes would not expand those), the divisor
of a resolved resourceFieldRef, and in the second mode the values of labels, spec.nodeName and status.hostIP, which arrive as a bare name.
"""

from __future__ import annotations

from collections.abc import Sequence

from interlink_common.contract.containers import EnvVar, EnvVarSource
from interlink_common.translation.checks import check_text, invalid, refused
from interlink_common.translation.downward import DownwardApi
from interlink_common.translation.expansion import check_length, check_total, expand


def environment(variables: Sequence[EnvVar], where: str, container: str, downward: DownwardApi, *, unexpanded: bool) -> dict[str, str]:
    """The final variables of `container`. `unexpanded` is the mode; a name that comes twice has its last value.

    Raises BadRequest for what no process can be started with, Refused for a reference that can't be followed here.
    """
    values: dict[str, str] = {}
    total = 0
    for index, variable in enumerate(variables):
        name, field = variable.name, f"{where}.env[{index}]"
        if not name or "=" in name:
            raise invalid(f"{field}.name", "must not be empty or contain an equals sign")
        check_text(name, f"{field}.name")
        value: str | None = check_text(variable.value or "", f"{field}.value")
        if variable.value_from is not None and not value:
            value = _follow(variable.value_from, f"{field}.valueFrom", container, downward)
        elif unexpanded:
            value = expand(value or "", values, f"{field}.value")
        if value is None:
            continue
        check_length(f"{name}={value}", f"{field}.value")
        total += len(name) + len(value)
        check_total(total, f"{where}.env")
        values[name] = value
    return values


def valueless(variables: Sequence[EnvVar]) -> list[str]:
    """Names of variables that came without a value: empty, or lost by interLink in the unexpanded mode."""
    return [v.name for v in variables if not v.value and v.value_from is None]


def _follow(source: EnvVarSource, where: str, container: str, downward: DownwardApi) -> str | None:
    """The value of a reference that the virtual kubelet has left; None if it is optional and has none."""
    if source.field_ref is not None:
        return downward.field(source.field_ref, where)
    if source.resource_field_ref is not None:
        return downward.resource(source.resource_field_ref, where, container)
    for kind, reference in (("configMapKeyRef", source.config_map_key_ref), ("secretKeyRef", source.secret_key_ref)):
        if reference is not None:
            if reference.optional:
                return None
            raise refused(f"{where}.{kind}", "names a key that does not exist: create it or mark it optional")
    raise refused(where, "is of a kind that is not supported")
