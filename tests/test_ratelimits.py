"""What a service says about its limits, in all the ways services say it."""

import pytest

from labkit.pacing.ratelimits import RateLimits, emptied, rate_limits, stated_wait_s
from tests.scripted import refused, sdk_error

CALL = "Requests to the ChatCompletions_Create Operation have exceeded call rate limit of your current OpenAI S0 tier."
TOKEN = CALL.replace("call rate", "token rate")


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x-ratelimit-limit-requests": "60", "x-ratelimit-remaining-requests": "9"}, RateLimits(60, None, 9, None)),
        ({"x-ratelimit-limit-tokens": "-1", "x-ratelimit-remaining-tokens": "0"}, RateLimits()),
        ({"x-ratelimit-remaining-tokens": "-1"}, RateLimits()),
        ({"x-ratelimit-limit-tokens": "many", "x-ratelimit-remaining-tokens": "nan"}, RateLimits()),
        ({"x-ratelimit-remaining-tokens": "0"}, RateLimits(remaining_tokens=0)),
        (None, RateLimits()),
    ],
    ids=["both", "minus-one", "negative", "no-number", "remaining-alone", "no-answer"],
)
def test_headers_are_read_as_far_as_they_make_sense(headers, said):
    """Azure has sent limits of -1 with nothing left, which is not a limit."""
    assert rate_limits(headers) == said


@pytest.mark.parametrize(
    ("response", "kind"),
    [
        (refused(429, message=CALL), "call"),
        (refused(429, message=TOKEN), "token"),
        (refused(429, message="Slow down.", policy_id="DeploymentRatelimit-Token"), "token"),
        (refused(429, message=CALL, policy_id="DeploymentRatelimit-Token"), "token"),
        (refused(429, x_ratelimit_remaining_tokens="0"), "token"),
        (refused(429, x_ratelimit_remaining_requests="0"), "call"),
        (refused(429, message="The engine is overloaded."), None),
    ],
    ids=["call", "token", "policy", "policy-wins", "no-tokens", "no-requests", "overloaded"],
)
def test_a_refusal_tells_which_limit_it_was(response, kind):
    """By its policy, its words, or by what is left; an overloaded service has emptied nothing."""
    assert emptied(sdk_error(response)) == kind


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        ({"retry_after": "7", "retry_after_ms": "6400"}, (6.4, 0.001)),
        ({"retry_after": "7"}, (7, 1)),
        ({"x_ratelimit_reset_tokens": "55"}, (55, 1)),
        ({"retry_after": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        ({}, None),
    ],
    ids=["milliseconds", "seconds", "reset", "date", "nothing"],
)
def test_a_wait_is_as_exact_as_its_unit(headers, wait):
    """Whole seconds are rounded up; some refusals say only when the limit starts anew (openai-python#937)."""
    assert stated_wait_s(sdk_error(refused(429, **headers))) == wait
