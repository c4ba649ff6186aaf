import math
from typing import Any

import pytest
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics
from opentelemetry.trace import SpanKind, StatusCode, get_current_span

from labkit.telemetry import PROVIDER, error_kind, process_telemetry
from labkit.telemetry.instruments import METRICS
from tests.recorded import Recorded, seconds
from tests.scripted import completion, refused, sdk_error

PARAMS = {"max_tokens": 50, "temperature": 0.2, "tools": [{"type": "function"}], "user": "anna"}


def record_call(telemetry, *, error=None, duration_s=1.25, params=PARAMS):
    """One call as ``completion`` reports it."""
    with telemetry.chat("big", params, message_count=2) as operation:
        operation.duration_s = duration_s
        operation.answer = completion(prompt_tokens=20, completion_tokens=5, cached_tokens=8)
        if error is not None:
            operation.answer = None
            raise error


def test_a_call_is_a_client_span_with_the_conventions_attributes():
    """Name, kind, provider, model, parameters, tokens and finish reason, and the session's own names."""
    recorded = Recorded()
    record_call(recorded.telemetry)
    span = recorded.span
    assert (span.name, span.kind, span.status.status_code) == ("chat big", SpanKind.CLIENT, StatusCode.UNSET)
    assert dict(span.attributes) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": PROVIDER,
        "gen_ai.system": PROVIDER,
        "gen_ai.request.model": "big",
        "gen_ai.request.max_tokens": 50,
        "gen_ai.request.temperature": 0.2,
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.model": "gpt-4o-2024-08-06",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 8,
        "deployment": "big",
        "message_count": 2,
        "success": True,
        "tokens_used": 25,
    }


def test_a_span_lasts_as_long_as_the_service_took():
    """Not as long as this machine took: that is what a dashboard should show."""
    recorded = Recorded()
    record_call(recorded.telemetry, duration_s=2.5)
    assert seconds(recorded.span) == pytest.approx(2.5)


def test_without_a_measured_duration_the_wall_clock_counts():
    """A call that broke before it was measured still has a length."""
    recorded = Recorded()
    record_call(recorded.telemetry, duration_s=None)
    assert 0 <= seconds(recorded.span) < 5


def test_a_failed_call_is_an_error_with_its_class_and_code():
    """Its text stays out: it may quote the prompt."""
    recorded = Recorded()
    error = sdk_error(refused(400, "invalid", message="your prompt 'Anna has a cat' is bad"))
    with pytest.raises(type(error)):
        record_call(recorded.telemetry, error=error)
    span = recorded.span
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes["success"], span.attributes["error.type"]) == (False, "BadRequestError")
    assert span.attributes["error"] == "BadRequestError invalid"
    (event,) = span.events
    assert dict(event.attributes) == {
        "exception.type": "BadRequestError",
        "exception.message": "BadRequestError invalid",
    }
    assert "cat" not in recorded.everything()


def test_tokens_are_a_histogram_for_each_direction():
    """Input and output apart, by model, in the conventions' buckets."""
    recorded = Recorded()
    record_call(recorded.telemetry)
    record_call(recorded.telemetry)
    points = recorded.points("gen_ai.client.token.usage")
    sums = {point["gen_ai.token.type"]: (point["count"], point["sum"]) for point in points}
    assert sums == {"input": (2, 40), "output": (2, 10)}
    assert {point["gen_ai.request.model"] for point in points} == {"big"}
    assert points[0]["bounds"][:4] == (1, 4, 16, 64)


def test_durations_are_a_histogram_in_seconds():
    """Answers and failures; failures carry the class of their error and count no tokens."""
    recorded = Recorded()
    record_call(recorded.telemetry)
    with pytest.raises(ValueError, match="x"):
        record_call(recorded.telemetry, error=ValueError("x"), duration_s=0.5)
    points = recorded.points("gen_ai.client.operation.duration")
    assert {point.get("error.type"): point["sum"] for point in points} == {None: 1.25, "ValueError": 0.5}
    assert points[0]["bounds"][:3] == (0.01, 0.02, 0.04)
    assert {point["count"] for point in recorded.points("gen_ai.client.token.usage")} == {1}


def test_requests_are_counted_by_what_the_cache_did():
    """One series for each deployment and result."""
    recorded = Recorded()
    for result in ("miss", "hit", "hit", "shared"):
        recorded.telemetry.count_cache("big", result)
    recorded.telemetry.count_cache("small", "bypass")
    counted = {
        (point["gen_ai.request.model"], point["labkit.cache.result"]): point["value"]
        for point in recorded.points("labkit.cache.lookups")
    }
    assert counted == {("big", "miss"): 1, ("big", "hit"): 2, ("big", "shared"): 1, ("small", "bypass"): 1}


def test_retries_are_counted_by_error():
    """Class and code; never the text."""
    recorded = Recorded()
    for error in (sdk_error(refused(429)), sdk_error(refused(429)), TimeoutError("Anna has a cat")):
        recorded.telemetry.count_retry("big", error)
    points = recorded.points("labkit.retries")
    assert {(point["error.type"], point["error"]): point["value"] for point in points} == {
        ("RateLimitError", "RateLimitError 429"): 2,
        ("TimeoutError", "TimeoutError"): 1,
    }


def test_cost_adds_up_for_deployment_and_model():
    """In US dollars; a price nobody knows, or that cannot be, does not spoil the sum."""
    recorded = Recorded()
    for cost_usd in (0.25, 0.5, math.nan, math.inf, -1.0):
        recorded.telemetry.count_cost("big", "gpt-4o-2024-08-06", cost_usd)
    (point,) = recorded.points("labkit.cost")
    assert point == {"gen_ai.request.model": "big", "gen_ai.response.model": "gpt-4o-2024-08-06", "value": 0.75}


