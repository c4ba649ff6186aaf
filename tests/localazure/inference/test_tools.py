"""Calls of functions: when a model makes them, how they come back, what the service refuses."""

import json
from typing import Any

import jsonschema
import pytest
from openai import AzureOpenAI
from openai.types.chat import ChatCompletionMessageParam, ChatCompletionToolParam

from labkit.localazure.inference import tools
from tests.localazure.asking import BIG, SMALL, Asker, deploy, error_of, events_of

PARAMETERS: dict[str, Any] = {
    "$schema": "http://json-schema.org/draft-07/schema#",
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "The city, e.g. Warsaw"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
    },
    "required": ["city"],
}
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "get_weather", "description": "Current weather of a city.", "parameters": PARAMETERS},
}
MAIL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "send_mail",
        "description": "Send an e-mail message",
        "parameters": {
            "type": "object",
            "properties": {"to": {"type": "string", "format": "email"}, "subject": {"type": "string"}},
            "required": ["to", "subject"],
            "additionalProperties": False,
        },
    },
}
TOOLS = [WEATHER, MAIL]
QUESTION = "What is the weather in Paris?"


def tool(parameters: object = None, **function: Any) -> dict[str, Any]:
    """A tool with one thing changed."""
    given = {} if parameters is None else {"parameters": parameters}
    return {"type": "function", "function": {"name": "f", **given, **function}}


def calls_of(body: dict[str, Any]) -> list[tuple[str, Any]]:
    """Name and arguments of each call in an answer."""
    calls = body["choices"][0]["message"].get("tool_calls", [])
    return [(call["function"]["name"], json.loads(call["function"]["arguments"])) for call in calls]


def test_round_trip_with_the_real_client(client: AzureOpenAI) -> None:
    """Question, call, result, answer: the loop of every agent."""
    messages: list[ChatCompletionMessageParam] = [{"role": "user", "content": QUESTION}]
    offered: list[ChatCompletionToolParam] = [WEATHER, MAIL]  # type: ignore[list-item]
    first = client.chat.completions.create(model=BIG, messages=messages, tools=offered).choices[0]
    assert first.finish_reason == "tool_calls"
    assert first.message.content is None
    assert first.message.tool_calls is not None
    (call,) = first.message.tool_calls
    assert call.type == "function"
    assert (call.function.name, json.loads(call.function.arguments)) == ("get_weather", {"city": "Paris"})
    assert call.id.startswith("call_")
    messages.append(first.message)  # type: ignore[arg-type]
    messages.append({"role": "tool", "tool_call_id": call.id, "content": '{"temperature": 18, "sky": "clear"}'})
    last = client.chat.completions.create(model=BIG, messages=messages, tools=offered).choices[0]
    assert last.finish_reason == "stop"
    assert last.message.tool_calls is None
    for part in ("get_weather", "temperature 18", "sky clear"):
        assert part in (last.message.content or "")


def test_streamed_calls_with_the_real_client(client: AzureOpenAI) -> None:
    """The SDK's own accumulator puts the pieces together to the same calls as without streaming."""
    asked: dict[str, Any] = {"model": BIG, "tools": TOOLS, "temperature": 0}
    asked["messages"] = [{"role": "user", "content": "Weather in Paris and Rome, please"}]
    whole = client.chat.completions.create(**asked)
    with client.chat.completions.stream(**asked) as stream:
        for _ in stream:
            pass
        streamed = stream.get_final_completion()
    seen, expected = streamed.choices[0].message.tool_calls, whole.choices[0].message.tool_calls
    assert seen is not None
    assert expected is not None
    assert [(c.id, c.function.name, c.function.arguments) for c in seen] == [
        (c.id, c.function.name, c.function.arguments)  # type: ignore[union-attr]
        for c in expected
    ]
    assert [json.loads(c.function.arguments)["city"] for c in seen] == ["Paris", "Rome"]
    assert streamed.choices[0].finish_reason == "tool_calls"


