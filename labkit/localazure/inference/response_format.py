"""Which form an answer must have: JSON, or JSON that fits a schema (structured outputs).

Wordings: the word 'json' meta-llama/PurpleLlama#94 (2025-04), models that cannot mrwadams/stride-gpt#19 (2024-05) and
langchain-ai/langchain#31490 (2025-06), schemas dottxt-ai/outlines#844 (2024-10, Azure). The service leaves the code
out of all of them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import orjson

from labkit import tokens
from labkit.catalog import Model
from labkit.localazure.inference import parameters, schema_rules
from labkit.localazure.inference.parameters import invalid, labelled, missing, not_one_of, wrong_type
from labkit.localazure.inference.tools import check_text, read_name

_TYPES = ("json_object", "json_schema", "text")
_DESCRIPTION_CHARACTERS = 1_024
_GUIDE = " Learn more about supported models at the Structured Outputs guide: https://platform.openai.com/docs/guides/"


@dataclass(frozen=True, slots=True)
class ResponseFormat:
    """The form of an answer. ``schema`` is None for any JSON object. Equal ones have equal ``digest``s."""

    digest: str
    schema: Mapping[str, Any] | None = field(default=None, compare=False)

    @property
    def kind(self) -> str:
        """Its ``type`` in the request."""
        return "json_object" if self.schema is None else "json_schema"

    def tokens(self, encoding: str) -> int:
        """What the schema adds to the prompt's tokens. The model reads it; how it is written then is not published."""
        return 0 if self.schema is None else tokens.count(orjson.dumps(self.schema).decode(), encoding)


ANY_JSON = ResponseFormat("json")


def read(name: str, value: Any) -> ResponseFormat | None:
    """Reads ``response_format``; None for plain text."""
    asked, kind = labelled(value, name)
    if kind not in _TYPES:
        raise not_one_of(f"{name}.type", kind, _TYPES)
    if kind == "json_schema":
        return _read_schema(asked.get("json_schema"), name)
    return ANY_JSON if kind == "json_object" else None


def check_messages(asked: ResponseFormat, texts: Sequence[str]) -> None:
    """``AzureError`` 400 when JSON without a schema is asked for and no message speaks of it."""
    if asked.schema is None and not any("json" in text.casefold() for text in texts):
        rule = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
        raise invalid(None, rule, "messages")


def check_model(asked: ResponseFormat, model: Model) -> None:
    """``AzureError`` 400 when ``model`` cannot answer in this form. Whoever follows a schema can write JSON, too."""
    refusal = "Invalid parameter: 'response_format' of type '{}' is not supported with this model."
    if asked.schema is None and not {"json_mode", "json_schema"}.intersection(model.features):
        raise invalid(None, refusal.format("json_object"), "response_format")
    if asked.schema is not None and "json_schema" not in model.features:
        raise invalid(None, refusal.format("json_schema") + _GUIDE + "structured-outputs")


def _read_schema(value: Any, place: str) -> ResponseFormat:
    where = f"{place}.json_schema"
    if value is None:
        raise missing(where)
    if not isinstance(value, dict):
        raise wrong_type(where, "an object", value)
    parameters.check_size(where, value)
    name = read_name(value, f"{where}.name")
    check_text(f"{where}.description", value.get("description") or "", _DESCRIPTION_CHARACTERS)
    strict = parameters.boolean(f"{where}.strict", value.get("strict") or False)
    schema = value.get("schema")
    if schema is None:
        raise missing(f"{where}.schema")
    problem = schema_rules.problem(schema, strict=strict)
    if problem is not None:
        raise invalid(None, f"Invalid schema for response_format '{name}': {problem}", place)
    return ResponseFormat(blake2b(orjson.dumps(schema), digest_size=8).hexdigest(), schema)
