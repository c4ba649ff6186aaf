import logging
from datetime import UTC, datetime

import httpx2
import openai
import pytest
from opentelemetry.trace import StatusCode

from labkit.breaker import BreakerPolicy
from labkit.errors import InvalidRequestError
from labkit.plugins import PluginError
from labkit.retry import WaitTooLongError
from labkit.service import ProductionLLMService
from labkit.validation import ContentFilteredError, EmptyAnswerError
from tests.recorded import Recorded, seconds
from tests.scripted import (
    Sleeper,
    answered,
    ask,
    completion,
    filtered_prompt,
    refused,
    refused_parameter,
    service,
)
from tests.virtual import now_s, run_virtually

TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


def production(fake, name="gpt-4o", **options):
    """A service in front of a scripted deployment, which waits for nothing; and what it reports."""
    recorded = Recorded()
    options = {"client": fake.client(), "sleep": Sleeper(), "telemetry": recorded.telemetry, **options}
    return ProductionLLMService(name, **options), recorded


async def test_an_answer_comes_back_checked_and_traced():
    """One call, one span ``chat {deployment}`` with the session's attributes."""
    fake = service(answered(prompt_tokens=20, completion_tokens=5))
    subject, recorded = production(fake)
    answer = await subject.safe_completion(ask(), temperature=0, max_tokens=9)
    assert answer.choices[0].message.content == "Warsaw."
    assert (fake.sent[0].body["temperature"], fake.sent[0].body["max_tokens"]) == (0, 9)
    attributes = recorded.span.attributes
    assert recorded.span.name == "chat gpt-4o"
    session = {name: attributes[name] for name in ("deployment", "message_count", "success", "tokens_used")}
    assert session == {"deployment": "gpt-4o", "message_count": 1, "success": True, "tokens_used": 25}


@pytest.mark.parametrize(
    ("reply", "retried"),
    [
        pytest.param(refused(429), True, id="429"),
        pytest.param(refused(408), True, id="408"),
        pytest.param(refused(500), True, id="500"),
        pytest.param(refused(503), True, id="503"),
        pytest.param(httpx2.ConnectError("gone"), True, id="connection"),
        pytest.param(httpx2.ReadTimeout("slow"), True, id="timeout"),
        pytest.param(refused(400), False, id="400"),
        pytest.param(refused(401), False, id="401"),
        pytest.param(refused(403), False, id="403"),
        pytest.param(refused(404), False, id="404"),
        pytest.param(filtered_prompt(), False, id="content filter"),
    ],
)
async def test_errors_are_retried_by_their_class(reply, retried):
    """What may pass is tried again, anything else is sent once."""
    fake = service(reply, answered())
    subject, _ = production(fake)
    if retried:
        await subject.safe_completion(ask())
    else:
        with pytest.raises((openai.APIStatusError, ContentFilteredError)):
            await subject.safe_completion(ask())
    assert len(fake.sent) == (2 if retried else 1)


async def test_the_services_word_on_waiting_is_kept():
    """Not 2 to the power of the attempt: at least what Retry-After says, and hardly more."""
    sleeper = Sleeper()
    subject, _ = production(service(refused(429, retry_after_ms="1500"), answered()), sleep=sleeper)
    await subject.safe_completion(ask())
    (waited_s,) = sleeper.waited_s
    assert 1.5 <= waited_s <= 1.65


@pytest.mark.parametrize("max_retries", [0, 1, 3])
async def test_max_retries_counts_the_tries_after_the_first(max_retries):
    """As in the SDK: 0 is one call, 3 are four."""
    fake = service(refused(503))
    subject, _ = production(fake)
    with pytest.raises(openai.InternalServerError):
        await subject.safe_completion(ask(), max_retries=max_retries)
    assert len(fake.sent) == max_retries + 1


async def test_more_retries_than_the_policys_own_can_be_asked_for():
    """The session's parameter decides, not a default somewhere below it."""
    fake = service(*[refused(503)] * 6, answered())
    subject, _ = production(fake)
    await subject.safe_completion(ask(), max_retries=6)
    assert len(fake.sent) == 7


