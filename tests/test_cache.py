import asyncio

import pytest
from openai import NOT_GIVEN

from labkit.cache import MemoryCache, SingleFlight, cache_key
from labkit.errors import InvalidRequestError
from tests.scripted import ask, completion

QUESTION = ask("What is the capital of Poland?")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        pytest.param({"temperature": 0}, {"temperature": 0.0}, id="0 and 0.0"),
        pytest.param({"max_tokens": 9, "top_p": 1}, {"top_p": 1, "max_tokens": 9}, id="order of parameters"),
        pytest.param({}, {"temperature": None}, id="None is not set"),
        pytest.param({}, {"temperature": NOT_GIVEN}, id="NOT_GIVEN is not set"),
        pytest.param({}, {"user": "anna", "timeout": 3, "metadata": {"a": "b"}}, id="labels change no answer"),
        pytest.param(
            {"response_format": {"type": "json_object", "x": 1}},
            {"response_format": {"x": 1, "type": "json_object"}},
            id="order of keys inside",
        ),
    ],
)
def test_equal_requests_have_equal_keys(one, other):
    """What does not change the answer does not change the key."""
    assert cache_key("big", QUESTION, one) == cache_key("big", QUESTION, other)


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(("small", QUESTION, {"temperature": 0}), id="another deployment"),
        pytest.param(("big", ask("And of Spain?"), {"temperature": 0}), id="another question"),
        pytest.param(("big", [*QUESTION, *QUESTION], {"temperature": 0}), id="asked twice"),
        pytest.param(("big", [{**QUESTION[0], "role": "system"}], {"temperature": 0}), id="another role"),
        pytest.param(("big", QUESTION, {"temperature": 0.1}), id="another temperature"),
        pytest.param(("big", QUESTION, {"temperature": 0, "max_tokens": 5}), id="a limit"),
        pytest.param(("big", QUESTION, {"temperature": 0, "seed": 1}), id="a seed"),
        pytest.param(("big", QUESTION, {"temperature": 0, "tools": [{"type": "function"}]}), id="tools"),
        pytest.param(("big", QUESTION, {"temperature": 0, "extra_body": {"x": 1}}), id="extra body"),
    ],
)
def test_different_requests_have_different_keys(other):
    """A key that ignored any of these would answer with somebody else's text."""
    assert cache_key("big", QUESTION, {"temperature": 0}) != cache_key(*other)