def test_chunks_of_a_call(ask: Asker) -> None:
    """Role first, then index, id, type and name with empty arguments, then only arguments, then the reason."""
    events = events_of(ask.chat(QUESTION, tools=TOOLS, stream=True))
    role, begun, *pieces, last = [event["choices"][0] for event in events[1:]]
    assert role["delta"] == {"content": None, "refusal": None, "role": "assistant"}
    (call,) = begun["delta"]["tool_calls"]
    assert call.pop("id").startswith("call_")
    assert call == {"index": 0, "type": "function", "function": {"name": "get_weather", "arguments": ""}}
    more = [piece["delta"]["tool_calls"][0] for piece in pieces]
    assert all(piece.keys() == {"index", "function"} for piece in more)
    assert len(more) > 2
    assert json.loads("".join(piece["function"]["arguments"] for piece in more)) == {"city": "Paris"}
    assert (last["delta"], last["finish_reason"]) == ({}, "tool_calls")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (QUESTION, [("get_weather", {"city": "Paris"})]),
        ("Jaka jest pogoda w Krakowie?", [("get_weather", {"city": "Krakowie"})]),
        ("Weather in Oslo in fahrenheit", [("get_weather", {"city": "Oslo", "unit": "fahrenheit"})]),
        ('Send "Hello there" to ann@example.org', [("send_mail", {"to": "ann@example.org", "subject": "Hello there"})]),
        ("Pogoda w Paryżu i Rzymie", [("get_weather", {"city": "Paryżu"}), ("get_weather", {"city": "Rzymie"})]),
        ("Hello, how are you?", []),
        ("What does the word get mean?", []),
        ("What is 17 + 25?", []),
    ],
)
def test_the_model_calls_what_the_words_are_about(ask: Asker, said: str, expected: list[Any]) -> None:
    """In English and in Polish, and nothing when no function fits."""
    body = ask.chat(said, tools=TOOLS).json
    assert calls_of(body) == expected
    assert body["choices"][0]["finish_reason"] == ("tool_calls" if expected else "stop")
    assert (body["choices"][0]["message"]["content"] is None) == bool(expected)


