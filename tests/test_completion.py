import asyncio
from contextlib import suppress
from dataclasses import dataclass, field

import httpx2
import openai
import pytest

from labkit.calls.caller import Caller
from labkit.deadline import Deadline, DeadlineExceededError
from labkit.retry import RetryPolicy, WaitTooLongError, attempts_of
from labkit.validation import EmptyAnswerError
from tests.recorded import Recorded
from tests.scripted import Sleeper, answered, ask, filtered_prompt, refused, refused_parameter, service
from tests.virtual import cancelled_after, now_s, run_virtually

EXACT = RetryPolicy(jitter=0)


@dataclass
class Told:
    """A reservation that keeps what it is told."""

    ends: list[tuple]

    def settle(self, *, tokens, headers):
        self.ends.append(("settled", tokens, dict(headers or {}).get("x-left")))

    def refuse(self, error, wait_s):
        self.ends.append(("refused", error.status_code, wait_s))

    def release(self):
        self.ends.append(("released",))


@dataclass
class Queue:
    """A pacer that keeps the ends of its reservations and whether they came from a refusal; room takes ``takes_s``."""

    takes_s: float = 0.0
    reserved: list[bool] = field(default_factory=list)
    tokens: list[int] = field(default_factory=list)
    ends: list[tuple] = field(default_factory=list)

    async def reserve(self, tokens, *, first=False):
        if self.takes_s:
            await asyncio.sleep(self.takes_s)
        self.reserved.append(first)
        return Told(self.ends)


async def complete(fake, pacer=None, *, caller=None, messages=None, params=None, **options):
    """One call through a scripted service; gives its result."""
    caller = caller or Caller(fake.client, Recorded().telemetry, Sleeper())
    return await caller.complete(
        "gpt-4o", messages or ask(), params or {}, **{"retry": EXACT, "pacer": pacer, **options}
    )


@pytest.mark.parametrize(
    ("reply", "end"),
    [
        pytest.param(answered(prompt_tokens=20, completion_tokens=5), ("settled", 25, None), id="answered"),
        pytest.param(refused(400, x_left="7"), ("settled", None, "7"), id="400"),
        pytest.param(refused(500, x_left="7"), ("settled", None, "7"), id="500"),
        pytest.param(filtered_prompt(), ("settled", None, None), id="content filter"),
        pytest.param(httpx2.ReadTimeout("slow"), ("settled", None, None), id="timeout: it may have been counted"),
        pytest.param(httpx2.ConnectError("gone"), ("released",), id="never got there"),
        pytest.param(refused(429, retry_after="7"), ("refused", 429, 7.0), id="refused, and given up"),
        pytest.param(refused(429), ("refused", 429, 0.0), id="refused without a word"),
        pytest.param(refused(429, retry_after="86400"), ("refused", 429, 0.0), id="a day: nobody else waits for it"),
        pytest.param(
            httpx2.Response(200, text="{half", headers={"content-type": "application/json"}),
            ("settled", None, None),
            id="not JSON",
        ),
    ],
)
async def test_every_attempt_ends_its_reservation_once(reply, end):
    """With what the service said of it, so that the pacer learns from failures too."""
    pacer = Queue()
    with suppress(openai.OpenAIError, WaitTooLongError, EmptyAnswerError):
        await complete(service(reply), pacer, max_attempts=1)
    assert pacer.ends == [end]


async def test_a_refused_attempt_waits_in_the_pacers_queue_and_not_by_itself():
    """The pacer is told how long, once, and the next attempt goes to the head; other failures are waited for here."""
    pacer, sleeper = Queue(), Sleeper()
    fake = service(refused(429, retry_after="7"), refused(503), answered())
    recorded = Recorded()
    done = await complete(fake, pacer, caller=Caller(fake.client, recorded.telemetry, sleeper))
    assert pacer.reserved == [False, True, True]
    assert pacer.ends == [("refused", 429, 7.0), ("settled", None, None), ("settled", 25, None)]
    assert sleeper.waited_s == [1.0]
    assert done.duration_s == pytest.approx(1.12, abs=0.05)


