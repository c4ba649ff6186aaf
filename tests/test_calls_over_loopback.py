"""The optimizer and the service with the real SDK against the local Azure, judged by what its journal saw."""

import asyncio
import json
import subprocess
import sys
import textwrap
import time

import openai
import pytest
from openai.types.chat import ChatCompletion

from labkit import AzureOpenAIManager, LLMOptimizer, ProductionLLMService, connect, lab
from labkit.budget import Budget, BudgetExceededError
from labkit.connection import disconnect
from labkit.errors import LabkitError
from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.retry import RetryPolicy
from labkit.slo import scorecard
from labkit.validation import ContentFilteredError
from tests.scripted import Sleeper, ask

pytestmark = pytest.mark.usefixtures("deployed")
COLD = {"temperature": 0, "max_tokens": 60}


@pytest.fixture
def deployed(local):
    """A local Azure with a big and a small model, and a reasoning model under a name that does not tell."""
    manager = AzureOpenAIManager()
    manager.deploy_language_model("gpt-4-turbo", "big", capacity=40)
    manager.deploy_language_model("gpt-35-turbo", "small", capacity=60)
    manager.deploy_language_model("gpt-5", "thinker", capacity=100)
    return local


def seen(deployment=None):
    """Status and deployment of each call the local Azure answered."""
    return [(call.deployment, call.status) for call in lab.calls(deployment)]


async def test_fifty_identical_questions_are_one_call():
    """Keyless, and the cost is that of the model behind the deployment's name."""
    optimizer = LLMOptimizer("big")
    answers = await asyncio.gather(*[optimizer.optimized_completion(ask(), **COLD) for _ in range(50)])
    assert len({answer.choices[0].message.content for answer in answers}) == 1
    assert seen() == [("big", 200)]
    assert optimizer.token_usage_tracker["model"] == "gpt-4-turbo"
    used = answers[0].usage
    assert optimizer.token_usage_tracker["cost_usd"] == pytest.approx(
        (used.prompt_tokens * 10 + used.completion_tokens * 30) / 1e6
    )


async def test_latency_is_the_simulated_one_although_the_answer_comes_at_once():
    """The local Azure says in its header how long the real model would have taken."""
    optimizer = LLMOptimizer("big")
    await optimizer.optimized_completion(ask(), **COLD)
    (call,) = lab.calls("big")
    assert call.simulated_ms > 100
    assert optimizer.performance_metrics["average_latency"] == pytest.approx(call.simulated_ms, abs=1)


async def test_a_limited_call_waits_as_long_as_it_is_told():
    """Two entries in the journal, and the wait that Retry-After said between them."""
    lab.fault("big", status=429, retry_after_s=17)
    sleeper = Sleeper()
    subject = LLMOptimizer("big", retry=RetryPolicy(jitter=0), sleep=sleeper, clock=sleeper.clock)
    await subject.optimized_completion(ask())
    assert seen() == [("big", 429), ("big", 200)]
    assert sleeper.waited_s == [17.0]
    assert {call.retry_count for call in lab.calls()} == {0}


async def test_a_cut_connection_is_retried():
    """The server hangs up; the next attempt is answered."""
    lab.fault("big", kind="drop")
    service = ProductionLLMService("big", sleep=Sleeper())
    assert (await service.safe_completion(ask())).choices[0].message.content
    assert [status for _, status in seen()][-1] == 200
    assert len(seen()) == 2


async def test_an_outage_is_bridged_by_the_fallback_and_counts_as_available():
    """Every request is answered although one deployment is down; its errors stay in the journal."""
    lab.fault("big", status=503, times=100)
    service = ProductionLLMService("big", fallbacks=["small"], sleep=Sleeper())
    for number in range(3):
        await service.safe_completion(ask(f"Question {number}?"), max_retries=1)
    assert seen("big") == [("big", 503)] * 6
    assert seen("small") == [("small", 200)] * 3
    assert scorecard(service.measured()).loc["availability_share", "met"] is True


@pytest.mark.parametrize(
    "prompt",
    ["content filter test: violence high", "content filter test: answer violence high"],
    ids=["prompt", "answer"],
)
async def test_what_the_filter_refuses_is_sent_once(prompt):
    """Neither repeated nor offered to the fallback."""
    service = ProductionLLMService("big", fallbacks=["small"], sleep=Sleeper())
    with pytest.raises(ContentFilteredError, match="violence: high"):
        await service.safe_completion(ask(prompt))
    assert [deployment for deployment, _ in seen()] == ["big"]


