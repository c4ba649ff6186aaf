"""Counting tokens offline, as the service bills them."""

import pytest

from labkit import tokens

# OpenAI cookbook, "How to count tokens with tiktoken", read 2026-11-22, with the counts the API gave for them.
COOKBOOK = [
    {
        "role": "system",
        "content": "You are a helpful, pattern-following assistant that translates corporate jargon into plain "
        "English.",
    },
    {"role": "system", "name": "example_user", "content": "New synergies will help drive top-line growth."},
    {"role": "system", "name": "example_assistant", "content": "Things working well together will increase revenue."},
    {
        "role": "system",
        "name": "example_user",
        "content": "Let's circle back when we have more bandwidth to touch base on opportunities for increased "
        "leverage.",
    },
    {
        "role": "system",
        "name": "example_assistant",
        "content": "Let's talk later when we're less busy about how to do better.",
    },
    {
        "role": "user",
        "content": "This late pivot means we don't have time to boil the ocean for the client deliverable.",
    },
]


@pytest.mark.parametrize(("encoding", "billed"), [("cl100k_base", 129), ("o200k_base", 124)])
def test_chat_prompt_is_counted_as_the_service_bills_it(encoding: str, billed: int) -> None:
    """The published example comes to exactly the tokens that the API reported."""
    assert tokens.chat_prompt_tokens(COOKBOOK, encoding) == billed


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        pytest.param("tiktoken is great!", [83, 1609, 5963, 374, 2294, 0], id="English"),
        pytest.param("2 + 2 = 4", [17, 489, 220, 17, 284, 220, 19], id="formula"),
        pytest.param("お誕生日おめでとう", [33334, 45918, 243, 21990, 9080, 33334, 62004, 16556, 78699], id="Japanese"),
    ],
)
def test_ids_are_tiktokens(text: str, ids: list[int]) -> None:
    """The ids are those that tiktoken's own documentation shows for cl100k_base."""
    assert tokens.encode(text, "cl100k_base") == ids
    assert tokens.decode(ids, "cl100k_base") == text
    assert tokens.count(text, "cl100k_base") == len(ids)


@pytest.mark.parametrize("encoding", ["cl100k_base", "o200k_base"])
@pytest.mark.parametrize("text", ["", "Zażółć gęślą jaźń", "👩‍👩‍👧 family", "<|endoftext|>", "\u0000\n\t"], ids=repr)
def test_text_survives_the_round_trip(text: str, encoding: str) -> None:
    """Special tokens in a text are plain text, and nothing is lost."""
    assert tokens.decode(tokens.encode(text, encoding), encoding) == text


def test_half_a_character_is_left_out() -> None:
    """Cut in the middle of an emoji's bytes, the text ends before it."""
    ids = tokens.encode("ok 👩‍👩‍👧", "cl100k_base")
    assert tokens.decode(ids[:2], "cl100k_base") in ("ok", "ok ")
    assert "\ufffd" not in "".join(tokens.decode(ids[:n], "cl100k_base") for n in range(len(ids)))


@pytest.mark.parametrize(
    ("message", "more"),
    [
        pytest.param({"role": "user", "content": [{"type": "text", "text": "hello"}]}, 0, id="text as a part"),
        pytest.param(
            {
                "role": "user",
                "content": [{"type": "text", "text": "hello"}, {"type": "image_url", "image_url": {"url": "x"}}],
            },
            85,
            id="picture in low detail",
        ),
        pytest.param({"role": "user", "content": "hello", "name": "ann"}, 2, id="name"),
    ],
)
def test_what_a_message_may_hold(message: dict[str, object], more: int) -> None:
    """Parts count as their text, a picture as 85 tokens, a name as its own and one more."""
    plain = tokens.chat_prompt_tokens([{"role": "user", "content": "hello"}])
    assert tokens.chat_prompt_tokens([message]) == plain + more


def test_tool_calls_count_and_missing_content_does_not() -> None:
    """An assistant's tool call costs the tokens of its name and arguments; its content is null."""
    call = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1}'}}
    with_call = tokens.chat_prompt_tokens([{"role": "assistant", "content": None, "tool_calls": [call]}])
    without = tokens.chat_prompt_tokens([{"role": "assistant", "content": None}])
    assert with_call == without + tokens.count('add{"a": 1}')


def test_unknown_encoding_is_refused() -> None:
    """A name that no vocabulary has is an error, not a guess."""
    with pytest.raises(Exception, match="p99k_base"):
        tokens.count("hello", "p99k_base")
