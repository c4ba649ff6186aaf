import asyncio
import gc
import logging

import httpx2
import openai
import pytest

from labkit.breaker import BreakerPolicy
from labkit.calls.caller import Caller
from labkit.deadline import DeadlineExceededError
from labkit.errors import InvalidRequestError
from labkit.gate import Drained, ServiceDrainingError
from labkit.retry import RetryPolicy
from labkit.validation import ContentFilteredError, EmptyAnswerError
from tests.recorded import Recorded
from tests.scripted import answered, ask, filtered_prompt, refused, refused_parameter, service
from tests.streamed import DONE, FILTERED_PROMPT, Stream, chunk, delta, events
from tests.test_completion import Queue
from tests.test_service import production
from tests.virtual import cancelled_after, now_s, run_virtually

WARSAW = ("War", "saw", ".")


async def read(stream):
    """The words of a stream, in order."""
    return [each.choices[0].delta.content async for each in stream if each.choices and each.choices[0].delta.content]


async def test_an_answer_comes_in_chunks_and_is_there_whole_at_the_end():
    """Usage is asked for behind the scenes, and its chunk kept back."""
    fake = service(Stream(events(*WARSAW)))
    subject, recorded = production(fake)
    stream = subject.stream_completion(ask(), temperature=0)
    assert stream.answer is None
    chunks = [each async for each in stream]
    assert "".join(each.choices[0].delta.content or "" for each in chunks if each.choices) == "Warsaw."
    assert stream.answer.choices[0].message.content == "Warsaw."
    assert stream.answer.usage.total_tokens == 25
    assert not any(each.usage for each in chunks)
    assert fake.sent[0].body["stream_options"] == {"include_usage": True}
    assert (fake.sent[0].body["stream"], fake.sent[0].body["temperature"]) == (True, 0)
    assert recorded.span.attributes["tokens_used"] == 25
    assert subject.measured().cost_usd == pytest.approx((20 * 2.5 + 5 * 10) / 1e6)
    assert (subject.measured().requests, subject.measured().calls, subject.under_way) == (1, 1, 0)


async def test_usage_is_shown_to_who_asks_for_it():
    """As the service sends it: in a last chunk of its own."""
    subject, _ = production(service(Stream(events(*WARSAW))))
    stream = subject.stream_completion(ask(), stream_options={"include_usage": True})
    assert [each.usage.total_tokens async for each in stream if each.usage] == [25]


def test_the_time_to_the_first_token_is_measured():
    """From the attempt that was answered; the whole of it takes as long as it takes."""

    async def main():
        fake = service(refused(429, retry_after="4"), Stream([0.5, FILTERED_PROMPT, 1.5, delta("W"), 3, *events("s")]))
        subject, recorded = production(fake, clock=now_s, sleep=asyncio.sleep)
        assert await read(subject.stream_completion(ask())) == ["W", "s"]
        assert recorded.span.attributes["gen_ai.response.time_to_first_chunk"] == 2
        assert 9 <= subject.measured().latency_s <= 9.5

    run_virtually(main())


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(refused(503), id="503"),
        pytest.param(refused(429), id="429"),
        pytest.param(httpx2.ConnectError("gone"), id="no connection"),
        pytest.param(Stream([httpx2.ReadError("reset")]), id="reset before anything"),
        pytest.param(
            Stream([FILTERED_PROMPT, delta("", role="assistant"), httpx2.ReadError("x")]), id="reset, role only"
        ),
        pytest.param(Stream([FILTERED_PROMPT, DONE]), id="done without an answer"),
        pytest.param(Stream([]), id="nothing at all"),
        pytest.param(Stream([{"error": {"code": "server_error", "message": "x"}}]), id="an error as first event"),
    ],
)
async def test_until_the_first_token_a_stream_is_retried(broken):
    """The reader sees one answer, and the broken response is closed."""
    fake = service(broken, Stream(events(*WARSAW)))
    subject, _ = production(fake)
    assert await read(subject.stream_completion(ask())) == list(WARSAW)
    assert len(fake.sent) == 2
    if isinstance(broken, Stream):
        assert broken.closed == [1]


