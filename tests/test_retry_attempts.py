"""The retry layer around a call: how often it is repeated, when it ends, and what its error tells."""

import asyncio

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.deadline import Deadline, DeadlineExceededError
from labkit.errors import InvalidRequestError
from labkit.plugins import PluginError
from labkit.retry import (
    MOST_ATTEMPTS,
    Attempt,
    RetryPolicy,
    WaitTooLongError,
    attempts_of,
    call_with_retry,
    retry_after_s,
)
from tests.scripted import Sleeper, refused, sdk_error
from tests.test_retry import EXACT, FINAL, LIMITED, TRANSIENT, Flaky
from tests.virtual import now_s, run_virtually


async def test_a_call_is_repeated_until_it_is_answered():
    """It waits as the policy says between the attempts."""
    flaky, sleeper = Flaky(LIMITED, TRANSIENT["500"]), Sleeper()
    assert await call_with_retry(flaky, EXACT, sleep=sleeper) == "answer"
    assert (flaky.calls, sleeper.waited_s) == (3, [0.5, 1.0])


async def test_a_lasting_error_is_sent_once():
    """A content filter refusal is not repeated, and the SDK's error arrives as it is."""
    flaky, sleeper = Flaky(FINAL["content filter"]), Sleeper()
    with pytest.raises(openai.BadRequestError) as refusal:
        await call_with_retry(flaky, EXACT, sleep=sleeper)
    assert (flaky.calls, sleeper.waited_s) == (1, [])
    assert not hasattr(refusal.value, "__notes__")


async def test_the_last_error_says_how_many_attempts_were_made():
    """Four attempts: the first and three retries."""
    errors = [sdk_error(refused(503)) for _ in range(9)]
    flaky = Flaky(*errors)
    with pytest.raises(openai.InternalServerError) as refusal:
        await call_with_retry(flaky, EXACT, sleep=Sleeper())
    assert flaky.calls == 4
    assert refusal.value is errors[3]
    assert refusal.value.__notes__ == ["Given up after 4 attempts: 4 x InternalServerError 503 (waited 3.5 s)."]


async def test_fewer_attempts_can_be_asked_for():
    """``max_attempts`` bounds what the policy would do."""
    flaky = Flaky(*[sdk_error(refused(503)) for _ in range(9)])
    with pytest.raises(openai.InternalServerError):
        await call_with_retry(flaky, EXACT, max_attempts=1, sleep=Sleeper())
    assert flaky.calls == 1


async def test_a_policy_without_end_is_ended():
    """A student's policy that never gives up does not hang the notebook."""

    class Endless:
        def wait_s(self, error, attempt):
            return 0

    flaky = Flaky(*[LIMITED] * 1000)
    with pytest.raises(openai.RateLimitError):
        await call_with_retry(flaky, Endless(), sleep=Sleeper())
    assert flaky.calls == MOST_ATTEMPTS


async def test_a_policy_that_would_wait_for_a_day_is_refused():
    """The limit also holds for a policy of one's own that passes on what the service said."""

    class Obedient:
        def wait_s(self, error, attempt):
            return retry_after_s(error)

    sleeper = Sleeper()
    with pytest.raises(WaitTooLongError, match="86,400 s"):
        await call_with_retry(Flaky(sdk_error(refused(429, retry_after="86400"))), Obedient(), sleep=sleeper)
    assert sleeper.waited_s == []


@pytest.mark.parametrize("returned", ["5", True, -1, float("nan")])
async def test_a_policy_must_answer_with_seconds(returned):
    """Anything else is an error that names the policy and what it returned."""

    class Odd:
        def wait_s(self, error, attempt):
            return returned

    with pytest.raises(PluginError, match=r"Odd\.wait_s must return seconds .* it returned"):
        await call_with_retry(Flaky(LIMITED), Odd(), sleep=Sleeper())


async def test_a_policy_is_asked_once_for_each_error_with_attempts_from_one():
    """Policies with a memory rely on it."""
    asked = []

    class Noting:
        def wait_s(self, error, attempt):
            asked.append((type(error).__name__, attempt))
            return 0.0

    await call_with_retry(Flaky(LIMITED, TRANSIENT["timeout"]), Noting(), sleep=Sleeper())
    assert asked == [("RateLimitError", 1), ("APITimeoutError", 2)]


