"""The limits, with times picked by hand: nothing here waits."""

import pytest

from labkit.localazure.inference.limits import (
    Limiter,
    Limits,
    Refusal,
    estimate_input_tokens,
    estimate_tokens,
    per_minute,
)
from labkit.localazure.resources import Deployment
from labkit.localazure.state import Azure
from tests.localazure.asking import BIG, Asker, account_of, deploy, error_of
from tests.localazure.conftest import Caller

T0 = 1_700_000_000.0


@pytest.mark.parametrize(("tokens", "wait_s"), [(20, 20), (40, 30), (100, 50)])
def test_minute_slides(tokens: int, wait_s: float) -> None:
    """The published example: 20, 20, 20 and 40 of 100 tokens used at 10, 20, 30 and 40 s; asked again at 50 s."""
    limiter = Limiter(tpm=100, rpm=1_000)
    for at_s, used in ((10, 20), (20, 20), (30, 20), (40, 40)):
        assert limiter.take(at_s, used) is None
    assert limiter.take(50, tokens) == Refusal("token", wait_s)
    assert limiter.take(50 + wait_s - 0.01, tokens) is not None
    assert limiter.take(50 + wait_s, tokens) is None


def test_refused_call_costs_nothing() -> None:
    """What is refused is not counted, neither as tokens nor as a request."""
    limiter = Limiter(tpm=100, rpm=60)
    assert limiter.take(T0, 90) is None
    for _ in range(50):
        assert limiter.take(T0, 20) is not None
    assert limiter.remaining_requests == 9
    assert limiter.take(T0, 10) is None
    assert limiter.remaining_tokens == 0


def test_call_larger_than_a_minute_says_that_waiting_is_no_use() -> None:
    """More tokens than the limit never fit."""
    assert Limiter(tpm=100, rpm=60).take(T0, 101) == Refusal("token", 60, too_big=True)


@pytest.mark.parametrize(
    ("rpm", "window_s", "allowed"),
    [
        pytest.param(600, 1, 10, id="600 a minute are 10 a second"),
        pytest.param(6_000, 1, 100, id="6,000 a minute are 100 a second"),
        pytest.param(60, 10, 10, id="60 a minute are 10 in ten seconds"),
        pytest.param(6, 10, 1, id="6 a minute are 1 in ten seconds"),
        pytest.param(3, 60, 3, id="3 a minute are 3 a minute"),
    ],
)
def test_requests_are_judged_over_short_windows(rpm: int, window_s: int, allowed: int) -> None:
    """A burst uses up its window, which ends that long after its first request."""
    limiter = Limiter(tpm=1_000_000, rpm=rpm)
    assert [limiter.take(T0 + 0.25, 1) for _ in range(allowed)] == [None] * allowed
    assert limiter.take(T0 + 0.5, 1) == Refusal("call", window_s - 0.25)
    assert limiter.take(T0 + 0.25 + window_s, 1) is None


def test_wait_is_rounded_up_and_never_zero() -> None:
    """Clients that wait as told are let through."""
    assert (Refusal("call", 0.2).retry_after_s, Refusal("call", 0.2).retry_after_ms) == (1, 200)
    assert (Refusal("call", 1.0001).retry_after_s, Refusal("call", 1.0001).retry_after_ms) == (2, 1001)
    assert (Refusal("call", 0.0).retry_after_s, Refusal("call", 0.0).retry_after_ms) == (1, 1)


def test_clock_that_steps_back_does_not_open_the_limits() -> None:
    """Tokens used later stay used, and come free a minute after."""
    limiter = Limiter(tpm=100, rpm=1_000)
    assert limiter.take(T0 + 30, 100) is None
    assert limiter.take(T0, 1) is not None
    assert limiter.take(T0 + 90, 100) is None


def test_long_silence_frees_everything() -> None:
    """Hours later there is a whole minute's worth again."""
    limiter = Limiter(tpm=100, rpm=1_000)
    assert limiter.take(T0, 100) is None
    assert limiter.take(T0 + 86_400, 100) is None
    assert limiter.remaining_tokens == 0


def test_sum_of_every_minute_stays_within_the_limit() -> None:
    """Whatever is asked for, no sixty seconds let more than the limit through."""
    limiter, passed = Limiter(tpm=500, rpm=100_000), []
    for step in range(2_000):
        at_s, tokens = T0 + step * 0.37, 1 + step * 7919 % 90
        if limiter.take(at_s, tokens) is None:
            passed.append((int(at_s), tokens))
    for start in range(int(T0), int(T0) + 700):
        assert sum(tokens for second, tokens in passed if start <= second < start + 60) <= 500


