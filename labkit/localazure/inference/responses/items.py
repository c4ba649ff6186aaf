"""The items a response is made from: messages, function calls and their outputs, reasoning.

An item is kept as the service lists it (``input_items``): with a type, and the content of a message in parts. Wordings
follow OpenAI's published API reference, read 2026-11-25, but for those that name another source.
"""

from collections.abc import Callable, Mapping
from typing import Any

from labkit.localazure.inference.parameters import (
    check_length,
    invalid,
    labelled,
    missing,
    not_one_of,
    text,
    wrong_type,
)

Item = dict[str, Any]

_MOST_ITEMS = 2048
_MOST_ID_CHARACTERS = 64
_ROLES = ("user", "system", "developer", "assistant")
_GIVEN_PARTS = ("input_text", "input_image")
_WRITTEN_PARTS = ("output_text", "refusal")
_DETAILS = ("auto", "low", "high")
# What the id of an item begins with.
PREFIXES = {"message": "msg", "function_call": "fc", "function_call_output": "fc", "reasoning": "rs"}


def read(name: str, value: Any) -> list[Item]:
    """The items that an ``input`` stands for; ``AzureError`` 400 names the first one that cannot be."""
    if isinstance(value, str):
        return [_message("user", [_text_part("input_text", value)])]
    if not isinstance(value, list):
        raise wrong_type(name, "a string or an array of input items", value)
    check_length(name, value, _MOST_ITEMS)
    return [_item(item, f"{name}[{number}]") for number, item in enumerate(value)]


def _item(given: object, place: str) -> Item:
    if not isinstance(given, dict):
        raise wrong_type(place, "an object", given)
    kind = given.get("type")
    if kind is None:  # both may leave it out
        kind = "message" if "role" in given else "item_reference"
    reader = _READERS.get(kind) if isinstance(kind, str) else None
    if reader is None:
        raise not_one_of(f"{place}.type", kind, tuple(_READERS))
    return {**_identity(given, kind, place), **reader(given, place)}


def _identity(given: Mapping[str, Any], kind: str, place: str) -> Item:
    """The ``id`` of an item that was given one (openai/openai-cs-agents-demo#34, 2025-06)."""
    id = given.get("id")
    if id is None:
        return {}
    if len(text(f"{place}.id", id)) > _MOST_ID_CHARACTERS:
        most = (
            f"Expected a string with maximum length {_MOST_ID_CHARACTERS}, but got one with length {len(id)} instead."
        )
        raise invalid("string_above_max_length", f"Invalid '{place}.id': string too long. {most}", f"{place}.id")
    prefix = PREFIXES.get(kind)
    if prefix is not None and not id.startswith(prefix):
        message = f"Invalid '{place}.id': '{id}'. Expected an ID that begins with '{prefix}'."
        raise invalid("invalid_value", message, f"{place}.id")
    return {"id": id}


def _read_message(given: Mapping[str, Any], place: str) -> Item:
    role = given.get("role")
    if role is None:
        raise missing(f"{place}.role")
    if role not in _ROLES:
        raise not_one_of(f"{place}.role", role, _ROLES)
    kinds = _WRITTEN_PARTS if role == "assistant" else _GIVEN_PARTS
    content = given.get("content")
    if isinstance(content, str):
        return _message(role, [_text_part(kinds[0], content)])
    if not isinstance(content, list):
        raise wrong_type(f"{place}.content", "a string or an array of content parts", content)
    check_length(f"{place}.content", content, _MOST_ITEMS)
    return _message(role, [_part(part, kinds, f"{place}.content[{number}]") for number, part in enumerate(content)])


def _message(role: str, content: list[Item]) -> Item:
    return {"type": "message", "status": "completed", "role": role, "content": content}


def _part(sent: object, kinds: tuple[str, ...], place: str) -> Item:
    given, kind = labelled(sent, place)
    if kind == "input_file":
        message = "Files are not supported by the local Azure. Content parts it reads are: input_text and input_image."
        raise invalid("invalid_value", message, f"{place}.type")
    if kind not in kinds:
        raise not_one_of(f"{place}.type", kind, kinds)
    if kind == "input_image":
        return _picture(given, place)
    field = "refusal" if kind == "refusal" else "text"
    if field not in given:
        raise missing(f"{place}.{field}")
    said = text(f"{place}.{field}", given[field])
    return {"type": kind, "refusal": said} if kind == "refusal" else _text_part(kind, said)


def _text_part(kind: str, said: str) -> Item:
    return {"type": kind, "text": said, **({"annotations": [], "logprobs": []} if kind == "output_text" else {})}


def _picture(given: Mapping[str, Any], place: str) -> Item:
    url, detail = given.get("image_url"), given.get("detail") or "auto"
    if url is None:
        hint = "The local Azure keeps no files: give the picture's address or data in 'image_url'."
        raise invalid("missing_required_parameter", f"Missing required parameter: '{place}.image_url'. {hint}", place)
    if detail not in _DETAILS:
        raise not_one_of(f"{place}.detail", detail, _DETAILS)
    return {"type": "input_image", "image_url": text(f"{place}.image_url", url), "detail": detail}


def _read_call(given: Mapping[str, Any], place: str) -> Item:
    fields = {name: _required(given, name, place) for name in ("arguments", "call_id", "name")}
    return {"type": "function_call", "status": "completed", **fields}


def _read_output(given: Mapping[str, Any], place: str) -> Item:
    call_id, output = _required(given, "call_id", place), given.get("output")
    if isinstance(output, list):
        kinds = _GIVEN_PARTS
        output = [_part(part, kinds, f"{place}.output[{number}]") for number, part in enumerate(output)]
    elif not isinstance(output, str):
        raise missing(f"{place}.output") if output is None else wrong_type(f"{place}.output", "a string", output)
    return {"type": "function_call_output", "status": "completed", "call_id": call_id, "output": output}


def _read_reasoning(given: Mapping[str, Any], place: str) -> Item:
    _required(given, "id", place)
    sealed = given.get("encrypted_content")
    content = {} if sealed is None else {"encrypted_content": text(f"{place}.encrypted_content", sealed)}
    return {"type": "reasoning", "summary": [], **content}


def _read_reference(given: Mapping[str, Any], place: str) -> Item:
    _required(given, "id", place)
    return {"type": "item_reference"}


def _required(given: Mapping[str, Any], name: str, place: str) -> str:
    if given.get(name) is None:
        raise missing(f"{place}.{name}")
    return text(f"{place}.{name}", given[name])


_READERS: Mapping[str, Callable[[Mapping[str, Any], str], Item]] = {
    "message": _read_message,
    "function_call": _read_call,
    "function_call_output": _read_output,
    "reasoning": _read_reasoning,
    "item_reference": _read_reference,
}
