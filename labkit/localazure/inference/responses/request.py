"""Requests for a response: what they may ask for, and what that is as a chat request.

Checks and wordings that both APIs share are those of chat completions; what is here differs.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from labkit.localazure.inference import parameters
from labkit.localazure.inference.parameters import Body, Reader, invalid, missing, not_simulated, one_of
from labkit.localazure.inference.responses import items, tools
from labkit.localazure.inference.responses.conversation import Placed
from labkit.localazure.inference.simulation import EFFORTS
from labkit.tokens import content_text

# vectorize-io/hindsight#58 (2025-12).
_FEWEST_OUTPUT_TOKENS = 16
_MOST_METADATA = 16
_METADATA_CHARACTERS = (64, 512)
_LOGPROBS = "message.output_text.logprobs"
SEALED = "reasoning.encrypted_content"
# What else may be included belongs to tools that the local Azure does not have.
_INCLUDES = (
    _LOGPROBS,
    SEALED,
    "message.input_image.image_url",
    "code_interpreter_call.outputs",
    "computer_call_output.output.image_url",
    "file_search_call.results",
    "web_search_call.action.sources",
    "web_search_call.results",
)
# Chat's name of a parameter, and where it is now: cline/cline#5419 (2025-08).
_MOVED = {
    "messages": "input",
    "max_tokens": "max_output_tokens",
    "max_completion_tokens": "max_output_tokens",
    "response_format": "text.format",
    "reasoning_effort": "reasoning.effort",
    "verbosity": "text.verbosity",
}
_SAME_IN_CHAT = ("temperature", "top_p", "stream", "user", "prompt_cache_retention")


def read(body: Body) -> dict[str, Any]:
    """The fields of ``body``, null ones left out; ``AzureError`` 400 for the first thing that is wrong with it."""
    fields = parameters.read_fields(body, _READERS)
    if "input" not in fields:
        raise missing("input")
    choice = fields.get("tool_choice")
    if (choice == "required" or isinstance(choice, dict)) and not fields.get("tools"):
        message = "Tool choice 'required' must be specified with 'tools' parameter."
        raise invalid("invalid_value", message, "tool_choice")
    parameters.check_stream_options(fields)
    return fields


def noted(fields: Body, by_chat: Body) -> dict[str, Any]:
    """What of the request goes into the journal besides its prompt; of the tools what chat notes of them."""
    own = parameters.shortened(fields, without=("input", "instructions", "stream", "tools"))
    return own | {"tools": by_chat["tools"]} if "tools" in by_chat else own


def chat_body(fields: Body, placed: Sequence[Placed]) -> dict[str, Any]:
    """The chat request for the same; ``AzureError`` 400 when JSON is asked for and no message speaks of it."""
    _check_json(fields, placed)
    body: dict[str, Any] = {name: fields[name] for name in _SAME_IN_CHAT if name in fields}
    body["messages"] = [each.message for each in placed]
    if "max_output_tokens" in fields:
        body["max_completion_tokens"] = fields["max_output_tokens"]
    if "effort" in fields.get("reasoning", ()):
        body["reasoning_effort"] = fields["reasoning"]["effort"]
    return body | _text_for_chat(fields.get("text", {})) | _tools_for_chat(fields) | _logprobs_for_chat(fields)


def _check_json(fields: Body, placed: Sequence[Placed]) -> None:
    """The instructions do not count (pydantic/pydantic-ai, models/openai.py, read 2026-11-25)."""
    if fields.get("text", {}).get("format", {}).get("type") != "json_object":
        return
    texts = [content_text(each.message["content"]) for each in placed if each.place != "instructions"]
    if not any("json" in text.casefold() for text in texts):
        rule = "must contain the word 'json' in some form to use 'text.format' of type 'json_object'."
        raise invalid(None, f"Response input messages {rule}", "input")


def _text_for_chat(text: Body) -> dict[str, Any]:
    asked: dict[str, Any] = {}
    if text.get("verbosity", "medium") != "medium":  # every model takes the default
        asked["verbosity"] = text["verbosity"]
    shape = text.get("format", {"type": "text"})
    if shape["type"] == "json_schema":
        schema = {name: value for name, value in shape.items() if name != "type"}
        asked["response_format"] = {"type": "json_schema", "json_schema": schema}
    elif shape["type"] != "text":
        asked["response_format"] = shape
    return asked


def _tools_for_chat(fields: Body) -> dict[str, Any]:
    if not fields.get("tools"):
        return {}
    asked: dict[str, Any] = {"tools": [tools.for_chat(tool) for tool in fields["tools"]]}
    if "tool_choice" in fields:
        asked["tool_choice"] = tools.choice_for_chat(fields["tool_choice"])
    if "parallel_tool_calls" in fields:
        asked["parallel_tool_calls"] = fields["parallel_tool_calls"]
    return asked


def _logprobs_for_chat(fields: Body) -> dict[str, Any]:
    if _LOGPROBS not in fields.get("include", ()):
        return {}
    return {"logprobs": True, "top_logprobs": fields.get("top_logprobs", 0)}


def _text(name: str, value: Any) -> dict[str, Any]:
    readers = {"format": _format, "verbosity": one_of("low", "medium", "high")}
    return parameters.read_fields(_object(name, value), readers, f"{name}.")


def _format(name: str, value: Any) -> dict[str, Any]:
    shape = _object(name, value)
    if "type" not in shape:
        raise missing(f"{name}.type")
    kind = one_of("text", "json_object", "json_schema")(f"{name}.type", shape["type"])
    if kind != "json_schema":
        return {"type": kind}
    for needed in ("name", "schema"):
        if shape.get(needed) is None:
            raise missing(f"{name}.{needed}")
    readers = {
        "type": parameters.text,
        "name": parameters.text,
        "description": parameters.text,
        "schema": _object,
        "strict": parameters.boolean,
    }
    return parameters.read_fields(shape, readers, f"{name}.")


def _reasoning(name: str, value: Any) -> dict[str, Any]:
    summary = one_of("auto", "concise", "detailed")
    readers = {"effort": one_of(*EFFORTS), "summary": summary, "generate_summary": summary}
    return parameters.read_fields(_object(name, value), readers, f"{name}.")


def _stream_options(name: str, value: Any) -> dict[str, Any]:
    return parameters.read_fields(_object(name, value), {"include_obfuscation": parameters.boolean}, f"{name}.")


def _include(name: str, value: Any) -> list[str]:
    if not isinstance(value, list):
        raise parameters.wrong_type(name, "an array of strings", value)
    return [one_of(*_INCLUDES)(f"{name}[{number}]", each) for number, each in enumerate(value)]


def _metadata(name: str, value: Any) -> dict[str, str]:
    """Up to 16 pairs of texts, keys of 64 characters, values of 512 (OpenAI's API reference, read 2026-11-25)."""
    pairs = _object(name, value)
    most_key, most_value = _METADATA_CHARACTERS
    for key, said in pairs.items():
        parameters.text(f"{name}.{key[:most_key]}", said)
    if len(pairs) > _MOST_METADATA or any(len(k) > most_key or len(v) > most_value for k, v in pairs.items()):
        message = (
            f"Invalid '{name}': it has at most {_MOST_METADATA} pairs, with keys of at most {most_key} characters and "
            f"values of at most {most_value}."
        )
        raise invalid("invalid_value", message, name)
    return dict(pairs)


def _object(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise parameters.wrong_type(name, "an object", value)
    return value


def _moved(name: str, value: Any) -> Any:
    message = f"Unsupported parameter: '{name}'. In the Responses API, this parameter has moved to '{_MOVED[name]}'."
    raise invalid("unsupported_parameter", f"{message} Try again with the new parameter.", name)


# What a simulated model, or the memory of the service, takes into account.
_HEEDED: Mapping[str, Reader] = {
    "input": items.read,
    "instructions": parameters.text,
    "previous_response_id": parameters.text,
    "store": parameters.boolean,
    "stream": parameters.boolean,
    "stream_options": _stream_options,
    "max_output_tokens": parameters.integer(_FEWEST_OUTPUT_TOKENS),
    "temperature": parameters.number(0, 2),
    "tools": tools.read,
    "tool_choice": tools.read_choice,
    "parallel_tool_calls": parameters.boolean,
    "text": _text,
    "reasoning": _reasoning,
    "include": _include,
    "top_logprobs": parameters.integer(0, 20),
    "truncation": one_of("auto", "disabled"),
    "metadata": _metadata,
}
_READERS: Mapping[str, Reader] = {
    **_HEEDED,
    # Taken and checked; they would not show in a simulated answer. ``model`` names the deployment.
    "model": parameters.anything,
    "top_p": parameters.number(0, 1),
    "user": parameters.text,
    "service_tier": parameters.text,
    "safety_identifier": parameters.text,
    "prompt_cache_key": parameters.text,
    "prompt_cache_retention": parameters.text,
    "max_tool_calls": parameters.integer(1),
    "background": not_simulated(_HEEDED, False),
    "conversation": not_simulated(_HEEDED),
    "context_management": not_simulated(_HEEDED, []),
    "moderation": not_simulated(_HEEDED),
    "prompt": not_simulated(_HEEDED),
    **dict.fromkeys(_MOVED, _moved),
}
