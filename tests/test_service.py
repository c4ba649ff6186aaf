import asyncio
import logging
import re
import traceback
from datetime import UTC, datetime

import httpx2
import openai
import pytest
from opentelemetry.trace import StatusCode

from labkit.breaker import AllCircuitsOpenError, BreakerPolicy, CircuitOpenError
from labkit.deadline import DeadlineExceededError
from labkit.errors import InvalidRequestError
from labkit.gate import Drained, ServiceDrainingError
from labkit.metering import UsageMeter
from labkit.plugins import PluginError
from labkit.retry import WaitTooLongError, attempts_of
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
from tests.test_completion import Queue
from tests.virtual import cancelled_after, now_s, run_virtually

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


async def fails(subject, **options):
    """The error of one call."""
    with pytest.raises(Exception) as failure:  # noqa: PT011
        await subject.safe_completion(ask(), **{"max_retries": 0, **options})
    return failure.value


def test_a_deployment_that_keeps_failing_is_left_alone_and_tried_again_later():
    """Calls go to the fallback at once; after half a minute one goes to the deployment again."""

    async def main():
        fake = service(*[refused(503), answered()] * 3, answered())
        subject, recorded = production(fake, "first", fallbacks=["second"], breaker=THREE, clock=now_s)
        for _ in range(5):
            await subject.safe_completion(ask(), max_retries=0)
        assert fake.deployments == ["first", "second"] * 3 + ["second"] * 2
        assert subject.breakers["first"].state == "open"
        await asyncio.sleep(30)
        await subject.safe_completion(ask(), max_retries=0)
        assert fake.deployments[-1] == "first"
        assert subject.breakers["first"].state == "closed"
        changes = recorded.points("labkit.breaker.transitions")
        assert sorted(point["labkit.breaker.state"] for point in changes) == ["closed", "half_open", "open"]

    run_virtually(main())


async def test_an_outage_is_not_told_by_every_call(caplog):
    """One line when the circuit opens; calls that find it open say nothing of it."""
    fake = service(*[refused(503), answered()] * 3, answered())
    subject, _ = production(fake, "first", fallbacks=["second"], breaker=THREE)
    with caplog.at_level(logging.WARNING, logger="labkit"):
        for _ in range(20):
            await subject.safe_completion(ask(), max_retries=0)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4
    assert "Circuit of deployment first is open after InternalServerError 503, next probe in 30 s" in messages


async def test_when_all_circuits_are_open_the_error_comes_at_once():
    """Nothing is sent, and it says of each deployment why and until when."""
    fake = service(refused(503))
    subject, _ = production(fake, "first", fallbacks=["second"], breaker=THREE)
    for _ in range(3):
        await fails(subject)
    sent = len(fake.sent)
    error = await fails(subject)
    assert isinstance(error, AllCircuitsOpenError)
    assert len(fake.sent) == sent
    assert re.search(r"first \(after InternalServerError 503, probe in [23]\d(\.\d)? s\), second \(", str(error))


async def test_a_circuit_that_opens_ends_the_retries():
    """The rest of the retries would go where nobody answers; one deployment says so in its own error."""
    fake = service(refused(503))
    subject, _ = production(fake, breaker=THREE)
    error = await fails(subject, max_retries=9)
    assert isinstance(error, CircuitOpenError)
    assert len(fake.sent) == 3
    assert [each.error for each in attempts_of(error)] == ["InternalServerError 503"] * 3 + ["CircuitOpenError"]


async def test_limits_and_wrong_requests_do_not_open_a_circuit():
    """429 and 400 come from a deployment that works."""
    subject, _ = production(service(*[refused(429), refused(400)] * 10), breaker=THREE)
    for _ in range(12):
        await fails(subject)
    assert subject.breakers["gpt-4o"].state == "closed"


def test_one_probe_at_a_time_also_with_many_callers():
    """A hundred calls while the circuit is half open: one of them reaches the deployment, all are answered."""

    async def main():
        fake = service(*[refused(503), answered()] * 3, answered())
        subject, _ = production(fake, "first", fallbacks=["second"], breaker=THREE, clock=now_s)
        for _ in range(3):
            await subject.safe_completion(ask(), max_retries=0)
        assert subject.breakers["first"].state == "open"
        fake.sent.clear()
        fake.takes_s = 1
        await asyncio.sleep(30)
        await asyncio.gather(*[subject.safe_completion(ask()) for _ in range(100)])
        assert fake.deployments.count("first") == 1
        assert fake.deployments.count("second") == 99

    run_virtually(main())


