"""What the requests to a deployment have taken so far: the session's metrics, its report and its advice."""

from collections import Counter, deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from labkit.metering import steady, usage
from labkit.slo import Measured, is_refusal

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

# How many single latencies are kept for percentiles: the latest, so that a service that runs for months stays small.
_LATEST = 10_000


class Performance:
    """Adds up requests, hits, failures, tokens and time; ``metrics`` are the session's ``performance_metrics``.

    ``cache`` counts how requests met the cache: ``hit``, ``miss``, ``stale`` (kept for too long), ``shared`` (waited
    for an equal call under way), ``bypass`` (not asked: no deterministic answer to expect).
    """

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {
            "total_requests": 0,
            "cache_hits": 0,
            "failed_requests": 0,
            "average_latency": 0,  # milliseconds the service took for an answer; hits take none and are left out
            "total_tokens": 0,
        }
        self.cache: Counter[str] = Counter()
        self._calls = self._refused = 0
        self._spent_s = self._latency_s = 0.0
        self._latencies_s: deque[float] = deque(maxlen=_LATEST)

    def failed(self, error: Exception) -> None:
        """A request ended in ``error``."""
        self.metrics["failed_requests"] += 1
        self._refused += is_refusal(error)

    def answered(self, answer: "ChatCompletion", *, latency_s: float, duration_s: float) -> None:
        """A call to the service brought ``answer``, which took ``latency_s``; ``duration_s`` adds the waits before."""
        self._calls += 1
        self._spent_s = steady(self._spent_s + duration_s)
        self._latencies_s.append(duration_s)
        self._latency_s = steady(self._latency_s + latency_s)
        self.metrics["total_tokens"] += usage(answer).total_tokens
        self.metrics["average_latency"] = 1000 * self._latency_s / self._calls

    def report(self) -> dict[str, Any]:
        """The session's report: the metrics with rates worked out, and what they suggest doing."""
        metrics: dict[str, Any] = dict(self.metrics)
        requests = metrics["total_requests"]
        metrics["cache_hit_rate"] = f"{100 * metrics['cache_hits'] / max(requests, 1):.1f}%"
        metrics["avg_tokens_per_request"] = metrics["total_tokens"] / max(requests, 1)
        return {
            "performance_metrics": metrics,
            "optimization_recommendations": recommendations(self.metrics),
            "cache": dict(self.cache),
        }

    def measured(self, cost_usd: float | None) -> Measured:
        """What the four success metrics of ``labkit.slo`` are computed from; ``cost_usd`` is that of all calls."""
        return Measured(
            requests=int(self.metrics["total_requests"]),
            failed=int(self.metrics["failed_requests"]) - self._refused,
            refused=self._refused,
            calls=self._calls,
            latency_s=self._spent_s,
            cache_hits=int(self.metrics["cache_hits"]),
            cost_usd=cost_usd,
            latencies_s=tuple(self._latencies_s),
        )


def recommendations(metrics: Mapping[str, float]) -> list[str]:
    """The session's advice for its ``performance_metrics``, by its thresholds; none while too little is known."""
    requests = metrics["total_requests"]
    advice = []
    if requests > 100 and metrics["cache_hits"] / requests < 0.20:
        advice.append("Consider reducing temperature for more deterministic responses to improve cache hit rate")
    if metrics["average_latency"] > 5000:
        advice.append("High latency detected - consider using smaller model or reducing max_tokens")
    if requests > 50 and metrics["total_tokens"] / requests > 1000:
        advice.append("High token usage - consider prompt optimization or response length limits")
    return advice
