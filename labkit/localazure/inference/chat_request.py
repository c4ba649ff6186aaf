"""Requests for chat completions: what they may ask for, and which models take which parameters."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from labkit.catalog import Model
from labkit.localazure.inference import logprobs, messages, parameters, response_format, tools
from labkit.localazure.inference.parameters import (
    Body,
    Reader,
    invalid,
    missing,
    not_simulated,
    unsupported_parameter,
    unsupported_value,
)
from labkit.localazure.inference.prompt import Message, Prompt, last_user_text
from labkit.localazure.inference.simulation import EFFORTS, Settings
from labkit.tokens import content_text

_MOST_ANSWERS = 128
_MOST_STOPS = 4
_NOTED_CHARACTERS = 200
_TOOL_FIELDS = frozenset(("tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"))
# What asks for more than plain text.
_SHAPING = _TOOL_FIELDS | {"response_format", "logprobs", "top_logprobs"}
_MOST_WITH_LOGPROBS = 16
_NOT_NOTED = ("messages", "stream", "tools", "functions", "response_format")
_INSTEAD = " Use 'max_completion_tokens' instead."


class ChatRequest(NamedTuple):
    """A request for chat completions that is well formed.

    ``said`` is the text of the last user message; ``fields`` are all of the body's that are not null; ``noted`` is what
    of them goes into the journal. ``top_logprobs`` is how many alternatives to each token are asked for, None when no
    log probabilities are.
    """

    messages: list[Message]
    said: str
    settings: Settings
    stream: bool
    include_usage: bool
    fields: Mapping[str, Any]
    noted: dict[str, Any]
    top_logprobs: int | None = None


def read(body: Body) -> ChatRequest:
    """The request that ``body`` makes; ``AzureError`` 400 for the first thing that is wrong with it, for any model."""
    fields = parameters.read_fields(body, _READERS)
    if "messages" not in fields:
        raise missing("messages")
    stream = fields.get("stream", False)
    options = fields.get("stream_options")
    parameters.check_stream_options(fields)
    include_usage = options is not None and options.get("include_usage", False)
    asked = fields["messages"]
    settings, said = _settings(fields), last_user_text(asked)
    noted = parameters.shortened(fields, without=_NOT_NOTED)
    if _SHAPING.isdisjoint(fields):  # nearly every request
        return ChatRequest(asked, said, settings, stream, include_usage, fields, noted)
    settings = settings._replace(toolbox=tools.of_fields(fields), format=fields.get("response_format"))
    if settings.toolbox is not None:
        noted["tools"] = ", ".join(function.name for function in settings.toolbox.functions)[:_NOTED_CHARACTERS]
    if settings.format is not None:
        noted["response_format"] = settings.format.kind
        response_format.check_messages(settings.format, [content_text(message.get("content")) for message in asked])
    return ChatRequest(asked, said, settings, stream, include_usage, fields, noted, _top_logprobs(fields))


def check_model(asked: ChatRequest, model: Model) -> None:
    """``AzureError`` 400 when ``model`` does not take a parameter of the request.

    Reasoning models: Microsoft Learn, how-to/reasoning, read 2026-11-22. The most tokens a model can answer with:
    tailcallhq/forgecode#1185 (2025-07).
    """
    if model.is_reasoning:
        _check_reasoning(asked.fields, model)
    else:
        for name in ("reasoning_effort", "verbosity"):
            if name in asked.fields:
                raise unsupported_parameter(name)
    if asked.settings.toolbox is not None and "tools" not in model.features:
        given = ", ".join(sorted(_TOOL_FIELDS.intersection(asked.fields)))
        # MicrosoftDocs/azure-docs#118117 (2023-12)
        raise invalid(None, f"Unrecognized request arguments supplied: {given}")
    if asked.settings.format is not None:
        response_format.check_model(asked.settings.format, model)
    most, wanted = model.max_output_tokens, asked.settings.max_tokens
    if wanted is not None and wanted > most:
        name = "max_tokens" if "max_tokens" in asked.fields else "max_completion_tokens"
        limit = f"This model supports at most {most} completion tokens, whereas you provided {wanted}."
        raise invalid("invalid_value", f"{name} is too large: {wanted}. {limit}", name)


def check_context(prompt: Prompt, settings: Settings, model: Model) -> None:
    """``AzureError`` 400 when the prompt and the answer asked for do not fit into the model's context.

    gpt-researcher#680 (2024-07), Azure-Samples/azure-search-openai-demo#1199 (2024-01).
    """
    limit, wanted = model.context_tokens, settings.max_tokens or 0
    if prompt.tokens + wanted <= limit:
        return
    if prompt.tokens > limit:
        got, which = f"your messages resulted in {prompt.tokens} tokens", "the messages"
    else:
        total = prompt.tokens + wanted
        got = f"you requested {total} tokens ({prompt.tokens} in the messages, {wanted} in the completion)"
        which = "the messages or completion"
    message = f"This model's maximum context length is {limit} tokens. However, {got}."
    raise invalid("context_length_exceeded", f"{message} Please reduce the length of {which}.", "messages")


def _top_logprobs(fields: Mapping[str, Any]) -> int | None:
    top = fields.get("top_logprobs", 0)
    if not fields.get("logprobs", False):
        if top:
            message = "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled."
            raise invalid("invalid_parameter_combination", message, "top_logprobs")
        return None
    if fields.get("n", 1) > _MOST_WITH_LOGPROBS:
        message = f"The local Azure gives 'logprobs' for at most {_MOST_WITH_LOGPROBS} answers: lower 'n'."
        raise invalid("invalid_parameter_combination", message, "n")
    return int(top)


def _settings(fields: Mapping[str, Any]) -> Settings:
    if "max_tokens" in fields and "max_completion_tokens" in fields:
        message = "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported."
        raise invalid("invalid_parameter_combination", message, "max_tokens")
    get = fields.get
    return Settings(
        temperature=get("temperature", 1.0),
        max_tokens=get("max_tokens", get("max_completion_tokens")),
        n=get("n", 1),
        stop=get("stop", ()),
        seed=get("seed"),
        effort=get("reasoning_effort", "medium"),
        verbosity=get("verbosity", "medium"),
    )


def _check_reasoning(fields: Mapping[str, Any], model: Model) -> None:
    if "max_tokens" in fields:
        raise unsupported_parameter("max_tokens", _INSTEAD)
    by_value = model.reasoning_temperature_error == "unsupported_value"
    for name, default in (("temperature", 1), ("top_p", 1), ("presence_penalty", 0), ("frequency_penalty", 0)):
        if name in fields and not (by_value and fields[name] == default):
            value = f"{fields[name]:g}"
            raise unsupported_value(name, value, default) if by_value else unsupported_parameter(name)
    if "stop" in fields and by_value:
        raise unsupported_parameter("stop")
    for name in ("logprobs", "top_logprobs", "logit_bias"):
        if fields.get(name):
            raise unsupported_parameter(name)


def _stream_options(name: str, value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise parameters.wrong_type(name, "an object", value)
    readers: dict[str, Callable[[str, Any], Any]] = {
        "include_usage": parameters.boolean,
        "include_obfuscation": parameters.boolean,
    }
    return parameters.read_fields(value, readers, f"{name}.")


# What a simulated model takes into account.
_HEEDED: Mapping[str, Reader] = {
    "messages": messages.check,
    "stream": parameters.boolean,
    "stream_options": _stream_options,
    "temperature": parameters.number(0, 2),
    "max_tokens": parameters.integer(1),
    "max_completion_tokens": parameters.integer(1),
    "n": parameters.integer(1, _MOST_ANSWERS),
    "stop": parameters.strings(_MOST_STOPS),
    "seed": parameters.integer(-(2**63), 2**63 - 1),
    "tools": tools.read_tools,
    "tool_choice": tools.read_choice,
    "parallel_tool_calls": parameters.boolean,
    "functions": tools.read_functions,
    "function_call": tools.read_function_call,
    "response_format": response_format.read,
    "logprobs": parameters.boolean,
    "top_logprobs": parameters.integer(0, logprobs.MOST_ALTERNATIVES),
    "reasoning_effort": parameters.one_of(*EFFORTS),
    "verbosity": parameters.one_of("low", "medium", "high"),
}
_READERS: Mapping[str, Reader] = {
    **_HEEDED,
    # Taken and checked; they would not show in a simulated answer. The deployment says which model answers.
    "model": parameters.anything,
    "user": parameters.text,
    "top_p": parameters.number(0, 1),
    "presence_penalty": parameters.number(-2, 2),
    "frequency_penalty": parameters.number(-2, 2),
    "logit_bias": parameters.biases,
    "store": parameters.boolean,
    "metadata": parameters.anything,
    "service_tier": parameters.text,
    "safety_identifier": parameters.text,
    "prompt_cache_key": parameters.text,
    "prompt_cache_retention": parameters.text,
    "modalities": not_simulated(_HEEDED, ["text"]),
    "audio": not_simulated(_HEEDED),
    "prediction": not_simulated(_HEEDED),
    "web_search_options": not_simulated(_HEEDED),
    "data_sources": not_simulated(_HEEDED),
}
