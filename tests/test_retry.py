import asyncio
import random

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit.retry import (
    RetryPolicy,
    WaitTooLongError,
    call_with_retry,
    is_transient,
    retry_after_s,
)
from tests.scripted import REQUEST, Sleeper, filtered_prompt, refused, sdk_error

NOW_S = 1_790_000_000.0  # 2026-09-21 14:13:20 GMT
EXACT = RetryPolicy(jitter=0, now=lambda: NOW_S)


LIMITED = sdk_error(refused(429))
TRANSIENT = {
    "429": LIMITED,
    "408": sdk_error(refused(408)),
    "500": sdk_error(refused(500)),
    "503": sdk_error(refused(503)),
    "529": sdk_error(refused(529)),
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


class Flaky:
    """Fails with each error in turn, then answers."""

    def __init__(self, *errors):
        self.errors, self.calls = list(errors), 0

    async def __call__(self):
        self.calls += 1
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


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
        pytest.param({"retry_after": "Mon, 99 Sep 2026 99:00:00 GMT"}, None, id="a date that is none"),
        pytest.param({"retry_after_ms": "-inf", "retry_after": "7"}, 7.0, id="minus infinity"),
        pytest.param({"message": "Rate limited. Please retry after 9 seconds."}, 9.0, id="in words"),
        pytest.param({"message": "Please retry after 450 milliseconds."}, 0.45, id="in words, milliseconds"),
        pytest.param({"message": "Retry after 9 seconds.", "retry_after": "7"}, 7.0, id="headers beat words"),
        pytest.param({"message": "Retry after lunch."}, None, id="words without a time"),
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


@given(
    said_s=st.floats(0.001, 120),
    jitter=st.floats(0, 3),
    seed=st.integers(0, 2**32),
)
def test_a_wait_is_never_below_the_services_word_nor_above_the_limit(said_s, jitter, seed):
    """Whatever the jitter: at least what was said, at most two minutes."""
    policy = RetryPolicy(jitter=jitter, rng=random.Random(seed))
    error = sdk_error(refused(429, retry_after=repr(said_s)))
    assert said_s <= policy.wait_s(error, 1) <= 120


def test_jitter_near_the_limit_still_spreads():
    """Callers told 119 s do not all come back after exactly 120: what room there is is used evenly."""
    error = sdk_error(refused(429, retry_after="119"))
    policy = RetryPolicy(jitter=0.5, rng=random.Random(13))
    waits = [policy.wait_s(error, 1) for _ in range(100)]
    assert max(waits) < 120
    assert len({round(wait, 2) for wait in waits}) > 50


def test_refusals_can_be_waited_out_apart_from_failures():
    """Patience with a busy deployment is one thing, retries of a broken one another; each has its count."""
    policy = RetryPolicy(max_retries=1, max_refusals=3, jitter=0)
    broken = TRANSIENT["500"]

    def after(*errors):
        flaky, sleeper = Flaky(*errors), Sleeper()
        return flaky, call_with_retry(flaky, policy, sleep=sleeper)

    flaky, call = after(LIMITED, broken, LIMITED, LIMITED)
    assert asyncio.run(call) == "answer"
    assert flaky.calls == 5 == policy.max_attempts
    flaky, call = after(LIMITED, broken, LIMITED, broken)
    with pytest.raises(openai.InternalServerError):
        asyncio.run(call)
    assert flaky.calls == 4
    flaky, call = after(*[LIMITED] * 9)
    with pytest.raises(openai.RateLimitError):
        asyncio.run(call)
    assert flaky.calls == 4


def test_a_long_wait_in_words_is_named_too():
    """Real services have said it in the message only."""
    with pytest.raises(WaitTooLongError, match="86,400 s"):
        RetryPolicy().wait_s(sdk_error(refused(429, message="Retry after 86400 seconds")), 1)


@pytest.mark.parametrize("said", ["86400", "121", "inf"])
def test_a_wait_beyond_sense_ends_at_once_with_an_error_that_names_it(said):
    """The error says how long, what is the limit, and what to do; the SDK's error is its cause."""
    error = sdk_error(refused(429, retry_after=said))
    with pytest.raises(WaitTooLongError) as refusal:
        RetryPolicy().wait_s(error, 1)
    assert refusal.value.__cause__ is error
    assert f"{float(said):,.0f} s" in str(refusal.value)
    assert "waits 120 s at most" in str(refusal.value)
