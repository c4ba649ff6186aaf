"""Checks single messages: which roles there are, which kinds of content each may have, and what a part looks like.

As in the types of the openai SDK (3.54, ``openai.types.chat``, read 2026-11-25). Errors name the place and the kind of
value that is wrong, never the value: it is what people say to each other.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from labkit.errors import InvalidRequestError

ROLES = ("system", "developer", "user", "assistant", "tool", "function")
# Which parts a message's content may be made of, by its role.
_PARTS: dict[str, tuple[str, ...]] = {
    "system": ("text",),
    "developer": ("text",),
    "user": ("text", "image_url", "input_audio", "file"),
    "assistant": ("text", "refusal"),
    "tool": ("text",),
    "function": (),
}
# What an assistant message or an answer may carry instead of text.
INSTEAD_OF_TEXT = ("tool_calls", "function_call", "refusal", "audio")
# The Responses API has other names for the same things, and is easily mixed up with this one.
_NAMES_HERE = {"input_text": "text", "output_text": "text", "input_image": "image_url", "input_file": "file"}
_NAME = re.compile(r"[\w.-]{1,24}")


def check_message(where: str, message: object) -> None:
    """Raise ``InvalidRequestError`` unless ``message``, to be called ``where``, has a role and what belongs to it."""
    if not isinstance(message, dict):
        raise InvalidRequestError(f"{where} must be a dict with 'role' and 'content'; this is {described(message)}.")
    missing = [key for key in ("role", "content") if key not in message]
    if missing == ["content"] and _stands_without_text(message):
        missing = []
    if missing:
        raise InvalidRequestError(f"{where} has no {' and no '.join(map(repr, missing))}; each message needs both.")
    if message["role"] not in ROLES:
        raise InvalidRequestError(
            f"{where} has the role {_named(message['role'])}; known roles are {', '.join(ROLES)}."
        )
    _check_content(where, message)
    if message["role"] == "assistant":
        _check_tool_calls(where, message.get("tool_calls"))
    if message["role"] == "tool":
        _check_text(where, message, "tool_call_id", "the id of the tool call that it answers")
    if message["role"] == "function":
        _check_text(where, message, "name", "the name of the function that it answers")


def described(value: object) -> str:
    """What kind of value it is; never the value."""
    if value is None:
        return "None"
    length = f" with length {len(value)}" if isinstance(value, list | tuple | str | dict) else ""
    return f"of type {type(value).__name__}{length}"


def _check_content(where: str, message: Mapping[str, Any]) -> None:
    content, role = message.get("content"), message["role"]
    if isinstance(content, str) or (content is None and (_stands_without_text(message) or role == "function")):
        return
    if not isinstance(content, list) or not content or not all(isinstance(p, dict) and "type" in p for p in content):
        raise InvalidRequestError(
            f"{where} needs content: a string, or a list of parts such as {{'type': 'text', 'text': '…'}}; "
            f"this is {described(content)}. Only an assistant message with tool calls goes without."
        )
    for position, part in enumerate(content):
        _check_part(f"{where}.content[{position}]", part, role)


def _check_part(where: str, part: Mapping[str, Any], role: str) -> None:
    kind, allowed = part["type"], _PARTS[role]
    if kind not in allowed:
        here = _NAMES_HERE.get(kind) if isinstance(kind, str) else None
        hint = f" {kind!r} belongs to the Responses API; here it is {here!r}." if here else ""
        kinds = f"may have parts of type {', '.join(allowed)}" if allowed else "has a string as content, no parts"
        raise InvalidRequestError(f"{where} is of type {_named(kind)}; a message of role {role!r} {kinds}.{hint}")
    _PART_CHECKS[kind](where, part)


def _check_text_part(where: str, part: Mapping[str, Any]) -> None:
    _check_text(where, part, "text", "the text", may_be_empty=True)


def _check_refusal(where: str, part: Mapping[str, Any]) -> None:
    _check_text(where, part, "refusal", "the words of the refusal")


def _check_image(where: str, part: Mapping[str, Any]) -> None:
    image = _checked_dict(where, part, "image_url", "{'url': 'https://…'} or {'url': 'data:image/png;base64,…'}")
    _check_text(f"{where}.image_url", image, "url", "an address, or data:image/png;base64,…")
    if image.get("detail", "auto") not in ("auto", "low", "high"):
        raise InvalidRequestError(f"{where}.image_url.detail must be auto, low or high; this is another value.")


def _check_audio(where: str, part: Mapping[str, Any]) -> None:
    audio = _checked_dict(where, part, "input_audio", "{'data': '<base64>', 'format': 'wav'}")
    _check_text(f"{where}.input_audio", audio, "data", "the recording in base64")
    if audio.get("format") not in ("wav", "mp3"):
        raise InvalidRequestError(f"{where}.input_audio.format must be wav or mp3; this is another value.")


def _check_file(where: str, part: Mapping[str, Any]) -> None:
    file = _checked_dict(where, part, "file", "{'file_id': '…'} or {'filename': '…', 'file_data': '<base64>'}")
    if not any(isinstance(file.get(key), str) and file[key] for key in ("file_id", "file_data")):
        raise InvalidRequestError(f"{where}.file needs 'file_id' or 'file_data', each a string.")


_PART_CHECKS: dict[str, Callable[[str, Mapping[str, Any]], None]] = {
    "text": _check_text_part,
    "refusal": _check_refusal,
    "image_url": _check_image,
    "input_audio": _check_audio,
    "file": _check_file,
}


def _check_tool_calls(where: str, calls: object) -> None:
    if calls is None:
        return
    if not isinstance(calls, list) or not calls:
        raise InvalidRequestError(
            f"{where}.tool_calls must be a non-empty list or left out; this is {described(calls)}."
        )
    for position, call in enumerate(calls):
        _check_tool_call(f"{where}.tool_calls[{position}]", call)


def _check_tool_call(where: str, call: object) -> None:
    if not isinstance(call, dict) or call.get("type") not in ("function", "custom"):
        raise InvalidRequestError(f"{where} must be a dict of type 'function' or 'custom', as the model sent it.")
    _check_text(where, call, "id", "the id that the model gave it")
    kind, payload = call["type"], "arguments" if call["type"] == "function" else "input"
    called = _checked_dict(where, call, kind, f"{{'name': '…', '{payload}': '…'}}")
    _check_text(f"{where}.{kind}", called, "name", "the name of the tool")
    # Not a dict: the service wants the JSON as the model wrote it.
    _check_text(f"{where}.{kind}", called, payload, "a string, as the model sent it", may_be_empty=True)


def _checked_dict(where: str, holder: Mapping[str, Any], key: str, form: str) -> Mapping[str, Any]:
    value = holder.get(key)
    if not isinstance(value, dict):
        raise InvalidRequestError(f"{where}.{key} must be {form}; this is {described(value)}.")
    return value


def _check_text(where: str, holder: Mapping[str, Any], key: str, what: str, *, may_be_empty: bool = False) -> None:
    value = holder.get(key)
    if not isinstance(value, str) or not (value or may_be_empty):
        raise InvalidRequestError(f"{where} needs {key!r}: {what}; this is {described(value)}.")


def _stands_without_text(message: Mapping[str, Any]) -> bool:
    return message.get("role") == "assistant" and any(message.get(key) for key in INSTEAD_OF_TEXT)


def _named(value: object) -> str:
    """``value`` when it looks like a name; what kind it is otherwise, as it may be what belongs into the content."""
    return repr(value) if isinstance(value, str) and _NAME.fullmatch(value) else f"that is {described(value)}"
