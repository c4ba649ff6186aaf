"""Requests made to break the inference face."""

import string
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from labkit.localazure.clock import ManualClock
from labkit.localazure.state import Azure
from tests.localazure.asking import (
    CHAT,
    EMBEDDING,
    HELLO,
    REASONING,
    SMALL,
    VERSION,
    Asker,
)
from tests.localazure.conftest import Caller

ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(string.printable, max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from(
    [
        *("messages", "model", "temperature", "max_tokens", "max_completion_tokens", "n", "stop", "stream", "seed"),
        *("stream_options", "tools", "tool_choice", "response_format", "user", "logit_bias", "reasoning_effort"),
        *("input", "dimensions", "encoding_format", "metadata", "functions", "verbosity"),
        *("instructions", "previous_response_id", "max_output_tokens", "text", "reasoning", "include", "truncation"),
    ]
)
KINDS = st.sampled_from(["text", "image_url", "input_text", "input_image", "output_text", "refusal"])
PARTS = st.fixed_dictionaries({}, optional={"type": ODD | KINDS, "text": ODD | st.just("x"), "image_url": ODD})
MESSAGES = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "role": st.sampled_from(["user", "system", "assistant", "tool", "developer"]) | ODD,
            "content": st.text(max_size=40) | st.lists(PARTS, max_size=3) | ODD,
            "name": ODD,
            "tool_calls": ODD | st.lists(st.fixed_dictionaries({}, optional={"function": ODD, "id": ODD}), max_size=2),
            "tool_call_id": ODD,
        },
    ),
    max_size=3,
)
ITEMS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["message", "function_call", "function_call_output", "reasoning", "item_reference"])
            | ODD,
            "id": st.sampled_from(["msg_1", "fc_1", "rs_1"]) | ODD,
            "role": st.sampled_from(["user", "system", "assistant", "developer"]) | ODD,
            "content": st.text(max_size=40) | st.lists(PARTS, max_size=3) | ODD,
            "call_id": st.just("call_1") | ODD,
            "name": st.just("add") | ODD,
            "arguments": st.just("{}") | ODD,
            "output": st.text(max_size=9) | st.lists(PARTS, max_size=2) | ODD,
        },
    ),
    max_size=4,
)


@given(fields=st.dictionaries(FIELDS, ODD, max_size=5), messages=MESSAGES | st.just(HELLO) | ODD, input=ITEMS | ODD)
@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow])
def test_mutated_bodies_never_break_the_server(fields: dict[str, Any], messages: object, input: object) -> None:
    """Whatever JSON arrives: an answer or an error in the service's shape, never a 500."""
    ask = Asker(Caller(Azure(ManualClock())))
    chat = {"messages": messages, **fields}
    embed = {"input": input, **{name: value for name, value in fields.items() if name != "messages"}}
    answers = [
        ask.post(CHAT, chat),
        ask.post(f"deployments/{REASONING}/chat/completions", chat),
        ask.post("v1/chat/completions", {"model": SMALL, **chat}, version=None),
        ask.post(f"deployments/{EMBEDDING}/embeddings", embed),
        ask.respond(**{**embed, "said": input}),
        ask.respond(deployment=REASONING, **{**chat, "said": input}),
    ]
    for answer in answers:
        assert answer.status in (200, 400, 404, 429), answer.body
        if answer.status != 200:
            assert answer.json["error"]["message"]
    assert len(ask.azure.journal) == len(answers)


def offered(**properties: Any) -> dict[str, Any]:
    """A request that forces a call with these parameters."""
    parameters = {"type": "object", "properties": properties}
    return {
        "tools": [{"type": "function", "function": {"name": "f", "parameters": parameters}}],
        "tool_choice": "required",
    }


EITHER: dict[str, Any] = {"type": "integer", "minimum": 5, "maximum": 1}
for _ in range(4):
    EITHER = {"anyOf": [EITHER] * 8}
ENDLESS = {"type": "array", "items": {"type": "string", "minLength": 10**9}, "minItems": 10**9}
DEEP = [*HELLO, {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}]


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        pytest.param(offered(x=EITHER), 200, id="thousands of branches, none of which fits"),
        pytest.param(offered(x={"type": "array", "items": ENDLESS, "minItems": 10**9}), 200, id="endless arrays"),
        pytest.param(
            offered(x={"const": 2**64 - 1}, y={"type": "integer", "minimum": 1.7e308}), 200, id="huge numbers"
        ),
        pytest.param(offered(x={"type": "string", "pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}), 200, id="evil pattern"),
        pytest.param(offered(x={"$ref": "#/properties/x"}), 200, id="reference to itself"),
        pytest.param(offered(x={"enum": ["x" * 100] * 20_000}), 400, id="megabytes of tools"),
        pytest.param({"messages": [{"role": "user", "content": "a " * 3_000_000}]}, 400, id="megabytes of words"),
        pytest.param(
            {"messages": [*DEEP, {"role": "function", "name": "f", "content": "[" * 5_000}]}, 200, id="deep result"
        ),
        pytest.param(
            {"messages": [*DEEP, {"role": "function", "name": "f", "content": "[" * 900 + "]" * 900}]}, 200, id="deep"
        ),
        pytest.param({"metadata": {"a": [[[[[{}]]]]] * 9_999}}, 200, id="large metadata"),
    ],
)
def test_large_and_endless_things_are_bounded(fields: dict[str, Any], status: int) -> None:
    """An answer or a refusal in little time, and never a 500."""
    ask = Asker(Caller(Azure(ManualClock())))
    assert ask.post(CHAT, {"messages": HELLO, **fields}).status == status


@given(body=st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
@settings(max_examples=100)
def test_bytes_never_break_the_server(body: bytes) -> None:
    """Nor does what is no JSON at all."""
    ask = Asker(Caller(Azure(ManualClock())))
    answer = ask.call("POST", f"/openai/{CHAT}", body=body, headers=ask.key, **{"api-version": VERSION})
    assert answer.status == 400
    assert answer.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(("levels", "status"), [(95, 200), (96, 400), (300, 400), (100_000, 400)])
def test_nesting_has_a_limit(ask: Asker, levels: int, status: int) -> None:
    """A body nested so deeply that it could not be written again is refused, wherever it is nested."""
    nested = b"[" * levels + b"]" * levels
    body = b'{"messages":[{"role":"user","content":[{"type":"text","text":"x","more":' + nested + b"}]}]}"
    answer = ask.call("POST", f"/openai/{CHAT}", body=body, headers=ask.key, **{"api-version": VERSION})
    assert answer.status == status
