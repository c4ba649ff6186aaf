"""The metrics of the call layer: one table of names, units and descriptions, and what they are counted with.

``gen_ai.*`` are OpenTelemetry's GenAI conventions (github.com/open-telemetry/semantic-conventions-genai, metrics, read
2026-11-25); ``labkit.*`` is what those have no name for. docs/telemetry.md shows the table to users.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from opentelemetry.metrics import CallbackOptions, Counter, Histogram, Meter, MeterProvider, Observation

# Boundaries the conventions advise.
_TOKEN_BUCKETS = tuple(4.0**power for power in range(14))
_SECOND_BUCKETS = tuple(0.01 * 2**power for power in range(14))


@dataclass(frozen=True, slots=True)
class Metric:
    """One row of the table."""

    kind: Literal["histogram", "counter", "gauge"]
    name: str
    unit: str
    description: str
    buckets: tuple[float, ...] = ()


TOKENS = Metric("histogram", "gen_ai.client.token.usage", "{token}", "Tokens of a call.", _TOKEN_BUCKETS)
DURATION = Metric("histogram", "gen_ai.client.operation.duration", "s", "Duration of a call.", _SECOND_BUCKETS)
FIRST_CHUNK = Metric(
    "histogram",
    "gen_ai.client.operation.time_to_first_chunk",
    "s",
    "Time from sending a streamed call to its first chunk.",
    _SECOND_BUCKETS,
)
CACHE = Metric("counter", "labkit.cache.lookups", "{request}", "Requests by what the cache did for them.")
RETRIES = Metric("counter", "labkit.retries", "{attempt}", "Failed attempts that were repeated, by error.")
COST = Metric("counter", "labkit.cost", "{USD}", "List price of the calls made, in US dollars.")
BREAKER = Metric("gauge", "labkit.breaker.state", "1", "Circuit breaker: 0 closed, 1 half open, 2 open.")
TRANSITIONS = Metric("counter", "labkit.breaker.transitions", "{transition}", "Changes of a circuit breaker's state.")
METRICS = (TOKENS, DURATION, FIRST_CHUNK, CACHE, RETRIES, COST, BREAKER, TRANSITIONS)

CacheResult = Literal["hit", "miss", "stale", "bypass", "shared"]
BreakerState = Literal["closed", "half_open", "open"]
BREAKER_STATES: dict[str, int] = {"closed": 0, "half_open": 1, "open": 2}


class Instruments:
    """The instruments of one meter provider, or of the global one, also when that is configured later."""

    def __init__(self, meter_provider: "MeterProvider | None" = None) -> None:
        from opentelemetry.metrics import get_meter

        meter = get_meter("labkit", meter_provider=meter_provider)
        self.tokens, self.duration, self.first_chunk = (
            _histogram(meter, metric) for metric in (TOKENS, DURATION, FIRST_CHUNK)
        )
        self.cache, self.retries, self.cost, self.transitions = (
            _counter(meter, metric) for metric in (CACHE, RETRIES, COST, TRANSITIONS)
        )
        self._breakers: dict[str, str] = {}
        meter.create_observable_gauge(BREAKER.name, [self._observe], BREAKER.unit, BREAKER.description)

    def add_cost(self, cost_usd: float, attributes: dict[str, str]) -> None:
        """Count ``cost_usd``; an unknown price (``nan``) would make the whole sum unknown, and is left out."""
        if cost_usd >= 0 and math.isfinite(cost_usd):
            self.cost.add(cost_usd, attributes)

    def set_breaker(self, deployment: str, state: str) -> None:
        """Keep the breaker's state for the gauge, and count it when it differs from the one before (first: closed)."""
        before = self._breakers.get(deployment, "closed")
        self._breakers[deployment] = state
        if state != before:
            self.transitions.add(1, {"gen_ai.request.model": deployment, "labkit.breaker.state": state})

    def _observe(self, options: "CallbackOptions") -> "Iterable[Observation]":
        from opentelemetry.metrics import Observation

        for deployment, state in list(self._breakers.items()):
            yield Observation(BREAKER_STATES[state], {"gen_ai.request.model": deployment})


def _histogram(meter: "Meter", metric: Metric) -> "Histogram":
    return meter.create_histogram(
        metric.name, metric.unit, metric.description, explicit_bucket_boundaries_advisory=metric.buckets
    )


def _counter(meter: "Meter", metric: Metric) -> "Counter":
    return meter.create_counter(metric.name, metric.unit, metric.description)
