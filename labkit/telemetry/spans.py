"""One chat call as a span of OpenTelemetry's GenAI conventions, while it lasts. Imported with the first ``Telemetry``.

The conventions: github.com/open-telemetry/semantic-conventions-genai, spans, read 2026-11-25.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Any

from opentelemetry.context import attach, detach
from opentelemetry.trace import SpanKind, StatusCode, set_span_in_context

from labkit.metering import Usage, usage
from labkit.telemetry.content import input_messages, output_messages
from labkit.telemetry.telemetry import PROVIDER, Operation, Telemetry, error_kind

if TYPE_CHECKING:
    from contextvars import Token

    from openai.types.chat import ChatCompletion
    from opentelemetry.context import Context
    from opentelemetry.trace import Span

# Request parameters the conventions name; the values are numbers, never content.
_REQUEST_ATTRIBUTES = {
    "max_tokens": "gen_ai.request.max_tokens",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
}


@dataclass(slots=True)
class ChatSpan:
    """A span ``chat {deployment}`` and the metrics of one call, which ends well unless an exception leaves it.

    It lasts as long as the operation says, which is what the service took, not what this machine measured. The span of
    a stream is not the current one while it lasts: what its reader does between two chunks is no part of the call.
    """

    telemetry: Telemetry
    deployment: str
    params: Mapping[str, Any]
    messages: Sequence[Mapping[str, Any]]
    message_count: int
    stream: bool
    _operation: Operation = field(init=False)
    _span: "Span" = field(init=False)
    _started_ns: int = field(init=False)
    _token: "Token[Context] | None" = field(init=False, default=None)

    def __enter__(self) -> Operation:
        self._operation, self._started_ns = Operation(), time.time_ns()
        name = f"chat {self.deployment}"
        self._span = self.telemetry.tracer.start_span(name, kind=SpanKind.CLIENT, start_time=self._started_ns)
        if self._span.is_recording():
            self._span.set_attributes(
                _request_attributes(self.deployment, self.params, self.message_count, self.stream)
            )
            if self.messages and self.telemetry.captures_content:
                self._span.set_attribute("gen_ai.input.messages", input_messages(self.messages))
        if not self.stream and self._span.get_span_context().is_valid:
            self._token = attach(set_span_in_context(self._span))
        return self._operation

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._token is not None:
            detach(self._token)
        operation = self._operation
        if operation.duration_s is None:
            operation.duration_s = (time.time_ns() - self._started_ns) / 1e9
        # A reader who stops in the middle of a stream closes the generator: no failure.
        failure = None if isinstance(error, GeneratorExit) else error
        used = _reported_usage(operation.answer)
        if self._span.is_recording():
            self._describe(operation, used, failure)
        self._measure(operation, used, failure)
        self._span.end(end_time=self._started_ns + round(operation.duration_s * 1e9))

    def _describe(self, operation: Operation, used: Usage | None, failure: BaseException | None) -> None:
        span, answer = self._span, operation.answer
        span.set_attribute("success", failure is None)
        if operation.first_token_s is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", operation.first_token_s)
        if answer is not None:
            span.set_attributes(_answer_attributes(answer))
            if self.telemetry.captures_content:
                span.set_attribute("gen_ai.output.messages", output_messages(answer))
        if used is not None:
            span.set_attributes(_usage_attributes(used))
        if failure is not None:
            # The class and the code of the error; its text may quote the prompt.
            kind = error_kind(failure)
            span.set_attributes({"error": kind, "error.type": type(failure).__name__})
            span.add_event("exception", {"exception.type": type(failure).__name__, "exception.message": kind})
            span.set_status(StatusCode.ERROR, kind)

    def _measure(self, operation: Operation, used: Usage | None, failure: BaseException | None) -> None:
        instruments, attributes = self.telemetry.instruments, _common_attributes(self.deployment)
        if operation.answer is not None:
            attributes["gen_ai.response.model"] = operation.answer.model
        if used is not None:
            instruments.tokens.record(used.prompt_tokens, {**attributes, "gen_ai.token.type": "input"})
            instruments.tokens.record(used.completion_tokens, {**attributes, "gen_ai.token.type": "output"})
        if operation.first_token_s is not None:
            instruments.first_chunk.record(operation.first_token_s, attributes)
        if failure is not None:
            attributes = {**attributes, "error.type": type(failure).__name__}
        instruments.duration.record(operation.duration_s or 0.0, attributes)


def _reported_usage(answer: "ChatCompletion | None") -> Usage | None:
    # Not zeros: what was not reported must not be measured, say the conventions. Streams may end without it.
    return None if answer is None or answer.usage is None else usage(answer)


def _answer_attributes(answer: "ChatCompletion") -> dict[str, Any]:
    return {
        "gen_ai.response.id": answer.id,
        "gen_ai.response.model": answer.model,
        "gen_ai.response.finish_reasons": [str(choice.finish_reason) for choice in answer.choices or ()],
    }


def _usage_attributes(used: Usage) -> dict[str, int]:
    reasoning = {"gen_ai.usage.reasoning.output_tokens": used.reasoning_tokens} if used.reasoning_tokens else {}
    return {
        "gen_ai.usage.input_tokens": used.prompt_tokens,
        "gen_ai.usage.output_tokens": used.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": used.cached_tokens,
        "tokens_used": used.total_tokens,
        **reasoning,
    }


def _common_attributes(deployment: str) -> dict[str, str]:
    return {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.request.model": deployment,
    }


def _request_attributes(deployment: str, params: Mapping[str, Any], message_count: int, stream: bool) -> dict[str, Any]:
    numbers = {
        attribute: params[name]
        for name, attribute in _REQUEST_ATTRIBUTES.items()
        if isinstance(params.get(name), int | float)
    }
    if numbers.get("gen_ai.request.choice.count") == 1:  # the conventions want it only when it is another number
        del numbers["gen_ai.request.choice.count"]
    return {
        **_common_attributes(deployment),
        # The older name of gen_ai.provider.name: the Azure exporter (1.0.0b58) takes type and target from it.
        "gen_ai.system": PROVIDER,
        **numbers,
        **({"gen_ai.request.stream": True} if stream else {}),
        # The session's own names.
        "deployment": deployment,
        "message_count": message_count,
    }
