"""The session's four success metrics, computed from what was measured, with the sample and what it can prove."""

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.budget import BudgetExceededError
from labkit.errors import InvalidRequestError
from labkit.validation import ContentFilteredError

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

# Session 13, "Metryki sukcesu".
AVAILABILITY_SHARE = 0.995
MEAN_LATENCY_S = 3.0
CACHE_HIT_SHARE = 0.30
COST_SAVING_SHARE = 0.20
# How sure the intervals are: 95 %, the normal distribution's 1.96 standard deviations on both sides.
_CONFIDENCE_Z = 1.96


@dataclass(frozen=True, slots=True)
class Measured:
    """What happened to a number of requests.

    ``failed`` are those the service left without an answer; ``refused`` those that could not be answered (400, content
    filter), which say nothing about availability. ``latency_s`` is the sum over ``calls`` to the service, waits and
    repeated attempts included; ``latencies_s`` are single ones, all or the latest, and tell how much they scatter.
    None means: was not measured. ``a + b`` and ``sum(…)`` combine what several optimizers and services measured.
    """

    requests: int
    failed: int
    refused: int = 0
    calls: int = 0
    latency_s: float = 0.0
    cache_hits: int | None = None
    cost_usd: float | None = None
    latencies_s: tuple[float, ...] = field(default=(), repr=False)

    @property
    def availability_share(self) -> float:
        """The share of answerable requests that were answered, or ``nan`` without any."""
        return 1 - _ratio(self.failed, self.requests - self.refused)

    @property
    def mean_latency_s(self) -> float:
        """Seconds a call took on average, or ``nan`` without any."""
        return _ratio(self.latency_s, self.calls)

    @property
    def cache_hit_share(self) -> float:
        """The share of requests answered without a call of their own, or ``nan`` when there was no cache."""
        return _ratio(self.cache_hits, self.requests)

    @property
    def cost_per_request_usd(self) -> float:
        """US dollars for one request, answers from the cache included, or ``nan`` when unknown."""
        return _ratio(self.cost_usd, self.requests)

    def latency_percentile_s(self, percent: float) -> float:
        """The seconds that ``percent`` of the calls took at most, or ``nan`` where single latencies are unknown."""
        if not 0 <= percent <= 100:
            raise InvalidRequestError(f"percent must be from 0 to 100, such as 95; this is {percent!r}.")
        if not self.latencies_s:
            return math.nan
        ordered = sorted(self.latencies_s)
        place = (len(ordered) - 1) * percent / 100
        below, above = ordered[math.floor(place)], ordered[math.ceil(place)]
        return below + (above - below) * (place - math.floor(place))

    def __add__(self, other: "Measured") -> "Measured":
        if not isinstance(other, Measured):
            return NotImplemented
        return Measured(
            requests=self.requests + other.requests,
            failed=self.failed + other.failed,
            refused=self.refused + other.refused,
            calls=self.calls + other.calls,
            latency_s=self.latency_s + other.latency_s,
            cache_hits=_together(self, self.cache_hits, other, other.cache_hits),
            cost_usd=_together(self, self.cost_usd, other, other.cost_usd),
            latencies_s=self.latencies_s + other.latencies_s,
        )

    def __radd__(self, other: object) -> "Measured":
        # sum() begins with 0.
        return self if other == 0 else NotImplemented


def scorecard(measured: Measured, *, baseline_usd_per_request: float | None = None) -> "pd.DataFrame":
    """The four metrics as a table: what was measured, the target, whether it is met, and from how many requests.

    ``low`` and ``high`` say where the true value lies (95 % sure, requests taken as independent); ``verdict`` is "too
    few to tell" while the target lies between them, and "… in this run" where the measurements show no such limits.
    ``met`` is None where nothing was measured; the saving needs ``baseline_usd_per_request``, the cost before.
    """
    import pandas as pd

    saving = 1 - _ratio(measured.cost_per_request_usd, baseline_usd_per_request)
    answerable = measured.requests - measured.refused
    rows = [
        ("availability_share", measured.availability_share, "> 0.995", answerable),
        ("mean_latency_s", measured.mean_latency_s, "< 3", measured.calls),
        ("cache_hit_share", measured.cache_hit_share, "> 0.3", measured.requests),
        ("cost_saving_share", saving, ">= 0.2", measured.requests),
    ]
    table = pd.DataFrame(rows, columns=["metric", "measured", "target", "sample"]).set_index("metric")
    met = [_met(metric, value) for metric, value, _, _ in rows]
    table.insert(2, "met", pd.Series(met, index=table.index, dtype=object))
    limits = [
        share_interval(answerable - measured.failed, answerable),
        _mean_interval(measured),
        _UNKNOWN if measured.cache_hits is None else share_interval(measured.cache_hits, measured.requests),
        _UNKNOWN,  # a sum of prices, not a sample
    ]
    table["low"], table["high"] = zip(*limits, strict=True)
    table["verdict"] = [_verdict(metric, ok, ends) for (metric, *_), ok, ends in zip(rows, met, limits, strict=True)]
    return table