@pytest.mark.parametrize(
    ("capacity_ktpm", "ratio", "expected"),
    [(10, 6, (10_000, 60)), (1, 0.1, (1_000, 1)), (70, 0.1, (70_000, 7)), (6, 1, (6_000, 6))],
)
def test_capacity_gives_tokens_and_requests(capacity_ktpm: int, ratio: float, expected: tuple[int, int]) -> None:
    """One unit of capacity is 1,000 tokens per minute; at least one request always passes."""
    assert per_minute(capacity_ktpm, ratio) == expected


def test_estimate_counts_prompt_and_max_tokens() -> None:
    """A quarter of the characters, rounded up, and max_tokens for each answer; about 640 when it is left out."""
    assert estimate_tokens(30, 100) == 8 + 100
    assert estimate_tokens(30) == 8 + 640
    assert estimate_tokens(30, 100, answers=3) == 8 + 300
    assert estimate_input_tokens(4_001) == 1_001


def test_new_capacity_keeps_what_was_used(call: Caller) -> None:
    """Scaling a deployment changes its limits at once, not its past."""
    deploy(call.azure, BIG, capacity_ktpm=1)
    limits = Limits()
    assert limits.of(_deployment(call.azure)).take(T0, 900) is None
    deploy(call.azure, BIG, capacity_ktpm=2)
    limiter = limits.of(_deployment(call.azure))
    assert limiter.take(T0 + 1, 1_100) is None
    assert limiter.take(T0 + 1, 1) is not None


def test_token_limit_on_the_wire(ask: Asker) -> None:
    """The 429 has the service's words and every header; the error passes when the time it names has passed."""
    deploy(ask.azure, BIG, capacity_ktpm=1)
    first = ask.chat("x" * 40, max_tokens=600)
    assert first.status == 200
    assert first.headers["x-ratelimit-remaining-tokens"] == "390"
    assert first.headers["x-ratelimit-limit-tokens"] == "1000"
    assert first.headers["x-ratelimit-limit-requests"] == "6"
    ask.azure.clock.advance(12.4)  # type: ignore[attr-defined]
    refused = ask.chat("x" * 40, max_tokens=600)
    assert refused.status == 429
    wait_s = int(refused.headers["retry-after"])
    assert 47 <= wait_s <= 48
    assert 0 <= wait_s - int(refused.headers["retry-after-ms"]) / 1000 < 1
    assert refused.headers["policy-id"] == "DeploymentRatelimit-Token"
    assert refused.headers["x-ratelimit-reset-tokens"] == str(wait_s)
    assert refused.headers["x-ratelimit-remaining-tokens"] == "390"
    error = error_of(refused)
    assert error["code"] == "429"
    assert error["message"].startswith(
        "Requests to the ChatCompletions_Create Operation under Azure OpenAI API version 2025-01-01-preview have "
        f"exceeded token rate limit of your current OpenAI S0 pricing tier. Please retry after {wait_s} seconds."
    )
    ask.azure.clock.advance(int(refused.headers["retry-after-ms"]) / 1000)  # type: ignore[attr-defined]
    assert ask.chat("x" * 40, max_tokens=600).status == 200
    entries = ask.azure.journal.after()
    assert [(e.status, e.retry_after_s) for e in entries] == [(200, None), (429, wait_s), (200, None)]


def test_request_limit_on_the_wire(ask: Asker) -> None:
    """The call limit names itself, so that a client can tell which one is full."""
    deploy(ask.azure, BIG, capacity_ktpm=10)
    answers = [ask.chat(max_tokens=1) for _ in range(11)]
    assert [answer.status for answer in answers] == [200] * 10 + [429]
    assert answers[0].headers["x-ratelimit-remaining-requests"] == "9"
    assert "exceeded call rate limit" in error_of(answers[-1])["message"]
    assert answers[-1].headers["policy-id"] == "DeploymentRatelimit-Call"
    assert answers[-1].headers["x-ratelimit-reset-requests"] == answers[-1].headers["retry-after"] == "10"


def test_invalid_requests_do_not_count(ask: Asker) -> None:
    """What is refused for another reason leaves the limits alone."""
    deploy(ask.azure, BIG, capacity_ktpm=10)
    for _ in range(20):
        assert ask.chat(temperature=9).status == 400
    assert ask.chat(max_tokens=1).status == 200


def _deployment(azure: Azure) -> Deployment:
    found = azure.resources.deployment(account_of(azure), BIG)
    assert found is not None
    return found