async def test_and_taken_over_by_the_fallback():
    """Once the retries are spent."""
    fake = service(refused(503), refused(503), Stream(events(*WARSAW)))
    subject, _ = production(fake, "first", fallbacks=["second"])
    assert await read(subject.stream_completion(ask(), max_retries=1)) == list(WARSAW)
    assert fake.deployments == ["first", "first", "second"]


@pytest.mark.parametrize(
    ("ends", "error"),
    [
        pytest.param([httpx2.ReadError("reset")], openai.APIConnectionError, id="reset"),
        pytest.param([httpx2.ReadTimeout("slow")], openai.APITimeoutError, id="timeout"),
        pytest.param([], openai.APIConnectionError, id="cut without a word"),
        pytest.param([DONE], openai.APIConnectionError, id="done without a finish reason"),
        pytest.param([{"error": {"code": "500", "message": "x"}}], openai.APIError, id="an error as event"),
        pytest.param(['{"half'], EmptyAnswerError, id="half a chunk"),
    ],
)
async def test_after_the_first_token_an_error_is_an_error(ends, error):
    """What was read cannot be unread: no retry, no fallback; the response is closed and the call counted as failed."""
    broken = Stream([delta("War"), *ends])
    fake = service(broken, Stream(events(*WARSAW)))
    subject, recorded = production(fake, "first", fallbacks=["second"])
    stream = subject.stream_completion(ask())
    assert (await anext(stream)).choices[0].delta.content == "War"
    with pytest.raises(error) as failure:
        await anext(stream)
    assert failure.value.__cause__ is None or "War" not in str(failure.value.__cause__)
    assert fake.deployments == ["first"]
    assert (broken.closed, subject.under_way, subject.measured().failed) == ([1], 0, 1)
    assert recorded.span.attributes["success"] is False
    assert stream.answer.choices[0].message.content == "War"
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_an_error_in_the_middle_says_why_it_is_not_repeated():
    """As a note, on the SDK's own error."""
    subject, _ = production(service(Stream([delta("War"), httpx2.ReadError("reset")])))
    with pytest.raises(openai.APIConnectionError) as failure:
        await read(subject.stream_completion(ask()))
    assert failure.value.__notes__ == ["The answer had begun: a stream is repeated only before its first token."]


@pytest.mark.parametrize(
    ("said", "error"),
    [
        pytest.param(events("half of something bad", finish="content_filter"), ContentFilteredError, id="filtered"),
        pytest.param(
            [delta("half"), {"error": {"code": "content_filter", "message": "x"}}], ContentFilteredError, id="event"
        ),
        pytest.param(events(), EmptyAnswerError, id="empty"),
    ],
)
async def test_the_answer_is_checked_at_its_end(said, error):
    """Paid for, not repeated, and not counted as an outage of the service."""
    fake = service(Stream(said))
    subject, recorded = production(fake, "first", fallbacks=["second"])
    with pytest.raises(error):
        await read(subject.stream_completion(ask()))
    assert len(fake.sent) == 1
    assert recorded.span.attributes["error.type"] == error.__name__


async def test_a_filtered_prompt_is_sent_once_and_not_printed(caplog):
    """As with whole answers."""
    fake = service(filtered_prompt())
    subject, recorded = production(fake)
    with caplog.at_level(logging.DEBUG, logger="labkit"), pytest.raises(ContentFilteredError, match="hate: high"):
        await read(subject.stream_completion(ask("Anna has a cat")))
    assert len(fake.sent) == 1
    assert "has a cat" not in caplog.text + recorded.everything()


@pytest.mark.parametrize("how", ["break", "block", "aclose", "error"])
async def test_a_reader_who_stops_early_leaves_nothing_open(how):
    """The response is closed, the place given back; it counts as an answer, and its span does not fail."""
    body = Stream([*events(*WARSAW)[:-1], 3600])
    pacer = Queue()
    subject, recorded = production(service(body), max_concurrency=1, pacers={"gpt-4o": pacer})
    await stop(subject.stream_completion(ask()), how)
    gc.collect()
    for _ in range(5):
        await asyncio.sleep(0)
    assert (body.closed, subject.under_way) == ([1], 0)
    assert pacer.ends == [("settled", None, None)]
    assert recorded.span.attributes["success"] is True
    assert (subject.measured().failed, subject.measured().calls) == (0, 1)