def share_interval(successes: int, total: int) -> tuple[float, float]:
    """The share of successes in the long run, from and to, 95 % sure (Wilson's interval); ``nan`` without a sample.

    Unlike the textbook's it holds for small samples and for shares near 0 and 1: 50 of 50 say "from 0.93".
    """
    if not 0 <= successes <= total:
        raise InvalidRequestError(f"successes must be from 0 to total; these are {successes!r} of {total!r}.")
    if total == 0:
        return _UNKNOWN
    share, z2 = successes / total, _CONFIDENCE_Z**2
    middle = share + z2 / (2 * total)
    reach = _CONFIDENCE_Z * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2))
    whole = 1 + z2 / total
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if successes == 0 else (middle - reach) / whole
    high = 1.0 if successes == total else (middle + reach) / whole
    return low, high


def requests_to_show(share: float) -> int:
    """How many requests, all of them answered, it takes to show that more than ``share`` are: 765 for 99.5 %."""
    if not 0 <= share < 1:
        raise InvalidRequestError(f"share must be from 0 to below 1, such as 0.995; this is {share!r}.")
    return math.floor(_CONFIDENCE_Z**2 * share / (1 - share)) + 1


def chart(card: "pd.DataFrame") -> "Figure":
    """The table of ``scorecard`` as a picture: each metric with its limits against its target, and the verdict."""
    from labkit.slochart import draw

    return draw(card)


def is_refusal(error: BaseException) -> bool:
    """True when no service could have answered: the request was at fault (400, 422, content filter), or too dear."""
    if isinstance(error, InvalidRequestError | ContentFilteredError | BudgetExceededError):
        return True
    return getattr(error, "status_code", None) in (400, 422)


_UNKNOWN = (math.nan, math.nan)


def _mean_interval(measured: Measured) -> tuple[float, float]:
    # The scatter of the single latencies that are known, for a mean of all calls.
    if measured.calls < 2 or len(measured.latencies_s) < 2:
        return _UNKNOWN
    reach = _CONFIDENCE_Z * statistics.stdev(measured.latencies_s) / math.sqrt(measured.calls)
    return max(measured.mean_latency_s - reach, 0.0), measured.mean_latency_s + reach


def _verdict(metric: str, met: bool | None, limits: tuple[float, float]) -> str:
    if met is None:
        return "not measured"
    if math.isnan(limits[0]):
        return "met in this run" if met else "missed in this run"
    if {_met(metric, end) for end in limits} != {met}:
        return "too few to tell"
    return "met" if met else "missed"


def _met(metric: str, value: float) -> bool | None:
    if math.isnan(value):
        return None
    return {
        "availability_share": value > AVAILABILITY_SHARE,
        "mean_latency_s": value < MEAN_LATENCY_S,
        "cache_hit_share": value > CACHE_HIT_SHARE,
        # A saving of exactly 20 % often comes out of floating point as 0.19999…
        "cost_saving_share": value >= COST_SAVING_SHARE - 1e-9,
    }[metric]


def _ratio(part: float | None, whole: float | None) -> float:
    return math.nan if part is None or not whole else part / whole


def _together(one: Measured, of_one: float | None, other: Measured, of_other: float | None) -> Any:
    # Of a part nobody measured the sum is not known either; a part without a request has nothing to add.
    if one.requests == 0 or other.requests == 0:
        return of_other if one.requests == 0 else of_one
    return None if of_one is None or of_other is None else of_one + of_other
