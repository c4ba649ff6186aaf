"""The inference face: what chat completions and embeddings refuse."""

import dataclasses
from typing import Any

import pytest

from labkit.localazure.inference.contentfilter import CATEGORIES
from tests.localazure.asking import BIG, EMBEDDING, OMNI, REASONING, SAFE, SMALL, VERSION, deploy
from tests.localazure.conformance.cases import Case, check, error, invalid, text
from tests.localazure.conformance.sent import VERDICTS, Sent, chat, embed
from tests.localazure.conftest import Caller

REFERENCE = "OpenAI API reference, create chat completion, read 2026-11-22"
REASONING_RULES = "Microsoft Learn, how-to/reasoning, read 2026-11-22"


def picture(url: str) -> dict[str, Any]:
    """A message that shows a picture."""
    return {"role": "user", "content": [{"type": "image_url", "image_url": {"url": url}}]}


OPERATIONS = (
    Case(
        "chat on an embedding model",
        chat(deployment=EMBEDDING),
        400,
        "microsoft/graphrag#1557 (2025-01)",
        error(
            "OperationNotSupported", r"^The chatCompletion operation does not work with the specified model, text-emb"
        ),
    ),
    Case(
        "embeddings on a chat model",
        embed("x", BIG),
        400,
        "microsoft/graphrag#1557 (2025-01)",
        error("OperationNotSupported", r"^The embeddings operation does not work with the specified model, gpt-4\. "),
    ),
    Case(
        "model newer than the API version",
        chat(deployment=REASONING, version="2024-10-21"),
        400,
        "langchain4j/langchain4j#2636 (2025-03)",
        error("BadRequest", r"^Model gpt-5-mini is enabled only for api versions 2024-12-01-preview and later$"),
    ),
    Case(
        "model as old as the API version",
        chat(deployment=REASONING, version="2024-12-01-preview"),
        200,
        "langchain4j/langchain4j#2636 (2025-03)",
    ),
    Case(
        "old completions",
        Sent("POST", f"/openai/deployments/{BIG}/completions?api-version={VERSION}", {"prompt": "x"}, auth="key"),
        400,
        "microsoft/graphrag#1557 (2025-01)",
        error("OperationNotSupported", r"^The completion operation does not work with the specified model, gpt-4\. "),
    ),
    Case(
        "reasoning model, max_tokens",
        chat(deployment=REASONING, max_tokens=5),
        400,
        "owndev/Open-WebUI-Functions#136 (2026-02)",
        invalid(
            "unsupported_parameter",
            "max_tokens",
            r"^Unsupported parameter: 'max_tokens' is not supported with this model\. Use 'max_completion_tokens'",
        ),
    ),
    Case(
        "reasoning model, temperature by its value",
        chat(deployment=REASONING, temperature=0.1),
        400,
        "gabrii/Cursor-Azure-GPT-5#33 (2025-09)",
        invalid(
            "unsupported_value",
            "temperature",
            r"^Unsupported value: 'temperature' does not support 0\.1 with this model\. Only the default \(1\) value",
        ),
    ),
    Case(
        "older reasoning model, temperature at all",
        chat(deployment="o3-mini", temperature=1),
        400,
        "holoviz/lumen#1070 (2025-03)",
        invalid(
            "unsupported_parameter",
            "temperature",
            r"^Unsupported parameter: 'temperature' is not supported with this model\.",
        ),
        given=lambda azure: deploy(azure, "o3-mini"),
    ),
    Case(
        "reasoning model, penalties",
        chat(deployment=REASONING, presence_penalty=1),
        400,
        REASONING_RULES,
        invalid("unsupported_value", "presence_penalty", r"Only the default \(0\) value is supported\.$"),
    ),
    Case(
        "more tokens than the model can answer with",
        chat(max_tokens=5_000),
        400,
        "tailcallhq/forgecode#1185 (2025-07)",
        invalid(
            "invalid_value", "max_tokens", r"^max_tokens is too large: 5000\. This model supports at most 4096 compl"
        ),
    ),
    Case(
        "messages too long",
        chat("word " * 17_000, SMALL),
        400,
        "assafelovic/gpt-researcher#680 (2024-07)",
        invalid(
            "context_length_exceeded",
            "messages",
            r"^This model's maximum context length is 16385 tokens\. However, your messages resulted in \d+ tokens\.",
        ),
    ),
    Case(
        "messages and answer too long",
        chat("word " * 14_000, SMALL, max_tokens=4_000),
        400,
        "Azure-Samples/azure-search-openai-demo#1199 (2024-01)",
        invalid(
            "context_length_exceeded",
            "messages",
            r"However, you requested 18008 tokens \(14008 in the messages, 4000 in the completion\)\.",
        ),
    ),
    Case(
        "messages and answer that just fit",
        chat("word " * 12_000, SMALL, max_tokens=4_000),
        200,
        "Azure-Samples/azure-search-openai-demo#1199 (2024-01)",
    ),
    Case(
        "input of embeddings too long",
        embed("word " * 9_000),
        400,
        "microsoft/PubSec-Info-Assistant#755 (2024-06)",
        invalid(
            "context_length_exceeded", "input", r"however you requested \d+ tokens \(\d+ in your prompt; 0 for the"
        ),
    ),
)

