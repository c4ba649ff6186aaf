"""What was said so far, as the messages of a chat: the items of earlier responses, then those of this one."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, NamedTuple

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
    items = [_Given(item, "previous_response_id") for item in earlier]
    items += [_Given(item, f"input[{number}]") for number, item in enumerate(given)]
    outputs = _outputs(items)
    placed = [] if instructions is None else [Placed({"role": "system", "content": instructions}, "instructions")]
    # Nothing of reasoning is read: it was hidden.
    read = [each for each in items if each.item["type"] != "reasoning"]
    for kind, group in groupby(read, key=lambda each: each.item["type"]):
        if kind == "message":
            placed += [Placed(_said(item), place) for item, place in group]
        elif kind == "function_call":
            placed += _called(list(group), outputs)
    return placed


class _Given(NamedTuple):
    item: Item
    place: str


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
        raise invalid(None, message, "input")
    return found


def _outputs(items: Sequence[_Given]) -> dict[str, _Given]:
    """The outputs by the id of their call; ``AzureError`` 400 when a call has none, or an output has no call.

    Azure/azure-sdk-for-python#46092 (2026-04), and its counterpart.
    """
    calls = {item["call_id"]: None for item, _ in items if item["type"] == "function_call"}
    outputs = {each.item["call_id"]: each for each in items if each.item["type"] == "function_call_output"}
    for id in calls:
        if id not in outputs:
            raise invalid(None, f"No tool output found for function call {id[:100]}.", "input")
    for id in outputs:
        if id not in calls:
            message = f"No tool call found for function call output with call_id {id[:100]}."
            raise invalid(None, message, "input")
    return outputs


def _said(item: Item) -> Message:
    return {"role": item["role"], "content": _content(item["content"])}


def _called(calls: Sequence[_Given], outputs: dict[str, _Given]) -> Iterator[Placed]:
    """Calls made together are one message of the chat, and their outputs follow it, wherever they stood."""
    functions = [
        {
            "id": item["call_id"],
            "type": "function",
            "function": {"name": item["name"], "arguments": item["arguments"]},
        }
        for item, _ in calls
    ]
    yield Placed({"role": "assistant", "content": None, "tool_calls": functions}, calls[0].place)
    for item, _ in calls:
        output, place = outputs[item["call_id"]]
        content = output["output"] if isinstance(output["output"], str) else _content(output["output"])
        yield Placed({"role": "tool", "tool_call_id": item["call_id"], "content": content}, place)


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