async def test_the_last_error_tells_what_all_deployments_said():
    """Otherwise only the fallback's error would be seen."""
    subject, _ = production(service(refused(503), refused(429)), "first", fallbacks=["second"])
    error = await fails(subject)
    assert error.__notes__[-1] == (
        "No deployment answered. first: InternalServerError 503; second: RateLimitError 429."
    )


def test_a_deadline_covers_the_queue_the_retries_and_the_fallbacks():
    """Whatever the time goes to, the call ends with an error that names the whole of it."""

    async def main():
        fake = service(refused(503), answered())
        fake.takes_s = 4
        subject, _ = production(fake, deadline_s=60, max_concurrency=1, clock=now_s, sleep=asyncio.sleep)
        began_s = now_s()
        first = asyncio.create_task(subject.safe_completion(ask()))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceededError, match="deadline of 5 s: it still waited for its turn"):
            await subject.safe_completion(ask(), deadline_s=5)
        await first
        assert now_s() - began_s == pytest.approx(8.5, abs=0.1)
        with pytest.raises(DeadlineExceededError, match="deadline of 3 s: the answer was still under way"):
            await subject.safe_completion(ask(), deadline_s=3)

    run_virtually(main())


async def test_a_wait_beyond_the_deadline_lets_the_fallback_answer():
    """The deployment asks for 20 s, 5 are left: the other one may have room now."""
    fake = service(refused(429, retry_after="20"), answered())
    subject, _ = production(fake, "first", fallbacks=["second"], deadline_s=5)
    await subject.safe_completion(ask())
    assert fake.deployments == ["first", "second"]


async def test_without_time_nothing_is_sent():
    """A deadline of 0 is over; it is counted as a failure, as somebody did not get an answer."""
    fake = service()
    subject, _ = production(fake)
    assert isinstance(await fails(subject, deadline_s=0), DeadlineExceededError)
    assert (fake.sent, subject.measured().failed) == ([], 1)


def test_a_deployment_that_hangs_opens_its_circuit():
    """A call cut at its deadline is a deployment that did not answer; a caller who left is not."""

    async def main():
        fake = service()
        fake.takes_s = 3600
        subject, _ = production(fake, breaker=THREE, deadline_s=5, clock=now_s)
        for _ in range(4):
            call = asyncio.create_task(subject.safe_completion(ask()))
            await asyncio.sleep(1)
            call.cancel()
        assert subject.breakers["gpt-4o"].state == "closed"
        for _ in range(3):
            assert isinstance(await fails(subject), DeadlineExceededError)
        assert isinstance(await fails(subject), CircuitOpenError)

    run_virtually(main())


def test_at_most_so_many_calls_run_at_a_time():
    """The rest waits for its turn and is answered, too."""

    async def main():
        fake = service()
        fake.gate = asyncio.Event()
        subject, _ = production(fake, max_concurrency=4)
        calls = [asyncio.create_task(subject.safe_completion(ask())) for _ in range(20)]
        await asyncio.sleep(1)
        assert (fake.at_once, subject.under_way) == (4, 20)
        fake.gate.set()
        await asyncio.gather(*calls)
        assert (fake.most_at_once, subject.under_way, len(fake.sent)) == (4, 0, 20)

    run_virtually(main())


def test_a_service_ends_its_calls_before_its_block_ends():
    """``async with`` drains; afterwards a call is refused with an error that says so, and so says the health check."""

    async def main():
        fake = service()
        fake.takes_s = 2
        subject, _ = production(fake)
        async with subject:
            call = asyncio.create_task(subject.safe_completion(ask()))
            await asyncio.sleep(0)
        assert call.done()
        assert isinstance(await fails(subject), ServiceDrainingError)
        assert (await subject.health_check())["reason"] == "the service is being drained and takes no more calls"
        assert len(fake.sent) == 1

    run_virtually(main())


