"""Functions and the Responses API: calls are items, their outputs come back as items, arguments stream in pieces."""

import json
from typing import Any

import jsonschema
import pytest
from openai import OpenAI

from labkit.localazure import LocalAzure
from tests.localazure.asking import OMNI, REASONING, Asker, account_of, deploy, error_of
from tests.localazure.inference.test_responses_streaming import BEGINNING, events_of, kinds

SAID = "What is the weather in Paris?"
WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "description": "The weather in a city.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"enum": ["C", "F"]}},
        "required": ["city", "unit"],
        "additionalProperties": False,
    },
}
TIME = {"type": "function", "name": "get_time"}


def call_in(body: dict[str, Any]) -> dict[str, Any]:
    """The one call of a function in a response."""
    (item,) = [item for item in body["output"] if item["type"] == "function_call"]
    found: dict[str, Any] = item
    return found


def output_of(item: dict[str, Any], output: object = "20 degrees") -> dict[str, Any]:
    """What a client sends back for a call."""
    return {"type": "function_call_output", "call_id": item["call_id"], "output": output}


@pytest.mark.parametrize("strict", [None, True, False])
def test_call_is_an_item(ask: Asker, strict: bool | None) -> None:
    """With arguments that fit the function's schema; the response shows its tools in the flat form."""
    body = ask.respond(SAID, tools=[{**WEATHER, "strict": strict}]).json
    call = call_in(body)
    assert (body["status"], call["name"], call["status"]) == ("completed", "get_weather", "completed")
    assert call["id"].startswith("fc_")
    assert call["call_id"].startswith("call_")
    jsonschema.validate(json.loads(call["arguments"]), WEATHER["parameters"])
    assert body["tools"] == [{**WEATHER, "strict": bool(strict)}]
    assert [item["type"] for item in body["output"]] == ["function_call"]


def test_call_is_that_of_chat(ask: Asker) -> None:
    """The same function with the same arguments, for the same tokens."""
    function = {name: value for name, value in WEATHER.items() if name != "type"}
    chat = ask.chat(SAID, OMNI, tools=[{"type": "function", "function": function}], temperature=0).json
    response = ask.respond(SAID, tools=[WEATHER], temperature=0).json
    (called,) = chat["choices"][0]["message"]["tool_calls"]
    assert call_in(response)["arguments"] == called["function"]["arguments"]
    assert response["usage"]["total_tokens"] == chat["usage"]["total_tokens"]
    first, second = ask.azure.journal.after()
    assert first.params["tools"] == second.params["tools"] == "get_weather"


@pytest.mark.parametrize(
    ("said", "choice", "name"),
    [
        ("Hello there", "auto", None),
        ("Hello there", "required", "get_weather"),
        (SAID, "none", None),
        (SAID, {"type": "function", "name": "get_time"}, "get_time"),
    ],
)
def test_choice_of_a_tool(ask: Asker, said: str, choice: object, name: str | None) -> None:
    """A mode, or the flat form with the function's name; the response repeats it."""
    body = ask.respond(said, tools=[WEATHER, TIME], tool_choice=choice).json
    assert [item.get("name") for item in body["output"]] == [name]
    assert body["tool_choice"] == choice


@pytest.mark.parametrize("model", [OMNI, REASONING])
@pytest.mark.parametrize("by_client", [True, False], ids=["kept by the client", "kept by the service"])
def test_output_is_answered_in_words(ask: Asker, model: str, by_client: bool) -> None:
    """The conversation goes on from the call, with the items sent back or with the id of the response."""
    asked = ask.respond(SAID, model, tools=[WEATHER]).json
    outputs = [output_of(call_in(asked))]
    if by_client:
        given, more = [{"role": "user", "content": SAID}, *asked["output"], *outputs], {}
    else:
        given, more = outputs, {"previous_response_id": asked["id"]}
    body = ask.respond(given, model, tools=[WEATHER], **more).json
    assert "20 degrees" in body["output"][-1]["content"][0]["text"]


def test_several_calls_pair_with_their_outputs_in_any_order(ask: Asker) -> None:
    """Calls made together, other items between them and their outputs, and a list of parts as an output."""
    said = "What is the weather in Paris and Rome?"
    body = ask.respond(said, tools=[WEATHER]).json
    calls = body["output"]
    assert [json.loads(call["arguments"])["city"] for call in calls] == ["Paris", "Rome"]
    first, second = calls
    late = {"role": "user", "content": "And quickly!"}
    outputs = [output_of(second, [{"type": "input_text", "text": "30"}]), late, output_of(first)]
    assert ask.respond([{"role": "user", "content": said}, *calls, *outputs], tools=[WEATHER]).status == 200
    one = ask.respond(said, tools=[WEATHER], parallel_tool_calls=False).json
    assert (len(one["output"]), one["parallel_tool_calls"]) == (1, False)