async def stop(stream, how):
    """Reads one chunk and stops."""
    if how == "break":
        async for _ in stream:
            break
    elif how == "block":
        async with stream:
            await anext(stream)
    elif how == "aclose":
        await anext(stream)
        await stream.aclose()
        await stream.aclose()
    else:
        with pytest.raises(ZeroDivisionError):
            await fail_over(stream)


async def fail_over(stream):
    """A reader with an error of its own."""
    async with stream:
        async for _ in stream:
            raise ZeroDivisionError


async def test_a_stream_that_is_never_read_is_never_opened():
    """It is opened when first read; its request is checked at once."""
    fake = service(Stream(events(*WARSAW)))
    subject, _ = production(fake)
    async with subject.stream_completion(ask()):
        pass
    assert (fake.sent, subject.under_way, subject.measured().requests) == ([], 0, 0)
    with pytest.raises(InvalidRequestError, match="messages must be"):
        subject.stream_completion([])


def test_the_deadline_covers_the_whole_stream():
    """Also the wait for its next chunk; the deployment that stopped talking is remembered for it."""

    async def main():
        body = Stream([delta("War"), 3600])
        subject, _ = production(service(body), clock=now_s, breaker=BreakerPolicy(failures_in_a_row=1))
        began_s = now_s()
        stream = subject.stream_completion(ask(), deadline_s=5)
        await anext(stream)
        with pytest.raises(DeadlineExceededError, match="deadline of 5 s"):
            await anext(stream)
        assert (now_s() - began_s, body.closed) == (5, [1])
        assert subject.breakers["gpt-4o"].state == "open"

    run_virtually(main())


def test_streams_that_break_in_the_middle_open_the_circuit():
    """The first token alone does not make a deployment healthy."""

    async def main():
        fake = service(Stream([delta("War"), httpx2.ReadError("reset")]))
        subject, _ = production(fake, breaker=BreakerPolicy(failures_in_a_row=99, window=8), clock=now_s)
        for _ in range(4):
            with pytest.raises(openai.APIConnectionError):
                await read(subject.stream_completion(ask()))
        assert subject.breakers["gpt-4o"].state == "open"

    run_virtually(main())


def test_a_stream_keeps_its_place_until_it_ends():
    """The next call waits for it, and goes when it is over."""

    async def main():
        fake = service(Stream([delta("War"), 5, *events("saw.")]), answered())
        subject, _ = production(fake, max_concurrency=1)
        stream = subject.stream_completion(ask())
        await anext(stream)
        waits = asyncio.create_task(subject.safe_completion(ask()))
        await asyncio.sleep(1)
        assert not waits.done()
        assert await read(stream) == ["saw."]
        await waits

    run_virtually(main())


@pytest.mark.parametrize("reading", [True, False])
def test_a_drain_cuts_a_stream_whether_it_is_read_or_not(reading):
    """Who reads gets the error; who has stopped reading gets it with the next chunk."""

    async def main():
        body = Stream([delta("War"), delta("saw"), 3600])
        subject, _ = production(service(body))
        stream = subject.stream_completion(ask())
        await anext(stream)
        reader = asyncio.create_task(read(stream)) if reading else None
        await asyncio.sleep(0.1)
        assert await subject.drain(5) == Drained(finished=0, cut=1)
        with pytest.raises(ServiceDrainingError, match="was cut"):
            await (reader or anext(stream))
        assert (body.closed, subject.under_way) == ([1], 0)

    run_virtually(main())


