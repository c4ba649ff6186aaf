"""``LLMOptimizer``: asks a deployment less often and with better parameters, and keeps account of what it took."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from labkit.batch import BatchResults, run_batch
from labkit.budget import Budget
from labkit.budget.spending import Spending
from labkit.cache import MemoryCache, SingleFlight, cache_key, is_complete
from labkit.calls.caller import Caller, Completed, client_source
from labkit.catalog import MODELS
from labkit.catalog import model as catalogue_model
from labkit.deadline import Deadline
from labkit.errors import InvalidRequestError
from labkit.ledger import Ledger
from labkit.metering import UsageMeter, answered_by, user_tag
from labkit.pacing import Pacer
from labkit.performance import Performance
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
from labkit.retry import MOST_ATTEMPTS, RetryPolicy
from labkit.slo import Measured
from labkit.telemetry import Telemetry, process_telemetry
from labkit.telemetry.instruments import CacheResult
from labkit.tuning import SESSION_RULES, Change, Rule, Tuned, tune
from labkit.validation import check_request

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

    from labkit.cache import SemanticCache

# Below this temperature the session takes an answer for deterministic, and keeps it.
DETERMINISTIC_BELOW = 0.3
_HITS = frozenset({"hit", "shared"})


class LLMOptimizer:
    """Completes chats through one deployment, with a cache, tuned parameters, one retry layer, a pacer and a meter.

    Every part can be one's own: ``cache`` needs ``get(key)`` and ``put(key, answer)`` (and may have ``key(deployment,
    messages, params)``), ``retry`` needs ``wait_s(error, attempt)``, ``meter`` needs ``record(deployment, answer,
    latency_s, *, cached)``. ``PluginError`` names a method that is missing. ``semantic`` is asked after a miss, for the
    same question in other words. ``tuning`` is the rules to apply: the session's by default, none with ``()``.
    ``pacer`` keeps to the deployment's limits; give one ``Pacer`` to all who call the same deployment. ``budget`` holds
    the most a call can cost before it is sent, and refuses what does not fit; it may be shared, too. ``deadline_s`` is
    the most one call may take, waits included.

    ``model`` names the catalogue's model where the deployment's name does not; otherwise the first answer tells. Only
    deterministic answers (temperature below 0.3) are kept, unless ``only_deterministic`` is False. Without ``client``
    it is the current connection's.
    """

    def __init__(
        self,
        deployment_name: str,
        *,
        cache: Cache | None = None,
        semantic: "SemanticCache | None" = None,
        retry: Retry | None = None,
        meter: Meter | None = None,
        tuning: Sequence[Rule] | None = None,
        pacer: Pacer | None = None,
        budget: Budget | None = None,
        deadline_s: float | None = None,
        client: "AsyncOpenAI | None" = None,
        model: str | None = None,
        only_deterministic: bool = True,
        telemetry: Telemetry | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.deployment_name = deployment_name
        self.response_cache: Cache = MemoryCache() if cache is None else cache
        self.semantic = semantic
        # With a pacer a refusal costs the others nothing, so patience is cheap.
        self.retry: Retry = RetryPolicy(max_refusals=MOST_ATTEMPTS) if retry is None else retry
        self._usage = UsageMeter({deployment_name: model} if model else None)
        self.meter: Meter = self._usage if meter is None else meter
        self.rules: Sequence[Rule] = SESSION_RULES if tuning is None else tuning
        self.pacer = Pacer(clock=clock, sleep=sleep) if pacer is None else pacer
        self.budget = budget
        Deadline.of(deadline_s)  # refuses what is no number of seconds
        self.deadline_s = deadline_s
        self.only_deterministic = only_deterministic
        self.performance = Performance()
        self.performance_metrics = self.performance.metrics
        self.parameter_changes: Counter[str] = Counter()
        self._check_plugins()
        self._make_key = getattr(self.response_cache, "key", cache_key)
        self._model = catalogue_model(model) if model else MODELS.get(deployment_name)
        self._spending = Spending(budget, may_ask=client is None)
        if model:
            self._spending.declare(deployment_name, catalogue_model(model))
        self._telemetry = telemetry or process_telemetry()
        self._caller = Caller(client_source(client), self._telemetry, sleep, clock)
        self._flights: SingleFlight[tuple[ChatCompletion, bool]] = SingleFlight()

    async def optimized_completion(self, messages: Sequence[Any], **kwargs: Any) -> "ChatCompletion":
        """The answer to ``messages``: a kept one, that of an equal request under way, or a new one.

        ``kwargs`` are parameters of a chat completion; none of them is changed, missing ones may be added.
        ``InvalidRequestError`` and ``BudgetExceededError`` before anything is sent; the SDK's errors once retries are
        used up; ``WaitTooLongError`` when the service asks for more patience than is sensible;
        ``DeadlineExceededError`` when it took too long.
        """
        # Copied before the first await: what the caller does to the list later is not part of this request.
        plain = check_request(messages, kwargs)
        tuned = self._tuned(plain, kwargs)
        self.performance_metrics["total_requests"] += 1
        try:
            answer, how = await self._answer(plain, tuned)
        except Exception as error:
            self.performance.failed(error)
            await self._caller.explain(error)
            raise
        self._note(answer, how, kwargs)
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
        and there is no pause, as the pacer knows how fast the deployment may be asked. ``progress`` shows a bar when it
        takes more than two seconds. ``resume`` names a file that keeps the answers as they come: called again with the
        same file after a kill, a batch asks only for what is missing. ``LedgerError`` when the file cannot be used.
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
        return {**self.performance.report(), "parameter_changes": dict(self.parameter_changes)}

    @property
    def token_usage_tracker(self) -> dict[str, Any]:
        """What the deployment has used so far: calls, tokens by kind, cost in US dollars; empty before a call."""
        return {**self._usage.totals().get(self.deployment_name, {})}

    def measured(self) -> Measured:
        """What the four success metrics of ``labkit.slo`` are computed from."""
        return self.performance.measured(self._usage.cost_usd)

    def _check_plugins(self) -> None:
        check_plugin(self.response_cache, CACHE)
        if hasattr(self.response_cache, "key"):
            check_plugin(self.response_cache, (CACHE_KEY,))
        check_plugin(self.retry, RETRY)
        check_plugin(self.meter, METER)

    def _tuned(self, messages: list[dict[str, Any]], params: dict[str, Any]) -> Tuned:
        tuned = tune(messages, params, model=self._model, rules=self.rules)
        for change in tuned.changes:
            self.parameter_changes[str(change)] += 1
        return tuned

    async def _answer(self, messages: list[dict[str, Any]], tuned: Tuned) -> tuple["ChatCompletion", CacheResult]:
        """The answer, and how the cache was met: see ``Performance.cache``."""
        if not self._may_keep(tuned.params):
            return (await self._call(messages, tuned)).answer, "bypass"
        key = checked_key(self.response_cache, self._make_key(self.deployment_name, messages, tuned.params))
        kept, how = self._look_up(key)
        if kept is not None:
            return kept, how
        (answer, was_found), joined = await self._flights.run(key, lambda: self._find_or_call(key, messages, tuned))
        # Each caller gets an answer of its own: what one does to it is not seen by the others.
        if joined:
            return answer.model_copy(deep=True), "shared"
        return answer, "hit" if was_found else how

    def _look_up(self, key: str) -> tuple["ChatCompletion | None", CacheResult]:
        # By ``get``, which every cache has and a cache of one's own may have overridden; ours count what was stale.
        counts = getattr(self.response_cache, "counts", None)
        stale_before = getattr(counts, "stale", 0)
        kept = checked_answer(self.response_cache, self.response_cache.get(key))
        if kept is not None:
            return kept, "hit"
        return None, "stale" if getattr(counts, "stale", 0) > stale_before else "miss"

    async def _find_or_call(
        self, key: str, messages: list[dict[str, Any]], tuned: Tuned
    ) -> tuple["ChatCompletion", bool]:
        """The answer to the same question in other words, True; else a new one, which is kept, and False."""
        if self.semantic is not None:
            found = await self.semantic.find(self.deployment_name, messages, tuned.params)
            if found is not None:
                return found, True
        done = await self._call(messages, tuned)
        if is_complete(done.answer) and self._may_keep(done.params):
            self.response_cache.put(key, done.answer)
            if self.semantic is not None:
                await self.semantic.keep(self.deployment_name, messages, tuned.params, done.answer)
        return done.answer, False

    async def _call(self, messages: list[dict[str, Any]], tuned: Tuned) -> Completed:
        hold = await self._spending.hold(self.deployment_name, messages, tuned.params)
        try:
            done = await self._complete(messages, tuned)
        except BaseException as error:
            if hold is not None:
                hold.fail(error)
            raise
        cost = self._usage.cost_of(self.deployment_name, done.answer)
        if hold is not None:
            hold.settle(cost)
        self._telemetry.count_cost(self.deployment_name, done.answer.model, cost)
        self.performance.answered(done.answer, latency_s=done.latency_s, duration_s=done.duration_s)
        self._record(done.answer, done.latency_s, tuned.params, cached=False)
        return done

    async def _complete(self, messages: list[dict[str, Any]], tuned: Tuned) -> Completed:
        # What tuning added must not make a call fail.
        added = frozenset(change.parameter for change in tuned.changes if change.instead_of is None)
        done = await self._caller.complete(
            self.deployment_name,
            messages,
            tuned.params,
            retry=self.retry,
            added=added,
            pacer=self.pacer,
            deadline_s=self.deadline_s,
        )
        self._model = answered_by(done.answer) or self._model
        self._spending.learn(self.deployment_name, done.answer)
        return done

    def _note(self, answer: "ChatCompletion", how: CacheResult, params: Mapping[str, Any]) -> None:
        self.performance.cache[how] += 1
        self._telemetry.count_cache(self.deployment_name, how)
        if how in _HITS:
            self.performance_metrics["cache_hits"] += 1
            self._record(answer, 0.0, params, cached=True)

    def _record(self, answer: "ChatCompletion", latency_s: float, params: Mapping[str, Any], *, cached: bool) -> None:
        # A meter of one's own need not know about users.
        user = user_tag(params)
        self._usage.record(self.deployment_name, answer, latency_s, cached=cached, user=user)
        if isinstance(self.meter, UsageMeter) and self.meter is not self._usage:
            self.meter.record(self.deployment_name, answer, latency_s, cached=cached, user=user)
        elif self.meter is not self._usage:
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
