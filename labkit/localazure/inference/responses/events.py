"""Streams of responses: named server-sent events, numbered, without a ``[DONE]`` at their end.

The order is the real service's (OpenAI's API reference, "Streaming events", read 2026-11-25): the response is created
and in progress; each item is added, filled piece by piece and done; the response is completed, or incomplete.
"""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from labkit.localazure.inference import streaming
from labkit.localazure.inference.logprobs import Piece
from labkit.localazure.inference.responses import reply
from labkit.localazure.inference.responses.items import Item
from labkit.localazure.inference.responses.reply import Document, Made


class _Event(NamedTuple):
    kind: str
    fields: Document


def stream(made: Made, done: Document) -> bytes:
    """The events of the response with the body ``done``."""
    return b"".join([_written(number, event) for number, event in enumerate(_events(made, done))])


def before_tokens(made: Made) -> int:
    """How many of the events come before the model has said anything: its reasoning begins with the response."""
    return 3 if made.exchange.model.is_reasoning else 2


def _written(number: int, event: _Event) -> bytes:
    document = {"type": event.kind, "sequence_number": number, **event.fields}
    return b"event: " + event.kind.encode() + b"\ndata: " + orjson.dumps(document) + b"\n\n"


def _events(made: Made, done: Document) -> Iterator[_Event]:
    started = reply.beginning(made)
    yield _Event("response.created", {"response": started})
    yield _Event("response.in_progress", {"response": started})
    for place, item in enumerate(done["output"]):
        at = {"output_index": place}
        if item["type"] == "message":
            yield _Event("response.output_item.added", {**at, "item": {**item, "status": "in_progress", "content": []}})
            yield from _text({"item_id": item["id"], **at, "content_index": 0}, item, reply.text_pieces(made))
        elif item["type"] == "function_call":
            yield _Event(
                "response.output_item.added", {**at, "item": {**item, "status": "in_progress", "arguments": ""}}
            )
            yield from _arguments({"item_id": item["id"], **at}, item)
        else:
            yield _Event("response.output_item.added", {**at, "item": item})
        yield _Event("response.output_item.done", {**at, "item": item})
    yield _Event(f"response.{done['status']}", {"response": done})


def _text(at: dict[str, Any], item: Item, pieces: Sequence[Piece]) -> Iterator[_Event]:
    (part,) = item["content"]
    yield _Event("response.content_part.added", {**at, "part": {**part, "text": "", "logprobs": []}})
    for piece in pieces:
        yield _Event("response.output_text.delta", {**at, "delta": piece.text, "logprobs": piece.logprobs})
    yield _Event("response.output_text.done", {**at, "text": part["text"], "logprobs": part["logprobs"]})
    yield _Event("response.content_part.done", {**at, "part": part})


def _arguments(at: dict[str, Any], item: Item) -> Iterator[_Event]:
    for piece in streaming.argument_pieces(item["arguments"]):
        yield _Event("response.function_call_arguments.delta", {**at, "delta": piece})
    yield _Event("response.function_call_arguments.done", {**at, "arguments": item["arguments"]})