def test_a_drain_waits_for_a_stream_that_is_read():
    """It ends in time, so it is not cut."""

    async def main():
        subject, _ = production(service(Stream([delta("War"), 3, *events("saw.")])))
        reader = asyncio.create_task(read(subject.stream_completion(ask())))
        await asyncio.sleep(1)
        assert await subject.drain(60) == Drained(finished=1, cut=0)
        assert await reader == ["War", "saw."]

    run_virtually(main())


def test_a_reader_cancelled_anywhere_leaves_nothing_behind():
    """No open response, no place, no reservation, no probe."""

    async def cancel_at(turns):
        body = Stream([0.2, FILTERED_PROMPT, 0.2, delta("War"), 0.2, *events("saw.")])
        pacer = Queue(takes_s=0.2)
        subject, _ = production(
            service(refused(503), body),
            pacers={"gpt-4o": pacer},
            breaker=BreakerPolicy(failures_in_a_row=1, open_s=0.001),
            max_concurrency=1,
            clock=now_s,
            sleep=asyncio.sleep,
        )
        under_way = await cancelled_after(turns, read(subject.stream_completion(ask(), deadline_s=100)))
        gc.collect()
        await asyncio.sleep(1)
        assert body.closed == list(range(1, body.made + 1))
        assert (subject.under_way, subject._gate._inside) == (0, 0)
        assert len(pacer.ends) == len(pacer.reserved)
        assert await read(subject.stream_completion(ask())) == ["War", "saw."]
        return under_way

    turns = 0
    while run_virtually(cancel_at(turns)):
        turns += 1
    assert turns > 10


async def test_a_limit_reaches_a_reasoning_model_under_its_other_name():
    """The refusal comes before the stream, and is made good."""
    fake = service(refused_parameter("max_tokens"), Stream(events(*WARSAW)))
    subject, _ = production(fake, "thinker")
    assert await read(subject.stream_completion(ask(), max_tokens=9)) == list(WARSAW)
    assert fake.sent[1].body["max_completion_tokens"] == 9


async def test_a_deployment_that_does_not_know_usage_in_streams_is_asked_without():
    """What was added for our own sake must not make a call fail."""
    fake = service(refused_parameter("stream_options"), Stream(events(*WARSAW)))
    subject, _ = production(fake)
    assert await read(subject.stream_completion(ask())) == list(WARSAW)
    assert "stream_options" not in fake.sent[1].body


async def test_a_caller_gives_the_chunks_by_themselves():
    """Without a service around it: what the other parts build on."""
    body = Stream(events(*WARSAW))
    caller = Caller(service(body).client, Recorded().telemetry)
    assert await read(caller.stream("gpt-4o", ask(), {}, retry=RetryPolicy())) == list(WARSAW)
    async for _ in caller.stream("gpt-4o", ask(), {}, retry=RetryPolicy()):
        break
    gc.collect()
    await asyncio.sleep(0.01)
    assert body.closed == [1, 2]


async def test_the_pacer_hears_what_a_stream_took():
    """From the usage of its last chunk."""
    pacer = Queue()
    subject, _ = production(service(Stream(events(*WARSAW))), pacers={"gpt-4o": pacer})
    await read(subject.stream_completion(ask()))
    assert pacer.ends == [("settled", 25, None)]


async def test_a_stream_without_usage_is_an_answer_of_unknown_cost():
    """Not every endpoint reports it."""
    said = [each for each in events(*WARSAW) if each == DONE or each["choices"] or "usage" not in each]
    subject, recorded = production(service(Stream(said)))
    stream = subject.stream_completion(ask())
    assert await read(stream) == list(WARSAW)
    assert stream.answer.usage is None
    assert "tokens_used" not in recorded.span.attributes


async def test_chunks_of_the_asynchronous_filter_pass_through():
    """They have no delta (openai-python#1677)."""
    late = chunk(
        choices=[{"index": 0, "finish_reason": None, "content_filter_results": {}, "content_filter_offsets": {}}]
    )
    subject, _ = production(service(Stream([delta("War"), late, *events("saw.")])))
    chunks = [each async for each in subject.stream_completion(ask())]
    assert any(hasattr(each.choices[0], "content_filter_offsets") for each in chunks if each.choices)
