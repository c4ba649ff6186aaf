"""What was said so far, as the messages of a chat: the items of earlier responses, then those of this one."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from labkit.localazure.errors import AzureError
from labkit.localazure.inference.parameters import invalid
from labkit.localazure.inference.prompt import Message
from labkit.localazure.inference.responses.items import Item


class Placed(NamedTuple):
    """A chat message, and the ``place`` in the request that it comes from."""

    message: Message
    place: str


def resolved(given: Sequence[Item], find: Callable[[str], Item | None]) -> list[Item]:
    """The items of an input with those they refer to in their place; ``AzureError`` 400 when one is not there.

    Reasoning either brings its content along or was stored: openclaw/openclaw#21782 (2026-02).
    """
    return [_resolved(item, find) for item in given]


def messages(instructions: str | None, earlier: Sequence[Item], given: Sequence[Item]) -> list[Placed]:
    """The messages of the conversation; ``AzureError`` 400 when a function call and its output do not pair."""
    _check_pairs((*earlier, *given))
    placed = [] if instructions is None else [Placed({"role": "system", "content": instructions}, "instructions")]
    for item in earlier:
        _add(placed, item, "previous_response_id")
    for number, item in enumerate(given):
        _add(placed, item, f"input[{number}]")
    return placed


def _resolved(item: Item, find: Callable[[str], Item | None]) -> Item:
    kind = item["type"]
    if kind != "item_reference" and (kind != "reasoning" or "encrypted_content" in item):
        return item
    found = find(item["id"])
    if found is None:
        message = (
            f"Item with id '{item['id']}' not found. Items are not persisted when `store` is set to false. Try again "
            "with `store` set to true, or remove this item from your input."
        )
        raise invalid("not_found", message, "input")  # the code is ours
    return found


def _check_pairs(items: Sequence[Item]) -> None:
    """Azure/azure-sdk-for-python#46092 (2026-04) for a call without output, and its counterpart."""
    calls = {item["call_id"]: None for item in items if item["type"] == "function_call"}
    outputs = {item["call_id"]: None for item in items if item["type"] == "function_call_output"}
    for id in calls:
        if id not in outputs:
            raise _unpaired(f"No tool output found for function call {id}.")
    for id in outputs:
        if id not in calls:
            raise _unpaired(f"No tool call found for function call output with call_id {id}.")


def _unpaired(message: str) -> AzureError:
    return invalid("invalid_value", message, "input")  # the code is ours


def _add(placed: list[Placed], item: Item, place: str) -> None:
    kind = item["type"]
    if kind == "message":
        placed.append(Placed({"role": item["role"], "content": _content(item["content"])}, place))
    elif kind == "function_call":
        _add_call(placed, item, place)
    elif kind == "function_call_output":
        content = _content(item["output"]) if isinstance(item["output"], list) else item["output"]
        placed.append(Placed({"role": "tool", "tool_call_id": item["call_id"], "content": content}, place))
    # Nothing of reasoning is read: it was hidden.


def _add_call(placed: list[Placed], item: Item, place: str) -> None:
    """Calls made together are one message of the chat."""
    function = {"name": item["name"], "arguments": item["arguments"]}
    call = {"id": item["call_id"], "type": "function", "function": function}
    if placed and "tool_calls" in placed[-1].message:
        placed[-1].message["tool_calls"].append(call)
    else:
        placed.append(Placed({"role": "assistant", "content": None, "tool_calls": [call]}, place))


def _content(parts: Sequence[Item]) -> str | list[dict[str, Any]]:
    if len(parts) == 1 and "text" in parts[0]:
        said: str = parts[0]["text"]
        return said
    return [_part(part) for part in parts]


def _part(part: Item) -> dict[str, Any]:
    if part["type"] == "input_image":
        return {"type": "image_url", "image_url": {"url": part["image_url"], "detail": part["detail"]}}
    if part["type"] == "refusal":
        return dict(part)
    return {"type": "text", "text": part["text"]}
