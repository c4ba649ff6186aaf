"""Log probabilities and biases of tokens."""

from typing import Any

import pytest
from openai import AzureOpenAI

from tests.localazure.asking import BIG, REASONING, Asker, error_of, events_of

SAID = "Napisz coś o żółwiach 🐢🐢"


def test_logprobs_with_the_real_client(client: AzureOpenAI) -> None:
    """The SDK's types hold: a token, its bytes and alternatives for every token of the answer."""
    made = client.chat.completions.create(
        model=BIG, messages=[{"role": "user", "content": SAID}], logprobs=True, top_logprobs=3, temperature=0
    )
    (choice,) = made.choices
    assert choice.logprobs is not None
    content = choice.logprobs.content
    assert content is not None
    assert made.usage is not None
    assert len(content) == made.usage.completion_tokens
    assert bytes(byte for token in content for byte in token.bytes or []).decode() == choice.message.content
    for token in content:
        shares = [other.logprob for other in token.top_logprobs]
        assert len(shares) == 3
        assert shares == sorted(shares, reverse=True)
        assert token.logprob <= 0
        assert token.top_logprobs[0].token == token.token
        assert len({tuple(other.bytes or ()) for other in token.top_logprobs}) == 3


@pytest.mark.parametrize(("fields", "alternatives"), [({}, 0), ({"top_logprobs": 0}, 0), ({"top_logprobs": 20}, 20)])
def test_as_many_alternatives_as_asked_for(ask: Asker, fields: dict[str, Any], alternatives: int) -> None:
    """None to twenty; without ``logprobs`` the field stays null."""
    body = ask.chat("Hello", logprobs=True, **fields).json
    content = body["choices"][0]["logprobs"]["content"]
    assert {len(token["top_logprobs"]) for token in content} == {alternatives}
    assert ask.chat("Hello", logprobs=False).json["choices"][0]["logprobs"] is None


def test_logprobs_in_streams(ask: Asker) -> None:
    """Every piece comes with those of its own tokens; together they are those of the whole answer."""
    asked: dict[str, Any] = {"logprobs": True, "top_logprobs": 2, "temperature": 0}
    whole = ask.chat(SAID, **asked).json["choices"][0]
    choices = [event["choices"][0] for event in events_of(ask.chat(SAID, stream=True, **asked))[1:]]
    pieces = [choice for choice in choices if choice["delta"].get("content")]
    assert "".join(piece["delta"]["content"] for piece in pieces) == whole["message"]["content"]
    assert [token for piece in pieces for token in piece["logprobs"]["content"]] == whole["logprobs"]["content"]
    for piece in pieces:
        said = bytes(byte for token in piece["logprobs"]["content"] for byte in token["bytes"])
        assert said.decode() == piece["delta"]["content"]


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"top_logprobs": 2}, "invalid_parameter_combination", "top_logprobs"),
        ({"logprobs": True, "top_logprobs": 21}, "integer_above_max_value", "top_logprobs"),
        ({"logprobs": True, "top_logprobs": -1}, "integer_below_min_value", "top_logprobs"),
        ({"logprobs": 5}, "invalid_type", "logprobs"),
        ({"logprobs": True, "n": 17}, "invalid_parameter_combination", "n"),
        ({"logit_bias": {"50256": 101}}, "decimal_above_max_value", "logit_bias"),
        ({"logit_bias": {"cat": 1}}, "invalid_value", "logit_bias"),
        ({"logit_bias": {"1": "x"}}, "invalid_type", "logit_bias"),
        ({"logit_bias": [1]}, "invalid_type", "logit_bias"),
        ({"logit_bias": {str(id): 1 for id in range(1_025)}}, "invalid_value", "logit_bias"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else None,
)
def test_what_is_refused(ask: Asker, fields: dict[str, Any], code: str, param: str) -> None:
    """The error names the field."""
    error = error_of(ask.chat(**fields))
    assert (error["code"], error["param"]) == (code, param)


@pytest.mark.parametrize("fields", [{"logprobs": True}, {"logit_bias": {"1": 1}}], ids=str)
def test_reasoning_models_take_none_of_them(ask: Asker, fields: dict[str, Any]) -> None:
    """Microsoft Learn, how-to/reasoning, lists them as not supported; an empty one asks for nothing."""
    error = error_of(ask.chat(deployment=REASONING, **fields))
    assert (error["code"], [error["param"]]) == ("unsupported_parameter", list(fields))
    assert ask.chat(deployment=REASONING, logprobs=False, logit_bias={}).status == 200
    assert ask.chat(logit_bias={"50256": -100, "1": 0.5}).status == 200
