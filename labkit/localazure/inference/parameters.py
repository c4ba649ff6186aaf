"""Reads the fields of an inference request's body, and refuses what cannot be in the service's own words.

Wordings and codes as captured from the real service in public issues: ``empty_array`` CopilotKit/CopilotKit#529
(2024-08), ``unsupported_parameter`` and ``unsupported_value`` holoviz/lumen#1070 (2025-03), cline/cline#2643 (2025-04);
the others follow OpenAI's published API reference, read 2026-11-22.
"""

import reprlib
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any

import orjson

from labkit.localazure.errors import AzureError

Body = Mapping[str, Any]
# Takes a field's name and its value, which is not null; returns what the value means, or raises AzureError 400.
Reader = Callable[[str, Any], Any]

_SHOWN_CHARACTERS = 100
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _NOTED_CHARACTERS = 200
# Ours; deeper ones could not be written as JSON again.
_MOST_LEVELS = 100
_MOST_BIASES = 1_024
_MOST_BYTES = 1_000_000

_TYPE_NAMES = (
    (bool, "a boolean"),
    (int, "an integer"),
    (float, "a decimal"),
    (str, "a string"),
    (list, "an array"),
    (dict, "an object"),
)


def invalid(code: str | None, message: str, param: str | None = None) -> AzureError:
    """A 400 of the model's API: ``invalid_request_error``. Many of them have no ``code``."""
    return AzureError(400, code, message, param=param, type="invalid_request_error")


