"""The body of a chat completion, and what plain and streamed answers have in common."""

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson

from labkit.catalog import Model
from labkit.localazure.inference.contentfilter import SAFE, SAFE_ANSWER_JSON, SAFE_PROMPT_JSON, Screening
from labkit.localazure.inference.prompt import Prompt
from labkit.localazure.inference.simulation import Answer

# Stands where every call has its own time and id; a quote in a text is always escaped, so no text contains it.
STAMP = b'"created":0,"id":"?"'


class Exchange(NamedTuple):
    """A prompt and its answers, with what the content filter says about them."""

    model: Model
    prompt: Prompt
    answers: list[Answer]
    screening: Screening

    @property
    def filtered(self) -> bool:
        """True when the answers do not pass the content filter."""
        return self.screening is not SAFE and self.screening.answer.filtered

    @property
    def answer_results(self) -> object:
        """The ``content_filter_results`` of an answer, ready to be written as JSON."""
        return SAFE_ANSWER_JSON if self.screening is SAFE else self.screening.answer.results()

    def finish_reason(self, answer: Answer) -> str:
        """Why ``answer`` ends: ``stop``, ``length`` or ``content_filter``."""
        return "content_filter" if self.filtered else answer.finish_reason

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
            "prompt_tokens_details": {"audio_tokens": 0, "cached_tokens": 0},
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
        "logprobs": None,
        "message": {
            "annotations": [],
            # A filtered answer comes without content (Microsoft Learn, concepts/content-filter, read 2026-11-22).
            "content": None if exchange.filtered else answer.text,
            "refusal": None,
            "role": "assistant",
        },
    }


@lru_cache
def _fingerprint(snapshot: str) -> str:
    return f"fp_{blake2b(snapshot.encode(), digest_size=5).hexdigest()}"