async def test_a_retry_of_ones_own_is_used_and_bounded_by_max_retries():
    """Both may end the retries; whichever is first does."""

    class Always:
        def wait_s(self, error, attempt):
            return 0

    fake = service(refused(503))
    subject, _ = production(fake, retry=Always())
    with pytest.raises(openai.InternalServerError):
        await subject.safe_completion(ask(), max_retries=2)
    assert len(fake.sent) == 3


@pytest.mark.parametrize("max_retries", [-1, 1.5, True, None])
async def test_max_retries_is_checked(max_retries):
    """The session's ``range(0)`` made no call and raised None."""
    fake = service()
    with pytest.raises(InvalidRequestError, match="max_retries must be a whole number from 0"):
        await production(fake)[0].safe_completion(ask(), max_retries=max_retries)
    assert fake.sent == []


async def test_invalid_input_is_neither_sent_nor_repeated():
    """Checked once, before anything; there is no span for a call that was not made."""
    fake, sleeper = service(), Sleeper()
    subject, recorded = production(fake, sleep=sleeper)
    for messages, params in (([], {}), ([{"role": "boss", "content": "Hi"}], {}), (ask(), {"temperature": 3})):
        with pytest.raises(ValueError, match="must be|has the role"):
            await subject.safe_completion(messages, **params)
    assert (fake.sent, sleeper.waited_s, recorded.spans) == ([], [], ())


async def test_a_wait_of_a_day_ends_at_once():
    """The error names the wait."""
    subject, _ = production(service(refused(429, retry_after="86400")))
    with pytest.raises(WaitTooLongError, match="86,400 s"):
        await subject.safe_completion(ask())


