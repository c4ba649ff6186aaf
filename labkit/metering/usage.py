"""The tokens of one answer, what they cost, and which model gave it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from labkit.catalog import Model, Price
from labkit.prices import catalogued, price_of

if TYPE_CHECKING:
    from openai.types import CreateEmbeddingResponse
    from openai.types.chat import ChatCompletion

# Who a call is made for. "user" is being replaced by "safety_identifier": openai 3.54, completion_create_params, read
# 2026-11-25; there the identifiers have up to 128 characters.
_TAGS = ("safety_identifier", "user")


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer: cached ones and those written to the cache are prompt, reasoning ones completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together, as the service bills and limits them."""
        return self.prompt_tokens + self.completion_tokens

    def cost_usd(self, priced_as: Model | Price | str) -> float:
        """The price of these tokens in US dollars; ``UnknownModelError`` for a name without a known price."""
        price = priced_as if isinstance(priced_as, Price) else price_of(priced_as)
        return price.cost_usd(self.prompt_tokens, self.completion_tokens, self.cached_tokens, self.cache_write_tokens)


def usage(answer: "ChatCompletion | CreateEmbeddingResponse") -> Usage:
    """The tokens the service billed for ``answer``; zeros when it did not say."""
    said = answer.usage
    prompt_details = getattr(said, "prompt_tokens_details", None)
    completion_details = getattr(said, "completion_tokens_details", None)
    return Usage(
        prompt_tokens=getattr(said, "prompt_tokens", 0) or 0,
        completion_tokens=getattr(said, "completion_tokens", 0) or 0,
        cached_tokens=getattr(prompt_details, "cached_tokens", 0) or 0,
        reasoning_tokens=getattr(completion_details, "reasoning_tokens", 0) or 0,
        cache_write_tokens=getattr(prompt_details, "cache_write_tokens", 0) or 0,
    )


def answered_by(answer: "ChatCompletion | CreateEmbeddingResponse") -> Model | None:
    """The catalogue's model behind ``answer`` (by the snapshot it names, not by the deployment), or None."""
    return catalogued(answer.model or "")


def cost_usd(answer: "ChatCompletion | CreateEmbeddingResponse", priced_as: Model | Price | str | None = None) -> float:
    """The price of ``answer`` in US dollars, by the model it names or by ``priced_as``.

    ``UnknownModelError`` names models with a price when neither is known.
    """
    return usage(answer).cost_usd(priced_as or answer.model or "")


def user_tag(params: Mapping[str, Any]) -> str | None:
    """Who a call is made for, by its parameters: ``safety_identifier``, else ``user``, else None."""
    return next((tag for name in _TAGS if isinstance(tag := params.get(name), str) and tag), None)
