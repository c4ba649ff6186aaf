import asyncio

import openai
import pytest

from labkit.cache import MemoryCache, SemanticCache
from labkit.errors import InvalidRequestError
from labkit.performance import recommendations
from labkit.retry import RetryPolicy, WaitTooLongError
from tests.scripted import (
    COLD,
    Sleeper,
    answered,
    ask,
    filtered_prompt,
    optimizer,
    refused,
    refused_parameter,
    service,
)


async def test_a_repeated_question_costs_one_call():
    """The second answer comes from the cache and equals the first."""
    fake = service()
    subject = optimizer(fake)
    first = await subject.optimized_completion(ask(), **COLD)
    second = await subject.optimized_completion(ask(), **COLD)
    assert (first, len(fake.sent)) == (second, 1)
    assert second.choices[0].message.content == "Warsaw."


async def test_hits_are_requests_so_the_hit_rate_cannot_pass_100_percent():
    """The session counted hits without counting their requests."""
    subject = optimizer(service())
    for _ in range(4):
        await subject.optimized_completion(ask(), **COLD)
    metrics = subject.get_performance_report()["performance_metrics"]
    assert (metrics["total_requests"], metrics["cache_hits"], metrics["cache_hit_rate"]) == (4, 3, "75.0%")


async def test_identical_requests_at_the_same_time_cost_one_call():
    """One goes out, the others wait for it, count as hits, and get answers of their own."""
    fake = service()
    subject = optimizer(fake)
    answers = await asyncio.gather(*[subject.optimized_completion(ask(), **COLD) for _ in range(20)])
    assert len(fake.sent) == 1
    assert subject.performance_metrics["cache_hits"] == 19
    answers[0].choices[0].message.content = "Cracow."
    assert {answer.choices[0].message.content for answer in answers[1:]} == {"Warsaw."}


@pytest.mark.parametrize(
    ("params", "calls"),
    [
        pytest.param({"temperature": 0}, 1, id="0"),
        pytest.param({"temperature": 0.29}, 1, id="just cold"),
        pytest.param({"temperature": 0.3}, 2, id="no longer"),
        pytest.param({"temperature": 1}, 2, id="warm"),
        pytest.param({}, 2, id="unset means 1"),
    ],
)
async def test_only_deterministic_answers_are_kept(params, calls):
    """Below a temperature of 0.3, as in the session."""
    fake = service()
    subject = optimizer(fake)
    for _ in range(2):
        await subject.optimized_completion(ask(), **params)
    assert len(fake.sent) == calls


async def test_a_temperature_set_by_tuning_makes_an_answer_deterministic_too():
    """A request to analyse goes out with 0.1, and is kept."""
    fake = service()
    subject = optimizer(fake)
    for _ in range(2):
        await subject.optimized_completion(ask("Przeanalizuj umowę."))
    assert [sent.body["temperature"] for sent in fake.sent] == [0.1]


async def test_every_answer_is_kept_when_asked():
    """``only_deterministic=False`` trades variety for money."""
    fake = service()
    subject = optimizer(fake, only_deterministic=False)
    for _ in range(2):
        await subject.optimized_completion(ask(), temperature=1)
    assert len(fake.sent) == 1


@pytest.mark.parametrize("finish_reason", ["length", "content_filter"])
async def test_cut_or_filtered_answers_are_returned_but_not_kept(finish_reason):
    """Repeating them would serve half an answer for ever."""
    fake = service(answered("War", finish_reason=finish_reason))
    subject = optimizer(fake)
    for _ in range(2):
        assert (await subject.optimized_completion(ask(), **COLD)).choices[0].finish_reason == finish_reason
    assert (len(fake.sent), len(subject.response_cache)) == (2, 0)


async def test_errors_are_not_kept():
    """The next request tries again."""
    fake = service(refused(400), answered())
    subject = optimizer(fake)
    with pytest.raises(openai.BadRequestError):
        await subject.optimized_completion(ask(), **COLD)
    assert (await subject.optimized_completion(ask(), **COLD)).choices[0].message.content == "Warsaw."


async def test_two_deployments_do_not_share_answers():
    """One cache for two optimizers: the deployment is part of the key."""
    fake = service()
    big = optimizer(fake, "gpt-4-turbo")
    small = optimizer(fake, "gpt-35-turbo", cache=big.response_cache)
    await big.optimized_completion(ask(), **COLD)
    await small.optimized_completion(ask(), **COLD)
    assert fake.deployments == ["gpt-4-turbo", "gpt-35-turbo"]


async def test_the_request_is_what_it_was_when_it_was_made():
    """Messages changed while the call is under way change neither what was sent nor its key."""
    fake = service()
    fake.gate = asyncio.Event()
    subject = optimizer(fake)
    messages = ask("First?")
    call = asyncio.create_task(subject.optimized_completion(messages, **COLD))
    await asyncio.sleep(0.01)
    messages[0]["content"] = "Second?"
    fake.gate.set()
    await call
    await subject.optimized_completion(ask("First?"), **COLD)
    assert [sent.body["messages"][0]["content"] for sent in fake.sent] == ["First?"]