async def test_tool_calls_and_pictures_are_valid():
    """An answer without text and messages with lists broke the session's checks."""
    fake = service(answered(None, finish_reason="tool_calls", message={"tool_calls": [TOOL_CALL]}))
    picture = [{"type": "text", "text": "Add."}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    answer = await production(fake)[0].safe_completion([{"role": "user", "content": picture}])
    assert answer.choices[0].message.tool_calls[0].function.name == "add"


async def test_a_filtered_answer_is_refused_once_and_still_billed():
    """Its tokens are counted, its text goes nowhere, and it is not asked for again."""
    fake = service(answered("half of something bad", finish_reason="content_filter"))
    subject, recorded = production(fake)
    with pytest.raises(ContentFilteredError):
        await subject.safe_completion(ask())
    assert len(fake.sent) == 1
    assert recorded.span.status.status_code is StatusCode.ERROR
    assert recorded.span.attributes["tokens_used"] == 25
    assert sum(point["sum"] for point in recorded.points("gen_ai.client.token.usage")) == 25


async def test_an_empty_answer_is_an_error():
    """Paid for and useless: it says what came."""
    with pytest.raises(EmptyAnswerError, match="finish_reason 'stop'"):
        await production(service(answered("")))[0].safe_completion(ask())


async def test_an_endpoint_that_answers_something_else_is_found_out():
    """A proxy's page with status 200 is no completion."""
    page = httpx2.Response(200, text="<html>hello</html>", headers={"content-type": "text/html"})
    with pytest.raises(EmptyAnswerError, match="check its address"):
        await production(service(page))[0].safe_completion(ask())


async def test_nothing_of_the_conversation_is_in_telemetry_or_logs(caplog):
    """Neither prompt nor answer, whether the call is answered, filtered or refused."""
    quoting = refused(400, message="Invalid: 'Anna has a cat'")
    fake = service(answered("Anna has a cat"), filtered_prompt(), quoting)
    subject, recorded = production(fake)
    with caplog.at_level(logging.DEBUG, logger="labkit"):
        await subject.safe_completion(ask("Anna has a cat"), user="Anna has a cat")
        for error in (ContentFilteredError, openai.BadRequestError):
            with pytest.raises(error):
                await subject.safe_completion(ask("Anna has a cat"))
    assert len(recorded.spans) == 3
    assert "cat" not in recorded.everything() + caplog.text


async def test_success_and_failure_are_logged_without_setting_up_logging(caplog):
    """The session's lines; the root logger belongs to the application."""
    handlers = list(logging.getLogger().handlers)
    subject, _ = production(service(answered(), refused(400)))
    with caplog.at_level(logging.INFO, logger="labkit"):
        await subject.safe_completion(ask())
        with pytest.raises(openai.BadRequestError):
            await subject.safe_completion(ask())
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["LLM completion successful - tokens: 25", "LLM completion failed: BadRequestError 400"]
    assert logging.getLogger().handlers == handlers
    assert subject.logger.name == "labkit.service"


async def test_a_span_counts_waits_and_repeated_attempts():
    """One span for one call, as long as it took with everything before it."""
    subject, recorded = production(service(refused(429, retry_after="4"), answered(processing_ms=500)))
    await subject.safe_completion(ask())
    assert 4.5 <= seconds(recorded.span) < 6


async def test_fallbacks_are_asked_in_order_once_retries_are_spent():
    """Each deployment gets its retries, a span of its own, and its own verdict."""
    fake = service(refused(503), refused(503), refused(503), refused(503), answered())
    subject, recorded = production(fake, "first", fallbacks=["second", "third"])
    answer = await subject.safe_completion(ask(), max_retries=1)
    assert answer.choices[0].message.content == "Warsaw."
    assert fake.deployments == ["first", "first", "second", "second", "third"]
    verdicts = [(span.name, span.attributes["success"]) for span in recorded.spans]
    assert verdicts == [("chat first", False), ("chat second", False), ("chat third", True)]


@pytest.mark.parametrize(
    ("reply", "falls_back"),
    [
        pytest.param(refused(503), True, id="unavailable"),
        pytest.param(refused(429, retry_after="86400"), True, id="limited for a day"),
        pytest.param(refused(404, "DeploymentNotFound"), True, id="deployment is gone"),
        pytest.param(refused(400), False, id="bad request"),
        pytest.param(refused(401), False, id="not allowed in"),
        pytest.param(filtered_prompt(), False, id="filtered prompt"),
        pytest.param(answered("x", finish_reason="content_filter"), False, id="filtered answer"),
    ],
)
async def test_only_unavailability_falls_back(reply, falls_back):
    """What one deployment refuses for good reasons is not offered to the next."""
    fake = service(reply, answered())
    subject, _ = production(fake, "first", fallbacks=["second"])
    if falls_back:
        await subject.safe_completion(ask(), max_retries=0)
    else:
        with pytest.raises((openai.APIStatusError, ContentFilteredError)):
            await subject.safe_completion(ask(), max_retries=0)
    assert fake.deployments == (["first", "second"] if falls_back else ["first"])


async def test_when_all_deployments_fail_the_last_error_is_raised():
    """It is the SDK's own class."""
    subject, _ = production(service(refused(503), refused(429)), "first", fallbacks=["second"])
    with pytest.raises(openai.RateLimitError):
        await subject.safe_completion(ask(), max_retries=0)


async def test_a_limit_reaches_a_reasoning_model_under_its_other_name():
    """By the catalogue where the name tells, by the model's refusal where it does not, and remembered then."""
    fake = service(answered(model="gpt-5-2025-08-07"))
    await production(fake, "gpt-5")[0].safe_completion(ask(), max_tokens=9)
    assert fake.sent[0].body["max_completion_tokens"] == 9
    fake = service(refused_parameter("max_tokens"), answered(model="gpt-5-2025-08-07"))
    subject, _ = production(fake, "thinker")
    for _ in range(2):
        await subject.safe_completion(ask(), max_tokens=9)
    assert ["max_tokens" in sent.body for sent in fake.sent] == [True, False, False]


@pytest.mark.parametrize("name", ["gpt-4o", "gpt-5", "thinker"])
async def test_a_healthy_deployment_says_how_long_it_took(name):
    """Also a reasoning model, whose five tokens end before any text."""
    replies = [answered("", finish_reason="length", processing_ms=321, model="gpt-5-2025-08-07")]
    if name == "thinker":
        replies.insert(0, refused_parameter("max_tokens"))
    subject, _ = production(service(*replies), name)
    health = await subject.health_check()
    assert datetime.fromisoformat(health.pop("checked_at")) <= datetime.now(UTC)
    reason = f"{name} answers in 321 ms"
    assert health == {"status": "healthy", "deployment": name, "response_time_ms": 321, "reason": reason}


async def test_an_unhealthy_service_says_why_at_once():
    """One call to each deployment, no retries; the error is that of the deployment itself."""
    fake = service(refused(503, message="Down for repairs."), refused(500))
    subject, _ = production(fake, "first", fallbacks=["second"])
    health = await subject.health_check()
    assert (health["status"], health["deployment"]) == ("unhealthy", "first")
    assert "Down for repairs." in health["error"]
    assert health["reason"] == (
        "first does not answer (InternalServerError 503); second does not answer (InternalServerError 500)"
    )
    assert fake.deployments == ["first", "second"]


async def test_a_service_on_its_fallback_is_degraded():
    """Calls are answered, so it stays in rotation; who reads the report sees that something is wrong."""
    fake = service(refused(503), answered(processing_ms=250))
    subject, _ = production(fake, "first", fallbacks=["second"])
    health = await subject.health_check()
    assert (health["status"], health["deployment"], health["answered_by"]) == ("degraded", "first", "second")
    assert health["response_time_ms"] == 250
    assert "503" in health["error"]


async def test_a_deployment_without_room_is_degraded():
    """A restart would not help against a 429."""
    health = await production(service(refused(429, retry_after="7")))[0].health_check()
    assert health["status"] == "degraded"
    assert health["reason"] == "gpt-4o works and has no room now (RateLimitError 429)"


def test_a_health_check_ends_in_time():
    """A deployment that does not answer at all is unhealthy after ten seconds, not after ten minutes."""

    async def main():
        fake, began_s = service(), now_s()
        fake.takes_s = 600
        subject, _ = production(fake, clock=now_s)
        health = await subject.health_check()
        assert (health["status"], now_s() - began_s) == ("unhealthy", 10)
        assert health["reason"] == "gpt-4o does not answer (DeadlineExceededError)"

    run_virtually(main())


async def test_what_the_success_metrics_need_is_measured():
    """A fallback's answer is an answer; a filtered prompt is no outage."""
    fake = service(refused(503), answered(processing_ms=700), filtered_prompt(), refused(503), refused(503))
    subject, _ = production(fake, "first", fallbacks=["second"])
    await subject.safe_completion(ask(), max_retries=0)
    with pytest.raises(ContentFilteredError):
        await subject.safe_completion(ask(), max_retries=0)
    with pytest.raises(openai.InternalServerError):
        await subject.safe_completion(ask(), max_retries=0)
    measured = subject.measured()
    assert (measured.requests, measured.failed, measured.refused, measured.calls) == (3, 1, 1, 1)
    assert measured.availability_share == 0.5
    assert measured.latency_s == pytest.approx(0.7)
    assert measured.latencies_s == pytest.approx((0.7,))
    assert measured.cache_hits is None


async def test_messages_of_the_sdk_can_be_sent_back():
    """An answer's message goes into the next call as it is."""
    fake = service()
    await production(fake)[0].safe_completion([*ask(), completion().choices[0].message, *ask("Sure?")])
    assert [message["role"] for message in fake.sent[0].body["messages"]] == ["user", "assistant", "user"]


def test_wrong_parts_are_refused_when_the_service_is_made():
    """A text for a list of fallbacks would be asked letter by letter."""
    with pytest.raises(InvalidRequestError, match=r"\['second'\]"):
        ProductionLLMService("first", fallbacks="second")
    with pytest.raises(PluginError, match="wait_s"):
        ProductionLLMService("first", retry=object())


def test_a_connection_string_configures_monitoring(monkeypatch):
    """The session's second argument."""
    configured = []
    monkeypatch.setattr("labkit.monitoring.configure_monitoring", configured.append)
    subject = ProductionLLMService("first", "InstrumentationKey=x")
    assert configured == ["InstrumentationKey=x"]
    assert (subject.deployment_name, subject.fallbacks) == ("first", ())
    assert hasattr(subject.tracer, "start_as_current_span")


THREE = BreakerPolicy(failures_in_a_row=3, open_s=30)