FILTER = (
    Case(
        "prompt filtered",
        chat("How to build a bomb?"),
        400,
        "microsoft/TinyTroupe#85 (2024-12); compl-ai/compl-ai#20 (2025-02)",
        error(
            "content_filter",
            r"^The response was filtered due to the prompt triggering Azure OpenAI's content management policy\.",
            type=None,
            param="prompt",
            status=400,
            innererror={"code": "ResponsibleAIPolicyViolation", "content_filter_result": VERDICTS},
        ),
    ),
    Case(
        "answer filtered",
        chat("content filter test: answer hate high"),
        200,
        "Microsoft Learn, concepts/content-filter, read 2026-11-22",
        {
            "choices": [
                {
                    "content_filter_results": {
                        **dict.fromkeys(CATEGORIES, SAFE),
                        "hate": {"filtered": True, "severity": "high"},
                    },
                    "finish_reason": "content_filter",
                    "index": 0,
                    "logprobs": None,
                    "message": {"annotations": [], "content": None, "refusal": None, "role": "assistant"},
                }
            ],
            "created": int,
            "id": text("^chatcmpl-"),
            "model": "gpt-4-turbo-2024-04-09",
            "object": "chat.completion",
            "prompt_filter_results": [{"prompt_index": 0, "content_filter_results": VERDICTS}],
            "system_fingerprint": text("^fp_"),
            "usage": ...,
        },
    ),
)

BODIES = (
    Case(
        "no JSON",
        dataclasses.replace(chat(), document=None, body=b"{"),
        400,
        "ours: the code; the words of OpenAI's API",
        invalid("invalid_json", None, r"^We could not parse the JSON body of your request\."),
    ),
    Case(
        "no messages",
        dataclasses.replace(chat(), document={}),
        400,
        REFERENCE,
        invalid("missing_required_parameter", "messages", r"^Missing required parameter: 'messages'\.$"),
    ),
    Case(
        "empty messages",
        chat([]),
        400,
        "CopilotKit/CopilotKit#529 (2024-08)",
        invalid(
            "empty_array", "messages", r"^Invalid 'messages': empty array\. Expected an array with minimum length 1,"
        ),
    ),
    Case(
        "too many messages",
        chat([{"role": "user", "content": "x"}] * 2_049),
        400,
        "Microsoft Learn, quotas-limits, read 2026-11-22",
        invalid(
            "array_above_max_length", "messages", r"maximum length 2048, but got an array with length 2049 instead"
        ),
    ),
    Case(
        "wrong type",
        chat(temperature="hot"),
        400,
        REFERENCE,
        invalid("invalid_type", "temperature", r"expected a decimal, but got a string instead\.$"),
    ),
    Case(
        "value that is not one of several",
        chat([{"role": "robot", "content": "x"}]),
        400,
        REFERENCE,
        invalid("invalid_value", "messages[0].role", r"^Invalid value: 'robot'\. Supported values are: 'system', "),
    ),
    Case(
        "unknown parameter",
        chat(engine="gpt-4"),
        400,
        REFERENCE,
        invalid("unknown_parameter", "engine", r"^Unknown parameter: 'engine'\."),
    ),
    Case(
        "decimal too large",
        chat(temperature=2.1),
        400,
        REFERENCE,
        invalid("decimal_above_max_value", "temperature", r"Expected a value <= 2, but got 2\.1 instead\.$"),
    ),
    Case(
        "decimal too small",
        chat(top_p=-1),
        400,
        REFERENCE,
        invalid("decimal_below_min_value", "top_p", r"Expected a value >= 0, but got -1 instead\.$"),
    ),
    Case(
        "integer too large",
        chat(n=129),
        400,
        REFERENCE,
        invalid("integer_above_max_value", "n", r"Expected a value <= 128, but got 129 instead\.$"),
    ),
    Case(
        "integer too small",
        chat(n=0),
        400,
        REFERENCE,
        invalid("integer_below_min_value", "n", r"Expected a value >= 1, but got 0 instead\.$"),
    ),
    Case(
        "parameters that exclude each other",
        chat(stream_options={"include_usage": True}),
        400,
        REFERENCE,
        invalid("invalid_parameter_combination", "stream_options", r"only allowed when 'stream' is enabled\.$"),
    ),
    Case(
        "schema of a function that cannot be",
        chat(tools=[{"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}]),
        400,
        "ours: see schema_rules for the words, which differ from rule to rule",
        invalid("invalid_function_parameters", "tools[0].function.parameters", r"^Invalid schema for function 'f': "),
    ),
    Case(
        "picture on the web",
        chat([picture("https://example.com/a.png")], OMNI),
        400,
        "riverscuomo/cuomputer#95 (2025-05)",
        invalid("invalid_image_url", None, r"^Timeout while downloading https://example\.com/a\.png\."),
    ),
    Case(
        "picture that is none",
        chat([picture("data:image/png;base64,AAAA")], OMNI),
        400,
        "CosmosShadow/gptpdf#6 (2024-06)",
        invalid(
            "sanitizer_server_error", None, r"^You uploaded an unsupported image\. Please make sure your image is b"
        ),
    ),
    Case(
        "picture for a model that cannot see",
        chat([picture("https://x")], SMALL),
        400,
        REFERENCE,
        invalid("invalid_value", "messages[0].content[0].type", r"image_url is only supported by certain models\.$"),
    ),
)

CASES = (*OPERATIONS, *FILTER, *BODIES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answer_is_the_services(case: Case, call: Caller) -> None:
    """Status, body and headers are those that the source shows."""
    check(case, call)
