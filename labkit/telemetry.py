"""Describes calls in OpenTelemetry's GenAI conventions: a span and two histograms. Never what was said in them.

The conventions: github.com/open-telemetry/semantic-conventions-genai, metrics and spans, read 2026-11-22. Until
somebody configures a provider all of this costs next to nothing.
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from labkit.instruments import BreakerState, CacheResult, Instruments
from labkit.metering import usage

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import Span, TracerProvider

PROVIDER = "azure.ai.openai"
# Request parameters the conventions name; the values are numbers, never content.
_REQUEST_ATTRIBUTES = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "seed": "gen_ai.request.seed",
}


@dataclass(slots=True)
class Operation:
    """What one chat call says about itself while it lasts: the answer once there is one, and the seconds it took."""

    answer: "ChatCompletion | None" = None
    duration_s: float | None = None


class Telemetry:
    """The tracer and the instruments every chat call reports to.

    Without arguments they belong to the global providers, also to providers configured later.
    """

    def __init__(
        self, *, tracer_provider: "TracerProvider | None" = None, meter_provider: "MeterProvider | None" = None
    ) -> None:
        from opentelemetry.trace import get_tracer

        self.tracer = get_tracer("labkit", tracer_provider=tracer_provider)
        self._instruments = Instruments(meter_provider)

    def count_cache(self, deployment: str, result: CacheResult) -> None:
        """Count a request by what the cache did: hit, miss, stale, bypass (not asked), shared (an equal one's call)."""
        self._instruments.cache.add(1, {"gen_ai.request.model": deployment, "labkit.cache.result": result})

    def count_retry(self, deployment: str, error: BaseException) -> None:
        """Count an attempt that failed with ``error`` and is made again."""
        attributes = {
            "gen_ai.request.model": deployment,
            "error.type": type(error).__name__,
            "error": error_kind(error),
        }
        self._instruments.retries.add(1, attributes)

    def count_cost(self, deployment: str, model: str, cost_usd: float) -> None:
        """Add the list price of an answer of ``model``; an unknown price (``nan``) is not counted."""
        self._instruments.add_cost(cost_usd, {"gen_ai.request.model": deployment, "gen_ai.response.model": model})

    def note_breaker(self, deployment: str, state: BreakerState) -> None:
        """Keep the state of the deployment's circuit breaker, and count it when it is a change."""
        self._instruments.set_breaker(deployment, state)

    @contextmanager
    def chat(self, deployment: str, params: Mapping[str, Any], *, message_count: int) -> Iterator[Operation]:
        """A span ``chat {deployment}`` and the metrics of one call, which ends well unless an exception leaves it.

        It lasts as long as the operation says, which is what the service took, not what this machine measured.
        """
        from opentelemetry.trace import SpanKind, use_span

        started_ns = time.time_ns()
        span = self.tracer.start_span(f"chat {deployment}", kind=SpanKind.CLIENT, start_time=started_ns)
        if span.is_recording():
            span.set_attributes(_request_attributes(deployment, params, message_count))
        operation, failure = Operation(), None
        try:
            with use_span(span, record_exception=False, set_status_on_exception=False):
                yield operation
        except BaseException as error:
            failure = error
            raise
        finally:
            if operation.duration_s is None:
                operation.duration_s = (time.time_ns() - started_ns) / 1e9
            _describe(span, operation.answer, failure)
            self._measure(deployment, operation, failure)
            span.end(end_time=started_ns + round(operation.duration_s * 1e9))

    def _measure(self, deployment: str, operation: Operation, failure: BaseException | None) -> None:
        attributes = _common_attributes(deployment)
        if operation.answer is not None:
            attributes["gen_ai.response.model"] = operation.answer.model
            used = usage(operation.answer)
            self._instruments.tokens.record(used.prompt_tokens, {**attributes, "gen_ai.token.type": "input"})
            self._instruments.tokens.record(used.completion_tokens, {**attributes, "gen_ai.token.type": "output"})
        if failure is not None:
            attributes["error.type"] = type(failure).__name__
        self._instruments.duration.record(operation.duration_s or 0.0, attributes)


@cache
def process_telemetry() -> Telemetry:
    """The telemetry of this process, on whatever providers it has or gets."""
    return Telemetry()


def error_kind(error: BaseException) -> str:
    """A short name for ``error`` with its code, such as ``RateLimitError 429``: safe to log and to count by."""
    code = getattr(error, "code", None) or getattr(error, "status_code", None)
    return f"{type(error).__name__} {code}" if code else type(error).__name__


def _describe(span: "Span", answer: "ChatCompletion | None", failure: BaseException | None) -> None:
    if not span.is_recording():
        return
    span.set_attribute("success", failure is None)
    if answer is not None:
        span.set_attributes(_answer_attributes(answer))
    if failure is not None:
        from opentelemetry.trace import StatusCode

        # The class and the code of the error; its text may quote the prompt.
        kind = error_kind(failure)
        span.set_attributes({"error": kind, "error.type": type(failure).__name__})
        span.add_event("exception", {"exception.type": type(failure).__name__, "exception.message": kind})
        span.set_status(StatusCode.ERROR, kind)


def _answer_attributes(answer: "ChatCompletion") -> dict[str, Any]:
    used = usage(answer)
    return {
        "gen_ai.response.id": answer.id,
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [str(choice.finish_reason) for choice in answer.choices or ()],
        "gen_ai.usage.input_tokens": used.prompt_tokens,
        "gen_ai.usage.output_tokens": used.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": used.cached_tokens,
        "tokens_used": used.total_tokens,
    }


def _common_attributes(deployment: str) -> dict[str, str]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": deployment,
    }


def _request_attributes(deployment: str, params: Mapping[str, Any], message_count: int) -> dict[str, Any]:
    numbers = {
        attribute: params[name]
        for name, attribute in _REQUEST_ATTRIBUTES.items()
        if isinstance(params.get(name), int | float)
    }
    return {
        **_common_attributes(deployment),
        # The older name of gen_ai.provider.name: the Azure exporter (1.0.0b58) takes type and target from it.
        "gen_ai.system": PROVIDER,
        **numbers,
        # The session's own names.
        "deployment": deployment,
        "message_count": message_count,
    }