async def test_the_sessions_rules_fill_in_what_the_caller_left_open():
    """A short question gets a limit of 200 tokens; a limit of the caller's stays."""
    fake = service()
    subject = optimizer(fake)
    await subject.optimized_completion(ask())
    await subject.optimized_completion(ask(), max_tokens=900)
    assert [sent.body["max_tokens"] for sent in fake.sent] == [200, 900]


async def test_changes_are_reported_with_their_reason():
    """Before the call by ``explain``, afterwards counted in the report."""
    subject = optimizer(service())
    (change,) = subject.explain(ask())
    assert (change.rule, change.parameter, change.value) == ("short_prompt", "max_tokens", 200)
    await subject.optimized_completion(ask())
    await subject.optimized_completion(ask())
    assert subject.get_performance_report()["parameter_changes"] == {str(change): 2}


async def test_tuning_can_be_turned_off():
    """No rules, no changes."""
    fake = service()
    await optimizer(fake, tuning=()).optimized_completion(ask())
    assert set(fake.sent[0].body) == {"messages", "model"}


async def test_a_reasoning_model_by_name_gets_what_it_takes():
    """The limit under its other name, and nothing it refuses; such answers are not deterministic, so not kept."""
    fake = service(answered(model="gpt-5-2025-08-07"))
    subject = optimizer(fake, "gpt-5")
    for _ in range(2):
        await subject.optimized_completion(ask("Analyze this."), max_tokens=300)
    assert [set(sent.body) for sent in fake.sent] == [{"messages", "model", "max_completion_tokens"}] * 2


async def test_a_reasoning_model_behind_any_name_is_found_out():
    """Tuning never makes a call fail: what the model refuses is taken back, and the answer tells for next time."""
    fake = service(
        refused_parameter("max_tokens"),
        refused_parameter("temperature", "unsupported_value"),
        answered(model="gpt-5-2025-08-07"),
    )
    subject = optimizer(fake, "thinker")
    await subject.optimized_completion(ask("Analyze this."))
    await subject.optimized_completion(ask("Analyze that."))
    sent = [set(sent.body) - {"messages", "model"} for sent in fake.sent]
    assert sent == [
        {"max_tokens", "temperature"},
        {"temperature"},
        set(),
        set(),
    ]
    assert len(subject.response_cache) == 0


async def test_what_the_caller_set_and_the_model_refuses_is_an_error():
    """It is not taken back silently."""
    fake = service(refused_parameter("temperature", "unsupported_value"), answered())
    with pytest.raises(openai.BadRequestError):
        await optimizer(fake, "thinker").optimized_completion(ask(), temperature=0.7)
    assert len(fake.sent) == 1


async def test_passing_errors_are_retried_in_one_layer():
    """As often as the policy says and no more, although the client came with retries of its own."""
    fake = service(refused(429, retry_after="7"), refused(500), answered())
    sleeper = Sleeper()
    subject = optimizer(fake, client=fake.client(max_retries=5), sleep=sleeper)
    await subject.optimized_completion(ask())
    assert sleeper.waited_s == [7.0, 1.0]
    assert [sent.headers["x-stainless-retry-count"] for sent in fake.sent] == ["0", "0", "0"]


async def test_a_refused_prompt_is_sent_once():
    """A content filter answers the same every time."""
    fake = service(filtered_prompt(), answered())
    with pytest.raises(openai.BadRequestError):
        await optimizer(fake).optimized_completion(ask())
    assert len(fake.sent) == 1


async def test_a_wait_of_a_day_ends_at_once():
    """The error names the wait; nobody sleeps."""
    sleeper = Sleeper()
    subject = optimizer(service(refused(429, retry_after="86400")), sleep=sleeper)
    with pytest.raises(WaitTooLongError, match="86,400 s"):
        await subject.optimized_completion(ask())
    assert sleeper.waited_s == []


async def test_requests_that_cannot_be_right_are_not_sent_and_not_counted():
    """Nothing goes out, nothing is measured."""
    fake = service()
    subject = optimizer(fake)
    with pytest.raises(InvalidRequestError):
        await subject.optimized_completion([])
    assert (fake.sent, subject.performance_metrics["total_requests"]) == ([], 0)


async def test_latency_is_what_the_service_says_and_hits_do_not_thin_it_out():
    """The mean of the calls made, in milliseconds."""
    subject = optimizer(service(answered(processing_ms=400), answered(processing_ms=200)))
    await subject.optimized_completion(ask("a"), **COLD)
    await subject.optimized_completion(ask("a"), **COLD)
    await subject.optimized_completion(ask("b"), **COLD)
    assert subject.performance_metrics["average_latency"] == pytest.approx(300)


async def test_the_report_says_how_each_request_met_the_cache():
    """Missed, shared the call of an equal one, hit, too old, not asked: each request is counted once."""
    now = [0.0]
    subject = optimizer(service(), cache=MemoryCache(ttl_s=60, clock=lambda: now[0]))
    await asyncio.gather(*[subject.optimized_completion(ask(), **COLD) for _ in range(3)])
    await subject.optimized_completion(ask(), **COLD)
    now[0] = 61.0
    await subject.optimized_completion(ask(), **COLD)
    await subject.optimized_completion(ask(), temperature=1)
    report = subject.get_performance_report()
    assert report["cache"] == {"miss": 1, "shared": 2, "hit": 1, "stale": 1, "bypass": 1}
    assert report["performance_metrics"]["total_requests"] == 6