def read_json(body: bytes) -> dict[str, Any]:
    """``body`` as a JSON object; ``AzureError`` 400 when it is none, or nested more than 100 levels deep."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    if not isinstance(document, dict):
        raise invalid(
            "invalid_json",
            "We could not parse the JSON body of your request. The API expects a JSON object, but what was sent was "
            "not one. Check its quotes, commas and brackets, or let a client library write it.",
        )
    if body.count(b"[") + body.count(b"{") > _MOST_LEVELS and _is_too_deep(document):
        message = f"The JSON body of your request is nested too deeply: at most {_MOST_LEVELS} levels are allowed."
        raise invalid("invalid_json", message)
    return document


def missing(name: str) -> AzureError:
    """A required field is not there."""
    return invalid("missing_required_parameter", f"Missing required parameter: '{name}'.", name)


def wrong_type(name: str, expected: str, value: object) -> AzureError:
    """A field has a value of another type than ``expected`` ("a string")."""
    got = next((text for type, text in _TYPE_NAMES if isinstance(value, type)), "null")
    return invalid("invalid_type", f"Invalid type for '{name}': expected {expected}, but got {got} instead.", name)


def not_one_of(name: str, value: object, allowed: Collection[str]) -> AzureError:
    """A field has a value outside ``allowed``."""
    *others, last = [f"'{choice}'" for choice in allowed]
    known = f"{', '.join(others)} and {last}" if others else last
    return invalid("invalid_value", f"Invalid value: {_shown(value)}. Supported values are: {known}.", name)


def unsupported_parameter(name: str, hint: str = "") -> AzureError:
    """The model does not take the parameter at all."""
    message = f"Unsupported parameter: '{name}' is not supported with this model.{hint}"
    return invalid("unsupported_parameter", message, name)


def unsupported_value(name: str, value: object, default: object) -> AzureError:
    """The model takes the parameter with its default only."""
    message = (
        f"Unsupported value: '{name}' does not support {value} with this model. "
        f"Only the default ({default}) value is supported."
    )
    return invalid("unsupported_value", message, name)


def read_fields(body: Body, readers: Mapping[str, Reader], place: str = "") -> dict[str, Any]:
    """The fields of ``body`` as their ``readers`` understand them, null ones left out.

    ``AzureError`` 400 for a field that has no reader, or that its reader refuses. ``place`` is what holds the fields.
    """
    fields: dict[str, Any] = {}
    for name, value in body.items():
        reader = readers.get(name)
        if reader is None:
            raise _unknown(place + name, readers)
        if value is not None:
            fields[name] = reader(place + name, value)
    return fields


def shortened(fields: Body, *, without: Collection[str]) -> dict[str, Any]:
    """The ``fields`` for the journal, all but ``without``: numbers as they are, everything else as a short text."""
    return {
        name: value if isinstance(value, bool | int | float) else _noted(value)
        for name, value in fields.items()
        if name not in without
    }


def _noted(value: object) -> str:
    # Not str(): what a student sends may be megabytes of lists in lists.
    return (value if isinstance(value, str) else _SHORT.repr(value))[:_NOTED_CHARACTERS]


def number(low: float, high: float) -> Reader:
    """A reader of numbers from ``low`` to ``high``."""

    def read(name: str, value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong_type(name, "a decimal", value)
        _check_range("decimal", name, value, low, high)
        return float(value)

    return read


def integer(low: int, high: int | None = None) -> Reader:
    """A reader of whole numbers from ``low``, up to ``high`` when that is given."""

    def read(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise wrong_type(name, "an integer", value)
        _check_range("integer", name, value, low, high)
        return value

    return read


def boolean(name: str, value: Any) -> bool:
    """Reads a truth value."""
    if not isinstance(value, bool):
        raise wrong_type(name, "a boolean", value)
    return value


def text(name: str, value: Any) -> str:
    """Reads a string."""
    if not isinstance(value, str):
        raise wrong_type(name, "a string", value)
    return value


def anything(name: str, value: Any) -> Any:
    """Reads a field that the service takes and that changes nothing here."""
    return value


def not_simulated(heeded: Collection[str], *harmless: object) -> Reader:
    """A reader of what the real service can do and the local Azure cannot; ``harmless`` values ask for nothing.

    The refusal names what it can do: ``heeded``.
    """

    def read(name: str, value: Any) -> Any:
        if value in harmless:
            return value
        message = (
            f"'{name}' is not supported by the local Azure. Supported parameters are: {', '.join(sorted(heeded))}."
        )
        raise invalid("unsupported_parameter", message, name)

    return read


def check_stream_options(fields: Body) -> None:
    """``AzureError`` 400 for options of a stream where none is asked for."""
    if "stream_options" in fields and not fields.get("stream"):
        message = "The 'stream_options' parameter is only allowed when 'stream' is enabled."
        raise invalid("invalid_parameter_combination", message, "stream_options")


def one_of(*allowed: str) -> Reader:
    """A reader of the ``allowed`` strings."""

    def read(name: str, value: Any) -> str:
        if text(name, value) not in allowed:
            raise not_one_of(name, value, allowed)
        return str(value)

    return read


def strings(most: int) -> Reader:
    """A reader of one string or up to ``most``, none of them empty."""

    def read(name: str, value: Any) -> tuple[str, ...]:
        values = [value] if isinstance(value, str) else value
        if not isinstance(values, list) or not all(isinstance(item, str) and item for item in values):
            raise wrong_type(name, "a non-empty string or an array of non-empty strings", value)
        check_length(name, values, most)
        return tuple(values)

    return read


def biases(name: str, value: Any) -> dict[str, float]:
    """Reads numbers from -100 to 100 for token ids, as ``logit_bias`` has them."""
    if not isinstance(value, dict):
        raise wrong_type(name, "an object", value)
    if len(value) > _MOST_BIASES:
        message = f"Invalid '{name}': at most {_MOST_BIASES} tokens can be given a bias, but got {len(value)}."
        raise invalid("invalid_value", message, name)
    bias = number(-100, 100)
    for id, given in value.items():
        if not (id.isascii() and id.isdigit()):
            message = f"Invalid key in '{name}': {_shown(id)}. Keys must be token ids, such as '50256'."
            raise invalid("invalid_value", message, name)
        bias(name, given)
    return value


def check_size(name: str, value: Any) -> None:
    """``AzureError`` 400 when ``value`` is more than 1 MB of JSON. A limit of ours: such a value is read thoroughly."""
    size = len(orjson.dumps(value))
    if size > _MOST_BYTES:
        message = f"Invalid '{name}': the local Azure takes at most {_MOST_BYTES} bytes of it, but got {size}."
        raise invalid("invalid_value", message, name)


def labelled(value: object, place: str, label: str = "type") -> tuple[dict[str, Any], Any]:
    """The object ``value``, and what its field ``label`` says; ``AzureError`` 400 when it is none, or lacks that."""
    if not isinstance(value, dict):
        raise wrong_type(place, "an object", value)
    said = value.get(label)
    if said is None:
        raise missing(f"{place}.{label}")
    return value, said


def check_length(name: str, values: list[Any], most: int) -> None:
    """``AzureError`` 400 when ``values`` is empty or longer than ``most``."""
    if not values:
        message = "empty array. Expected an array with minimum length 1, but got an empty array instead."
        raise invalid("empty_array", f"Invalid '{name}': {message}", name)
    if len(values) > most:
        message = f"Expected an array with maximum length {most}, but got an array with length {len(values)} instead."
        raise invalid("array_above_max_length", f"Invalid '{name}': array too long. {message}", name)


def _is_too_deep(document: object) -> bool:
    level = [document]
    for _ in range(_MOST_LEVELS):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return True


def _inside(value: object) -> Iterable[object]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _unknown(name: str, readers: Collection[str]) -> AzureError:
    message = f"Unknown parameter: {_shown(name)}. Known parameters are: {', '.join(sorted(readers))}."
    return invalid("unknown_parameter", message, name[:_SHOWN_CHARACTERS])


def _check_range(kind: str, name: str, value: float, low: float, high: float | None) -> None:
    if value < low:
        message = f"{kind} below minimum value. Expected a value >= {low}, but got {value} instead."
        raise invalid(f"{kind}_below_min_value", f"Invalid '{name}': {message}", name)
    if high is not None and value > high:
        message = f"{kind} above maximum value. Expected a value <= {high}, but got {value} instead."
        raise invalid(f"{kind}_above_max_value", f"Invalid '{name}': {message}", name)


def _shown(value: object) -> str:
    shown = str(value)
    return f"'{shown[:_SHOWN_CHARACTERS]}...'" if len(shown) > _SHOWN_CHARACTERS else f"'{shown}'"
