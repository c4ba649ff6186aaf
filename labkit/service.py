"""``ProductionLLMService``: calls that are checked, retried, backed up by other deployments, and traced."""

import asyncio
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cache, partial
from types import MappingProxyType, TracebackType
from typing import TYPE_CHECKING, Any, Self

from labkit import monitoring
from labkit.breaker import BreakerPolicy, CircuitBreaker, CircuitOpenError
from labkit.budget import Budget, Hold
from labkit.budget.spending import Spending
from labkit.calls.caller import Caller, Completed, client_source
from labkit.calls.streaming import AnswerStream, CompletionStream
from labkit.catalog import MODELS, Model
from labkit.deadline import Deadline
from labkit.errors import InvalidRequestError
from labkit.fallback import first_answer
from labkit.gate import Drained, Gate
from labkit.health import draining, health_of
from labkit.metering import UsageMeter, answered_by, usage
from labkit.metering.usage import user_tag
from labkit.pacing import Pacer
from labkit.performance import Performance
from labkit.plugins import METER, RETRY, Meter, Retry, check_plugin
from labkit.retry import RetryPolicy
from labkit.slo import Measured
from labkit.telemetry import Telemetry, error_kind, process_telemetry
from labkit.tuning import reasoning_limit, tune
from labkit.validation import check_answer, check_request, content_filter_error

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from openai.types.chat import ChatCompletion

_HEALTH_MESSAGES = [{"role": "user", "content": "Test"}]
# The session's temperature=0 is left out: reasoning models refuse it, and nobody reads this answer.
_HEALTH_PARAMS = {"max_tokens": 5}


