"""Counts what calls take: time, tokens and US dollars, for each deployment."""

import logging
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from labkit.catalog import MODELS, Model, model

if TYPE_CHECKING:
    import pandas as pd
    from openai.types import CreateEmbeddingResponse
    from openai.types.chat import ChatCompletion

logger = logging.getLogger(__name__)

# The time the service itself says it took. OpenAI API reference, "Debugging requests", read 2026-11-22; the local
# Azure puts the unscaled simulated latency there, so that what a notebook measures does not depend on its machine.
_PROCESSING_MS = "openai-processing-ms"
# Model names in answers carry the date of the snapshot: gpt-4o-2024-08-06.
_SNAPSHOT_DATE = re.compile(r"-\d{4}-\d{2}-\d{2}$")
_NO_PRICE = (
    "No price for model %r behind deployment %r: its cost is unknown (nan) from here on. Say which model it is: "
    "UsageMeter(models={%r: name}), with a name from labkit.catalog.MODELS."
)
_BY_SNAPSHOT = {known.snapshot: known for known in MODELS.values()}


def latency_s(headers: Mapping[str, str] | None, wall_s: float) -> float:
    """The seconds a call took: the service's own ``openai-processing-ms`` where it says so, else ``wall_s``."""
    try:
        reported_ms = float((headers or {}).get(_PROCESSING_MS, ""))
    except ValueError:
        return wall_s
    return reported_ms / 1000 if math.isfinite(reported_ms) and reported_ms >= 0 else wall_s


@dataclass(frozen=True, slots=True)
class Usage:
    """The tokens of one answer; ``cached_tokens`` are part of the prompt, ``reasoning_tokens`` of the completion."""

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0

    @property
    def total_tokens(self) -> int:
        """Prompt and completion together, as the service bills and limits them."""
        return self.prompt_tokens + self.completion_tokens

    def cost_usd(self, priced_as: Model | str) -> float:
        """The price of these tokens in US dollars; ``UnknownModelError`` for a name the catalogue does not know."""
        known = model(priced_as) if isinstance(priced_as, str) else priced_as
        return known.price.cost_usd(self.prompt_tokens, self.completion_tokens, self.cached_tokens)


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
    )


def answered_by(answer: "ChatCompletion | CreateEmbeddingResponse") -> Model | None:
    """The catalogue's model behind ``answer`` (by the snapshot it names, not by the deployment), or None."""
    name = answer.model or ""
    return _BY_SNAPSHOT.get(name) or MODELS.get(_SNAPSHOT_DATE.sub("", name))


def cost_usd(answer: "ChatCompletion | CreateEmbeddingResponse", priced_as: Model | str | None = None) -> float:
    """The price of ``answer`` in US dollars, by the model it names or by ``priced_as``.

    ``UnknownModelError`` lists the models with a price when neither is known.
    """
    return usage(answer).cost_usd(priced_as or answered_by(answer) or answer.model)


class Totals(TypedDict):
    """What one deployment has done so far. ``cache_hits`` are no ``calls``: they cost neither tokens nor money."""

    model: str
    calls: int
    cache_hits: int
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost_usd: float
    mean_latency_s: float


class UsageMeter:
    """Adds up calls, tokens, time and cost for each deployment.

    The price is that of the model the answer names, because a deployment can be called anything. ``models`` maps a
    deployment to a model of the catalogue for answers that name none it knows. Where no price is known, tokens are
    still counted and ``cost_usd`` is ``nan``: an unknown cost must not look like a small one.
    """

    def __init__(self, models: Mapping[str, str] | None = None) -> None:
        self._models = {deployment: model(name) for deployment, name in (models or {}).items()}
        self._totals: dict[str, Totals] = {}
        self._latency_s: dict[str, float] = {}

    def record(self, deployment: str, answer: "ChatCompletion", latency_s: float, *, cached: bool = False) -> None:
        """Add one answer; a ``cached`` one is counted as a hit that took no call, no tokens, no money and no time."""
        totals = self._totals.setdefault(deployment, _no_calls())
        if cached:
            totals["cache_hits"] += 1
            return
        totals["calls"] += 1
        self._add(deployment, usage(answer), latency_s)
        priced_as = self._models.get(deployment) or answered_by(answer)
        totals["model"] = priced_as.name if priced_as else answer.model
        if priced_as is None and not math.isnan(totals["cost_usd"]):
            logger.warning(_NO_PRICE, answer.model, deployment, deployment)
        cost = usage(answer).cost_usd(priced_as) if priced_as else math.nan
        totals["cost_usd"] = steady(totals["cost_usd"] + cost)

    def totals(self) -> dict[str, Totals]:
        """What each deployment has done so far, as a copy."""
        return {deployment: totals.copy() for deployment, totals in self._totals.items()}

    @property
    def cost_usd(self) -> float:
        """The cost of everything recorded, in US dollars (``nan`` when a price is unknown)."""
        return steady(sum(totals["cost_usd"] for totals in self._totals.values()))

    def frame(self) -> "pd.DataFrame":
        """The totals as a table with one row a deployment."""
        import pandas as pd

        table = pd.DataFrame.from_dict(self._totals, orient="index", columns=list(Totals.__annotations__))
        return table.rename_axis("deployment")

    def _add(self, deployment: str, used: Usage, latency_s: float) -> None:
        totals = self._totals[deployment]
        totals["prompt_tokens"] += used.prompt_tokens
        totals["cached_tokens"] += used.cached_tokens
        totals["completion_tokens"] += used.completion_tokens
        totals["reasoning_tokens"] += used.reasoning_tokens
        self._latency_s[deployment] = steady(self._latency_s.get(deployment, 0.0) + latency_s)
        totals["mean_latency_s"] = self._latency_s[deployment] / totals["calls"]


def steady(total: float) -> float:
    """A running sum of seconds or US dollars that does not depend on the order in which calls end.

    Floating-point sums do, in their last digits, and concurrent calls end in any order. What is added here has far
    fewer than twelve decimals.
    """
    return round(total, 12)


def _no_calls() -> Totals:
    return Totals(
        model="",
        calls=0,
        cache_hits=0,
        prompt_tokens=0,
        cached_tokens=0,
        completion_tokens=0,
        reasoning_tokens=0,
        cost_usd=0.0,
        mean_latency_s=0.0,
    )
