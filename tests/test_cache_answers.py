"""Which answers a cache keeps."""

import pytest

from labkit.cache import MemoryCache, is_complete
from labkit.cache.answers import read
from tests.scripted import completion, completion_body

CALLS = [{"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Warsaw"}'}}]
BLOCKED = {"content_filter_results": {"hate": {"filtered": True, "severity": "high"}}}
UNCHECKED = {"content_filter_results": {"error": {"code": "content_filter_error", "message": "down"}}}
HARMLESS = {"content_filter_results": {"hate": {"filtered": False, "severity": "safe"}, "jailbreak": None}}


def choices(*reasons):
    """An answer with one choice for each reason to end."""
    each = [completion_body(finish_reason=reason)["choices"][0] for reason in reasons]
    return completion().model_validate({**completion_body(), "choices": each})


WORTH_KEEPING = [
    pytest.param(completion(), id="a whole answer"),
    pytest.param(completion(choice=HARMLESS), id="looked at by the filter and found harmless"),
    pytest.param(completion(None, finish_reason="tool_calls", message={"tool_calls": CALLS}), id="a tool call"),
    pytest.param(completion(None, message={"refusal": "I will not."}), id="the model's own refusal"),
    pytest.param(choices("stop", "stop"), id="two whole choices"),
]
NOT_WORTH_KEEPING = [
    pytest.param(completion(finish_reason="length"), id="cut short"),
    pytest.param(completion(finish_reason="content_filter"), id="blocked"),
    pytest.param(completion(choice=BLOCKED), id="marked as filtered, whatever it says of its end"),
    pytest.param(completion(choice=UNCHECKED), id="the filter was out of order"),
    pytest.param(completion().model_copy(update={"choices": []}), id="no choice"),
    pytest.param(completion(""), id="no text"),
    pytest.param(completion(None), id="nothing at all"),
    pytest.param(choices("stop", "length"), id="one of two choices cut short"),
    pytest.param(choices("content_filter", "stop"), id="one of two choices blocked"),
]


@pytest.mark.parametrize("answer", WORTH_KEEPING)
def test_a_whole_answer_is_kept(answer):
    """It comes back equal, with everything Azure adds to it."""
    cache = MemoryCache()
    cache.put("k", answer)
    assert is_complete(answer)
    assert cache.get("k") == answer


@pytest.mark.parametrize("answer", NOT_WORTH_KEEPING)
def test_an_answer_that_is_not_whole_is_never_kept(answer):
    """Also when a cache is used by itself, without the optimizer."""
    cache = MemoryCache()
    cache.put("k", answer)
    assert not is_complete(answer)
    assert cache.get("k") is None


def test_an_answer_without_a_reason_is_not_kept():
    """Nobody knows that it is whole: the service always says how an answer ended."""
    answer = completion()
    answer.choices[0].finish_reason = None
    assert not is_complete(answer)


@pytest.mark.parametrize("text", ["", "{", "null", '{"id": "x"}', '"text"'])
def test_what_is_no_answer_reads_as_none(text):
    """A cache that finds such a thing in its file has a miss, not an error."""
    assert read(text) is None
