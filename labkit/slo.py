"""The session's four success metrics, computed from what was measured, with the size of the sample."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import InvalidRequestError
from labkit.validation import ContentFilteredError

if TYPE_CHECKING:
    import pandas as pd

# Session 13, "Metryki sukcesu".
AVAILABILITY_SHARE = 0.995
MEAN_LATENCY_S = 3.0
CACHE_HIT_SHARE = 0.30
COST_SAVING_SHARE = 0.20


@dataclass(frozen=True, slots=True)
class Measured:
    """What happened to a number of requests.

    ``failed`` are those the service left without an answer; ``refused`` those that could not be answered (400, content
    filter), which say nothing about availability. ``latency_s`` is the sum over ``calls`` to the service, waits and
    repeated attempts included. None means: was not measured.
    """

    requests: int
    failed: int
    refused: int = 0
    calls: int = 0
    latency_s: float = 0.0
    cache_hits: int | None = None
    cost_usd: float | None = None

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


def scorecard(measured: Measured, *, baseline_usd_per_request: float | None = None) -> "pd.DataFrame":
    """The four metrics as a table: what was measured, the target, whether it is met, and from how many requests.

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
    return table


def is_refusal(error: BaseException) -> bool:
    """True when the request itself was at fault (400, 422, content filter), so that no service could answer it."""
    if isinstance(error, InvalidRequestError | ContentFilteredError):
        return True
    return getattr(error, "status_code", None) in (400, 422)


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