async def test_a_parameter_the_model_refuses_takes_room_of_its_own():
    """Two requests went out, so two were reserved."""
    pacer = Queue()
    fake = service(refused_parameter("max_tokens"), answered())
    await complete(fake, pacer, params={"max_tokens": 9})
    assert pacer.ends == [("settled", None, None), ("settled", 25, None)]


async def test_half_an_answer_is_an_error_that_does_not_quote_it():
    """The JSON error of the standard library holds the whole text."""
    half = httpx2.Response(200, text='{"choices": "Anna has a cat', headers={"content-type": "application/json"})
    with pytest.raises(EmptyAnswerError, match="not JSON") as refusal:
        await complete(service(half))
    assert refusal.value.__cause__ is None
    assert refusal.value.__suppress_context__


async def test_retries_are_counted_with_their_kind():
    """One for each attempt that is made again."""
    recorded = Recorded()
    fake = service(refused(429), refused(503), answered())
    await complete(fake, caller=Caller(fake.client, recorded.telemetry, Sleeper()))
    kinds = [point["error"] for point in recorded.points("labkit.retries")]
    assert sorted(kinds) == ["InternalServerError 503", "RateLimitError 429"]


def timed(fake, *, deadline_s, pacer=None, began_s=0.0):
    """A call against a deadline in virtual time: its error, and the seconds it took."""

    async def main():
        start_s = now_s()
        caller = Caller(fake.client, Recorded().telemetry, clock=now_s)
        with pytest.raises(DeadlineExceededError) as refusal:
            await complete(fake, pacer, caller=caller, deadline_s=deadline_s)
        return refusal.value, now_s() - start_s

    return run_virtually(main())


def test_the_deadline_cuts_an_answer_that_is_late():
    """What was sent counts as sent."""
    pacer = Queue()
    fake = service(answered())
    fake.takes_s = 3600
    error, took_s = timed(fake, deadline_s=5, pacer=pacer)
    assert (took_s, pacer.ends) == (5, [("settled", None, None)])
    assert [each.error for each in attempts_of(error)] == ["DeadlineExceededError"]


def test_the_deadline_counts_the_wait_for_room():
    """A queue that is too long is left; nothing was sent, nothing is reserved."""
    pacer, fake = Queue(takes_s=3600), service(answered())
    error, took_s = timed(fake, deadline_s=5, pacer=pacer)
    assert (took_s, pacer.reserved, fake.sent) == (5, [], [])
    assert error.deadline_s == 5


def test_a_deadline_under_way_is_kept():
    """A service hands on its own, and the error names the whole of it."""

    async def main():
        deadline = Deadline.after(10, now_s)
        await asyncio.sleep(8)
        fake = service(answered())
        fake.takes_s = 3
        caller = Caller(fake.client, Recorded().telemetry, clock=now_s)
        with pytest.raises(DeadlineExceededError, match="deadline of 10 s"):
            await complete(fake, caller=caller, deadline_s=deadline)
        assert deadline.left_s == 0

    run_virtually(main())


def test_a_call_cancelled_anywhere_leaves_nothing_reserved():
    """At every turn of the loop: before, between and after attempts."""

    async def cancel_at(turns):
        pacer, fake = Queue(takes_s=0.5), service(refused(503), refused(429, retry_after="1"), answered())
        fake.takes_s = 1
        caller = Caller(fake.client, Recorded().telemetry, clock=now_s)
        under_way = await cancelled_after(turns, complete(fake, pacer, caller=caller))
        assert len(pacer.ends) == len(pacer.reserved)
        return under_way

    cancelled = 0
    while run_virtually(cancel_at(cancelled)):
        cancelled += 1
    assert cancelled > 10
