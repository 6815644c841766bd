"""Decoding of request bodies: JSON bytes to a model, and every failure to one sentence that names the field.

The sentence never repeats a value: it could be a secret.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, PydanticCustomError, from_json

from interlink_common.contract.answers import sentence
from interlink_common.errors import BadRequest

Model = TypeVar("Model", bound=BaseModel)

_EXPECTED = {
    "missing": "is missing",
    "string_type": "must be a string",
    "int_type": "must be a whole number",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "string_too_short": "must not be empty",
}


def decode_json(body: bytes) -> Any:
    """The JSON value of `body`. NaN, infinities, lone surrogates and nesting deeper than 200 are refused. Raises BadRequest."""
    try:
        return from_json(body, allow_inf_nan=False)
    except (ValueError, RecursionError) as error:
        raise BadRequest(sentence(f"The request body is not valid JSON: {error}.")) from None


def validate(model: type[Model], value: object, prefix: str) -> Model:
    """`value` as a `model`; `prefix` begins the field paths of the error. Raises BadRequest."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
    raise BadRequest(_describe(details[0], prefix))


def _describe(detail: ErrorDetails, prefix: str) -> str:
    path = prefix
    for part in detail["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    expected = _EXPECTED.get(detail["type"]) or (detail["msg"] if detail["type"] == "interlink" else "is not valid")
    return sentence(f"{path.removeprefix('.') or 'The request body'} {expected}.")


def expectation(message: str) -> PydanticCustomError:
    """The error for a validator to raise; `message` continues a sentence that begins with the field's path."""
    return PydanticCustomError("interlink", "{message}", {"message": message})
