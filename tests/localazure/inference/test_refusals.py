"""What the inference face refuses, and what it does not, in the words of the real service."""

import dataclasses
from typing import Any

import pytest

from labkit import tokens
from labkit.localazure.journal import Entry
from labkit.localazure.state import Azure
from tests.localazure.asking import (
    BIG,
    CHAT,
    EMBEDDING,
    HELLO,
    REASONING,
    SMALL,
    VERSION,
    Asker,
    account_of,
    deploy,
    error_of,
)
from tests.localazure.pictures import png, url

PICTURE = [{"type": "image_url", "image_url": {"url": url(png(100, 100))}}]
TOOL_CALL = {"id": "call_1", "type": "function", "function": {"name": "add", "arguments": "{}"}}


def last(azure: Azure) -> Entry:
    """The newest journal entry."""
    return azure.journal.after()[-1]


def test_unknown_deployment_is_in_the_journal(ask: Asker) -> None:
    """Under the name that was tried."""
    ask.chat(deployment="gpt-nope")
    assert last(ask.azure).deployment == "gpt-nope"


def test_deployment_that_is_still_being_made(ask: Asker) -> None:
    """Not there before its time on the clock."""
    azure = ask.azure
    (made,) = [d for d in azure.resources.deployments(account_of(azure)) if d.name == BIG]
    azure.resources.set_deployment(dataclasses.replace(made, ready_at_s=azure.clock.now() + 30))
    assert ask.chat().status == 404
    azure.clock.advance(30)  # type: ignore[attr-defined]
    assert ask.chat().status == 200


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b"null", b"17", b"\xff\xfe", b'{"messages": [}', b"{" * 2_000, b'{"a":"\\ud800"}'],
    ids=ascii,
)
@pytest.mark.parametrize("path", [CHAT, f"deployments/{EMBEDDING}/embeddings", "v1/chat/completions"])
def test_body_that_is_no_object(ask: Asker, body: bytes, path: str) -> None:
    """400 in the service's shape, never an empty 500."""
    query = {} if path.startswith("v1") else {"api-version": VERSION}
    answer = ask.call("POST", f"/openai/{path}", body=body, headers=ask.key, **query)
    assert answer.status == 400
    error = error_of(answer)
    assert error["type"] == "invalid_request_error"
    assert error["message"].startswith("We could not parse the JSON body of your request.") or "ud800" in str(body)


@pytest.mark.parametrize(
    ("messages", "code", "param"),
    [
        pytest.param(None, "missing_required_parameter", "messages", id="null"),
        pytest.param([], "empty_array", "messages", id="empty"),
        pytest.param("Hello", "invalid_type", "messages", id="text"),
        pytest.param(HELLO * 2049, "array_above_max_length", "messages", id="too many"),
        pytest.param(["Hello"], "invalid_type", "messages[0]", id="message is text"),
        pytest.param([*HELLO, {"content": "x"}], "missing_required_parameter", "messages[1].role", id="no role"),
        pytest.param([{"role": "robot", "content": "x"}], "invalid_value", "messages[0].role", id="bad role"),
        pytest.param([{"role": ["user"], "content": "x"}], "invalid_value", "messages[0].role", id="role is a list"),
        pytest.param([{"role": "user"}], "invalid_type", "messages[0].content", id="no content"),
        pytest.param([{"role": "user", "content": 5}], "invalid_type", "messages[0].content", id="content is a number"),
        pytest.param([{"role": "user", "content": []}], "empty_array", "messages[0].content", id="no parts"),
        pytest.param([{"role": "user", "content": ["x"]}], "invalid_type", "messages[0].content[0]", id="part is text"),
        pytest.param(
            [{"role": "user", "content": [{"type": "sound"}]}],
            "invalid_value",
            "messages[0].content[0].type",
            id="part",
        ),
        pytest.param(
            [{"role": "user", "content": [{"type": "text"}]}],
            "invalid_type",
            "messages[0].content[0].text",
            id="no text",
        ),
        pytest.param(
            [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}],
            "invalid_type",
            "messages[0].content[0].image_url",
            id="picture without url",
        ),
        pytest.param(
            [{"role": "tool", "content": "x"}], "missing_required_parameter", "messages[0].tool_call_id", id="tool"
        ),
        pytest.param([{"role": "user", "content": "x", "name": 1}], "invalid_type", "messages[0].name", id="name"),
        pytest.param(
            [{"role": "assistant", "tool_calls": "x"}], "invalid_type", "messages[0].tool_calls", id="tool calls"
        ),
        pytest.param(
            [{"role": "assistant", "tool_calls": [{"function": "x"}]}],
            "invalid_type",
            "messages[0].tool_calls[0].function",
            id="tool call",
        ),
    ],
)
def test_messages_that_cannot_be(ask: Asker, messages: object, code: str, param: str) -> None:
    """The error names the first message that is wrong, and the field in it."""
    answer = ask.post(CHAT, {"messages": messages})
    assert answer.status == 400
    error = error_of(answer)
    assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")


