"""The most that a call can cost, before it is sent and without asking anybody."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Self

from labkit import tokens
from labkit.budget.budget import estimate_usd
from labkit.catalog import MODELS, ImageTokens, Model, Price
from labkit.prices import catalogued, price_of
from labkit.validation import plain_data

# A picture in high detail is scaled to at most 768 x 2048 pixels, eight tiles of 512, or to 1,536 patches of 32.
# OpenAI, guides/images-vision, read 2026-11-25.
_MOST_TILES = 8
_MOST_PATCHES = 1_536
# What the prompt takes besides messages: written into it by the service.
_ALSO_PROMPT = ("tools", "functions", "response_format")
# For models that the catalogue lacks: newer ones, as a rule, which count pictures like the newest it has.
_USUAL_ENCODING = "o200k_base"
_DEAR_IMAGES = MODELS["gpt-5-nano"].images
_LIMITS = ("max_completion_tokens", "max_tokens")


class _Facts(NamedTuple):
    """What an estimate needs to know of a model."""

    price: Price
    encoding: str
    max_output_tokens: int
    images: ImageTokens | None

    @classmethod
    def of(cls, model: Model | Price | str) -> Self:
        """The facts of a model, of a name, or of a price alone; where the catalogue has none, the largest it has."""
        price = model if isinstance(model, Price) else price_of(model)
        known = catalogued(model) if isinstance(model, str) else model
        if isinstance(known, Model):
            return cls(price, known.encoding, known.max_output_tokens, known.images)
        return cls(price, _USUAL_ENCODING, max(each.max_output_tokens for each in MODELS.values()), _DEAR_IMAGES)


def most_usd(messages: Iterable[Mapping[str, Any]], params: Mapping[str, Any], model: Model | Price | str) -> float:
    """The most US dollars that this call of ``model`` can cost: what ``Budget.reserve`` is asked for.

    The prompt is counted offline and priced in full, the answer as long as it may be: ``max_tokens`` (or
    ``max_completion_tokens``) times ``n``, and as long as the model can write where no limit is set, because then
    nothing else stops it. So a call without ``max_tokens`` holds a lot: 0.16 USD of gpt-4o. Pictures count as in
    high detail and as large as the service takes them, unless their detail is "low". ``UnknownModelError`` for a name
    without a known price.
    """
    facts = _Facts.of(model)
    n = params.get("n") or 1
    return estimate_usd(_prompt_tokens(messages, params, facts), _answer_tokens(params, facts), facts.price, n=n)


def prompt_tokens(messages: Iterable[Mapping[str, Any]], params: Mapping[str, Any], model: Model | str) -> int:
    """The tokens of the prompt, at most: messages, pictures, and the tools and schemas that come with them."""
    return _prompt_tokens(messages, params, _Facts.of(model))


def answer_tokens(params: Mapping[str, Any], model: Model | str) -> int:
    """The tokens of one answer, at most."""
    return _answer_tokens(params, _Facts.of(model))


def _prompt_tokens(messages: Iterable[Mapping[str, Any]], params: Mapping[str, Any], facts: _Facts) -> int:
    listed = list(messages)
    also = sum(_schema_tokens(params[name], facts.encoding) for name in _ALSO_PROMPT if params.get(name))
    return tokens.chat_prompt_tokens(listed, facts.encoding) + _images_tokens(listed, facts.images) + also


def _answer_tokens(params: Mapping[str, Any], facts: _Facts) -> int:
    limits: list[int] = [params[name] for name in _LIMITS if isinstance(params.get(name), int)]
    return min([*limits, facts.max_output_tokens])


def _schema_tokens(schema: object, encoding: str) -> int:
    # The service writes schemas in a form of its own, which is shorter than JSON.
    return tokens.count(json.dumps(schema, default=plain_data, ensure_ascii=False), encoding)


def _images_tokens(messages: Sequence[Mapping[str, Any]], images: ImageTokens | None) -> int:
    """What pictures take beyond the low detail that ``labkit.tokens`` counts for each."""
    if images is None:
        return 0
    most = images.base_tokens + _MOST_TILES * images.tile_tokens + int(_MOST_PATCHES * images.patch_factor)
    return sum(images.base_tokens if _is_low(part) else most for part in _pictures(messages))


def _pictures(messages: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    parts = [part for message in messages if isinstance(message.get("content"), list) for part in message["content"]]
    return [part for part in parts if isinstance(part, Mapping) and part.get("type") == "image_url"]


def _is_low(part: Mapping[str, Any]) -> bool:
    picture = part.get("image_url")
    return isinstance(picture, Mapping) and picture.get("detail") == "low"
