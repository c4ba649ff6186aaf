"""What was said in a call, as the GenAI conventions write it on a span: only for those who ask for it.

JSON by the schemas gen-ai-input-messages.json and gen-ai-output-messages.json of
github.com/open-telemetry/semantic-conventions-genai, read 2026-11-25.
"""

import json
import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
# Values of opentelemetry-util-genai and, the first, of instrumentations before it. EVENT_ONLY asks for events, which
# labkit does not send.
_ON_SPANS = frozenset({"true", "span_only", "span_and_event"})


def asked_for() -> bool:
    """True when the environment asks for prompts and answers on spans; unset or unknown values do not."""
    return os.environ.get(CAPTURE, "").strip().lower() in _ON_SPANS


def input_messages(messages: Sequence[Mapping[str, Any]]) -> str:
    """The value of ``gen_ai.input.messages``."""
    return _json([_message(message) for message in messages])


def output_messages(answer: "ChatCompletion") -> str:
    """The value of ``gen_ai.output.messages``: one message for each choice, with the reason it ended."""
    return _json(
        [
            _message(choice.message.model_dump(exclude_none=True)) | {"finish_reason": str(choice.finish_reason)}
            for choice in answer.choices or ()
        ]
    )


def _message(message: Mapping[str, Any]) -> dict[str, Any]:
    named = {"name": message["name"]} if message.get("name") else {}
    return {"role": message.get("role"), "parts": _parts(message), **named}


def _parts(message: Mapping[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    if message.get("role") == "tool":
        return [{"type": "tool_call_response", "id": message.get("tool_call_id"), "response": content}]
    parts = [_text(content)] if isinstance(content, str) else [_part(part) for part in content or ()]
    if message.get("refusal"):
        parts.append({"type": "refusal", "content": message["refusal"]})
    return parts + [_tool_call(call) for call in message.get("tool_calls") or ()]


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    if part.get("type") == "text":
        return _text(part.get("text"))
    if part.get("type") == "image_url":
        return _picture((part.get("image_url") or {}).get("url") or "")
    return dict(part)  # a kind of its own, which the schema allows


def _picture(url: str) -> dict[str, Any]:
    if not url.startswith("data:"):
        return {"type": "uri", "modality": "image", "uri": url}
    kind, _, data = url.removeprefix("data:").partition(",")
    return {"type": "blob", "modality": "image", "mime_type": kind.partition(";")[0], "content": data}


def _text(text: object) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _tool_call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call.get("function") or {}
    return {"type": "tool_call", "id": call.get("id"), "name": function.get("name"), "arguments": _arguments(function)}


def _arguments(function: Mapping[str, Any]) -> Any:
    try:
        return json.loads(function.get("arguments") or "null")
    except ValueError:  # a model may write anything
        return function["arguments"]


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)