@pytest.mark.parametrize(
    ("choice", "said", "names"),
    [
        ("none", QUESTION, []),
        ("auto", QUESTION, ["get_weather"]),
        ("required", "Hello", ["get_weather"]),
        ({"type": "function", "function": {"name": "send_mail"}}, "Hello", ["send_mail"]),
    ],
    ids=str,
)
def test_tool_choice(ask: Asker, choice: object, said: str, names: list[str]) -> None:
    """A forced call is made whatever the words; its arguments fit the schema all the same."""
    called = calls_of(ask.chat(said, tools=TOOLS, tool_choice=choice).json)
    assert [name for name, _ in called] == names
    schemas = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
    for name, arguments in called:
        jsonschema.validate(arguments, schemas[name], format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


def test_parallel_calls_can_be_switched_off(ask: Asker) -> None:
    """Then one call comes at a time."""
    said = "Weather in Paris and Rome"
    assert len(calls_of(ask.chat(said, tools=TOOLS).json)) == 2
    assert len(calls_of(ask.chat(said, tools=TOOLS, parallel_tool_calls=False).json)) == 1


def test_functions_are_the_older_form(ask: Asker) -> None:
    """Answered as ``function_call``, also in streams; a result comes back as a message of the role ``function``."""
    functions = [tool["function"] for tool in TOOLS]
    choice = ask.chat(QUESTION, functions=functions).json["choices"][0]
    assert choice["finish_reason"] == "function_call"
    assert choice["message"]["function_call"] == {"name": "get_weather", "arguments": '{"city":"Paris"}'}
    assert "tool_calls" not in choice["message"]
    deltas = [e["choices"][0]["delta"] for e in events_of(ask.chat(QUESTION, functions=functions, stream=True))[1:]]
    pieces = [delta["function_call"]["arguments"] for delta in deltas if "function_call" in delta]
    assert "".join(pieces) == '{"city":"Paris"}'
    result = {"role": "function", "name": "get_weather", "content": "rain"}
    answer = ask.chat([{"role": "user", "content": QUESTION}, choice["message"], result], functions=functions)
    assert "rain" in answer.json["choices"][0]["message"]["content"]
    forced = ask.chat("Hi", functions=functions, function_call={"name": "send_mail"}).json["choices"][0]["message"]
    assert forced["function_call"]["name"] == "send_mail"


def test_tokens_of_tools(ask: Asker) -> None:
    """The cookbook's example comes to the numbers that the cookbook prints for it."""
    example = {
        "name": "get_current_weather",
        "description": "Get the current weather in a given location",
        "parameters": {
            "type": "object",
            "properties": {
                "location": {"type": "string", "description": "The city and state, e.g. San Francisco, CA"},
                "unit": {
                    "type": "string",
                    "description": "The unit of temperature to return",
                    "enum": ["celsius", "fahrenheit"],
                },
            },
            "required": ["location"],
        },
    }
    deploy(ask.azure, "gpt-4o")
    said = [
        {"role": "system", "content": "You are a helpful assistant that can answer to questions about the weather."},
        {"role": "user", "content": "What's the weather like in San Francisco?"},
    ]
    offered = [{"type": "function", "function": example}]
    # What the cookbook prints for this example, counted by itself and by the service.
    assert ask.chat(said, "gpt-4o", tools=offered).json["usage"]["prompt_tokens"] == 101
    assert ask.chat(said, SMALL, tools=offered).json["usage"]["prompt_tokens"] == 105


def test_calls_count_and_can_be_cut(ask: Asker) -> None:
    """A call costs completion tokens; where they end the reason is ``length`` and the arguments are a beginning."""
    whole = ask.chat(QUESTION, tools=TOOLS, temperature=0).json
    used = whole["usage"]["completion_tokens"]
    assert 8 < used < 30
    cut = ask.chat(QUESTION, tools=TOOLS, temperature=0, max_tokens=used - 2).json
    choice = cut["choices"][0]
    assert (choice["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", used - 2)
    assert '{"city":"Paris"}'.startswith(choice["message"]["tool_calls"][0]["function"]["arguments"])


def test_calls_are_deterministic(ask: Asker) -> None:
    """The same request gets the same ids and arguments; the journal says which tools were offered."""
    one, other = (ask.chat(QUESTION, tools=TOOLS, temperature=0).json["choices"] for _ in range(2))
    assert one == other
    entry = ask.azure.journal.after()[-1]
    assert entry.params["tools"] == "get_weather, send_mail"
    assert entry.answer_digest


@pytest.mark.parametrize(
    ("fields", "code", "param", "said"),
    [
        ({"tools": []}, "empty_array", "tools", "empty array"),
        ({"tools": [WEATHER] * 129}, "array_above_max_length", "tools", "maximum length 128"),
        ({"tools": "x"}, "invalid_type", "tools", "expected an array of objects"),
        ({"tools": [{}]}, "missing_required_parameter", "tools[0].type", "Missing required"),
        ({"tools": [{"type": "custom"}]}, "invalid_value", "tools[0].type", "Supported values are: 'function'."),
        ({"tools": [{"type": "function"}]}, "missing_required_parameter", "tools[0].function", "Missing"),
        ({"tools": [tool(name=None)]}, "missing_required_parameter", "tools[0].function.name", "Missing"),
        (
            {"tools": [tool(name="get weather")]},
            "invalid_value",
            "tools[0].function.name",
            "string does not match pattern. Expected a string that matches the pattern '^[a-zA-Z0-9_-]+$'.",
        ),
        ({"tools": [tool(name="f" * 65)]}, "string_above_max_length", "tools[0].function.name", "maximum length 64"),
        ({"tools": [tool(description="d" * 1025)]}, "string_above_max_length", "tools[0].function.description", "1024"),
        ({"tools": [tool(strict="yes")]}, "invalid_type", "tools[0].function.strict", "a boolean"),
        (
            {"tools": [tool({"type": "array"})]},
            "invalid_function_parameters",
            "tools[0].function.parameters",
            "for function 'f': schema must be a JSON Schema of 'type: \"object\"', got 'type: \"array\"'.",
        ),
        (
            {"tools": [tool({"type": "object"})]},
            "invalid_function_parameters",
            "tools[0].function.parameters",
            "Invalid schema for function 'f': In context=(), object schema missing properties.",
        ),
        (
            {"tools": [tool({"type": "object", "properties": {"paths": {"type": "array"}}})]},
            "invalid_function_parameters",
            "tools[0].function.parameters",
            "Invalid schema for function 'f': In context=('properties', 'paths'), array schema missing items.",
        ),
        (
            {"tools": [tool({"type": "object", "properties": {}}, strict=True)]},
            "invalid_function_parameters",
            "tools[0].function.parameters",
            "In context=(), 'additionalProperties' is required to be supplied and to be false.",
        ),
        ({"parallel_tool_calls": True}, None, "parallel_tool_calls", "only allowed when 'tools' are specified."),
        ({"function_call": "auto"}, None, "function_call", "only allowed when 'functions' are specified."),
        ({"tools": TOOLS, "tool_choice": "always"}, "invalid_value", "tool_choice", "'none', 'auto' and 'required'"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "name": "f"}},
            "missing_required_parameter",
            "tool_choice.function",
            "Missing",
        ),
        (
            {"tools": TOOLS, "tool_choice": {"type": "function", "function": {"name": "nope"}}},
            "invalid_value",
            "tool_choice",
            "no function named 'nope'",
        ),
    ],
)
def test_what_is_refused(ask: Asker, fields: dict[str, Any], code: str | None, param: str, said: str) -> None:
    """In the service's words, naming the field; the sources are in ``tools`` and ``schema_rules``."""
    error = error_of(ask.chat(**fields))
    assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")
    assert said in error["message"]


