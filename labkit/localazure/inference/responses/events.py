"""Streams of responses: named server-sent events, numbered, without a ``[DONE]`` at their end.

The order is the real service's (OpenAI's API reference, "Streaming events", read 2026-11-25): the response is created
and in progress; each item is added, filled piece by piece and done; the response is completed, or incomplete.
"""

from collections.abc import Sequence
from typing import Any

import orjson

from labkit.localazure.inference import streaming
from labkit.localazure.inference.logprobs import Piece
from labkit.localazure.inference.responses import reply
from labkit.localazure.inference.responses.items import Item
from labkit.localazure.inference.responses.reply import Document, Made


def events(made: Made, done: Document) -> list[bytes]:
    """The events of the response with the body ``done``, in the steps in which they are sent.

    The first step comes before any token; each other one takes its part of the time.
    """
    script = _Script()
    started = reply.beginning(made)
    script.step("response.created", response=started)
    script.also("response.in_progress", response=started)
    for place, item in enumerate(done["output"]):
        if item["type"] == "message":
            _message(script, place, item, reply.text_pieces(made))
        else:
            (_call if item["type"] == "function_call" else _reasoning)(script, place, item)
    script.step(f"response.{done['status']}", response=done)
    return script.steps


class _Script:
    """Events in steps, each with the next number."""

    def __init__(self) -> None:
        self.steps: list[bytes] = []
        self._next = 0

    def step(self, kind: str, **fields: Any) -> None:
        """Add an event that takes time."""
        self.steps.append(self._event(kind, fields))

    def also(self, kind: str, **fields: Any) -> None:
        """Add an event that comes together with the one before."""
        self.steps[-1] += self._event(kind, fields)

    def _event(self, kind: str, fields: Document) -> bytes:
        document = {"type": kind, "sequence_number": self._next, **fields}
        self._next += 1
        return b"event: " + kind.encode() + b"\ndata: " + orjson.dumps(document) + b"\n\n"


def _reasoning(script: _Script, place: int, item: Item) -> None:
    script.also("response.output_item.added", output_index=place, item=item)
    script.step("response.output_item.done", output_index=place, item=item)


def _call(script: _Script, place: int, item: Item) -> None:
    at = {"item_id": item["id"], "output_index": place}
    started = {**item, "status": "in_progress", "arguments": ""}
    script.also("response.output_item.added", output_index=place, item=started)
    for piece in streaming.argument_pieces(item["arguments"]):
        script.step("response.function_call_arguments.delta", **at, delta=piece)
    script.step("response.function_call_arguments.done", **at, arguments=item["arguments"])
    script.also("response.output_item.done", output_index=place, item=item)


def _message(script: _Script, place: int, item: Item, pieces: Sequence[Piece]) -> None:
    (part,) = item["content"]
    at = {"item_id": item["id"], "output_index": place, "content_index": 0}
    started = {**item, "status": "in_progress", "content": []}
    script.also("response.output_item.added", output_index=place, item=started)
    script.also("response.content_part.added", **at, part={**part, "text": "", "logprobs": []})
    for piece in pieces:
        script.step("response.output_text.delta", **at, delta=piece.text, logprobs=piece.logprobs)
    script.step("response.output_text.done", **at, text=part["text"], logprobs=part["logprobs"])
    script.also("response.content_part.done", **at, part=part)
    script.also("response.output_item.done", output_index=place, item=item)
