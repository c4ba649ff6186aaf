"""What the Responses API refuses: in its own words, and with the names that its parameters have."""

from typing import Any

import pytest

from tests.localazure.asking import OMNI, REASONING, RESPONSES_VERSION, Asker, error_of

USER = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "3"}


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        pytest.param(None, "missing_required_parameter", "input", id="null"),
        pytest.param([], "empty_array", "input", id="empty"),
        pytest.param(5, "invalid_type", "input", id="number"),
        pytest.param([USER] * 2049, "array_above_max_length", "input", id="too many"),
        pytest.param(["Hello"], "invalid_type", "input[0]", id="item is text"),
        pytest.param([USER, {"type": "song"}], "invalid_value", "input[1].type", id="type"),
        pytest.param([{"type": ["message"]}], "invalid_value", "input[0].type", id="type is a list"),
        pytest.param([{"role": "tool", "content": "x"}], "invalid_value", "input[0].role", id="role of chat"),
        pytest.param([{"type": "message"}], "missing_required_parameter", "input[0].role", id="no role"),
        pytest.param([{"role": "user"}], "invalid_type", "input[0].content", id="no content"),
        pytest.param([{"role": "user", "content": []}], "empty_array", "input[0].content", id="no parts"),
        pytest.param(
            [{"role": "user", "content": [{"type": "text", "text": "x"}]}],
            "invalid_value",
            "input[0].content[0].type",
            id="part of chat",
        ),
        pytest.param(
            [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}],
            "invalid_value",
            "input[0].content[0].type",
            id="part of the other side",
        ),
        pytest.param(
            [{"role": "user", "content": [{"type": "input_text"}]}],
            "missing_required_parameter",
            "input[0].content[0].text",
            id="no text",
        ),
        pytest.param(
            [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}],
            "missing_required_parameter",
            "input[0].content[0]",
            id="picture in a file",
        ),
        pytest.param(
            [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}],
            "invalid_value",
            "input[0].content[0].type",
            id="file",
        ),
        pytest.param([USER, {**CALL, "name": 5}, OUTPUT], "invalid_type", "input[1].name", id="name of a call"),
        pytest.param([USER, {**CALL, "id": "call_1"}], "invalid_value", "input[1].id", id="id of another kind"),
        pytest.param([{**USER, "id": "msg_" + "x" * 61}], "string_above_max_length", "input[0].id", id="long id"),
        pytest.param([USER, CALL], None, "input", id="call without output"),
        pytest.param([USER, OUTPUT], None, "input", id="output without call"),
        pytest.param([USER, {"type": "item_reference", "id": "msg_x"}], None, "input", id="unknown item"),
    ],
)
def test_input_that_cannot_be(ask: Asker, given: object, code: str | None, param: str) -> None:
    """The error names the first item that is wrong, and the field in it."""
    answer = ask.respond(given)
    assert answer.status == 400
    error = error_of(answer)
    assert (error["code"], error["param"], error["type"]) == (code, param, "invalid_request_error")


