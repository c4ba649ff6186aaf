"""Streams of chat completions: the chunks the service sends, as server-sent events.

The order is the real service's (InternLM/MindSearch#310, 2025-02): first the verdict on the prompt in a chunk without
choices; then for each choice the role, the text piece by piece and the reason why it ends; then, when asked for, one
chunk with the usage; then ``[DONE]``. All chunks with choices share one id.
"""

import re
from collections.abc import Iterator
from typing import Any

import orjson

from labkit.localazure.inference import logprobs
from labkit.localazure.inference.chat_reply import Exchange
from labkit.localazure.inference.simulation import Answer

_DONE = b"data: [DONE]\n\n"
_KIND = "chat.completion.chunk"
_PIECE = re.compile(r"\s*\S+|\s+")
_ARGUMENT_PIECE = re.compile(r"\w{1,12}|\W{1,3}")
# A stand-in for the text of a chunk: no model writes it.
_TEXT = "\x00"


def body(exchange: Exchange, *, include_usage: bool = False) -> bytes:
    """The events of a streamed answer, the first of them before any token, still without time and id."""
    made = [_prompt_event(exchange)]
    for place, answer in enumerate(exchange.answers):
        made += _choice(exchange, place, answer, include_usage)
    if include_usage:
        made.append(_event({**exchange.frame(_KIND, []), "usage": exchange.usage()}))
    made.append(_DONE)
    return b"".join(made)


def body_with_usage(exchange: Exchange) -> bytes:
    """The same with a last chunk that has the usage, and a null ``usage`` in the chunks before it."""
    return body(exchange, include_usage=True)


def pieces(text: str) -> list[str]:
    """``text`` in the pieces in which it is streamed: about a word each, nothing left out."""
    found: list[str] = _PIECE.findall(text)
    return found


def argument_pieces(arguments: str) -> list[str]:
    """The JSON of a call's arguments in the pieces in which it is streamed."""
    found: list[str] = _ARGUMENT_PIECE.findall(arguments)
    return found


def _prompt_event(exchange: Exchange) -> bytes:
    results = exchange.prompt_filter_results()
    return _event({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": results})


def _choice(exchange: Exchange, place: int, answer: Answer, with_usage: bool) -> list[bytes]:
    """The events of one choice: its role, its text piece by piece, the reason for its end."""

    def chunk(delta: dict[str, Any], results: object, reason: str | None = None, said: object = None) -> bytes:
        choice = {
            "content_filter_results": results,
            "delta": delta,
            "finish_reason": reason,
            "index": place,
            "logprobs": said,
        }
        frame = exchange.frame(_KIND, [choice])
        return _event({**frame, "usage": None} if with_usage else frame)

    results = exchange.answer_results
    begun = None if answer.calls else ""
    made = [chunk({"content": begun, "refusal": None, "role": "assistant"}, {})]
    if answer.calls and not exchange.filtered:
        made += [chunk(delta, {}) for delta in _call_deltas(answer, legacy=exchange.legacy_calls)]
    elif exchange.top_logprobs is not None and not exchange.filtered:
        for piece in logprobs.pieces(answer.text, exchange.model.encoding, exchange.top_logprobs):
            made.append(chunk({"content": piece.text}, results, said={"content": piece.logprobs, "refusal": None}))
    elif not exchange.filtered:
        # Only the text differs between these chunks, so the rest is written once.
        start, _, end = chunk({"content": _TEXT}, results).partition(orjson.dumps(_TEXT))
        made += [start + orjson.dumps(piece) + end for piece in pieces(answer.text)]
    made.append(chunk({}, results if exchange.filtered else {}, exchange.finish_reason(answer)))
    return made


def _call_deltas(answer: Answer, *, legacy: bool) -> Iterator[dict[str, Any]]:
    """The calls of functions piece by piece: first the name with no arguments, then the JSON of the arguments."""
    for index, call in enumerate(answer.calls):
        begun: dict[str, Any] = {"name": call.name, "arguments": ""}
        if legacy:
            yield {"function_call": begun}
        else:
            yield {"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": begun}]}
        for piece in argument_pieces(call.arguments):
            more = {"arguments": piece}
            yield {"function_call": more} if legacy else {"tool_calls": [{"index": index, "function": more}]}


def _event(document: object) -> bytes:
    return b"data: " + orjson.dumps(document) + b"\n\n"
