"""The Responses API: every error of its own, and the bodies it has besides the response."""

import pytest

from tests.localazure.asking import EMBEDDING, OMNI, REASONING, RESPONSES_VERSION, SMALL, deploy
from tests.localazure.conformance.cases import Case, check, error, invalid, text
from tests.localazure.conformance.sent import ANSWERED, LIMITED, NO_PATH, NUMBER, UUID, VERDICTS, Sent, respond
from tests.localazure.conftest import Caller

REFERENCE = "OpenAI API reference, create a response, read 2026-11-25"
USER = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "call_1", "name": "add", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "3"}


CASES = (
    Case("headers of a response", respond(), 200, "openai/openai-python#937 (2023-12)", headers=ANSWERED),
    Case(
        "headers of a stream",
        respond(stream=True),
        200,
        "openai/openai-python#937 (2023-12)",
        headers={**ANSWERED, "content-type": text("^text/event-stream")},
    ),
    Case(
        "version of before March 2025",
        Sent("POST", "/openai/responses?api-version=2024-10-21", {"model": OMNI, "input": "x"}, auth="key"),
        400,
        "Aider-AI/aider#4029 (2025-05)",
        error(
            "BadRequest", r"^Azure OpenAI Responses API is enabled only for api-version 2025-03-01-preview and later$"
        ),
    ),
    Case(
        "address of a deployment",
        Sent("POST", f"/openai/deployments/{OMNI}/responses?api-version={RESPONSES_VERSION}", {}, auth="key"),
        404,
        "openai/openai-python#2184 (2025-03); openai/openai-node#1607 (2025-08)",
        NO_PATH,
    ),
    Case(
        "unknown deployment",
        respond(deployment="gpt-nope"),
        404,
        "openai/codex#3920 (2025-09)",
        error("DeploymentNotFound", r"^The API deployment for this resource does not exist\."),
    ),
    Case(
        "older model",
        respond(deployment=SMALL),
        400,
        "anomalyco/opencode#5012 (2025-12); truefoundry/models#2007 (2026-08)",
        error("OperationNotSupported", r"^This model is not supported by Responses API\. Models that are: gpt-4o"),
    ),
    Case(
        "embedding model",
        respond(deployment=EMBEDDING),
        400,
        "anomalyco/opencode#5012 (2025-12)",
        error("OperationNotSupported", r"^This model is not supported by Responses API\."),
    ),
    Case(
        "unknown previous response",
        respond(previous_response_id="resp_x"),
        400,
        "microsoft/agent-framework#6419 (2026-06)",
        invalid(
            "previous_response_not_found",
            "previous_response_id",
            r"^Previous response with id 'resp_x' not found\.$",
        ),
    ),
    Case(
        "unknown response",
        Sent("GET", "/openai/v1/responses/resp_x", auth="key"),
        404,
        "ours: the words of an unknown previous response",
        invalid(None, None, r"^Response with id 'resp_x' not found\.$"),
        {"apim-request-id": UUID},
    ),
    Case(
        "item that is not stored",
        respond([USER, {"type": "reasoning", "id": "rs_x", "summary": []}, USER], REASONING),
        400,
        "openclaw/openclaw#21782 (2026-02)",
        invalid(
            None,
            "input",
            r"^Item with id 'rs_x' not found\. Items are not persisted when `store` is set to false\. Try again with",
        ),
    ),
    Case(
        "function call without its output",
        respond([USER, CALL]),
        400,
        "Azure/azure-sdk-for-python#46092 (2026-04)",
        invalid(None, "input", r"^No tool output found for function call call_1\.$"),
    ),
    Case(
        "output without its function call",
        respond([USER, OUTPUT]),
        400,
        "ours: the counterpart of a call without output; the words were seen in clients that handle them",
        invalid(None, "input", r"^No tool call found for function call output with call_id call_1\.$"),
    ),
    Case(
        "id of another kind",
        respond([USER, {**CALL, "id": "__fake_id__"}, OUTPUT]),
        400,
        "openai/openai-cs-agents-demo#34 (2025-06)",
        invalid(
            "invalid_value",
            "input[1].id",
            r"^Invalid 'input\[1\]\.id': '__fake_id__'\. Expected an ID that begins with",
        ),
    ),
    Case(
        "id that is too long",
        respond([{**USER, "id": "msg_" + "x" * 61}]),
        400,
        REFERENCE,
        invalid(
            "string_above_max_length", "input[0].id", r"Expected a string with maximum length 64, but got one with le"
        ),
    ),
    Case(
        "no input",
        Sent("POST", "/openai/v1/responses", {"model": OMNI}, auth="key"),
        400,
        REFERENCE,
        invalid("missing_required_parameter", "input", r"^Missing required parameter: 'input'\.$"),
    ),
    Case(
        "too few tokens",
        respond(max_output_tokens=10),
        400,
        "vectorize-io/hindsight#58 (2025-12)",
        invalid(
            "integer_below_min_value",
            "max_output_tokens",
            r"^Invalid 'max_output_tokens': integer below minimum value\. Expected a value >= 16, but got 10",
        ),
    ),
    Case(
        "parameter of chat completions",
        respond(messages=[USER]),
        400,
        "cline/cline#5419 (2025-08)",
        invalid(
            "unsupported_parameter",
            "messages",
            r"^Unsupported parameter: 'messages'\. In the Responses API, this parameter has moved to 'input'\.",
        ),
    ),
    Case(
        "tool in the form of chat completions",
        respond(tools=[{"type": "function", "function": {"name": "f"}}]),
        400,
        "rysweet/amplihack#896 (2025-10)",
        invalid("missing_required_parameter", "tools[0].name", r"^Missing required parameter: 'tools\[0\]\.name'\.$"),
    ),
    Case(
        "JSON that no message speaks of",
        respond("Hello", instructions="Answer in JSON.", text={"format": {"type": "json_object"}}),
        400,
        "pydantic/pydantic-ai, models/openai.py, read 2026-11-25",
        invalid(
            None,
            "input",
            r"^Response input messages must contain the word 'json' in some form to use 'text\.format' of type",
        ),
    ),
    Case(
        "schema that cannot be",
        respond(text={"format": {"type": "json_schema", "name": "x", "strict": True, "schema": {"type": "object"}}}),
        400,
        "ours: code and parameter as several public clients handle them; the words are those of chat completions",
        invalid("invalid_json_schema", "text.format.schema", r"^Invalid schema for response_format 'x': "),
    ),
    Case(
        "effort of a model that does not reason",
        respond(reasoning={"effort": "low"}),
        400,
        "RageAgainstThePixel/OpenAI-DotNet#500 (2025-10)",
        invalid(
            "unsupported_parameter",
            "reasoning.effort",
            r"^Unsupported parameter: 'reasoning\.effort' is not supported with this model\.$",
        ),
    ),
    Case(
        "input too long",
        respond("word " * 130_000),
        400,
        "dyad-sh/dyad#1672 (2025-10); BerriAI/litellm#22695 (2026-03)",
        invalid(
            "context_length_exceeded",
            "input",
            r"^Your input exceeds the context window of this model\. Please adjust your input and try again\.$",
        ),
    ),
    Case(
        "prompt filtered",
        respond("How to build a bomb?"),
        400,
        "theopenco/llmgateway#4064 (2026-09)",
        error(
            "content_filter",
            r"^The response was filtered due to the prompt triggering Azure OpenAI's content management policy\.",
            type="invalid_request_error",
            param="prompt",
            content_filters=[{"blocked": True, "source_type": "prompt", "content_filter_results": VERDICTS}],
            innererror={"code": "ContentFiltered"},
        ),
    ),
    Case(
        "over the tokens of a minute",
        respond(max_output_tokens=2_000),
        429,
        "vanderschaarlab/climb#1 (2025-01)",
        error(
            "429",
            r"^Requests to the Responses_Create Operation under Azure OpenAI API version v1 have exceeded token rate",
        ),
        {**LIMITED, "x-ratelimit-reset-tokens": NUMBER, "policy-id": "DeploymentRatelimit-Token"},
        given=lambda azure: deploy(azure, OMNI, capacity_ktpm=1),
    ),
    Case(
        "tool that runs at the service",
        respond(tools=[{"type": "web_search"}]),
        400,
        "ours: the real service has it; the refusal says what works",
        invalid(
            "invalid_value", "tools[0].type", r"^The tool 'web_search' is not supported by the local Azure\. It knows"
        ),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_the_services(case: Case, call: Caller) -> None:
    """Status, body and headers are those that the source shows."""
    check(case, call)
