"""What a group of calls adds up to: counts, tokens, time and cost, whatever order the calls ended in."""

import math
from collections.abc import Iterable
from typing import Self, TypedDict

from labkit.catalog import Price
from labkit.metering.usage import Usage

# Sums are whole trillionths of a second or dollar, which add up the same in any order; floats do not, in their last
# digits. What is added here has far fewer than twelve decimals.
_DECIMALS = 12
_PER_UNIT = 10**_DECIMALS


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


class Sums:
    """The running sums of one group of calls; what is added to them is added to ``total``, too."""

    __slots__ = (
        "cache_hits",
        "cached_tokens",
        "calls",
        "completion_tokens",
        "cost",
        "latency",
        "model",
        "prompt_tokens",
        "reasoning_tokens",
        "total",
        "unpriced",
    )

    def __init__(self, model: str = "", total: "Sums | None" = None) -> None:
        self.model, self.total = model, total
        self.calls = self.cache_hits = 0
        self.prompt_tokens = self.cached_tokens = self.completion_tokens = self.reasoning_tokens = 0
        self.cost = self.latency = self.unpriced = 0

    @classmethod
    def together(cls, members: "Iterable[Sums]") -> Self:
        """The sums of several groups; ``model`` lists theirs."""
        sums = cls()
        models: dict[str, None] = {}
        for each in members:
            sums.merge(each)
            models[each.model] = None
        sums.model = ", ".join(models)
        return sums

    def hit(self) -> None:
        """One request was answered without a call."""
        self.cache_hits += 1
        if self.total:
            self.total.hit()

    def call(self, model: str, used: Usage, price: Price | None, latency_s: float) -> None:
        """One call was answered by ``model``; without a ``price`` the cost of all is unknown."""
        cost_usd = used.cost_usd(price) if price else math.nan
        self._add(model, used, _whole(cost_usd), _whole(latency_s), price is None)

    def merge(self, other: "Sums") -> None:
        """Add the sums of another group."""
        for name in self.__slots__:
            if name not in ("model", "total"):
                setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def cost_usd(self) -> float:
        """The cost in US dollars; ``nan`` when that of one call is unknown."""
        return math.nan if self.unpriced else self.cost / _PER_UNIT

    def as_totals(self) -> Totals:
        """The sums as they are handed out."""
        return Totals(
            model=self.model,
            calls=self.calls,
            cache_hits=self.cache_hits,
            prompt_tokens=self.prompt_tokens,
            cached_tokens=self.cached_tokens,
            completion_tokens=self.completion_tokens,
            reasoning_tokens=self.reasoning_tokens,
            cost_usd=self.cost_usd,
            mean_latency_s=self.latency / _PER_UNIT / max(self.calls, 1),
        )

    def _add(self, model: str, used: Usage, cost: int, latency: int, unpriced: bool) -> None:
        self.model = model
        self.calls += 1
        self.prompt_tokens += used.prompt_tokens
        self.cached_tokens += used.cached_tokens
        self.completion_tokens += used.completion_tokens
        self.reasoning_tokens += used.reasoning_tokens
        self.cost += cost
        self.latency += latency
        self.unpriced += unpriced
        if self.total:
            self.total._add(model, used, cost, latency, unpriced)


def steady(total: float) -> float:
    """A running sum of seconds or US dollars that does not depend on the order in which calls end."""
    return round(total, _DECIMALS)


def _whole(amount: float) -> int:
    """``amount`` in trillionths; 0 for nan and infinity, of which there is nothing to add up."""
    return round(amount * _PER_UNIT) if math.isfinite(amount) else 0