async def test_cancelling_is_not_an_error_to_retry():
    """A cancelled call stops, whatever the policy."""
    flaky = Flaky(asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        await call_with_retry(flaky, EXACT, sleep=Sleeper())
    assert flaky.calls == 1


async def test_the_attempts_are_attached_and_told_in_words():
    """Kinds, times and waits of every try; none of the service's words."""
    ticks = iter(range(0, 100, 2))  # each look at the clock is two seconds later
    secret = sdk_error(refused(429, message="Anna has a cat", retry_after="20"))
    with pytest.raises(openai.InternalServerError) as refusal:
        await call_with_retry(
            Flaky(secret, *[sdk_error(refused(503)) for _ in range(9)]),
            RetryPolicy(max_retries=2, jitter=0),
            sleep=Sleeper(),
            clock=lambda: next(ticks),
        )
    assert attempts_of(refusal.value) == (
        Attempt("RateLimitError 429", True, 2, 20),
        Attempt("InternalServerError 503", False, 2, 1),
        Attempt("InternalServerError 503", False, 2, None),
    )
    assert refusal.value.__notes__ == [
        "Given up after 3 attempts: RateLimitError 429 (waited 20 s), 2 x InternalServerError 503 (waited 1 s)."
    ]


async def test_a_policy_sees_the_attempts_so_far():
    """So a student's policy can count kinds of errors without a memory of its own."""
    seen = []

    class Counting:
        def wait_s(self, error, attempt):
            seen.append([each.error for each in attempts_of(error)])
            return 0

    await call_with_retry(Flaky(LIMITED, TRANSIENT["timeout"]), Counting(), sleep=Sleeper())
    assert seen == [["RateLimitError 429"], ["RateLimitError 429", "APITimeoutError"]]


async def test_an_error_of_no_call_has_no_attempts():
    """And a call that failed once has one."""
    assert attempts_of(ValueError()) == ()
    with pytest.raises(openai.BadRequestError) as refusal:
        await call_with_retry(Flaky(FINAL["400"]), EXACT, sleep=Sleeper())
    assert [each.error for each in attempts_of(refusal.value)] == ["BadRequestError 400"]


async def test_errors_of_the_retry_layer_carry_the_attempts_too():
    """The wait that is too long is named, and what came before it is known."""
    errors = TRANSIENT["500"], sdk_error(refused(429, retry_after="86400"))
    with pytest.raises(WaitTooLongError) as refusal:
        await call_with_retry(Flaky(*errors), EXACT, sleep=Sleeper())
    assert [each.wait_s for each in attempts_of(refusal.value)] == [0.5, None]
    assert "InternalServerError 500 (waited 0.5 s), RateLimitError 429" in refusal.value.__notes__[0]


async def test_each_retry_is_told_before_its_wait():
    """What counts retries hears of those that happen, not of the last failure."""
    told = []
    with pytest.raises(openai.RateLimitError):
        await call_with_retry(
            Flaky(*[LIMITED] * 9),
            RetryPolicy(max_retries=2, jitter=0),
            sleep=Sleeper(),
            on_retry=lambda error, wait_s: told.append((error, wait_s)),
        )
    assert told == [(LIMITED, 0.5), (LIMITED, 1.0)]


def within(deadline_s, call, policy=EXACT):
    """Runs a call against a deadline in virtual time; gives the error, and the time it took."""

    async def main():
        began_s = now_s()
        with pytest.raises(DeadlineExceededError) as refusal:
            await call_with_retry(call, policy, deadline=Deadline.after(deadline_s, now_s), clock=now_s)
        return refusal.value, now_s() - began_s

    return run_virtually(main())


def test_a_wait_beyond_the_deadline_is_not_begun():
    """The error comes at once, says what is missing, and has the service's error as its cause."""
    limited = sdk_error(refused(429, retry_after="20"))
    error, took_s = within(5, Flaky(limited))
    assert took_s == 0
    assert error.__cause__ is limited
    assert error.deadline_s == 5
    assert "after RateLimitError 429 the next attempt is due in 20 s, and 5 s are left" in str(error)
    assert [each.error for each in attempts_of(error)] == ["RateLimitError 429"]
    assert isinstance(error, TimeoutError)


def test_the_running_attempt_is_cut_at_the_deadline():
    """Time spent on earlier attempts and waits counts; the last error before is the cause."""
    broken = sdk_error(refused(500))
    calls = []

    async def slow_then_stuck():
        calls.append(now_s())
        if len(calls) == 1:
            await asyncio.sleep(2)
            raise broken
        await asyncio.sleep(3600)

    error, took_s = within(5, slow_then_stuck)
    assert (took_s, len(calls)) == (5, 2)
    assert error.__cause__ is broken
    assert [(each.error, each.duration_s) for each in attempts_of(error)] == [
        ("InternalServerError 500", 2),
        ("DeadlineExceededError", 2.5),
    ]


@pytest.mark.parametrize("deadline_s", [0, -3])
def test_without_time_nothing_is_sent(deadline_s):
    """A caller that passes on what is left of its own time may have none left."""
    flaky = Flaky()
    error, took_s = within(deadline_s, flaky)
    assert (flaky.calls, took_s) == (0, 0)
    assert "no time left to send it" in str(error)


def test_a_policy_is_not_asked_about_the_deadline():
    """One that retries everything does not get past it."""

    class Always:
        def wait_s(self, error, attempt):
            return 0

    async def stuck():
        await asyncio.sleep(3600)

    assert within(5, stuck, Always())[1] == 5


async def test_an_endless_deadline_is_none():
    """``inf`` is allowed; a timeout of the call itself is not taken for the deadline."""
    assert await call_with_retry(Flaky(), EXACT, deadline=Deadline.after(float("inf"))) == "answer"
    with pytest.raises(TimeoutError) as own:
        await call_with_retry(Flaky(TimeoutError("mine")), EXACT, deadline=Deadline.after(60))
    assert str(own.value) == "mine"


@pytest.mark.parametrize("deadline_s", ["5", True, float("nan")])
def test_a_deadline_is_seconds(deadline_s):
    """The error says what was given."""
    with pytest.raises(InvalidRequestError, match="deadline_s must be seconds"):
        Deadline.after(deadline_s)


@given(
    failures=st.lists(
        st.tuples(st.sampled_from([429, 500, 503, 408]), st.sampled_from([None, "0", "3", "40", "nan", "-1", "soon"])),
        max_size=8,
    ),
    takes_s=st.floats(0, 4),
    deadline_s=st.one_of(st.none(), st.floats(0, 60)),
    max_retries=st.integers(0, 6),
    max_refusals=st.one_of(st.none(), st.integers(0, 6)),
)
def test_whatever_fails_the_account_of_it_is_right(failures, takes_s, deadline_s, max_retries, max_refusals):
    """The attempts add up to the time, none is lost, none is too many, and no call outlives its deadline."""
    policy = RetryPolicy(max_retries=max_retries, max_refusals=max_refusals)
    calls = []

    async def call():
        number = len(calls)
        calls.append(number)
        await asyncio.sleep(takes_s)
        if number < len(failures):
            status, said = failures[number]
            raise sdk_error(refused(status, **({} if said is None else {"retry_after": said})))
        return "answer"

    async def main():
        began_s = now_s()
        try:
            ended = await call_with_retry(call, policy, deadline=Deadline.of(deadline_s, now_s), clock=now_s)
        except (openai.APIStatusError, DeadlineExceededError) as error:
            ended = error
        return ended, now_s() - began_s

    ended, took_s = run_virtually(main())
    assert len(calls) <= policy.max_attempts
    assert deadline_s is None or took_s <= deadline_s + 1e-6
    if ended == "answer":
        assert len(calls) == len(failures) + 1
    elif calls:
        attempts = attempts_of(ended)
        assert len(attempts) == len(calls)
        assert took_s == pytest.approx(sum(each.duration_s + (each.wait_s or 0) for each in attempts))
        assert attempts[-1].wait_s is None