@pytest.mark.parametrize(
    "messages",
    [
        pytest.param([{"role": "system", "content": "Be kind."}], id="no user"),
        pytest.param([{"role": "developer", "content": "Be kind."}, *HELLO], id="developer"),
        pytest.param([*HELLO, {"role": "assistant", "content": "Hi"}, *HELLO], id="conversation"),
        pytest.param([{"role": "user", "content": ""}], id="empty text"),
        pytest.param([{"role": "user", "content": [{"type": "text", "text": "Hello"}]}], id="text part"),
        pytest.param([{"role": "user", "content": "Hello", "name": "Ann"}], id="name"),
        pytest.param([{"role": "user", "content": [{"type": "text", "text": "See"}, *PICTURE]}], id="picture"),
        pytest.param(
            [
                *HELLO,
                {"role": "assistant", "content": None, "tool_calls": [TOOL_CALL]},
                {"role": "tool", "tool_call_id": "call_1", "content": "3"},
            ],
            id="tool call before",
        ),
    ],
)
def test_messages_that_are_fine(ask: Asker, messages: list[dict[str, Any]]) -> None:
    """Answered, with the tokens that the service would bill."""
    body = ask.chat(messages).json
    assert body["usage"]["prompt_tokens"] == tokens.chat_prompt_tokens(messages, "cl100k_base")
    assert body["choices"][0]["message"]["content"]


def test_picture_for_a_model_without_eyes(ask: Asker) -> None:
    """The service's own words."""
    error = error_of(ask.chat([{"role": "user", "content": PICTURE}], SMALL))
    assert error["message"] == "Invalid content type. image_url is only supported by certain models."
    assert error["param"] == "messages[0].content[0].type"