def test_models_without_tools(ask: Asker) -> None:
    """The words of a model that came before them."""
    deploy(ask.azure, "gpt-4-vision")
    error = error_of(ask.chat(QUESTION, "gpt-4-vision", tools=TOOLS, tool_choice="auto"))
    assert error["message"] == "Unrecognized request arguments supplied: tool_choice, tools"
    assert (error["code"], error["param"]) == (None, None)


ASKED = {"role": "user", "content": QUESTION}
CALL = {"id": "call_1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
CALLING = {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "call_2"}]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "sun"}


@pytest.mark.parametrize(
    ("messages", "param", "said"),
    [
        ([ASKED, CALLING, RESULT], "messages.[3].role", "did not have response messages: call_2"),
        ([ASKED, CALLING, ASKED], "messages.[2].role", "did not have response messages: call_1, call_2"),
        ([ASKED, RESULT], "messages.[1].role", "must be a response to a preceeding message with 'tool_calls'."),
        (
            [ASKED, CALLING, {**RESULT, "tool_call_id": "call_9"}],
            "messages.[2].role",
            "must be a response to a preceeding message with 'tool_calls'.",
        ),
    ],
    ids=["unanswered at the end", "unanswered before the next question", "no call", "another call"],
)
def test_calls_and_results_belong_together(ask: Asker, messages: list[Any], param: str, said: str) -> None:
    """Every call has a result, every result a call; the service leaves the code out."""
    error = error_of(ask.chat(messages, tools=TOOLS))
    assert (error["code"], error["param"]) == (None, param)
    assert said in error["message"]


def test_equal_tools_make_equal_boxes() -> None:
    """So that a request that comes again is known again; the number of tokens is the same, too."""
    one, other = (tools.tool_box(tools.read_tools("tools", TOOLS)) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert one != tools.tool_box(one.functions, choice="none")
