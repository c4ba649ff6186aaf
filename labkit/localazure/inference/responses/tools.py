"""Functions that a model may call, as the Responses API writes them (flat) and as chat completions do (nested).

What a function may be called, say and take is checked where chat completions check it.
"""

from collections.abc import Mapping
from typing import Any

from labkit.localazure.inference.parameters import invalid, labelled, missing, not_one_of, text, wrong_type

Tool = dict[str, Any]

_CHOICES = ("none", "auto", "required")


def read(name: str, value: Any) -> list[Tool]:
    """The ``tools`` as a response shows them; ``AzureError`` 400 for one that is not a function."""
    if not isinstance(value, list):
        raise wrong_type(name, "an array of objects", value)
    return [_tool(tool, f"{name}[{number}]") for number, tool in enumerate(value)]


def read_choice(name: str, value: Any) -> str | Tool:
    """The ``tool_choice``: a mode, or ``{"type": "function", "name"}``; ``AzureError`` 400 when it is neither."""
    if isinstance(value, str):
        if value not in _CHOICES:
            raise not_one_of(name, value, _CHOICES)
        return value
    if not isinstance(value, dict):
        raise wrong_type(name, "a string or an object", value)
    if value.get("type") != "function":
        raise not_one_of(f"{name}.type", value.get("type"), ("function",))
    return {"type": "function", "name": _name(value, name)}


def for_chat(tool: Tool) -> Tool:
    """The tool as chat completions take it."""
    function = {name: value for name, value in tool.items() if name != "type" and value is not None}
    return {"type": "function", "function": function}


def choice_for_chat(choice: str | Tool) -> str | Tool:
    """The choice of a tool as chat completions take it."""
    return choice if isinstance(choice, str) else {"type": "function", "function": {"name": choice["name"]}}


def _tool(given: object, place: str) -> Tool:
    tool, kind = labelled(given, place)
    if kind != "function":
        message = (
            f"The tool '{str(kind)[:50]}' is not supported by the local Azure. It knows tools of the type 'function', "
            "which your own code runs."
        )
        raise invalid("invalid_value", message, f"{place}.type")
    return {
        "type": "function",
        "name": _name(tool, place),
        "description": tool.get("description"),
        "parameters": tool.get("parameters"),
        "strict": tool.get("strict") or False,
    }


def _name(holder: Mapping[str, Any], place: str) -> str:
    """rysweet/amplihack#896 (2025-10): chat's nested form is met by "Missing required parameter: 'tools[0].name'."."""
    if holder.get("name") is None:
        raise missing(f"{place}.name")
    return text(f"{place}.name", holder["name"])