def test_calls_one_after_the_other_stay_apart(ask: Asker) -> None:
    """A call, its output, another call: two messages of the model, not one."""
    calls = [{**call_in(ask.respond(SAID, tools=[WEATHER]).json), "id": f"fc_{n}", "call_id": f"c{n}"} for n in (1, 2)]
    given = [{"role": "user", "content": SAID}, calls[0], output_of(calls[0]), calls[1], output_of(calls[1])]
    ask.respond(given, tools=[WEATHER])
    messages = [{"role": "user", "content": SAID}]
    for call in calls:
        function = {"name": call["name"], "arguments": call["arguments"]}
        called = [{"id": call["call_id"], "type": "function", "function": function}]
        messages.append({"role": "assistant", "content": None, "tool_calls": called})  # type: ignore[dict-item]
        messages.append({"role": "tool", "tool_call_id": call["call_id"], "content": "20 degrees"})
    ask.chat(messages, OMNI)
    *_, by_items, by_messages = ask.azure.journal.after()
    assert by_items.prompt_digest == by_messages.prompt_digest


@pytest.mark.parametrize("model", [OMNI, REASONING])
def test_arguments_stream_in_pieces(ask: Asker, model: str) -> None:
    """They make the JSON; the item is there with empty arguments before, and whole after them."""
    events = events_of(ask.respond(SAID, model, tools=[WEATHER], stream=True))
    reasoning = ["response.output_item.added", "response.output_item.done"] if model == REASONING else []
    assert kinds(events) == [
        *BEGINNING,
        *reasoning,
        "response.output_item.added",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.output_item.done",
        "response.completed",
    ]
    call = call_in(events[-1]["response"])
    deltas = [event for event in events if event["type"] == "response.function_call_arguments.delta"]
    assert "".join(delta["delta"] for delta in deltas) == call["arguments"]
    assert {(d["item_id"], d["output_index"]) for d in deltas} == {(call["id"], len(reasoning) // 2)}
    added = [event["item"] for event in events if event["type"] == "response.output_item.added"]
    assert added[-1] == {**call, "arguments": "", "status": "in_progress"}


def test_call_that_is_cut_short_is_incomplete(ask: Asker) -> None:
    """As its response is."""
    long = {**WEATHER["parameters"], "properties": {name: {"type": "string"} for name in "abcdefgh"}, "required": []}
    tool = {**WEATHER, "parameters": {**long, "required": list("abcdefgh")}}
    body = ask.respond(SAID, tools=[tool], tool_choice="required", max_output_tokens=16).json
    assert (body["status"], call_in(body)["status"]) == ("incomplete", "incomplete")


@pytest.mark.parametrize(
    ("tool", "code", "param"),
    [
        ({**WEATHER, "name": "get weather"}, "invalid_value", "tools[0].name"),
        ({**WEATHER, "description": 5}, "invalid_type", "tools[0].description"),
        ({**WEATHER, "strict": "yes"}, "invalid_type", "tools[0].strict"),
        ({**WEATHER, "parameters": {"type": "array"}}, "invalid_function_parameters", "tools[0].parameters"),
    ],
    ids=lambda value: str(value)[-30:] if isinstance(value, dict) else None,
)
def test_functions_that_cannot_be(ask: Asker, tool: dict[str, Any], code: str, param: str) -> None:
    """The rules of chat completions, in the flat form's names."""
    error = error_of(ask.respond(SAID, tools=[tool]))
    assert (error["code"], error["param"]) == (code, param)
    assert ".function" not in error["message"]


def test_unknown_function_is_not_chosen(ask: Asker) -> None:
    """The name must be one of those that are offered."""
    error = error_of(ask.respond(SAID, tools=[WEATHER], tool_choice={"type": "function", "name": "get_time"}))
    assert error["param"] == "tool_choice"


def test_real_client_calls_a_function(served: LocalAzure) -> None:
    """The loop that programs are written around, with the openai package."""
    deploy(served.azure)
    client = OpenAI(base_url=f"{served.url}/openai/v1/", api_key=account_of(served.azure).keys[0], max_retries=0)
    tools: Any = [{**WEATHER, "strict": True}]
    with client:
        first = client.responses.create(model=REASONING, input=SAID, tools=tools)
        (call,) = [item for item in first.output if item.type == "function_call"]
        assert json.loads(call.arguments)["city"] == "Paris"
        output: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
        last = client.responses.create(model=REASONING, input=output, tools=tools, previous_response_id=first.id)
        assert "sunny" in last.output_text
        with client.responses.stream(model=OMNI, input=SAID, tools=tools) as stream:
            deltas = "".join(e.delta for e in stream if e.type == "response.function_call_arguments.delta")
            (parsed,) = stream.get_final_response().output
        assert parsed.type == "function_call"
        assert parsed.arguments == deltas
        listed = client.responses.input_items.list(last.id)
        assert [item.type for item in listed] == ["function_call_output", "function_call", "reasoning", "message"]