@pytest.mark.parametrize(
    ("parameters", "code", "said"),
    [
        ({"temperature": 2.1}, "decimal_above_max_value", "Expected a value <= 2, but got 2.1 instead."),
        ({"temperature": -1}, "decimal_below_min_value", "Expected a value >= 0, but got -1 instead."),
        ({"temperature": "hot"}, "invalid_type", "expected a decimal, but got a string instead."),
        ({"temperature": True}, "invalid_type", "but got a boolean instead."),
        ({"top_p": 1.5}, "decimal_above_max_value", "<= 1"),
        ({"presence_penalty": 3}, "decimal_above_max_value", "<= 2"),
        ({"frequency_penalty": []}, "invalid_type", "but got an array instead."),
        ({"max_tokens": 0}, "integer_below_min_value", ">= 1, but got 0"),
        ({"max_tokens": 1.5}, "invalid_type", "expected an integer, but got a decimal instead."),
        ({"max_tokens": 4097}, "invalid_value", "max_tokens is too large: 4097. This model supports at most 4096"),
        ({"max_completion_tokens": 10**12}, "invalid_value", "max_completion_tokens is too large"),
        ({"max_tokens": 5, "max_completion_tokens": 5}, "invalid_parameter_combination", "at the same time"),
        ({"n": 0}, "integer_below_min_value", ">= 1"),
        ({"n": 129}, "integer_above_max_value", "<= 128"),
        ({"stop": ["a"] * 5}, "array_above_max_length", "maximum length 4"),
        ({"stop": ""}, "invalid_type", "non-empty"),
        ({"stop": [""]}, "invalid_type", "non-empty"),
        ({"stop": 5}, "invalid_type", "but got an integer instead."),
        ({"seed": "x"}, "invalid_type", "expected an integer"),
        ({"user": 5}, "invalid_type", "expected a string"),
        ({"store": "yes"}, "invalid_type", "expected a boolean"),
        ({"engine": "gpt-4"}, "unknown_parameter", "Unknown parameter: 'engine'. Known parameters are: audio,"),
        ({"tool_choice": "auto"}, None, "'tool_choice' is only allowed when 'tools' are specified."),
        ({"reasoning_effort": "low"}, "unsupported_parameter", "'reasoning_effort' is not supported with this model."),
        ({"reasoning_effort": "wild"}, "invalid_value", "'minimal', 'low', 'medium' and 'high'"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else None,
)
def test_parameters_that_cannot_be(ask: Asker, parameters: dict[str, Any], code: str | None, said: str) -> None:
    """The error says what was given and what is allowed."""
    answer = ask.chat(**parameters)
    assert answer.status == 400
    error = error_of(answer)
    assert error["code"] == code
    assert said in error["message"]
    assert error["param"] in parameters


@pytest.mark.parametrize(
    "parameters",
    [
        {"data_sources": []},
        {"modalities": ["text", "audio"]},
    ],
    ids=lambda value: next(iter(value)),
)
def test_what_is_not_simulated_is_said_and_not_ignored(ask: Asker, parameters: dict[str, Any]) -> None:
    """The refusal names what is supported."""
    error = error_of(ask.chat(**parameters))
    (name,) = parameters
    assert (error["code"], error["param"]) == ("unsupported_parameter", name)
    assert "Supported parameters are: function_call, functions, logprobs, max_completion_tokens," in error["message"]


@pytest.mark.parametrize(
    "parameters",
    [
        {"temperature": None, "max_tokens": None, "stop": None, "tools": None, "tool_choice": None},
        {"n": 1, "logprobs": False, "response_format": {"type": "text"}, "logit_bias": {}, "modalities": ["text"]},
        {"user": "u-1", "metadata": {"team": "a"}, "store": False, "service_tier": "auto"},
        {"presence_penalty": 0.6, "frequency_penalty": -2, "top_p": 0},
        {"temperature": 2, "max_tokens": 4096, "stop": ["\n", "."], "seed": -5},
        {"max_completion_tokens": 1},
    ],
    ids=lambda value: next(iter(value)),
)
def test_parameters_that_are_fine(ask: Asker, parameters: dict[str, Any]) -> None:
    """Values that ask for nothing unusual are taken."""
    assert ask.chat(**parameters).status == 200


def test_n_gives_several_answers(ask: Asker) -> None:
    """The prompt is billed once, every answer on its own."""
    one = ask.chat("Plan a trip", temperature=1, seed=1).json
    body = ask.chat("Plan a trip", n=3, temperature=1, seed=1).json
    assert [choice["index"] for choice in body["choices"]] == [0, 1, 2]
    assert len({choice["message"]["content"] for choice in body["choices"]}) > 1
    assert body["usage"]["prompt_tokens"] == one["usage"]["prompt_tokens"]
    counted = [tokens.count(choice["message"]["content"], "cl100k_base") for choice in body["choices"]]
    assert body["usage"]["completion_tokens"] == sum(counted)


@pytest.mark.parametrize(
    ("model", "parameters", "code", "said"),
    [
        (REASONING, {"max_tokens": 5}, "unsupported_parameter", "Use 'max_completion_tokens' instead."),
        (
            REASONING,
            {"temperature": 0.1},
            "unsupported_value",
            "does not support 0.1 with this model. Only the default (1)",
        ),
        (REASONING, {"top_p": 0.5}, "unsupported_value", "Only the default (1) value is supported."),
        (REASONING, {"presence_penalty": 1}, "unsupported_value", "Only the default (0) value is supported."),
        (REASONING, {"stop": "x"}, "unsupported_parameter", "'stop' is not supported with this model."),
        ("o3-mini", {"temperature": 0.1}, "unsupported_parameter", "'temperature' is not supported with this model."),
        ("o3-mini", {"temperature": 1}, "unsupported_parameter", "'temperature' is not supported with this model."),
    ],
)
def test_reasoning_models_have_their_own_rules(
    ask: Asker, model: str, parameters: dict[str, Any], code: str, said: str
) -> None:
    """What older code sends to every model, these refuse."""
    deploy(ask.azure, "o3-mini")
    error = error_of(ask.chat(deployment=model, **parameters))
    assert (error["code"], [error["param"]]) == (code, list(parameters))
    assert said in error["message"]


@pytest.mark.parametrize(
    "parameters", [{"temperature": 1}, {"max_completion_tokens": 2_000}, {"reasoning_effort": "low"}]
)
def test_reasoning_models_take_the_rest(ask: Asker, parameters: dict[str, Any]) -> None:
    """Defaults may be spelled out, and they have parameters of their own."""
    assert ask.chat(deployment=REASONING, **parameters).status == 200


@pytest.mark.parametrize("model", [None, "", 5], ids=repr)
def test_v1_needs_the_model_in_the_body(ask: Asker, model: object) -> None:
    """On that surface nothing else names the deployment."""
    error = error_of(ask.post("v1/chat/completions", {"messages": HELLO, "model": model}, version=None))
    assert error["param"] == "model"