class ProductionLLMService:
    """Completes chats safely: input and answers are checked, passing errors retried, calls traced and measured.

    ``fallbacks`` are deployments asked in this order once ``deployment_name`` stays unavailable. With
    ``monitoring_connection_string`` telemetry goes to that Application Insights component; prompts and answers are
    never part of it. ``retry`` is any object with ``wait_s(error, attempt)``; without one, passing errors are retried
    up to ``max_retries`` times, as long as the service says. Each deployment has a circuit breaker, which opens as
    ``breaker`` says, and a pacer where ``pacers`` has one. A call ends after ``deadline_s``, waiting included, and at
    most ``max_concurrency`` run at a time. ``meter`` is told about every answer; ``budget`` holds the most a call can
    cost before a deployment is asked. Without ``client`` it is the current connection's. As ``async with`` block, the
    service is drained at its end.
    """

    def __init__(
        self,
        deployment_name: str,
        monitoring_connection_string: str | None = None,
        *,
        fallbacks: Sequence[str] = (),
        retry: Retry | None = None,
        breaker: BreakerPolicy | None = None,
        pacers: Mapping[str, Pacer] | None = None,
        deadline_s: float | None = None,
        max_concurrency: int | None = None,
        meter: Meter | None = None,
        budget: Budget | None = None,
        client: "AsyncOpenAI | None" = None,
        telemetry: Telemetry | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.deployment_name = deployment_name
        self.fallbacks = _checked_fallbacks(deployment_name, fallbacks)
        self.pacers = _checked_pacers((deployment_name, *self.fallbacks), pacers or {})
        if retry is not None:
            check_plugin(retry, RETRY)
        if meter is not None:
            check_plugin(meter, METER)
        Deadline.of(deadline_s)
        if monitoring_connection_string:
            monitoring.configure_monitoring(monitoring_connection_string)
        self.logger = logging.getLogger(__name__)
        self.telemetry = telemetry or process_telemetry()
        self.tracer = self.telemetry.tracer
        self.retry, self.deadline_s = retry, deadline_s
        self._usage = UsageMeter()
        self.meter: Meter = self._usage if meter is None else meter
        self._spending = Spending(budget, may_ask=client is None)
        self._caller = Caller(client_source(client), self.telemetry, sleep, clock)
        self._gate = Gate(max_concurrency)
        self._breakers = {
            name: CircuitBreaker(name, breaker, clock=clock, on_change=self._circuit_changed)
            for name in (deployment_name, *self.fallbacks)
        }
        self._models: dict[str, Model | None] = {}  # what the answers say is behind each deployment
        self._performance = Performance()

    async def safe_completion(
        self, messages: Sequence[Any], max_retries: int = 3, *, deadline_s: float | None = None, **kwargs: Any
    ) -> "ChatCompletion":
        """The checked answer to ``messages``. ``max_retries`` counts the tries after the first, on each deployment.

        ``deadline_s`` is this call's own, instead of the service's. ``InvalidRequestError`` before anything is sent,
        once; ``ContentFilteredError`` when the prompt or the answer was filtered; ``EmptyAnswerError``;
        ``DeadlineExceededError``; ``CircuitOpenError`` when no deployment is asked now; ``ServiceDrainingError``;
        ``BudgetExceededError``; otherwise the SDK's error of the last deployment tried, or ``WaitTooLongError`` when
        the service asks for more patience than is sensible.
        """
        request = self._request(check_request(messages, kwargs), kwargs, max_retries, deadline_s)
        deadline, ask = request.deadline, partial(self._complete, request)
        try:
            async with self._gate.passage(deadline):
                done = await first_answer(self._deployments, ask, deadline=deadline, on_failure=self._passed_on)
        except Exception as error:
            await self._note_failure(error)
            raise
        self._note_success(done.answer, done.latency_s, done.duration_s)
        return done.answer

    def stream_completion(
        self, messages: Sequence[Any], max_retries: int = 3, *, deadline_s: float | None = None, **kwargs: Any
    ) -> CompletionStream:
        """The answer to ``messages`` in chunks, as ``async with service.stream_completion(…) as chunks`` reads them.

        As ``safe_completion``, with the same checks and errors: retries and fallbacks until the first token has come,
        none after that; a filtered or empty answer is an error after its last chunk.
        """
        plain = check_request(messages, {**kwargs, "stream": None})
        request = self._request(plain, kwargs, max_retries, deadline_s)
        deadline, ask = request.deadline, partial(self._begun, request)

        async def open() -> AnswerStream:
            return await first_answer(self._deployments, ask, deadline=deadline, on_failure=self._passed_on)

        return CompletionStream(self._gate, deadline, open, partial(self._stream_ended, request))

    async def health_check(self, *, timeout_s: float = 10.0) -> dict[str, Any]:
        """Whether the service answers now: ``status`` healthy, degraded or unhealthy, and why in ``reason``.

        One small call to the deployment, without retries and past its circuit breaker: it reports the state, it does
        not hide it. The fallbacks are asked only when the deployment does not answer; when one of them does, or when
        the deployment works and has no room now (429), the service is degraded: it need not be restarted.
        ``response_time_ms`` is of the answer, ``error`` of the deployment.
        """
        if self._gate.is_closed:
            return draining(self.deployment_name)
        probes: dict[str, Completed | Exception] = {}
        for deployment in self._deployments:
            probes[deployment] = await self._probe(deployment, timeout_s)
            if isinstance(probes[deployment], Completed):
                break
        return health_of(probes)

    async def drain(self, timeout_s: float = 30.0) -> Drained:
        """Take no new calls, wait up to ``timeout_s`` for those under way, cut the rest; how many were which."""
        drained = await self._gate.drain(timeout_s)
        self.logger.info("LLM service drained - finished: %d, cut: %d", drained.finished, drained.cut)
        return drained

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.drain()

    @property
    def breakers(self) -> Mapping[str, CircuitBreaker]:
        """The circuit breaker of each deployment: its ``state``, ``last_error`` and ``retry_in_s``."""
        return MappingProxyType(self._breakers)

    @property
    def under_way(self) -> int:
        """How many calls have been taken and have not ended, those that wait for their turn included."""
        return self._gate.under_way

    def measured(self) -> Measured:
        """What ``labkit.slo`` computes availability, latency and cost from; there is no cache here."""
        return replace(self._performance.measured(self._usage.cost_usd), cache_hits=None)

    @property
    def _deployments(self) -> tuple[str, ...]:
        return (self.deployment_name, *self.fallbacks)

    async def _note_failure(self, error: Exception) -> None:
        self._performance.metrics["total_requests"] += 1
        self._performance.failed(error)
        self.logger.error("LLM completion failed: %s", error_kind(error))
        await self._caller.explain(error)

    def _note_success(self, answer: "ChatCompletion", latency_s: float, duration_s: float) -> None:
        self._performance.metrics["total_requests"] += 1
        self._performance.answered(answer, latency_s=latency_s, duration_s=duration_s)
        self.logger.info("LLM completion successful - tokens: %d", usage(answer).total_tokens)

    def _request(
        self, messages: list[dict[str, Any]], params: dict[str, Any], max_retries: int, deadline_s: float | None
    ) -> "_Request":
        _check_max_retries(max_retries)
        deadline = Deadline.of(self.deadline_s if deadline_s is None else deadline_s, self._caller.clock)
        return _Request(messages, params, max_retries, deadline)

    async def _complete(self, request: "_Request", deployment: str) -> Completed:
        params = self._named(deployment, request)
        with _held(await self._spending.hold(deployment, request.messages, params)) as hold, _filter_named():
            return await self._caller.complete(
                deployment,
                request.messages,
                params,
                check=check_answer,
                on_paid=lambda done: self._paid(deployment, request, done.answer, done.latency_s, hold),
                pacer=self.pacers.get(deployment),
                admit=self._breakers[deployment].admit,
                **self._patience(request),
            )

    async def _begun(self, request: "_Request", deployment: str) -> AnswerStream:
        params = self._named(deployment, request)
        with _held(await self._spending.hold(deployment, request.messages, params)) as hold, _filter_named():
            stream = await self._caller.open(
                deployment,
                request.messages,
                params,
                check=check_answer,
                on_paid=lambda answer, latency_s: self._paid(deployment, request, answer, latency_s, hold),
                pacer=self.pacers.get(deployment),
                admit=self._breakers[deployment].admit,
                **self._patience(request),
            )
        request.holds.append(hold)
        return stream

    async def _probe(self, deployment: str, timeout_s: float) -> Completed | Exception:
        deadline = Deadline.after(timeout_s, self._caller.clock)
        request = _Request(_HEALTH_MESSAGES, _HEALTH_PARAMS, 0, deadline)
        try:
            return await self._caller.complete(
                deployment,
                request.messages,
                self._named(deployment, request),
                on_paid=lambda done: self._paid(deployment, request, done.answer, done.latency_s),
                admit=self._breakers[deployment].examine,
                **self._patience(request),
            )
        except Exception as error:
            await self._caller.explain(error)
            return error

    def _patience(self, request: "_Request") -> dict[str, Any]:
        retry = self.retry or _policy(request.max_retries)
        return {"retry": retry, "max_attempts": request.max_retries + 1, "deadline_s": request.deadline}

    def _named(self, deployment: str, request: "_Request") -> dict[str, Any]:
        # The limit goes out under the name the model knows; nothing else of the caller's is touched.
        model = self._models.get(deployment) or MODELS.get(deployment)
        return tune(request.messages, request.params, model=model, rules=(reasoning_limit,)).params

    async def _stream_ended(
        self, request: "_Request", stream: AnswerStream | None, error: BaseException | None
    ) -> None:
        """A stream that its reader has left was an answer, too; a cancelled one is no request."""
        for hold in request.holds:
            if hold is not None:
                hold.fail(error or GeneratorExit())  # does nothing when the answer was whole, and so paid for
        if isinstance(error, Exception):
            await self._note_failure(error)
        elif stream is not None and (error is None or isinstance(error, GeneratorExit)):
            self._note_success(stream.answer, stream.duration_s, stream.duration_s)

    def _paid(
        self,
        deployment: str,
        request: "_Request",
        answer: "ChatCompletion",
        latency_s: float,
        hold: Hold | None = None,
    ) -> None:
        self._models[deployment] = answered_by(answer) or self._models.get(deployment)
        self._spending.learn(deployment, answer)
        user = user_tag(request.params)
        self._usage.record(deployment, answer, latency_s, user=user)
        if isinstance(self.meter, UsageMeter):  # it may know more of the account than the answers say
            cost_usd = self.meter.cost_of(deployment, answer)
            if self.meter is not self._usage:
                self.meter.record(deployment, answer, latency_s, user=user)
        else:
            cost_usd = self._usage.cost_of(deployment, answer)
            self.meter.record(deployment, answer, latency_s, cached=False)
        if hold is not None:
            hold.settle(math.nan if answer.usage is None else cost_usd)
        if answer.usage is not None:
            self.telemetry.count_cost(deployment, answer.model, cost_usd)

    def _passed_on(self, deployment: str, error: Exception) -> None:
        # That a circuit has opened is told once, not by each of the calls that find it open.
        level = logging.DEBUG if isinstance(error, CircuitOpenError) else logging.WARNING
        self.logger.log(level, "Deployment %s gave up: %s; asking the next one", deployment, error_kind(error))

    def _circuit_changed(self, breaker: CircuitBreaker) -> None:
        self.telemetry.note_breaker(breaker.deployment, breaker.state)
        why = (
            f" after {breaker.last_error}, next probe in {breaker.retry_in_s:.3g} s" if breaker.state == "open" else ""
        )
        level = logging.WARNING if breaker.state == "open" else logging.INFO
        self.logger.log(level, "Circuit of deployment %s is %s%s", breaker.deployment, breaker.state, why)


@dataclass(frozen=True, slots=True)
class _Request:
    """One request as it was checked: what is asked, and how long for."""

    messages: list[dict[str, Any]]
    params: dict[str, Any]
    max_retries: int
    deadline: Deadline | None
    holds: list[Hold | None] = field(default_factory=list)


@contextmanager
def _held(hold: Hold | None) -> Iterator[Hold | None]:
    """``hold``, which ends with the error that leaves the block. Without one it is ended by the answer."""
    try:
        yield hold
    except BaseException as error:
        if hold is not None:
            hold.fail(error)
        raise


@contextmanager
def _filter_named() -> Iterator[None]:
    """Turns a content filter's 400 into ``ContentFilteredError``. Its cause stays out: it holds the request."""
    try:
        yield
    except Exception as error:
        filtered = content_filter_error(error)
        if filtered is None:
            raise
        raise filtered from None


@cache
def _policy(max_retries: int) -> RetryPolicy:
    # Each has a random generator of its own, which takes longer to seed than to ask.
    return RetryPolicy(max_retries=max_retries)


def _checked_fallbacks(deployment: str, fallbacks: Sequence[str]) -> tuple[str, ...]:
    if isinstance(fallbacks, str):
        raise InvalidRequestError(f"fallbacks must be a list of deployment names: [{fallbacks!r}].")
    names = (deployment, *fallbacks)
    if len(set(names)) < len(names):
        raise InvalidRequestError(f"Each deployment can be asked once; these are {', '.join(map(repr, names))}.")
    return names[1:]


def _checked_pacers(deployments: Sequence[str], pacers: Mapping[str, Pacer]) -> Mapping[str, Pacer]:
    unknown = sorted(set(pacers) - set(deployments))
    if unknown:
        raise InvalidRequestError(
            f"pacers has {', '.join(map(repr, unknown))}; the deployments are {', '.join(map(repr, deployments))}."
        )
    return dict(pacers)


def _check_max_retries(max_retries: object) -> None:
    if isinstance(max_retries, bool) or not isinstance(max_retries, int) or max_retries < 0:
        raise InvalidRequestError(f"max_retries must be a whole number from 0; this is {max_retries!r}.")
