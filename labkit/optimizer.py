"""``LLMOptimizer``: asks a deployment less often and with better parameters, and keeps account of what it took."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from labkit.batch import BatchResults, run_batch
from labkit.cache import MemoryCache, SingleFlight, cache_key
from labkit.catalog import MODELS
from labkit.catalog import model as catalogue_model
from labkit.completion import Caller, Completed, client_source
from labkit.errors import InvalidRequestError
from labkit.ledger import Ledger
from labkit.metering import UsageMeter, answered_by, steady, usage
from labkit.plugins import (
    CACHE,
    CACHE_KEY,
    METER,
    RETRY,
    Cache,
    Meter,
    Retry,
    check_plugin,
    checked_answer,
    checked_key,
)
from labkit.retry import RetryPolicy
from labkit.slo import Measured, is_refusal
from labkit.telemetry import Telemetry, process_telemetry
from labkit.tuning import SESSION_RULES, Change, Rule, Tuned, tune
from labkit.validation import check_request

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

# Below this temperature the session takes an answer for deterministic, and keeps it.
DETERMINISTIC_BELOW = 0.3
# Answers that end like this are incomplete or blocked: worth returning, not worth repeating.
_NOT_KEPT = frozenset({"length", "content_filter"})


class LLMOptimizer:
    """Completes chats through one deployment, with a cache, tuned parameters, one retry layer and a meter.

    Every part can be one's own: ``cache`` needs ``get(key)`` and ``put(key, answer)`` (and may have ``key(deployment,
    messages, params)``), ``retry`` needs ``wait_s(error, attempt)``, ``meter`` needs ``record(deployment, answer,
    latency_s, *, cached)``. ``PluginError`` names a method that is missing. ``tuning`` is the rules to apply: the
    session's by default, none with ``()``. ``model`` names the catalogue's model where the deployment's name does not;
    otherwise the first answer tells. Only deterministic answers (temperature below 0.3) are kept, unless
    ``only_deterministic`` is False. Without ``client`` it is the current connection's.
    """

    def __init__(
        self,
        deployment_name: str,
        *,
        cache: Cache | None = None,
        retry: Retry | None = None,
        meter: Meter | None = None,
        tuning: Sequence[Rule] | None = None,
        client: "AsyncOpenAI | None" = None,
        model: str | None = None,
        only_deterministic: bool = True,
        telemetry: Telemetry | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.deployment_name = deployment_name
        self.response_cache: Cache = MemoryCache() if cache is None else cache
        self.retry: Retry = RetryPolicy() if retry is None else retry
        self._usage = UsageMeter({deployment_name: model} if model else None)
        self.meter: Meter = self._usage if meter is None else meter
        self.rules: Sequence[Rule] = SESSION_RULES if tuning is None else tuning
        self.only_deterministic = only_deterministic
        self.parameter_changes: Counter[str] = Counter()
        self.performance_metrics: dict[str, float] = {
            "total_requests": 0,
            "cache_hits": 0,
            "failed_requests": 0,
            "average_latency": 0,  # milliseconds the service took for an answer; hits take none and are left out
            "total_tokens": 0,
        }
        self._check_plugins()
        self._make_key = getattr(self.response_cache, "key", cache_key)
        self._model = catalogue_model(model) if model else MODELS.get(deployment_name)
        self._caller = Caller(client_source(client), telemetry or process_telemetry(), sleep, clock)
        self._flights: SingleFlight[ChatCompletion] = SingleFlight()
        self._calls = self._refused = 0
        self._spent_s = self._latency_s = 0.0

    async def optimized_completion(self, messages: Sequence[Any], **kwargs: Any) -> "ChatCompletion":
        """The answer to ``messages``: a kept one, that of an equal request under way, or a new one.

        ``kwargs`` are parameters of a chat completion; none of them is changed, missing ones may be added.
        ``InvalidRequestError`` before anything is sent; the SDK's errors once retries are used up;
        ``WaitTooLongError`` when the service asks for more patience than is sensible.
        """
        # Copied before the first await: what the caller does to the list later is not part of this request.
        plain = check_request(messages, kwargs)
        tuned = self._tuned(plain, kwargs)
        self.performance_metrics["total_requests"] += 1
        try:
            answer, spared = await self._answer(plain, tuned)
        except Exception as error:
            self.performance_metrics["failed_requests"] += 1
            self._refused += is_refusal(error)
            await self._caller.explain(error)
            raise
        if spared:
            self.performance_metrics["cache_hits"] += 1
            self._record(answer, 0.0, cached=True)
        return answer

    async def batch_process(
        self,
        requests: Sequence[Mapping[str, Any]],
        batch_size: int = 5,
        *,
        progress: bool = True,
        resume: "str | os.PathLike[str] | None" = None,
    ) -> BatchResults:
        """The answers to ``requests`` (``{"messages": …, "parameters": {…}}``) in their order; errors stand in place.

        At most ``batch_size`` run at a time, and the next starts as soon as one ends: nobody waits for a whole batch,
        and there is no pause, as the retry layer waits when the service says so. ``progress`` shows a bar when it takes
        more than two seconds. ``resume`` names a file that keeps the answers as they come: called again with the same
        file after a kill, a batch asks only for what is missing. ``LedgerError`` when the file cannot be used.
        """
        if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
            raise InvalidRequestError(f"batch_size must be a whole number from 1; this is {batch_size!r}.")
        with Ledger(resume) if resume is not None else nullcontext() as ledger:
            return await run_batch(
                requests, self._completed, size=batch_size, progress=progress, ledger=ledger, key=self._request_key
            )

    def explain(self, messages: Sequence[Any], **kwargs: Any) -> tuple[Change, ...]:
        """The parameters the tuning rules would add to this request, each with its reason. Nothing is sent."""
        return tune(check_request(messages, kwargs), kwargs, model=self._model, rules=self.rules).changes

    def get_performance_report(self) -> dict[str, Any]:
        """The session's report: the metrics so far with rates worked out, and what they suggest doing."""
        metrics: dict[str, Any] = dict(self.performance_metrics)
        requests = metrics["total_requests"]
        metrics["cache_hit_rate"] = f"{100 * metrics['cache_hits'] / max(requests, 1):.1f}%"
        metrics["avg_tokens_per_request"] = metrics["total_tokens"] / max(requests, 1)
        return {
            "performance_metrics": metrics,
            "optimization_recommendations": recommendations(self.performance_metrics),
            "parameter_changes": dict(self.parameter_changes),
        }

    @property
    def token_usage_tracker(self) -> dict[str, Any]:
        """What the deployment has used so far: calls, tokens by kind, cost in US dollars; empty before a call."""
        return {**self._usage.totals().get(self.deployment_name, {})}

    def measured(self) -> Measured:
        """What the four success metrics of ``labkit.slo`` are computed from."""
        metrics = self.performance_metrics
        return Measured(
            requests=int(metrics["total_requests"]),
            failed=int(metrics["failed_requests"]) - self._refused,
            refused=self._refused,
            calls=self._calls,
            latency_s=self._spent_s,
            cache_hits=int(metrics["cache_hits"]),
            cost_usd=self._usage.cost_usd,
        )

    def _check_plugins(self) -> None:
        check_plugin(self.response_cache, CACHE)
        if hasattr(self.response_cache, "key"):
            check_plugin(self.response_cache, (CACHE_KEY,))
        check_plugin(self.retry, RETRY)
        check_plugin(self.meter, METER)

    def _tuned(self, messages: list[dict[str, Any]], params: dict[str, Any]) -> Tuned:
        tuned = tune(messages, params, model=self._model, rules=self.rules)
        self.parameter_changes.update(map(str, tuned.changes))
        return tuned

    async def _answer(self, messages: list[dict[str, Any]], tuned: Tuned) -> tuple["ChatCompletion", bool]:
        """The answer, and whether it was had without a call of its own."""
        if not self._may_keep(tuned.params):
            return (await self._call(messages, tuned)).answer, False
        key = checked_key(self.response_cache, self._make_key(self.deployment_name, messages, tuned.params))
        kept = checked_answer(self.response_cache, self.response_cache.get(key))
        if kept is not None:
            return kept, True
        answer, joined = await self._flights.run(key, lambda: self._call_and_keep(key, messages, tuned))
        # Each caller gets an answer of its own: what one does to it is not seen by the others.
        return (answer.model_copy(deep=True) if joined else answer), joined

    async def _call_and_keep(self, key: str, messages: list[dict[str, Any]], tuned: Tuned) -> "ChatCompletion":
        done = await self._call(messages, tuned)
        finished = _NOT_KEPT.isdisjoint(choice.finish_reason for choice in done.answer.choices)
        if finished and self._may_keep(done.params):
            self.response_cache.put(key, done.answer)
        return done.answer

    async def _call(self, messages: list[dict[str, Any]], tuned: Tuned) -> Completed:
        # What tuning added must not make a call fail.
        added = frozenset(change.parameter for change in tuned.changes if change.instead_of is None)
        done = await self._caller.complete(self.deployment_name, messages, tuned.params, retry=self.retry, added=added)
        self._model = answered_by(done.answer) or self._model
        self._note(done)
        return done

    def _note(self, done: Completed) -> None:
        metrics = self.performance_metrics
        self._calls += 1
        self._spent_s = steady(self._spent_s + done.duration_s)
        self._latency_s = steady(self._latency_s + done.latency_s)
        metrics["total_tokens"] += usage(done.answer).total_tokens
        metrics["average_latency"] = 1000 * self._latency_s / self._calls
        self._record(done.answer, done.latency_s, cached=False)

    def _record(self, answer: "ChatCompletion", latency_s: float, *, cached: bool) -> None:
        self._usage.record(self.deployment_name, answer, latency_s, cached=cached)
        if self.meter is not self._usage:
            self.meter.record(self.deployment_name, answer, latency_s, cached=cached)

    def _may_keep(self, params: Mapping[str, Any]) -> bool:
        if not self.only_deterministic:
            return True
        temperature = params.get("temperature")
        # Unset means 1, the service's default. Reasoning models cannot set it and so are never deterministic.
        return isinstance(temperature, int | float) and temperature < DETERMINISTIC_BELOW

    async def _completed(self, request: Mapping[str, Any]) -> "ChatCompletion":
        messages, params = _parts(request)
        return await self.optimized_completion(messages, **params)

    def _request_key(self, request: Mapping[str, Any]) -> str:
        messages, params = _parts(request)
        return cache_key(self.deployment_name, messages, params)


def _parts(request: Mapping[str, Any]) -> tuple[Sequence[Any], Mapping[str, Any]]:
    if not isinstance(request, Mapping) or "messages" not in request:
        raise InvalidRequestError(
            "A request of a batch is {'messages': [...], 'parameters': {...}}; this has no 'messages'."
        )
    return request["messages"], request.get("parameters") or {}


def recommendations(metrics: Mapping[str, float]) -> list[str]:
    """The session's advice for ``performance_metrics``, by its thresholds; none while too little is known."""
    requests = metrics["total_requests"]
    advice = []
    if requests > 100 and metrics["cache_hits"] / requests < 0.20:
        advice.append("Consider reducing temperature for more deterministic responses to improve cache hit rate")
    if metrics["average_latency"] > 5000:
        advice.append("High latency detected - consider using smaller model or reducing max_tokens")
    if requests > 50 and metrics["total_tokens"] / requests > 1000:
        advice.append("High token usage - consider prompt optimization or response length limits")
    return advice