def test_a_breaker_has_a_state_and_its_changes_are_counted():
    """The gauge shows the last state at every collection; saying the same again is no change."""
    recorded = Recorded()
    for state in ("closed", "open", "open", "half_open", "open"):
        recorded.telemetry.note_breaker("big", state)
    recorded.telemetry.note_breaker("small", "closed")
    for _ in range(2):
        states = {point["gen_ai.request.model"]: point["value"] for point in recorded.points("labkit.breaker.state")}
        assert states == {"big": 2, "small": 0}
    changes = {point["labkit.breaker.state"]: point["value"] for point in recorded.points("labkit.breaker.transitions")}
    assert changes == {"open": 2, "half_open": 1}


def test_a_stream_says_when_its_first_chunk_came():
    """As a metric and on the span; a call that is no stream says neither."""
    recorded = Recorded()
    record_call(recorded.telemetry)
    with recorded.telemetry.chat("big", {}, message_count=1, stream=True) as operation:
        operation.answer, operation.first_token_s, operation.duration_s = completion(), 0.25, 2.0
    call, stream = recorded.spans
    assert "gen_ai.request.stream" not in call.attributes
    assert (stream.attributes["gen_ai.request.stream"], stream.attributes["message_count"]) == (True, 1)
    assert stream.attributes["gen_ai.response.time_to_first_chunk"] == 0.25
    (point,) = recorded.points("gen_ai.client.operation.time_to_first_chunk")
    assert (point["count"], point["sum"], point["gen_ai.request.model"]) == (1, 0.25, "big")


def test_a_stream_without_usage_counts_no_tokens():
    """What the service did not report is unknown, not zero."""
    recorded = Recorded()
    with recorded.telemetry.chat("big", {}, message_count=1, stream=True) as operation:
        operation.answer = completion().model_copy(update={"usage": None})
    assert recorded.points("gen_ai.client.token.usage") == []
    assert not {"tokens_used", "gen_ai.usage.input_tokens"} & set(recorded.span.attributes)
    assert recorded.span.attributes["gen_ai.response.finish_reasons"] == ("stop",)


def test_a_reader_who_stops_a_stream_is_no_failure():
    """Closing the generator ends the span as a success, with what there was until then."""
    recorded = Recorded()

    def chunks():
        with recorded.telemetry.chat("big", {}, message_count=1, stream=True) as operation:
            operation.first_token_s = 0.1
            yield "War"
            yield "saw"

    reading = chunks()
    assert next(reading) == "War"
    assert get_current_span().is_recording() is False
    reading.close()
    assert (recorded.span.status.status_code, recorded.span.attributes["success"]) == (StatusCode.UNSET, True)


def test_what_happens_during_a_call_belongs_to_it():
    """Spans of others, such as the HTTP client's, are children of the call's; afterwards it is over."""
    recorded = Recorded()
    with recorded.telemetry.chat("big", {}, message_count=1), recorded.telemetry.tracer.start_as_current_span("POST"):
        pass
    post, call = recorded.spans
    assert (post.name, post.parent.span_id) == ("POST", call.context.span_id)
    assert get_current_span().get_span_context().is_valid is False


def test_the_number_of_choices_is_told_unless_it_is_one():
    """As the conventions want it, and reasoning tokens where there are some."""
    recorded = Recorded()
    for choices in (1, 3):
        with recorded.telemetry.chat("big", {"n": choices}, message_count=1) as operation:
            operation.answer = completion(reasoning_tokens=choices - 1)
    one, three = (dict(span.attributes) for span in recorded.spans)
    assert set(three) - set(one) == {"gen_ai.request.choice.count", "gen_ai.usage.reasoning.output_tokens"}


def test_every_metric_of_the_table_has_its_unit_and_description():
    """What arrives is what the table says, and labkit's names do not pretend to be the conventions'."""
    recorded = Recorded()
    telemetry = recorded.telemetry
    record_call(telemetry)
    with telemetry.chat("big", {}, message_count=1, stream=True) as operation:
        operation.first_token_s = 0.1
    telemetry.count_cache("big", "hit")
    telemetry.count_retry("big", TimeoutError())
    telemetry.count_cost("big", "gpt-4o", 0.1)
    telemetry.note_breaker("big", "open")
    assert recorded.metrics == {metric.name: (metric.unit, metric.description) for metric in METRICS}
    conventions = {value for name, value in vars(gen_ai_metrics).items() if name.isupper() and isinstance(value, str)}
    assert {metric.name for metric in METRICS if metric.name.startswith("gen_ai.")} <= conventions
    assert all(metric.name.startswith(("gen_ai.", "labkit.")) for metric in METRICS)


class Unread(dict[str, Any]):
    """Parameters that must not be looked at."""

    def get(self, *args: Any) -> Any:
        raise AssertionError("read")


def test_nothing_configured_costs_next_to_nothing(monkeypatch):
    """Without providers the spans do not record, and neither parameters nor messages are read for them."""
    monkeypatch.setenv("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT", "true")
    with process_telemetry().chat("big", Unread(), messages=[Unread()]) as operation:
        operation.answer = completion()
        assert get_current_span().get_span_context().is_valid is False
    assert operation.duration_s is not None
    assert process_telemetry() is process_telemetry()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (sdk_error(refused(429)), "RateLimitError 429"),
        (sdk_error(refused(404, "DeploymentNotFound")), "NotFoundError DeploymentNotFound"),
        (ValueError("secret"), "ValueError"),
        (sdk_error(refused(400, "your prompt was: Anna has a cat")), "BadRequestError 400"),
    ],
)
def test_the_kind_of_an_error_is_its_class_and_code(error, kind):
    """Short enough to count by, and without the text."""
    assert error_kind(error) == kind
