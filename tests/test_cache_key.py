import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import NOT_GIVEN

from labkit.cache import cache_key
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
        pytest.param({"logit_bias": {1: -5}}, {"logit_bias": {"1": -5}}, id="token ids as numbers and as texts"),
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


def test_a_key_stays_when_messages_change_later():
    """It is a text made of what was asked, not a view of the caller's list."""
    messages, params = ask("a"), {"stop": ["x"]}
    key = cache_key("big", messages, params)
    messages[0]["content"] = "b"
    params["stop"].append("y")
    assert key == cache_key("big", ask("a"), {"stop": ["x"]})
    assert key != cache_key("big", messages, params)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(one=PLAIN, other=PLAIN)
def test_keys_are_equal_exactly_when_requests_are(one, other):
    """For any two values of a parameter: the same JSON has the same key, anything else another."""
    same_json = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    keys = [cache_key("big", QUESTION, {"extra_body": [value]}) for value in (one, other)]
    assert (keys[0] == keys[1]) == same_json