def test_messages_in_another_order_are_another_request():
    """The order of keys does not matter, the order of messages does."""
    first, second = {"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}
    assert cache_key("big", [first, second], {}) != cache_key("big", [second, first], {})


def test_a_key_is_made_from_answers_of_the_sdk_too():
    """People put ``answer.choices[0].message`` back into the chat; it equals the same message as a dict."""
    message = completion("Warsaw.").choices[0].message
    plain = {"role": "assistant", "content": "Warsaw."}
    assert cache_key("big", [message], {}) == cache_key("big", [plain], {})


def test_a_request_that_cannot_be_written_has_no_key():
    """The error names the type in the way, not its content."""
    with pytest.raises(InvalidRequestError, match="not JSON serializable: object"):
        cache_key("big", QUESTION, {"tools": [object()]})


def test_memory_gives_back_an_equal_answer_that_is_the_callers_own():
    """Whoever changes their answer does not change the next one's; Azure's extra fields survive."""
    cache = MemoryCache()
    extra = {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}
    answer = completion("Warsaw.", choice=extra)
    cache.put("k", answer)
    first, second = cache.get("k"), cache.get("k")
    assert first == second == answer
    assert second.choices[0].model_extra == extra
    first.choices[0].message.content = "Cracow."
    assert cache.get("k").choices[0].message.content == "Warsaw."


def test_memory_misses_with_none():
    """An unknown key is a miss, not an error."""
    assert MemoryCache().get("k") is None


def test_memory_is_bounded_and_the_least_recently_used_leaves():
    """Reading an answer keeps it; the one nobody asked for goes."""
    cache = MemoryCache(max_entries=2)
    for key in "ab":
        cache.put(key, completion())
    cache.get("a")
    cache.put("c", completion())
    assert ("a" in cache, "b" in cache, "c" in cache, len(cache)) == (True, False, True, 2)


def test_memory_forgets_after_its_time():
    """The clock is passed in: an answer is there a moment before its time is up and gone a moment after."""
    now = [0.0]
    cache = MemoryCache(ttl_s=60, clock=lambda: now[0])
    cache.put("k", completion())
    now[0] = 59.9
    assert cache.get("k") is not None
    now[0] = 60.1
    assert cache.get("k") is None
    assert len(cache) == 0


def test_memory_does_not_keep_what_would_come_back_broken():
    """The SDK reads answers leniently; one that its own types refuse is not kept, and that is no error."""
    cache = MemoryCache()
    cache.put("k", completion().model_copy(update={"created": "yesterday"}))
    assert cache.get("k") is None


def test_memory_can_be_cleared():
    """``clear`` forgets every answer."""
    cache = MemoryCache()
    cache.put("k", completion())
    cache.clear()
    assert len(cache) == 0


class Upstream:
    """Counts calls that wait until released."""

    def __init__(self, result="answer"):
        self.calls, self.cancelled, self.result = 0, 0, result
        self.release = asyncio.Event()

    async def __call__(self):
        self.calls += 1
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(self.result, Exception):
            raise self.result
        return f"{self.result} {self.calls}"


async def _join(flights, upstream, count, key="k"):
    tasks = [asyncio.create_task(flights.run(key, upstream)) for _ in range(count)]
    await asyncio.sleep(0.001)
    return tasks


async def test_a_thousand_identical_calls_cost_one():
    """One leads, the others join and say so."""
    flights, upstream = SingleFlight(), Upstream()
    tasks = await _join(flights, upstream, 1000)
    upstream.release.set()
    results = await asyncio.gather(*tasks)
    assert upstream.calls == 1
    assert [joined for _, joined in results].count(False) == 1
    assert {answer for answer, _ in results} == {"answer 1"}


async def test_a_call_after_the_flight_is_a_new_one():
    """Single flight is not a cache."""
    flights, upstream = SingleFlight(), Upstream()
    upstream.release.set()
    assert await flights.run("k", upstream) == ("answer 1", False)
    assert await flights.run("k", upstream) == ("answer 2", False)


async def test_different_keys_do_not_wait_for_each_other():
    """Each key has its own flight."""
    flights, upstream = SingleFlight(), Upstream()
    tasks = [*await _join(flights, upstream, 1, "a"), *await _join(flights, upstream, 1, "b")]
    upstream.release.set()
    await asyncio.gather(*tasks)
    assert upstream.calls == 2


async def test_everyone_gets_the_error_and_the_next_call_starts_anew():
    """A failed flight is not remembered."""
    flights, upstream = SingleFlight(), Upstream(ConnectionError("gone"))
    tasks = await _join(flights, upstream, 3)
    upstream.release.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, ConnectionError) for result in results)
    upstream.result = "answer"
    assert await flights.run("k", upstream) == ("answer 2", False)


async def test_who_is_cancelled_leaves_alone():
    """The leader going away does not take the answer from those who joined."""
    flights, upstream = SingleFlight(), Upstream()
    leader, follower = await _join(flights, upstream, 2)
    leader.cancel()
    await asyncio.gather(leader, return_exceptions=True)
    upstream.release.set()
    assert await follower == ("answer 1", True)
    assert upstream.cancelled == 0


async def test_a_call_nobody_waits_for_is_cancelled_and_not_joined():
    """Whoever asks next, even at once, starts anew instead of joining a call that is ending."""
    flights, upstream = SingleFlight(), Upstream()
    tasks = await _join(flights, upstream, 2)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    upstream.release.set()
    assert await flights.run("k", upstream) == ("answer 2", False)
    assert upstream.cancelled == 1
