"""What every model of the wire shares: lossless and strict.

Unknown fields survive (`extra="allow"`), nothing is coerced (`strict`), and `model_dump(by_alias=True, exclude_unset=True)` gives the
input back. Every field may be `null` or absent, because Go marshals a nil slice as `null`.
"""

from __future__ import annotations

import re
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints
from pydantic.alias_generators import to_camel

from interlink_common.contract.bodies import expectation

_UID = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,63}")


class Wire(BaseModel):
    model_config = ConfigDict(extra="allow", strict=True, alias_generator=to_camel, validate_by_name=False, validate_by_alias=True)


def _quantity(value: object) -> object:
    if isinstance(value, str | int | float) and not isinstance(value, bool):
        return value
    raise expectation("must be a quantity such as 500m, 1.5 or 64Mi")


def _int_or_string(value: object) -> object:
    if isinstance(value, str | int) and not isinstance(value, bool):
        return value
    raise expectation("must be a port number or the name of a port")


def _uid(value: str) -> str:
    if _UID.fullmatch(value):
        return value
    raise expectation("must be 1 to 64 letters, digits or dashes")


Quantity = Annotated[Any, BeforeValidator(_quantity)]
IntOrString = Annotated[Any, BeforeValidator(_int_or_string)]
Uid = Annotated[str, AfterValidator(_uid)]
NonEmpty = Annotated[str, StringConstraints(min_length=1)]


class FieldRef(Wire):
    field_path: str | None = None


class ResourceFieldRef(Wire):
    container_name: str | None = None
    resource: str | None = None
    divisor: Quantity | None = None


class KeyRef(Wire):
    name: str | None = None
    key: str | None = None
    optional: bool | None = None


class Metadata(Wire):
    name: str | None = None
    namespace: str | None = None
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
