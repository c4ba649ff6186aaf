"""The estimate of a call's tokens, beside what the local Azure counts."""

import pytest

from labkit.localazure.inference import limits
from labkit.pacing.estimates import estimate_tokens
from labkit.tokens import count
from tests.scripted import ask


@pytest.mark.parametrize(
    ("params", "tokens"),
    [
        ({"max_tokens": 100}, 108),
        ({"max_completion_tokens": 50, "n": 3}, 158),
        ({}, 648),
        ({"max_tokens": None, "n": object()}, 648),
    ],
    ids=["max-tokens", "three-answers", "unset", "not-given"],
)
def test_a_prompt_counts_a_quarter_of_its_characters(params, tokens):
    """30 characters and the most its answers may take, which is about 640 when nothing is said."""
    assert estimate_tokens(ask("x" * 30), params) == tokens


@pytest.mark.parametrize("text", ["", "a", "Zażółć gęślą jaźń.", "word " * 500], ids=["empty", "one", "polish", "long"])
@pytest.mark.parametrize("max_tokens", [None, 1, 700])
def test_the_local_azure_counts_the_same(text, max_tokens):
    """Neither imports the other, so a test compares them."""
    params = {} if max_tokens is None else {"max_tokens": max_tokens}
    assert estimate_tokens(ask(text), params) == limits.estimate_tokens(len(text), max_tokens)


def test_text_parts_count_and_calls_without_text_do_not():
    """Content may be a list, or nothing."""
    messages = [
        {"role": "user", "content": [{"type": "text", "text": "x" * 8}, {"type": "image_url", "image_url": {}}]},
        {"role": "assistant", "content": None, "tool_calls": []},
    ]
    assert estimate_tokens(messages, {"max_tokens": 1}) == 3


def test_an_encoding_counts_tokens_instead():
    """As the service bills: for Polish a third more than as it limits."""
    polish = "Wdrażanie dużych modeli językowych wymaga pomiaru, ile żetonów naprawdę zużywa każde zapytanie. " * 10
    by_tokens = estimate_tokens(ask(polish), {"max_tokens": 1}, encoding="o200k_base") - 1
    assert by_tokens == pytest.approx(count(polish), abs=10)
    assert by_tokens > 1.15 * (estimate_tokens(ask(polish), {"max_tokens": 1}) - 1)