def test_a_drain_cuts_what_does_not_end(caplog):
    """It reports how many; the callers get an error of their own and are not cancelled."""

    async def main():
        fake = service()
        fake.takes_s = 100
        subject, _ = production(fake)
        call = asyncio.create_task(subject.safe_completion(ask()))
        await asyncio.sleep(0)
        with caplog.at_level(logging.INFO, logger="labkit"):
            assert await subject.drain(5) == Drained(finished=0, cut=1)
        with pytest.raises(ServiceDrainingError, match="was cut"):
            await call
        assert "LLM service drained - finished: 0, cut: 1" in caplog.text

    run_virtually(main())


def test_a_call_cancelled_anywhere_leaves_nothing_behind():
    """No place in the queue, no reservation, no half-open probe; and it is not counted as anything."""

    async def cancel_at(turns):
        fake = service(refused(503), answered())
        fake.takes_s = 0.25
        pacer = Queue(takes_s=0.25)
        policy = BreakerPolicy(failures_in_a_row=1, open_s=0.001)
        subject, _ = production(
            fake, pacers={"gpt-4o": pacer}, breaker=policy, max_concurrency=1, clock=now_s, sleep=asyncio.sleep
        )
        other = asyncio.create_task(subject.safe_completion(ask()))
        under_way = await cancelled_after(turns, subject.safe_completion(ask(), deadline_s=100))
        await other
        await asyncio.sleep(1)
        await subject.safe_completion(ask())  # the probe's place and the only place inside are free
        assert len(pacer.ends) == len(pacer.reserved)
        assert (subject.under_way, subject._gate._inside) == (0, 0)
        assert subject.measured().requests == (2 if under_way else 3)
        return under_way

    turns = 0
    while run_virtually(cancel_at(turns)):
        turns += 1
    assert turns > 15


async def test_a_filtered_prompt_is_printed_nowhere(caplog):
    """Not by the error, its notes, its chain, the log or the telemetry; and it is sent once."""
    fake = service(filtered_prompt())
    subject, recorded = production(fake, "first", fallbacks=["second"])
    said = ask("Anna has a cat")  # not in a line of the traceback
    with caplog.at_level(logging.DEBUG, logger="labkit"), pytest.raises(ContentFilteredError) as refusal:
        await subject.safe_completion(said, max_retries=9)
    printed = "".join(traceback.format_exception(refusal.value))
    assert "hate: high" in printed
    assert "has a cat" not in printed + caplog.text + recorded.everything() + repr(refusal.value)
    assert refusal.value.__cause__ is None
    assert len(fake.sent) == 1


async def test_the_meter_is_told_about_every_answer_also_a_useless_one():
    """What was filtered has been paid for; a meter of one's own sees the same."""
    told = []

    class Mine:
        def record(self, deployment, answer, latency_s, *, cached):
            told.append((deployment, answer.usage.total_tokens, latency_s, cached))

    fake = service(answered(processing_ms=500), answered("x", finish_reason="content_filter"))
    subject, recorded = production(fake, meter=Mine())
    await subject.safe_completion(ask())
    await fails(subject)
    assert told == [("gpt-4o", 25, 0.5, False), ("gpt-4o", 25, 0.12, False)]
    assert subject.measured().cost_usd == pytest.approx(2 * (20 * 2.5 + 5 * 10) / 1e6)
    (cost,) = recorded.points("labkit.cost")
    assert cost["value"] == pytest.approx(2 * (20 * 2.5 + 5 * 10) / 1e6)


async def test_a_usage_meter_of_ones_own_also_sees_who_it_was_for():
    """One meter for several services adds up by user; each service keeps its own cost for its scorecard."""
    meter = UsageMeter()
    first, _ = production(service(), meter=meter)
    second, _ = production(service(), meter=meter)
    await first.safe_completion(ask(), user="anna")
    await second.safe_completion(ask(), user="ola")
    assert sorted(meter.frame(by="user").index) == ["anna", "ola"]
    assert first.measured().cost_usd == second.measured().cost_usd == pytest.approx(meter.cost_usd / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fallbacks": ["second", "first"]}, "Each deployment can be asked once"),
        ({"pacers": {"third": Queue()}}, "pacers has 'third'; the deployments are 'first'"),
        ({"max_concurrency": 0}, "max_concurrency must be"),
        ({"deadline_s": "5"}, "deadline_s must be seconds"),
    ],
    ids=str,
)
def test_wrong_settings_are_refused_when_the_service_is_made(options, message):
    """Not at the first call."""
    with pytest.raises(InvalidRequestError, match=message):
        ProductionLLMService("first", **options)
