"""Checks the messages of a chat request, and refuses what cannot be in the service's own words."""

from typing import Any

from labkit.localazure.inference import conversation
from labkit.localazure.inference.parameters import check_length, invalid, labelled, missing, not_one_of, wrong_type
from labkit.localazure.inference.prompt import Message

ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_MOST_MESSAGES = 2048
_MOST_CALLS = 128
_NEED_NO_CONTENT = ("assistant", "function")
_PARTS = ("text", "image_url", "refusal")
_TEXT_FIELDS = ("name", "refusal", "tool_call_id")


def check(name: str, messages: Any) -> list[Message]:
    """The ``messages``, every one of them well formed; ``AzureError`` 400 names the first that is not."""
    if not isinstance(messages, list):
        raise wrong_type(name, "an array of objects", messages)
    check_length(name, messages, _MOST_MESSAGES)
    calls = False
    for place, message in enumerate(messages):
        if not _is_plain(message):
            _check_message(message, f"{name}[{place}]")
            calls = calls or message["role"] == "tool" or message.get("tool_calls") is not None
    if calls:
        conversation.check_results(messages)
    return messages


def _is_plain(message: object) -> bool:
    """True for a role and a text and nothing else, as nearly every message is."""
    return (
        type(message) is dict
        and len(message) == 2
        and type(message.get("content")) is str
        and message.get("role") in ("user", "system", "assistant")
    )


def _check_message(given: object, place: str) -> None:
    message, role = labelled(given, place, "role")
    if role not in ROLES:
        raise not_one_of(f"{place}.role", role, ROLES)
    if not isinstance(message.get("content"), str):
        _check_content(message, f"{place}.content")
    for name in _TEXT_FIELDS:
        value = message.get(name)
        if value is not None and not isinstance(value, str):
            raise wrong_type(f"{place}.{name}", "a string", value)
    if role == "tool" and message.get("tool_call_id") is None:
        raise missing(f"{place}.tool_call_id")
    if role == "function" and message.get("name") is None:
        raise missing(f"{place}.name")
    if message.get("tool_calls") is not None:
        _check_tool_calls(message["tool_calls"], f"{place}.tool_calls")
    if message.get("function_call") is not None:
        _check_function(message["function_call"], f"{place}.function_call")


def _check_content(message: Message, place: str) -> None:
    content = message.get("content")
    if content is None:
        if message["role"] in _NEED_NO_CONTENT:
            return
        raise invalid("invalid_type", f"Invalid value for '{place}': expected a string, got null.", place)
    if not isinstance(content, list):
        raise wrong_type(place, "a string or an array of content parts", content)
    check_length(place, content, _MOST_MESSAGES)
    for number, part in enumerate(content):
        _check_part(part, f"{place}[{number}]")


def _check_part(given: object, place: str) -> None:
    part, kind = labelled(given, place)
    if kind not in _PARTS:
        raise not_one_of(f"{place}.type", kind, _PARTS)
    value = part.get(kind)
    if kind == "image_url":
        if not isinstance(value, dict) or not isinstance(value.get("url"), str):
            raise wrong_type(f"{place}.image_url", "an object with a string 'url'", value)
    elif not isinstance(value, str):
        raise wrong_type(f"{place}.{kind}", "a string", value)


def _check_tool_calls(calls: object, place: str) -> None:
    if not isinstance(calls, list):
        raise wrong_type(place, "an array of objects", calls)
    check_length(place, calls, _MOST_CALLS)
    for number, call in enumerate(calls):
        function = call.get("function") if isinstance(call, dict) else None
        _check_function(function, f"{place}[{number}].function")
        if not isinstance(call.get("id"), str):
            raise missing(f"{place}[{number}].id")
        if call.get("type") != "function":
            raise not_one_of(f"{place}[{number}].type", call.get("type"), ("function",))


def _check_function(function: object, place: str) -> None:
    if not isinstance(function, dict):
        raise wrong_type(place, "an object", function)
    for name in ("name", "arguments"):
        if not isinstance(function.get(name), str):
            raise wrong_type(f"{place}.{name}", "a string", function.get(name))
