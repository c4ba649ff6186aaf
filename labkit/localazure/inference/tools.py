"""The functions that a request offers the model to call: read, checked and counted.

Limits: Microsoft Learn, quotas-limits (128 tools) and how-to/function-calling (descriptions of 1,024 characters), read
2026-11-25. Wordings: ``does not match pattern`` run-llama/llama_index#16093 (2024-09), ``string too long``
nanbingxyz/5ire#33 (2025-01), ``is only allowed when 'tools' are specified`` Azure/azure-sdk-for-net#45598 (2024-08),
``Invalid schema for function`` see ``schema_rules``; what is said of an unknown function in ``tool_choice`` is ours.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Literal, NamedTuple

import orjson

from labkit import tokens
from labkit.localazure.inference import parameters, schema_rules
from labkit.localazure.inference.parameters import check_length, invalid, labelled, missing, not_one_of, wrong_type

Choice = Literal["auto", "none", "required"]

CHOICES: tuple[Choice, ...] = ("none", "auto", "required")
NO_PARAMETERS: Mapping[str, Any] = {"type": "object", "properties": {}}

_MOST_TOOLS = 128
_NAME = re.compile(r"[a-zA-Z0-9_-]+")
_NAME_CHARACTERS = 64
_DESCRIPTION_CHARACTERS = 1_024

# OpenAI cookbook, "How to count tokens with tiktoken", section 7 (tool calls), read 2026-11-25: tokens around each
# function by encoding, around its properties, and once at the end.
_PER_FUNCTION = {"o200k_base": 7, "cl100k_base": 10}
_FOR_PROPERTIES = 3
_PER_PROPERTY = 3
_FOR_ENUM = -3
_PER_ENUM_VALUE = 3
_AT_THE_END = 12
_COUNTED_LEVELS = 10


class Function(NamedTuple):
    """A function that the model may call. ``parameters`` is a JSON schema that ``schema_rules`` has passed."""

    name: str
    description: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ToolBox:
    """The functions on offer and what the request says about calling them. Equal requests have equal ``digest``s.

    ``forced`` is the one function that must be called. ``legacy`` is true when they were offered as ``functions``, so
    that a call is answered as ``function_call``.
    """

    digest: str
    functions: tuple[Function, ...] = field(compare=False)
    choice: Choice = field(default="auto", compare=False)
    forced: str | None = field(default=None, compare=False)
    parallel: bool = field(default=True, compare=False)
    legacy: bool = field(default=False, compare=False)

    def tokens(self, encoding: str) -> int:
        """What the functions add to the prompt's tokens."""
        return _AT_THE_END + sum(_function_tokens(function, encoding) for function in self.functions)


def tool_box(
    functions: Sequence[Function],
    *,
    choice: Choice = "auto",
    forced: str | None = None,
    parallel: bool = True,
    legacy: bool = False,
) -> ToolBox:
    """The tool box with ``functions``."""
    stated = orjson.dumps([functions, choice, forced, parallel, legacy], default=list)
    digest = blake2b(stated, digest_size=8).hexdigest()
    return ToolBox(digest, tuple(functions), choice, forced, parallel, legacy)


def of_fields(fields: Mapping[str, Any]) -> ToolBox | None:
    """The tool box of a chat request's fields, read before; ``AzureError`` 400 when they do not go together."""
    for name, offer in (("tool_choice", "tools"), ("parallel_tool_calls", "tools"), ("function_call", "functions")):
        if name in fields and offer not in fields:
            message = f"Invalid value for '{name}': '{name}' is only allowed when '{offer}' are specified."
            raise invalid(None, message, name)
    if "tools" in fields:
        parallel = fields.get("parallel_tool_calls", True)
        return chosen_from(fields["tools"], fields.get("tool_choice", "auto"), "tool_choice", parallel=parallel)
    if "functions" in fields:
        choice = fields.get("function_call", "auto")
        return chosen_from(fields["functions"], choice, "function_call", parallel=False, legacy=True)
    return None


def chosen_from(
    functions: Sequence[Function], choice: Choice | tuple[str], name: str, *, parallel: bool, legacy: bool = False
) -> ToolBox:
    """The tool box with ``functions`` and the ``choice`` that stands in the field ``name``; ``AzureError`` 400 when it
    names a function that is not offered.
    """
    if isinstance(choice, str):
        return tool_box(functions, choice=choice, parallel=parallel, legacy=legacy)
    (forced,) = choice
    if all(function.name != forced for function in functions):
        message = f"Invalid value for '{name}': no function named '{forced}' was specified."
        raise invalid("invalid_value", message, name)
    return tool_box(functions, choice="required", forced=forced, parallel=parallel, legacy=legacy)


# -- readers of fields -----------------------------------------------------------------------------------------


def read_tools(name: str, value: Any) -> tuple[Function, ...]:
    """Reads ``tools`` as chat completions have them: functions in a ``function`` object each."""
    found = []
    for place, tool in enumerate(_listed(name, value)):
        where = f"{name}[{place}]"
        _check_type(tool, where)
        found.append(read_function(tool.get("function"), f"{where}.function"))
    return tuple(found)


