"""The body of a response, while it is made and when it is done."""

from base64 import b64encode
from typing import Any, NamedTuple

from labkit.localazure.inference import logprobs, streaming
from labkit.localazure.inference.chat_reply import Exchange
from labkit.localazure.inference.logprobs import Piece
from labkit.localazure.inference.responses.items import Item
from labkit.localazure.inference.responses.request import SEALED
from labkit.localazure.inference.simulation import Answer
from labkit.localazure.inference.toolchoice import FunctionCall

Document = dict[str, Any]

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class Made(NamedTuple):
    """A response: its id, when it was made, the fields of its request, and what became of it."""

    id: str
    created_at_s: float
    fields: Document
    exchange: Exchange

    @property
    def answer(self) -> Answer:
        """The one answer that a response has."""
        return self.exchange.answers[0]

    @property
    def incomplete_reason(self) -> str | None:
        """Why the response is not complete, None when it is."""
        return _INCOMPLETE.get(self.exchange.finish_reason(self.answer))

    @property
    def status(self) -> str:
        """The status of the response when it is done, and of its last item."""
        return "completed" if self.incomplete_reason is None else "incomplete"

    def item_id(self, prefix: str, number: int) -> str:
        """The id of one of its items."""
        return f"{prefix}_{self.id.removeprefix('resp_')}{number:04x}"


def output(made: Made) -> list[Item]:
    """The items of the answer: hidden reasoning, where the model has it, then a message or calls of functions."""
    items: list[Item] = []
    if made.exchange.model.is_reasoning:
        items.append({"id": made.item_id("rs", 0), "type": "reasoning", "summary": []} | _sealed(made))
    if made.exchange.filtered:
        # A filtered answer comes without content (Microsoft Learn, concepts/content-filter, read 2026-11-22).
        return items
    if made.answer.calls:
        items += [_call(made, number, call) for number, call in enumerate(made.answer.calls, len(items))]
    elif made.answer.text or made.incomplete_reason is None:
        items.append(_message(made, len(items)))
    return items


def document(made: Made, items: list[Item]) -> Document:
    """The body of the response when it is done, with its output ``items``."""
    body = _frame(made, made.status)
    if made.incomplete_reason is None:
        body["completed_at"] = int(made.created_at_s)
    else:
        body["incomplete_details"] = {"reason": made.incomplete_reason}
    body["content_filters"] = _content_filters(made.exchange)
    body["output"] = items
    body["usage"] = _usage(made.exchange.usage())
    return body


def beginning(made: Made) -> Document:
    """The body of the response before it has any output."""
    return _frame(made, "in_progress")


def _frame(made: Made, status: str) -> Document:
    """What the body of a response repeats of the request, and what is not known yet as null."""
    get = made.fields.get
    text, reasoning = get("text", {}), get("reasoning", {})
    effort = "medium" if made.exchange.model.is_reasoning else None
    return {
        "id": made.id,
        "object": "response",
        "created_at": int(made.created_at_s),
        "status": status,
        "background": False,
        "completed_at": None,
        "content_filters": None,
        "error": None,
        "incomplete_details": None,
        "instructions": get("instructions"),
        "max_output_tokens": get("max_output_tokens"),
        "max_tool_calls": get("max_tool_calls"),
        "model": made.exchange.model.snapshot,
        "output": [],
        "parallel_tool_calls": get("parallel_tool_calls", True),
        "previous_response_id": get("previous_response_id"),
        "prompt_cache_key": get("prompt_cache_key"),
        "reasoning": {"effort": reasoning.get("effort", effort), "summary": reasoning.get("summary")},
        "safety_identifier": get("safety_identifier"),
        "service_tier": "default",
        "store": get("store", True),
        "temperature": get("temperature", 1.0),
        "text": {"format": text.get("format", {"type": "text"}), "verbosity": text.get("verbosity", "medium")},
        "tool_choice": get("tool_choice", "auto"),
        "tools": get("tools", []),
        "top_logprobs": get("top_logprobs", 0),
        "top_p": get("top_p", 1.0),
        "truncation": get("truncation", "disabled"),
        "usage": None,
        "user": get("user"),
        "metadata": get("metadata", {}),
    }


def _message(made: Made, number: int) -> Item:
    text, encoding, alternatives = made.answer.text, made.exchange.model.encoding, made.exchange.top_logprobs
    part = {
        "type": "output_text",
        "annotations": [],
        "logprobs": [] if alternatives is None else logprobs.of_text(text, encoding, alternatives),
        "text": text,
    }
    return {
        "id": made.item_id("msg", number),
        "type": "message",
        "status": made.status,
        "role": "assistant",
        "content": [part],
    }


def text_pieces(made: Made) -> list[Piece]:
    """The text of the answer in the pieces in which it is streamed, each with its log probabilities if asked for."""
    text, alternatives = made.answer.text, made.exchange.top_logprobs
    if alternatives is None:
        return [Piece(said, ()) for said in streaming.pieces(text)]
    return list(logprobs.pieces(text, made.exchange.model.encoding, alternatives))


def _call(made: Made, number: int, call: FunctionCall) -> Item:
    return {
        "id": made.item_id("fc", number),
        "type": "function_call",
        "status": made.status,
        "arguments": call.arguments,
        "call_id": call.id,
        "name": call.name,
    }


def _sealed(made: Made) -> Item:
    """The reasoning in a form that only the service reads, when it was asked for: here, its place among others."""
    if SEALED not in made.fields.get("include", ()):
        return {}
    return {"encrypted_content": b64encode(f"{made.exchange.prompt.digest}/{made.id}".encode()).decode()}


def _content_filters(exchange: Exchange) -> list[Document]:
    """What the content filter says of the prompt and of the answer (Azure/azure-rest-api-specs#42141, 2026-04)."""
    (prompt,) = exchange.prompt_filter_results()
    return [
        {"blocked": False, "source_type": "prompt", "content_filter_results": prompt["content_filter_results"]},
        {
            "blocked": exchange.filtered,
            "source_type": "completion",
            "content_filter_results": exchange.answer_results,
        },
    ]


def _usage(usage: Document) -> Document:
    """The usage of a chat completion, in the words of responses."""
    return {
        "input_tokens": usage["prompt_tokens"],
        "input_tokens_details": {
            "cache_write_tokens": 0,
            "cached_tokens": usage["prompt_tokens_details"]["cached_tokens"],
        },
        "output_tokens": usage["completion_tokens"],
        "output_tokens_details": {"reasoning_tokens": usage["completion_tokens_details"]["reasoning_tokens"]},
        "total_tokens": usage["total_tokens"],
    }
