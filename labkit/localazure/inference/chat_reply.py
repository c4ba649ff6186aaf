"""The body of a chat completion, and what plain and streamed answers have in common."""

import re
from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from labkit.catalog import Model
from labkit.localazure.inference import logprobs
from labkit.localazure.inference.contentfilter import SAFE, SAFE_ANSWER_JSON, SAFE_PROMPT_JSON, Screening
from labkit.localazure.inference.prompt import Prompt
from labkit.localazure.inference.simulation import Answer
from labkit.localazure.inference.toolchoice import FunctionCall

# Stands where every call has its own time and id; a quote in a text is always escaped, so no text contains it.
STAMP = b'"created":0,"id":"?"'


class Exchange(NamedTuple):
    """A prompt and its answers, with what the content filter says about them.

    ``legacy_calls`` is true when calls of functions are answered in the older form, as ``function_call``;
    ``top_logprobs`` is how many alternatives to each token are shown, None without log probabilities;
    ``cached_tokens`` of the prompt were known to the deployment.
    """

    model: Model
    prompt: Prompt
    answers: list[Answer]
    screening: Screening
    legacy_calls: bool = False
    top_logprobs: int | None = None
    cached_tokens: int = 0

    @property
    def filtered(self) -> bool:
        """True when the answers do not pass the content filter."""
        return self.screening is not SAFE and self.screening.answer.filtered

    @property
    def is_plain(self) -> bool:
        """True without log probabilities and without a known beginning of the prompt."""
        return self.top_logprobs is None and self.cached_tokens == 0

    @property
    def answer_results(self) -> object:
        """The ``content_filter_results`` of an answer, ready to be written as JSON."""
        return SAFE_ANSWER_JSON if self.screening is SAFE else self.screening.answer.results()

    def finish_reason(self, answer: Answer) -> str:
        """Why ``answer`` ends: ``stop``, ``length``, ``tool_calls`` (or ``function_call``) or ``content_filter``."""
        if self.filtered:
            return "content_filter"
        return "function_call" if self.legacy_calls and answer.finish_reason == "tool_calls" else answer.finish_reason

    def prompt_filter_results(self) -> list[dict[str, object]]:
        """The ``prompt_filter_results`` of the prompt."""
        results = SAFE_PROMPT_JSON if self.screening is SAFE else self.screening.prompt.results()
        return [{"prompt_index": 0, "content_filter_results": results}]

    def frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        """What the body of an answer and every chunk of a stream consist of, still without time and id.

        The model is its dated snapshot.
        """
        return {
            "choices": choices,
            "created": 0,
            "id": "?",
            "model": self.model.snapshot,
            "object": kind,
            "system_fingerprint": _fingerprint(self.model.snapshot),
        }

    def usage(self) -> dict[str, Any]:
        """The ``usage`` object: the prompt counts once, however many the answers are."""
        completion_tokens = sum([answer.completion_tokens for answer in self.answers])
        return {
            "completion_tokens": completion_tokens,
            "completion_tokens_details": {
                "accepted_prediction_tokens": 0,
                "audio_tokens": 0,
                "reasoning_tokens": sum([answer.reasoning_tokens for answer in self.answers]),
                "rejected_prediction_tokens": 0,
            },
            "prompt_tokens": self.prompt.tokens,
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": self.cached_tokens},
            "total_tokens": self.prompt.tokens + completion_tokens,
        }


def stamp(call_id: str, at_s: float) -> bytes:
    """The time and the id of one call, as they stand in its body and in its chunks."""
    return f'"created":{int(at_s)},"id":"chatcmpl-{call_id.replace("-", "")}"'.encode()


def stamped(document: Sequence[bytes], call_id: str, at_s: float) -> bytes:
    """The document, cut by ``cut``, with the time and the id of one call."""
    return stamp(call_id, at_s).join(document)


def cut(document: bytes) -> tuple[bytes, ...]:
    """The pieces of a document between which time and id belong."""
    return tuple(document.split(STAMP))


def body(exchange: Exchange) -> bytes:
    """The body of an answer that is not streamed, still without time and id."""
    answer = exchange.answers[0]
    if exchange.screening is SAFE and exchange.is_plain and len(exchange.answers) == 1 and not answer.calls:
        return _filled(_template(exchange, answer), answer, exchange.prompt.tokens)
    return _written(exchange)


def _filled(template: tuple[bytes, ...], answer: Answer, prompt_tokens: int) -> bytes:
    told, hidden = answer.completion_tokens, answer.reasoning_tokens
    numbers = [b"%d" % number for number in (told, hidden, prompt_tokens, prompt_tokens + told)]
    filling = (orjson.dumps(answer.text), *numbers, b"")
    return b"".join([part for pair in zip(template, filling, strict=True) for part in pair])


def _template(exchange: Exchange, answer: Answer) -> tuple[bytes, ...]:
    """The body around the text and the numbers of an answer in words: between two such answers only those differ."""
    key = exchange.model.snapshot, answer.finish_reason
    known = _templates.get(key)
    if known is None:
        told, hidden, read = _MARKED
        marked = answer._replace(text="\x00", completion_tokens=told, reasoning_tokens=hidden)
        prompt = exchange.prompt._replace(tokens=read)
        known = tuple(_MARKS.split(_written(exchange._replace(answers=[marked], prompt=prompt))))
        _templates[key] = known
    return known


_templates: dict[tuple[str, str], tuple[bytes, ...]] = {}
_MARKED = (987_654_301, 987_654_302, 987_654_303)
_MARKS = re.compile(b'"\\\\u0000"|%d|%d|%d|%d' % (*_MARKED, _MARKED[0] + _MARKED[2]))


def _written(exchange: Exchange) -> bytes:
    document = exchange.frame("chat.completion", [_choice(exchange, place) for place in range(len(exchange.answers))])
    document["prompt_filter_results"] = exchange.prompt_filter_results()
    document["usage"] = exchange.usage()
    return orjson.dumps(document)


def _choice(exchange: Exchange, place: int) -> dict[str, Any]:
    answer = exchange.answers[place]
    return {
        "content_filter_results": exchange.answer_results,
        "finish_reason": exchange.finish_reason(answer),
        "index": place,
        "logprobs": _logprobs(exchange, answer),
        "message": _message(exchange, answer),
    }


def _message(exchange: Exchange, answer: Answer) -> dict[str, Any]:
    said = not (exchange.filtered or answer.calls)
    message: dict[str, Any] = {
        "annotations": [],
        # A filtered answer comes without content (Microsoft Learn, concepts/content-filter, read 2026-11-22).
        "content": answer.text if said else None,
        "refusal": None,
        "role": "assistant",
    }
    if answer.calls and not exchange.filtered:
        if exchange.legacy_calls:
            message["function_call"] = _function(answer.calls[0])
        else:
            message["tool_calls"] = [
                {"id": call.id, "type": "function", "function": _function(call)} for call in answer.calls
            ]
    return message


def _logprobs(exchange: Exchange, answer: Answer) -> dict[str, Any] | None:
    if exchange.top_logprobs is None or exchange.filtered or answer.calls:
        return None
    content = logprobs.of_text(answer.text, exchange.model.encoding, exchange.top_logprobs)
    return {"content": content, "refusal": None}


def _function(call: FunctionCall) -> dict[str, str]:
    return {"name": call.name, "arguments": call.arguments}


@lru_cache
def _fingerprint(snapshot: str) -> str:
    return f"fp_{blake2b(snapshot.encode(), digest_size=5).hexdigest()}"