async def test_a_reasoning_model_answers_whatever_its_deployment_is_called():
    """The model refuses what tuning added, gets it without, and is known from then on."""
    optimizer = LLMOptimizer("thinker")
    for text in ("Analyze this.", "Analyze that."):
        assert (await optimizer.optimized_completion(ask(text))).choices[0].message.content
    assert [status for _, status in seen()] == [400, 400, 200, 200]


@pytest.mark.parametrize("name", ["big", "thinker"])
async def test_health_of_every_kind_of_model(name):
    """The time is the simulated one, in milliseconds."""
    health = await ProductionLLMService(name).health_check()
    assert (health["status"], health["deployment"]) == ("healthy", name)
    assert health["response_time_ms"] == round(lab.calls(name)[-1].simulated_ms)


async def test_an_unknown_deployment_is_answered_with_those_there_are():
    """The SDK's error, with the account's deployments as a note; health says the same."""
    with pytest.raises(openai.NotFoundError) as refusal:
        await LLMOptimizer("bgi").optimized_completion(ask())
    assert "It has: big, small, thinker." in refusal.value.__notes__[0]
    health = await ProductionLLMService("bgi").health_check()
    assert health["status"] == "unhealthy"
    assert "It has: big, small, thinker." in health["error"]


async def test_a_key_of_ones_own_is_tried_once(local):
    """401 is not retried, and the key is in no message."""
    client = openai.AsyncAzureOpenAI(azure_endpoint=local.url, api_key="wrong-key-123", api_version="2024-10-21")
    async with client:
        with pytest.raises(openai.AuthenticationError) as refusal:
            await LLMOptimizer("big", client=client).optimized_completion(ask())
    assert [status for _, status in seen()] == [401]
    assert "wrong-key" not in str(refusal.value)


def test_one_optimizer_serves_several_event_loops():
    """A script may call ``asyncio.run`` twice; each loop gets a client of its own."""
    optimizer = LLMOptimizer("small")
    for number in range(2):
        asyncio.run(optimizer.optimized_completion(ask(f"Loop {number}?")))
    assert seen() == [("small", 200)] * 2


async def test_a_batch_under_a_tight_limit_loses_nothing(monkeypatch):
    """Three times as many calls as ten seconds allow: all are answered, once the clock has moved on far enough."""
    disconnect()
    clock = ManualClock(time.time())

    async def sleep(seconds):
        clock.advance(seconds)

    with LocalAzure(clock=clock) as azure:
        for name, value in azure.environment().items():
            monkeypatch.setenv(name, value)
        connect()
        AzureOpenAIManager().deploy_language_model("gpt-35-turbo", "tight", capacity=3)
        optimizer = LLMOptimizer("tight", retry=RetryPolicy(max_retries=9), sleep=sleep)
        requests = [{"messages": ask(f"Say {number}"), "parameters": {"max_tokens": 5}} for number in range(9)]
        results = await optimizer.batch_process(requests, batch_size=3)
        refused = [status for _, status in seen() if status == 429]
    assert [type(result).__name__ for result in results] == ["ChatCompletion"] * 9
    assert refused


MONITORED = """
    import asyncio, json, logging
    import labkit
    from labkit import clients, lab, monitoring
    azure = labkit.connect()
    component = clients.application_insights().components.create_or_update(
        azure.resource_group, "appi-session13",
        {"location": azure.location, "kind": "web", "application_type": "web"},
    )
    service = labkit.ProductionLLMService("big", component.connection_string, fallbacks=["small"])

    async def work():
        await service.safe_completion([{"role": "user", "content": "Anna has a cat"}])
        lab.fault("big", status=503, times=9)
        await service.safe_completion([{"role": "user", "content": "Anna has a cat"}], max_retries=0)

    asyncio.run(work())
    tables = ("dependencies", "customMetrics", "exceptions", "traces")
    print(json.dumps({"sent": monitoring.flush(), **{table: lab.telemetry(table) for table in tables}}))
"""


