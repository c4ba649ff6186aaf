"""A service when deployments fail, time runs out, callers crowd or leave, and it is shut down."""

import asyncio
import logging
import re
import traceback

import pytest

from labkit.breaker import AllCircuitsOpenError, BreakerPolicy, CircuitOpenError
from labkit.deadline import DeadlineExceededError
from labkit.errors import InvalidRequestError
from labkit.gate import Drained, ServiceDrainingError
from labkit.metering import UsageMeter
from labkit.retry import attempts_of
from labkit.service import ProductionLLMService
from labkit.validation import ContentFilteredError
from tests.scripted import (
    answered,
    ask,
    filtered_prompt,
    refused,
    service,
)
from tests.test_completion import Queue
from tests.test_service import production
from tests.virtual import cancelled_after, now_s, run_virtually

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
