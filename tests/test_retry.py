import asyncio
import random

import openai
import pytest

from labkit.plugins import PluginError
from labkit.retry import MOST_ATTEMPTS, RetryPolicy, WaitTooLongError, call_with_retry, is_transient, retry_after_s
from tests.scripted import REQUEST, Sleeper, filtered_prompt, refused, sdk_error

NOW_S = 1_790_000_000.0  # 2026-09-21 14:13:20 GMT
EXACT = RetryPolicy(jitter=0, now=lambda: NOW_S)


LIMITED = sdk_error(refused(429))
TRANSIENT = {
    "429": LIMITED,
    "408": sdk_error(refused(408)),
    "500": sdk_error(refused(500)),
    "503": sdk_error(refused(503)),
    "timeout": openai.APITimeoutError(REQUEST),
    "connection": openai.APIConnectionError(request=REQUEST),
}
FINAL = {
    "400": sdk_error(refused(400)),
    "content filter": sdk_error(filtered_prompt()),
    "401": sdk_error(refused(401)),
    "403": sdk_error(refused(403)),
    "404": sdk_error(refused(404, "DeploymentNotFound")),
    "409": sdk_error(refused(409)),
    "422": sdk_error(refused(422)),
    "no credit": sdk_error(refused(429, "insufficient_quota")),
    "the service says no": sdk_error(refused(500, x_should_retry="false")),
    "not of the SDK": ValueError("x"),
}


@pytest.mark.parametrize("error", TRANSIENT.values(), ids=TRANSIENT)
def test_passing_errors_are_retried(error):
    """408, 429, 5xx, timeouts and lost connections may be gone next time."""
    assert is_transient(error)
    assert EXACT.wait_s(error, 1) == 0.5


@pytest.mark.parametrize("error", FINAL.values(), ids=FINAL)
def test_lasting_errors_are_not(error):
    """They answer the same however often they are asked, even with a Retry-After."""
    assert not is_transient(error)
    assert EXACT.wait_s(error, 1) is None


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        pytest.param({"retry_after": "7"}, 7.0, id="seconds"),
        pytest.param({"retry_after": "0.25"}, 0.25, id="part of a second"),
        pytest.param({"retry_after_ms": "1500", "retry_after": "7"}, 1.5, id="milliseconds are preferred"),
        pytest.param({"retry_after_ms": "soon", "retry_after": "7"}, 7.0, id="unreadable milliseconds"),
        pytest.param({"retry_after": "Mon, 21 Sep 2026 14:13:30 GMT"}, 10.0, id="a date"),
        pytest.param({"retry_after": "Mon, 21 Sep 2026 14:00:00 GMT"}, None, id="a date gone by"),
        pytest.param({"retry_after": "0"}, None, id="zero says nothing"),
        pytest.param({"retry_after": "-4"}, None, id="negative"),
        pytest.param({"retry_after": "nan"}, None, id="nan"),
        pytest.param({"retry_after": "later"}, None, id="a word"),
        pytest.param({}, None, id="not said"),
    ],
)
def test_the_services_word_is_read_in_all_its_forms(headers, expected_s):
    """``retry-after-ms``, then ``retry-after`` in seconds, then as a date."""
    assert retry_after_s(sdk_error(refused(429, **headers)), now=lambda: NOW_S) == expected_s


def test_an_error_without_a_response_says_nothing():
    """A lost connection has no headers."""
    assert retry_after_s(TRANSIENT["connection"]) is None
    assert retry_after_s(ValueError("x")) is None


def test_waits_double_up_to_a_limit_where_the_service_says_nothing():
    """Half a second, one, two … and never more than eight; then the policy gives up."""
    policy = RetryPolicy(max_retries=7, jitter=0)
    waits = [policy.wait_s(LIMITED, attempt) for attempt in range(1, 9)]
    assert waits == [0.5, 1, 2, 4, 8, 8, 8, None]
    assert RetryPolicy(max_retries=10_000, jitter=0).wait_s(LIMITED, 9_999) == 8


def test_the_services_word_beats_the_backoff():
    """A service that says 20 s is not asked again after half a second."""
    assert EXACT.wait_s(sdk_error(refused(429, retry_after="20")), 1) == 20


def test_jitter_only_adds_and_is_reproducible_on_request():
    """Never earlier than the service said; a seeded generator gives the same waits."""
    error = sdk_error(refused(429, retry_after="20"))
    waits = [RetryPolicy().wait_s(error, 1) for _ in range(50)]
    assert all(20 <= wait <= 22 for wait in waits)
    assert len(set(waits)) > 1
    seeded = [RetryPolicy(rng=random.Random(13)).wait_s(error, 1) for _ in range(2)]
    assert seeded[0] == seeded[1]


def test_jitter_does_not_push_a_wait_over_the_limit():
    """119 s is within two minutes, so it is waited for, jitter or not."""
    policy = RetryPolicy(jitter=0.5)
    assert 119 <= policy.wait_s(sdk_error(refused(429, retry_after="119")), 1) <= 120


@pytest.mark.parametrize("said", ["86400", "121", "inf"])
def test_a_wait_beyond_sense_ends_at_once_with_an_error_that_names_it(said):
    """The error says how long, what is the limit, and what to do; the SDK's error is its cause."""
    error = sdk_error(refused(429, retry_after=said))
    with pytest.raises(WaitTooLongError) as refusal:
        RetryPolicy().wait_s(error, 1)
    assert refusal.value.__cause__ is error
    assert f"{float(said):,.0f} s" in str(refusal.value)
    assert "waits 120 s at most" in str(refusal.value)


class Flaky:
    """Fails with each error in turn, then answers."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    async def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


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
    assert refusal.value.__notes__ == ["Given up after 4 attempts."]


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