def test_calls_arrive_in_application_insights(deployed):
    """From the component's connection string to its tables, with the real SDKs: who was asked, and how it went."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(MONITORED)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    calls = [(row["customDimensions"]["deployment"], row["success"]) for row in seen["dependencies"]]
    assert (seen["sent"], calls) == (True, [("big", True), ("big", False), ("small", True)])
    answered = [call for call in lab.calls() if call.status == 200]
    durations = [row["duration"] for row in seen["dependencies"] if row["success"]]
    assert durations == pytest.approx([call.simulated_ms for call in answered], abs=1)
    tokens = [row["valueSum"] for row in seen["customMetrics"] if row["name"] == "gen_ai.client.token.usage"]
    assert sum(tokens) == sum(call.prompt_tokens + call.completion_tokens for call in answered)
    assert [row["type"] for row in seen["exceptions"]] == ["InternalServerError"]
    assert "LLM completion successful" in seen["traces"][0]["message"]
    assert "Anna" not in done.stdout


FAULTS = {
    "429": {"status": 429, "retry_after_s": 0},
    "429 for a day": {"status": 429, "retry_after_s": 86_400},
    "401": {"status": 401},
    "404": {"status": 404},
    "500": {"status": 500},
    "503": {"status": 503},
    "529": {"status": 529},
    "slow": {"kind": "slow", "delay_ms": 500},
    "first byte": {"kind": "first_byte", "delay_ms": 500},
    "slow stream": {"kind": "slow_stream", "factor": 3},
    "latency": {"kind": "latency", "factor": 5},
    "cut half-way": {"kind": "cut"},
    "cut at once": {"kind": "cut", "after_bytes": 0},
    "cut after a chunk": {"kind": "cut", "after_chunks": 1},
    "cut late": {"kind": "cut", "after_bytes": 900},
    "reset": {"kind": "reset"},
    "drop": {"kind": "drop"},
}
# What a call may end in besides a result; anything else would be a failure nobody could act on.
CLASSIFIED = (openai.APIError, LabkitError)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
async def test_whatever_goes_wrong_a_call_ends_in_a_result_or_an_error_with_a_name(fault):
    """Every kind of fault of the local Azure, in half of the calls of one deployment; whole answers and streams."""
    lab.fault("big", **fault, every=2)
    service = ProductionLLMService("big", fallbacks=["small"], sleep=Sleeper())
    calls = [service.safe_completion(ask(f"Question {number}?"), max_tokens=40) for number in range(6)]
    ends = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(end, ChatCompletion) for end in ends) or fault.get("status") == 401
    streams = [service.stream_completion(ask(f"Part {number}?"), max_tokens=40) for number in range(6)]
    ends += await asyncio.gather(*[whole(stream) for stream in streams], return_exceptions=True)
    broken = [end for end in ends if isinstance(end, BaseException)]
    assert all(isinstance(end, CLASSIFIED) for end in broken)
    # A key that is refused is refused everywhere; a stream that has begun cannot be mended.
    assert not broken or fault.get("status") == 401 or fault.get("kind") == "cut"
    assert service.under_way == 0
    measured = service.measured()
    assert (measured.requests, measured.calls + measured.failed) == (12, 12)


async def whole(stream):
    """The text of a stream that is read to its end."""
    async with stream:
        text = "".join([each.choices[0].delta.content or "" async for each in stream if each.choices])
    assert text == stream.answer.choices[0].message.content
    return text


async def test_a_stream_and_a_whole_answer_are_the_same():
    """Words, usage and model of one question, read both ways; and the time of the simulated model."""
    service = ProductionLLMService("big")
    answer = await service.safe_completion(ask(), **COLD)
    stream = service.stream_completion(ask(), **COLD)
    assert await whole(stream) == answer.choices[0].message.content
    assert stream.answer.usage.total_tokens == answer.usage.total_tokens
    assert stream.answer.model == answer.model
    assert service.measured().mean_latency_s > 0.1


async def test_a_budget_holds_the_price_of_what_is_deployed_whatever_its_name():
    """A deployment called like the cheapest model runs the dear one: the control plane tells before the first call."""
    AzureOpenAIManager().deploy_language_model("gpt-4-turbo", "gpt-4.1-nano", capacity=10)
    optimizer = LLMOptimizer("gpt-4.1-nano", budget=Budget(0.001))
    with pytest.raises(BudgetExceededError) as refused:
        await optimizer.optimized_completion(ask(), **COLD)
    assert refused.value.asked_usd == pytest.approx(60 * 30 / 1e6, rel=0.2)
    assert seen() == []