@pytest.mark.parametrize(
    ("parameters", "param", "said"),
    [
        ({"max_output_tokens": 15}, "max_output_tokens", "Expected a value >= 16, but got 15 instead."),
        ({"max_output_tokens": 20_000}, "max_output_tokens", "max_output_tokens is too large: 20000."),
        ({"temperature": 2.1}, "temperature", "Expected a value <= 2, but got 2.1 instead."),
        ({"messages": [USER]}, "messages", "this parameter has moved to 'input'."),
        ({"max_tokens": 50}, "max_tokens", "this parameter has moved to 'max_output_tokens'."),
        ({"response_format": {"type": "text"}}, "response_format", "this parameter has moved to 'text.format'."),
        ({"reasoning_effort": "low"}, "reasoning_effort", "this parameter has moved to 'reasoning.effort'."),
        ({"stop": "x"}, "stop", "Unknown parameter: 'stop'. Known parameters are: background,"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort", "'reasoning.effort' is not supported with this model."),
        ({"reasoning": {"effort": "wild"}}, "reasoning.effort", "'minimal', 'low', 'medium' and 'high'"),
        ({"reasoning": "low"}, "reasoning", "expected an object, but got a string instead."),
        ({"text": {"verbosity": "low"}}, "text.verbosity", "'text.verbosity' is not supported with this model."),
        ({"text": {"format": {}}}, "text.format.type", "Missing required parameter: 'text.format.type'."),
        ({"text": {"format": {"type": "xml"}}}, "text.format.type", "'text', 'json_object' and 'json_schema'"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.name", "Missing required parameter"),
        ({"text": {"shape": 1}}, "text.shape", "Unknown parameter: 'text.shape'."),
        ({"include": ["usage"]}, "include[0]", "Supported values are: 'message.output_text.logprobs',"),
        ({"truncation": "none"}, "truncation", "Supported values are: 'auto' and 'disabled'."),
        ({"metadata": {"a": 1}}, "metadata.a", "expected a string, but got an integer instead."),
        ({"metadata": {"a" * 65: "b"}}, "metadata", "keys of at most 64 characters"),
        ({"metadata": {str(number): "x" for number in range(17)}}, "metadata", "at most 16 pairs"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools[0].name", "'tools[0].name'"),
        ({"tools": [{"name": "f"}]}, "tools[0].type", "Missing required parameter"),
        ({"tools": "f"}, "tools", "expected an array of objects"),
        ({"tool_choice": "required"}, "tool_choice", "must be specified with 'tools' parameter."),
        ({"tool_choice": "always"}, "tool_choice", "'none', 'auto' and 'required'"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name", "Missing required parameter"),
        ({"instructions": ["x"]}, "instructions", "expected a string, but got an array instead."),
        ({"previous_response_id": 5}, "previous_response_id", "expected a string"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options", "only allowed when 'stream' is enabled."),
    ],
    ids=lambda value: str(value)[:45] if isinstance(value, dict) else None,
)
def test_parameters_that_cannot_be(ask: Asker, parameters: dict[str, Any], param: str, said: str) -> None:
    """The error says what was given and what is allowed, in the names of responses."""
    answer = ask.respond(**parameters)
    assert answer.status == 400
    error = error_of(answer)
    assert error["param"] == param
    assert said in error["message"]
    assert error["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "parameters",
    [
        {"background": True},
        {"conversation": "conv_1"},
        {"prompt": {"id": "pmpt_1"}},
        {"tools": [{"type": "web_search"}]},
        {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
        {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]},
        {"tools": [{"type": "computer_use_preview", "display_width": 1, "display_height": 1}]},
        {"tools": [{"type": "mcp", "server_label": "x"}]},
    ],
    ids=lambda value: str(value)[:45],
)
def test_what_the_local_azure_cannot_do_is_said_and_not_ignored(ask: Asker, parameters: dict[str, Any]) -> None:
    """The refusal names what works instead."""
    error = error_of(ask.respond(**parameters))
    assert "is not supported by the local Azure." in error["message"]
    assert ("Supported parameters are: " in error["message"]) or ("'function'" in error["message"])


@pytest.mark.parametrize(
    "parameters",
    [
        {"instructions": None, "tools": None, "previous_response_id": None, "text": None, "metadata": None},
        {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True, "max_tool_calls": 5},
        {"background": False, "service_tier": "auto", "safety_identifier": "s", "prompt_cache_key": "k", "user": "u"},
        {"text": {"format": {"type": "text"}, "verbosity": "medium"}, "truncation": "disabled", "top_p": 0.5},
        {"include": ["web_search_call.action.sources"], "stream": False, "top_logprobs": 0},
    ],
    ids=lambda value: next(iter(value)),
)
def test_parameters_that_are_fine(ask: Asker, parameters: dict[str, Any]) -> None:
    """Values that ask for nothing unusual are taken."""
    assert ask.respond(**parameters).status == 200


def test_errors_of_reasoning_models(ask: Asker) -> None:
    """The rules of chat completions, in the names of responses."""
    error = error_of(ask.respond("x", REASONING, temperature=0.1))
    assert error["param"] == "temperature"
    assert "Only the default (1) value is supported." in error["message"]


def test_too_many_items_of_a_conversation(ask: Asker) -> None:
    """The limit of a chat's messages holds for what was said before, too, and names the input."""
    first = ask.respond([USER] * 2_000).json["id"]
    error = error_of(ask.respond([USER] * 100, previous_response_id=first))
    assert (error["code"], error["param"]) == ("array_above_max_length", "input")
    assert "messages" not in error["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "responses"),
        ("PUT", "responses/resp_1"),
        ("POST", "responses/resp_1"),
        ("POST", "responses/resp_1/cancel"),
        ("DELETE", "responses/resp_1/input_items"),
        ("GET", "responses/resp_1/output_items"),
        ("POST", f"deployments/{OMNI}/responses"),
    ],
)
def test_wrong_addresses_are_not_found(ask: Asker, method: str, path: str) -> None:
    """Among them a deployment's: responses name theirs in the body."""
    answer = ask.call(method, f"/openai/{path}", USER, headers=ask.key, **{"api-version": RESPONSES_VERSION})
    assert (answer.status, answer.json) == (404, {"error": {"code": "404", "message": "Resource not found"}})


@pytest.mark.parametrize("prefix", ["", "/aoai-session13", "/some/proxy"], ids=repr)
@pytest.mark.parametrize(
    "path", ["openai/responses?api-version=2025-04-01-preview", "openai/v1/responses?api-version=preview"]
)
def test_prefix_and_preview_version_work(ask: Asker, prefix: str, path: str) -> None:
    """Gateways put a path before ``/openai``; some clients still name the version that v1 once had."""
    answer = ask.call("POST", f"{prefix}/{path}", {"model": OMNI, "input": "Hello"}, headers=ask.key)
    assert answer.status == 200
