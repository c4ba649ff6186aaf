"""Embeddings, from a parsed body to the answer."""

import asyncio
from array import array
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from labkit import tokens
from labkit.catalog import Model
from labkit.localazure.errors import AzureError
from labkit.localazure.inference import delivery, latency, parameters, refusals
from labkit.localazure.inference.call import Call, Target
from labkit.localazure.inference.limits import estimate_input_tokens
from labkit.localazure.inference.parameters import Body, Reader, invalid
from labkit.localazure.inference.vectors import vector
from labkit.localazure.wire import Reply, StreamReply

Input = str | list[int]

_MOST_INPUTS = 2048
_VOCABULARY = {"cl100k_base": 100_277, "o200k_base": 200_019}

# After so many vectors of one request others get their turn.
_AT_ONCE = 4
_DRAW_IN_THE_MIDDLE = 128


async def answer(call: Call, target: Target, body: bytes) -> Reply | StreamReply:
    """The vectors that ``body`` asks of the target; ``AzureError`` when it gets none."""
    asked = read(parameters.read_json(body))
    said = asked.inputs[-1] if isinstance(asked.inputs[-1], str) else ""
    call.ask(asked.noted, said)
    call.meet_fault(target, said)
    if not target.model.is_embedding:
        raise refusals.wrong_operation(target.operation, target.model)
    check_model(asked, target.model)
    prompt_tokens = count(asked, target.model)
    limiter = call.admit(target, estimate_input_tokens(asked.characters))
    taken = call.slowed(latency.simulated(target.model, prompt_tokens, 0, 0, _DRAW_IN_THE_MIDDLE))
    call.answer(prompt_tokens, simulated_ms=taken.total_ms)
    headers = call.headers(target, limiter)
    document = {
        "data": await _data(asked, target.model),
        "model": target.model.snapshot,
        "object": "list",
        "usage": {"prompt_tokens": prompt_tokens, "total_tokens": prompt_tokens},
    }
    return await delivery.plain(call, taken, headers, orjson.dumps(document))


@dataclass(frozen=True, slots=True)
class EmbeddingsRequest:
    """A request for embeddings that is well formed. ``inputs`` are texts or lists of token ids.

    ``noted`` is what of its parameters goes into the journal.
    """

    inputs: tuple[Input, ...]
    base64: bool
    dimensions: int | None
    noted: dict[str, Any]

    @property
    def characters(self) -> int:
        """The length of the inputs for the rate limit; a token counts as the four characters it stands for."""
        return sum(len(item) if isinstance(item, str) else 4 * len(item) for item in self.inputs)


def read(body: Body) -> EmbeddingsRequest:
    """The request that ``body`` makes; ``AzureError`` 400 for the first thing that is wrong with it, for any model."""
    fields = parameters.read_fields(body, _READERS)
    if "input" not in fields:
        raise parameters.missing("input")
    return EmbeddingsRequest(
        inputs=fields["input"],
        base64=fields.get("encoding_format") == "base64",
        dimensions=fields.get("dimensions"),
        noted=parameters.shortened(fields, without=("input",)),
    )


def check_model(request: EmbeddingsRequest, model: Model) -> None:
    """``AzureError`` 400 when ``model`` cannot give the dimensions asked for, or has no such token ids."""
    if request.dimensions is not None:
        if "dimensions" not in model.features:
            raise invalid("unsupported_parameter", "This model does not support specifying dimensions.", "dimensions")
        most = model.dimensions or 0
        if request.dimensions > most:
            message = f"Invalid value for 'dimensions' = {request.dimensions}. Must be less than or equal to {most}."
            raise invalid("invalid_value", message, "dimensions")
    for item in request.inputs:
        if not isinstance(item, str) and max(item) >= _VOCABULARY[model.encoding]:
            raise _invalid_input()


def count(request: EmbeddingsRequest, model: Model) -> int:
    """The prompt tokens of ``request``; ``AzureError`` 400 when an input does not fit into the model's context.

    microsoft/PubSec-Info-Assistant#755 (2024-06).
    """
    counts = [tokens.count(i, model.encoding) if isinstance(i, str) else len(i) for i in request.inputs]
    most = max(counts)
    if most > model.context_tokens:
        message = (
            f"This model's maximum context length is {model.context_tokens} tokens, however you requested {most} "
            f"tokens ({most} in your prompt; 0 for the completion). Please reduce your prompt; or completion length."
        )
        raise invalid("context_length_exceeded", message, "input")
    return sum(counts)


async def _data(asked: EmbeddingsRequest, model: Model) -> list[dict[str, Any]]:
    items = []
    for place, given in enumerate(asked.inputs):
        if place % _AT_ONCE == _AT_ONCE - 1:
            await asyncio.sleep(0)
        # Token ids get the vector of the text they stand for.
        text = given if isinstance(given, str) else tokens.decode(given, model.encoding)
        values = vector(text, model.dimensions or 1536, asked.dimensions)
        items.append({"object": "embedding", "index": place, "embedding": _shown(values, asked)})
    return items


def _shown(values: Sequence[float], asked: EmbeddingsRequest) -> object:
    return b64encode(array("f", values).tobytes()).decode() if asked.base64 else values


def _inputs(name: str, value: Any) -> tuple[Input, ...]:
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise _invalid_input()
    if value and _is_token(value[0]):
        value = [value]
    parameters.check_length(name, value, _MOST_INPUTS)
    for given in value:
        if not (isinstance(given, str) and given) and not _are_tokens(given):
            raise _invalid_input()
    return tuple(value)


def _are_tokens(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(_is_token(id) for id in value)


def _is_token(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _invalid_input() -> AzureError:
    message = (
        "'$.input' is invalid. It must be a non-empty string, an array of non-empty strings, an array of token ids or "
        "an array of arrays of token ids."
    )
    return invalid("invalid_value", message, "input")


_READERS: Mapping[str, Reader] = {
    "input": _inputs,
    "model": parameters.anything,
    "encoding_format": parameters.one_of("float", "base64"),
    "dimensions": parameters.integer(1),
    "user": parameters.text,
}
