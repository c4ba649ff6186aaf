"""The optimizer with parts of somebody's own, as the exercises of task 2 write them."""

import openai
import pytest

from labkit.errors import NoConnectionError
from labkit.optimizer import LLMOptimizer
from labkit.plugins import PluginError
from tests.scripted import (
    COLD,
    Sleeper,
    answered,
    ask,
    optimizer,
    refused,
    service,
)


class ListCache:
    """A student's cache: nothing but the two methods, and a list of what was asked of it."""

    def __init__(self):
        self.kept, self.asked = {}, []

    def get(self, key):
        self.asked.append(key)
        return self.kept.get(key)

    def put(self, key, answer):
        self.kept[key] = answer


async def test_a_cache_of_ones_own_is_used():
    """labkit's key, the student's store."""
    fake, cache = service(), ListCache()
    subject = optimizer(fake, cache=cache)
    for _ in range(2):
        await subject.optimized_completion(ask(), **COLD)
    assert (len(fake.sent), len(cache.kept), len(set(cache.asked))) == (1, 1, 1)


async def test_a_cache_with_its_own_key_decides_what_is_equal():
    """Its ``key`` gets the deployment, plain messages and the parameters as they are sent."""
    seen = []

    class Forgiving(ListCache):
        def key(self, deployment, messages, params):
            seen.append((deployment, messages, params))
            return messages[-1]["content"].strip().lower()

    fake = service()
    subject = optimizer(fake, cache=Forgiving())
    await subject.optimized_completion(ask("Hi"), temperature=0)
    await subject.optimized_completion(ask("  hi "), temperature=0)
    assert len(fake.sent) == 1
    assert seen[0] == ("gpt-4o", ask("Hi"), {"temperature": 0, "max_tokens": 200})


async def test_a_meter_of_ones_own_hears_of_every_answer():
    """Answers from the cache come with ``cached=True`` and no time."""
    records = []

    class Notebook:
        def record(self, deployment, answer, latency_s, *, cached):
            records.append((deployment, answer.usage.total_tokens, latency_s, cached))

    subject = optimizer(service(answered(processing_ms=250)), meter=Notebook())
    for _ in range(2):
        await subject.optimized_completion(ask(), **COLD)
    assert records == [("gpt-4o", 25, 0.25, False), ("gpt-4o", 25, 0.0, True)]


async def test_a_retry_of_ones_own_decides():
    """It is asked with the SDK's error and the number of the attempt."""

    class Once:
        def wait_s(self, error, attempt):
            return 0.5 if attempt == 1 and error.status_code == 503 else None

    fake, sleeper = service(refused(503)), Sleeper()
    with pytest.raises(openai.InternalServerError):
        await optimizer(fake, retry=Once(), sleep=sleeper).optimized_completion(ask())
    assert (len(fake.sent), sleeper.waited_s) == (2, [0.5])


class Unwritten:
    """A student's parts before the exercise: every method is there and none is written."""

    def get(self, key):
        raise NotImplementedError

    def put(self, key, answer):
        raise NotImplementedError

    def record(self, deployment, answer, latency_s, *, cached):
        raise NotImplementedError


@pytest.mark.parametrize("part", ["cache", "meter"])
async def test_an_unwritten_part_says_so(part):
    """A stub's NotImplementedError arrives as it is: a check then says "not yet"."""
    with pytest.raises(NotImplementedError):
        await optimizer(service(), **{part: Unwritten()}).optimized_completion(ask(), **COLD)


@pytest.mark.parametrize("part", ["cache", "retry", "meter"])
def test_a_part_without_its_methods_is_refused_at_once(part):
    """When the optimizer is made, not in the middle of a load test."""
    with pytest.raises(PluginError, match="has no method"):
        LLMOptimizer("gpt-4o", **{part: object()})


def test_a_synchronous_client_is_refused():
    """It would stop every other call while one waits; the error names the one to use."""
    with (
        openai.AzureOpenAI(azure_endpoint="https://x.invalid", api_key="not-a-key", api_version="1") as client,
        pytest.raises(PluginError, match="Use AsyncAzureOpenAI, or labkit.clients.async_openai"),
    ):
        LLMOptimizer("gpt-4o", client=client)


async def test_without_a_connection_the_error_says_what_to_run(monkeypatch):
    """The client of the current connection is looked for with the first call."""
    monkeypatch.setattr("labkit.connection._current", None)
    subject = LLMOptimizer("gpt-4o")
    with pytest.raises(NoConnectionError, match=r"connect\(\)"):
        await subject.optimized_completion(ask())