def read_functions(name: str, value: Any) -> tuple[Function, ...]:
    """Reads ``functions``, the older form of ``tools``."""
    return tuple(read_function(item, f"{name}[{place}]") for place, item in enumerate(_listed(name, value)))


def read_function(value: Any, place: str) -> Function:
    """The function described at ``place``; ``AzureError`` 400 for the first thing that is wrong with it."""
    if value is None:
        raise missing(place)
    if not isinstance(value, dict):
        raise wrong_type(place, "an object", value)
    name = read_name(value, f"{place}.name")
    description = value.get("description") or ""
    check_text(f"{place}.description", description, _DESCRIPTION_CHARACTERS)
    strict = value.get("strict") or False
    parameters.boolean(f"{place}.strict", strict)
    return Function(name, description, _read_parameters(value.get("parameters"), name, place, strict))


def read_name(value: Mapping[str, Any], place: str) -> str:
    """The ``name`` of a function or of a schema; ``AzureError`` 400 when it cannot be one."""
    name = value.get("name")
    if name is None:
        raise missing(place)
    check_text(place, name, _NAME_CHARACTERS)
    if _NAME.fullmatch(name) is None:
        pattern = f"^{_NAME.pattern}$"
        message = f"string does not match pattern. Expected a string that matches the pattern '{pattern}'."
        raise invalid("invalid_value", f"Invalid '{place}': {message}", place)
    return str(name)


def read_choice(name: str, value: Any) -> Choice | tuple[str]:
    """Reads ``tool_choice``: one of the words, or the name of the function to call, in a tuple."""
    if isinstance(value, str):
        return _one_choice(name, value, CHOICES)
    if not isinstance(value, dict):
        raise wrong_type(name, "one of 'none', 'auto' and 'required' or an object", value)
    _check_type(value, name)
    function = value.get("function")
    if not isinstance(function, dict):
        raise missing(f"{name}.function") if function is None else wrong_type(f"{name}.function", "an object", function)
    return (read_name(function, f"{name}.function.name"),)


def read_function_call(name: str, value: Any) -> Choice | tuple[str]:
    """Reads ``function_call``, the older form of ``tool_choice``."""
    if isinstance(value, str):
        return _one_choice(name, value, ("none", "auto"))
    if not isinstance(value, dict):
        raise wrong_type(name, "one of 'none' and 'auto' or an object", value)
    return (read_name(value, f"{name}.name"),)


def _one_choice(name: str, value: str, allowed: tuple[Choice, ...]) -> Choice:
    for choice in allowed:
        if choice == value:
            return choice
    raise not_one_of(name, value, allowed)


def check_text(place: str, value: Any, most: int) -> None:
    """``AzureError`` 400 unless ``value`` is a text of at most ``most`` characters."""
    if len(parameters.text(place, value)) > most:
        message = (
            f"Invalid '{place}': string too long. Expected a string with maximum length {most}, but got a string with "
            f"length {len(value)} instead."
        )
        raise invalid("string_above_max_length", message, place)


def _listed(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise wrong_type(name, "an array of objects", value)
    check_length(name, value, _MOST_TOOLS)
    parameters.check_size(name, value)
    return value


def _check_type(tool: Any, place: str) -> None:
    _, kind = labelled(tool, place)
    if kind != "function":
        raise not_one_of(f"{place}.type", kind, ("function",))


def _read_parameters(value: Any, name: str, place: str, strict: bool) -> Mapping[str, Any]:
    if value is None:
        return NO_PARAMETERS
    problem = schema_rules.problem(value, strict=strict)
    if problem is not None:
        message = f"Invalid schema for function '{name}': {problem}"
        raise invalid("invalid_function_parameters", message, f"{place}.parameters")
    schema: Mapping[str, Any] = value
    return schema


# -- tokens ----------------------------------------------------------------------------------------------------


def _function_tokens(function: Function, encoding: str) -> int:
    stated = f"{function.name}:{function.description.removesuffix('.')}"
    total = _PER_FUNCTION[encoding] + tokens.count(stated, encoding)
    return total + _property_tokens(function.parameters, encoding, _COUNTED_LEVELS)


def _property_tokens(schema: Mapping[str, Any], encoding: str, levels: int) -> int:
    """The cookbook's count; it leaves out nested properties, which are counted here like the others."""
    properties = schema.get("properties")
    if not properties or levels == 0:
        return 0
    total = _FOR_PROPERTIES
    for name, inner in properties.items():
        total += _PER_PROPERTY
        if not isinstance(inner, dict):
            continue
        if "enum" in inner:
            values = [tokens.count(str(value), encoding) + _PER_ENUM_VALUE for value in inner["enum"]]
            total += _FOR_ENUM + sum(values)
        description = str(inner.get("description", "")).removesuffix(".")
        total += tokens.count(f"{name}:{inner.get('type', '')}:{description}", encoding)
        items = inner.get("items")
        total += _property_tokens(inner, encoding, levels - 1)
        total += _property_tokens(items, encoding, levels - 1) if isinstance(items, dict) else 0
    return total
