"""What chat completions refuse, in the words of the Responses API."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from labkit.catalog import MODELS, Model
from labkit.localazure.errors import AzureError
from labkit.localazure.inference.parameters import invalid
from labkit.localazure.inference.responses.conversation import Placed

_SINCE = "2025-03-01"
# Chat's names of parameters, and those of responses.
_NAMES = (
    (re.compile(r"^messages$"), "input"),
    (re.compile(r"^max_completion_tokens$"), "max_output_tokens"),
    (re.compile(r"^reasoning_effort$"), "reasoning.effort"),
    (re.compile(r"^verbosity$"), "text.verbosity"),
    (re.compile(r"^logprobs$"), "top_logprobs"),
    (re.compile(r"^response_format(\.json_schema)?"), "text.format"),
    (re.compile(r"^(tools\[\d+\]|tool_choice)\.function"), r"\1"),
)
_MESSAGE = re.compile(r"^messages\.?\[(\d+)\](.*)$")


def check_version(version: str) -> None:
    """``AzureError`` 400 when the API version came before responses (Aider-AI/aider#4029, 2025-05)."""
    if version != "v1" and version < _SINCE:
        message = f"Azure OpenAI Responses API is enabled only for api-version {_SINCE}-preview and later"
        raise AzureError(400, "BadRequest", message)


def check_model(model: Model) -> None:
    """``AzureError`` 400 when ``model`` has no responses (anomalyco/opencode#5012, 2025-12; the code is ours).

    Which ones have: Microsoft Learn, how-to/responses, as listed in truefoundry/models#2007 (2026-08).
    """
    if not _answers(model):
        able = ", ".join(model.snapshot for model in MODELS.values() if _answers(model))
        message = f"This model is not supported by Responses API. Models that are: {able}."
        raise AzureError(400, "OperationNotSupported", message)


@contextmanager
def reworded(placed: Sequence[Placed]) -> Iterator[None]:
    """Turns chat's refusals of the messages ``placed`` into those of responses."""
    try:
        yield
    except AzureError as error:
        raise _reworded(error, placed) from None


def _answers(model: Model) -> bool:
    return "responses" in model.features


def _reworded(error: AzureError, placed: Sequence[Placed]) -> AzureError:
    if error.code == "context_length_exceeded":
        # dyad-sh/dyad#1672 (2025-10), and BerriAI/litellm#22695 (2026-03) for Azure.
        message = "Your input exceeds the context window of this model. Please adjust your input and try again."
        return invalid(error.code, message, "input")
    if error.code == "content_filter" and error.extra is not None:
        return _filtered(error, error.extra["innererror"]["content_filter_result"])
    if error.message.startswith("Invalid schema for response_format"):
        # So do public clients know it; the words stay those of chat completions.
        return invalid("invalid_json_schema", error.message, "text.format.schema")
    error.message = error.message.replace("'response_format'", "'text.format'")
    if error.param is not None:
        name = _name(error.param, placed)
        error.message = error.message.replace(error.param, name)
        error.param = name
    return error


def _filtered(error: AzureError, results: dict[str, Any]) -> AzureError:
    """The refusal of a prompt by the content filter (theopenco/llmgateway#4064, 2026-09)."""
    verdict = {"blocked": True, "source_type": "prompt", "content_filter_results": results}
    return AzureError(
        error.status,
        error.code,
        error.message,
        param="prompt",
        type="invalid_request_error",
        extra={"content_filters": [verdict], "innererror": {"code": "ContentFiltered"}},
    )


def _name(param: str, placed: Sequence[Placed]) -> str:
    of_message = _MESSAGE.match(param)
    if of_message is not None:
        return placed[int(of_message[1])].place + of_message[2]
    for pattern, name in _NAMES:
        if pattern.match(param):
            return pattern.sub(name, param)
    return param