async def test_the_report_counts_tokens_of_calls_only():
    """A hit costs none, so the tokens of a request go down."""
    subject = optimizer(service(answered(prompt_tokens=30, completion_tokens=10)))
    for _ in range(2):
        await subject.optimized_completion(ask(), **COLD)
    metrics = subject.get_performance_report()["performance_metrics"]
    assert (metrics["total_tokens"], metrics["avg_tokens_per_request"]) == (40, 20)
    tracked = subject.token_usage_tracker
    assert (tracked["prompt_tokens"], tracked["completion_tokens"], tracked["calls"]) == (30, 10, 1)


def test_the_report_is_there_before_the_first_request():
    """No division by zero, and every key is present."""
    subject = optimizer(service())
    report = subject.get_performance_report()
    assert report["performance_metrics"]["cache_hit_rate"] == "0.0%"
    assert report["performance_metrics"]["avg_tokens_per_request"] == 0
    assert report["optimization_recommendations"] == []
    assert subject.token_usage_tracker == {}


QUIET = {"total_requests": 101, "cache_hits": 50, "average_latency": 900, "total_tokens": 9000}


@pytest.mark.parametrize(
    ("metrics", "advice"),
    [
        pytest.param({}, [], id="all is well"),
        pytest.param({"cache_hits": 20}, ["Consider reducing temperature"], id="few hits"),
        pytest.param({"cache_hits": 1, "total_requests": 100}, [], id="few hits, too few requests to tell"),
        pytest.param({"average_latency": 5001}, ["High latency detected"], id="slow"),
        pytest.param({"total_tokens": 101_001}, ["High token usage"], id="wordy"),
        pytest.param({"total_tokens": 99_999, "total_requests": 50}, [], id="wordy, too few requests to tell"),
    ],
)
def test_recommendations_have_the_sessions_thresholds(metrics, advice):
    """Hit rate under 20 % after 100 requests, over 5 s, over 1,000 tokens a request after 50."""
    found = recommendations({**QUIET, **metrics})
    assert [text[: len(start)] for text, start in zip(found, advice, strict=True)] == advice


async def test_what_the_success_metrics_need_is_measured():
    """Refused requests are kept apart from failures of the service; waits count as latency."""
    fake = service(answered(processing_ms=1000), refused(400), refused(503), refused(429, retry_after="2"), answered())
    subject = optimizer(fake, retry=RetryPolicy(max_retries=1, jitter=0, first_backoff_s=0))
    await subject.optimized_completion(ask("a"), **COLD)
    await subject.optimized_completion(ask("a"), **COLD)
    with pytest.raises(openai.BadRequestError):
        await subject.optimized_completion(ask("b"))
    with pytest.raises(openai.RateLimitError):
        await subject.optimized_completion(ask("c"))
    measured = subject.measured()
    assert (measured.requests, measured.failed, measured.refused, measured.calls) == (4, 1, 1, 1)
    assert (measured.cache_hits, measured.latency_s, measured.latencies_s) == (1, 1.0, (1.0,))
    await subject.optimized_completion(ask("d"))
    assert subject.measured().cost_usd == pytest.approx(2 * (20 * 2.5 + 5 * 10) / 1e6)


async def test_the_sessions_attributes_are_there():
    """Names and meanings of the session's class."""
    subject = optimizer(service())
    await subject.optimized_completion(ask(), **COLD)
    assert subject.deployment_name == "gpt-4o"
    assert len(subject.response_cache) == 1
    assert {"total_requests", "cache_hits", "average_latency", "total_tokens"} <= subject.performance_metrics.keys()
    assert subject.token_usage_tracker["model"] == "gpt-4o"


VECTORS = {"What is the capital of Poland?": [1, 0], "Which city is the capital of Poland?": [0.96, 0.28]}


async def test_the_same_question_in_other_words_costs_no_call():
    """The semantic cache is asked after the exact one, and its hit is counted as a hit."""
    fake = service()

    async def embed(texts):
        return [VECTORS[text] for text in texts]

    asked = optimizer(fake, semantic=SemanticCache(embed, threshold=0.9))
    for text in VECTORS:
        answer = await asked.optimized_completion(ask(text), **COLD)
        assert answer.choices[0].message.content == "Warsaw."
    await asked.optimized_completion(ask("What is the capital of Poland?"), temperature=1)  # not kept, so not looked up
    assert len(fake.sent) == 2
    assert asked.performance_metrics["cache_hits"] == 1


@pytest.mark.parametrize("deadline_s", ["10", True, float("nan")])
def test_a_deadline_that_is_no_number_is_refused_when_the_optimizer_is_made(deadline_s):
    """Not with the first call."""
    with pytest.raises(InvalidRequestError, match="deadline_s must be seconds"):
        optimizer(service(), deadline_s=deadline_s)
