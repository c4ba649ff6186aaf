"""JSON mode and structured outputs: answers that fit and are right as often as any; refusals in the service's words."""

import json
from typing import Any, Literal

import jsonschema
import pytest
from hypothesis import given, settings
from openai import AzureOpenAI, LengthFinishReasonError
from pydantic import BaseModel

from labkit import bank
from labkit.localazure.clock import ManualClock
from labkit.localazure.state import Azure
from tests.localazure.asking import BIG, Asker, deploy, error_of
from tests.localazure.conftest import Caller
from tests.localazure.inference.schemas import ROOTS, STRICT_ROOTS

MINI, NANO = "gpt-4o-mini", "gpt-4.1-nano"
ANSWER = {
    "type": "object",
    "properties": {"explanation": {"type": "string"}, "answer": {"type": "string"}},
    "required": ["explanation", "answer"],
    "additionalProperties": False,
}


def shape(schema: object, *, strict: bool = True, name: str = "reply") -> dict[str, Any]:
    """The ``response_format`` for a schema."""
    return {"type": "json_schema", "json_schema": {"name": name, "schema": schema, "strict": strict}}


@pytest.fixture
def mini(ask: Asker) -> Asker:
    """Asks a local Azure that also has models for structured outputs."""
    deploy(ask.azure, MINI, NANO)
    return ask


class Step(BaseModel):
    """A step of a calculation."""

    explanation: str
    output: str


class Working(BaseModel):
    """A calculation."""

    steps: list[Step]
    kind: Literal["sum", "product"]
    note: str | None
    final_answer: int


@pytest.fixture
def structured(client: AzureOpenAI, served: Any) -> AzureOpenAI:
    """The real client of a local Azure that has a model for structured outputs."""
    deploy(served.azure, MINI)
    return client


def test_parse_with_the_real_client(structured: AzureOpenAI) -> None:
    """The SDK makes a strict schema of a pydantic model and gets an instance back, the answer in its place."""
    asked = [{"role": "user", "content": "What is 17 + 25?"}]
    made = structured.chat.completions.parse(model=MINI, messages=asked, response_format=Working)  # type: ignore[arg-type]
    parsed = made.choices[0].message.parsed
    assert parsed is not None
    assert parsed.final_answer == 42
    assert parsed.steps
    assert made.choices[0].finish_reason == "stop"


def test_parse_meets_the_end_of_its_tokens(structured: AzureOpenAI) -> None:
    """An answer cut off says ``length``, which the SDK raises."""
    asked = [{"role": "user", "content": "What is 17 + 25?"}]
    with pytest.raises(LengthFinishReasonError):
        structured.chat.completions.parse(model=MINI, messages=asked, response_format=Working, max_tokens=5)  # type: ignore[arg-type]


@given(schema=STRICT_ROOTS)
@settings(max_examples=25)
def test_strict_answers_fit(schema: dict[str, Any]) -> None:
    """Whatever schema strict mode takes, the answer fits it."""
    ask = Asker(Caller(Azure(ManualClock())))
    deploy(ask.azure, MINI)
    body = ask.chat("What is 17 + 25?", MINI, response_format=shape(schema)).json
    jsonschema.validate(json.loads(body["choices"][0]["message"]["content"]), schema)


@given(schema=ROOTS)
@settings(max_examples=25)
def test_other_answers_fit(schema: dict[str, Any]) -> None:
    """Without strict mode more keywords are taken, and kept to."""
    ask = Asker(Caller(Azure(ManualClock())))
    deploy(ask.azure, MINI)
    body = ask.chat("Tell me about Warsaw", MINI, response_format=shape(schema, strict=False)).json
    jsonschema.validate(json.loads(body["choices"][0]["message"]["content"]), schema)


def test_structured_answers_are_as_right_as_others(mini: Asker) -> None:
    """So comparing models by them is as real an experiment; the journal agrees with who reads the answer."""
    questions = bank.sample(60, seed=3)
    for model in (MINI, NANO):
        for question in questions:
            mini.azure.clock.advance(1)  # type: ignore[attr-defined]
            plain = mini.chat(question.text, model, temperature=0)
            free = bank.is_right(question, plain.json["choices"][0]["message"]["content"])
            body = mini.chat(question.text, model, temperature=0, response_format=shape(ANSWER)).json
            answer = json.loads(body["choices"][0]["message"]["content"])["answer"]
            assert bank.is_right(question, answer) == free, question.id
            assert mini.azure.journal.after()[-1].right == free, question.id


def test_number_and_label_answers(mini: Asker) -> None:
    """The answer is a number where the schema has one, and one of the labels it lists."""
    schema = {"type": "object", "properties": {"value": {"type": "number"}}, "required": ["value"]}
    body = mini.chat("What is 9 × 8?", MINI, response_format=shape(schema, strict=False)).json
    assert json.loads(body["choices"][0]["message"]["content"]) == {"value": 72}


def test_json_mode(mini: Asker) -> None:
    """Any object, with the keys that the prompt names; a question's answer is in it."""
    form = {"type": "json_object"}
    said = "What is 17 + 25? Answer in JSON."
    assert json.loads(mini.chat(said, MINI, response_format=form).json["choices"][0]["message"]["content"]) == {
        "answer": "42"
    }
    named = [
        {"role": "system", "content": 'Reply in JSON with the keys "title" and "summary".'},
        {"role": "user", "content": "Woke at seven, made eggs."},
    ]
    made = json.loads(mini.chat(named, MINI, response_format=form).json["choices"][0]["message"]["content"])
    assert made.keys() == {"title", "summary"}
    assert all(made.values())
    assert mini.azure.journal.after()[-1].params["response_format"] == "json_object"


def test_json_in_streams_and_tokens_of_schemas(mini: Asker) -> None:
    """Pieces join to the same JSON; the schema counts as part of the prompt."""
    plain = mini.chat("What is 17 + 25?", MINI, temperature=0).json
    body = mini.chat("What is 17 + 25?", MINI, temperature=0, response_format=shape(ANSWER)).json
    assert body["usage"]["prompt_tokens"] > plain["usage"]["prompt_tokens"] + 20
    cut = mini.chat("What is 17 + 25?", MINI, temperature=0, response_format=shape(ANSWER), max_tokens=4).json
    assert (cut["choices"][0]["finish_reason"], cut["usage"]["completion_tokens"]) == ("length", 4)
    assert mini.azure.journal.after()[-1].right is False


OPEN = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def closed(**properties: Any) -> dict[str, Any]:
    """A strict object."""
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def nested(levels: int) -> dict[str, Any]:
    """Objects in objects."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = closed(a=schema)
    return schema


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        (OPEN, "In context=(), 'additionalProperties' is required to be supplied and to be false."),
        (
            closed(a=OPEN),
            "In context=('properties', 'a'), 'additionalProperties' is required to be supplied and to be false.",
        ),
        (
            {**OPEN, "additionalProperties": False, "required": []},
            "'required' is required to be supplied and to be an array including every key in properties. Missing 'a'.",
        ),
        ({**closed(), "required": ["b"]}, "Extra required key 'b' supplied."),
        (closed(a={"type": "string", "maxLength": 5}), "In context=('properties', 'a'), 'maxLength' is not permitted."),
        (closed(a={"oneOf": [{"type": "string"}]}), "In context=('properties', 'a'), 'oneOf' is not permitted."),
        (closed(a={}), "In context=('properties', 'a'), schema must have a 'type' key."),
        (closed(a={"type": "array"}), "In context=('properties', 'a'), array schema missing items."),
        (closed(a={"$ref": "#/$defs/b"}), "reference to component '#/$defs/b' which was not found in the schema."),
        (closed(a={"type": "text"}), "'text' is not valid under any of the given schemas."),
        ({"anyOf": [closed()]}, "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"None\"'."),
        ({"type": "array", "items": closed()}, "'type: \"object\"', got 'type: \"array\"'."),
        (nested(11), "11 levels of nesting exceeds limit of 10."),
        (closed(**{f"p{n}": {"type": "string"} for n in range(5_001)}), "5001 parameters exceeds limit of 5000."),
        (closed(a={"enum": list(map(str, range(1_001)))}), "Expected at most 1000 enum values in total"),
        (closed(a={"const": "x" * 120_001}), "exceed the limit of 120000."),
    ],
)
def test_strict_schemas_that_are_refused(mini: Asker, schema: dict[str, Any], said: str) -> None:
    """Each with where in the schema it is; the sources are in ``schema_rules``."""
    error = error_of(mini.chat("Hi", MINI, response_format=shape(schema)))
    assert error["message"].startswith("Invalid schema for response_format 'reply': ")
    assert said in error["message"]
    assert (error["param"], error["code"]) == ("response_format", None)


def test_ten_levels_are_fine(mini: Asker) -> None:
    """The limit itself is allowed."""
    assert mini.chat("Hi", MINI, response_format=shape(nested(10))).status == 200


@pytest.mark.parametrize(
    ("form", "code", "param"),
    [
        ("json", "invalid_type", "response_format"),
        ({}, "missing_required_parameter", "response_format.type"),
        ({"type": "xml"}, "invalid_value", "response_format.type"),
        ({"type": "json_schema"}, "missing_required_parameter", "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": []}, "invalid_type", "response_format.json_schema"),
        (shape(ANSWER, name="a b"), "invalid_value", "response_format.json_schema.name"),
        (shape(None), "missing_required_parameter", "response_format.json_schema.schema"),
    ],
    ids=str,
)
def test_formats_that_cannot_be(mini: Asker, form: object, code: str, param: str) -> None:
    """The error names the field."""
    error = error_of(mini.chat("json please", MINI, response_format=form))
    assert (error["code"], error["param"]) == (code, param)


def test_json_mode_needs_the_word(mini: Asker) -> None:
    """In any message and any case; plain text is always fine."""
    form = {"type": "json_object"}
    rule = "'messages' must contain the word 'json' in some form, to use 'response_format' of type 'json_object'."
    assert error_of(mini.chat("Hi", MINI, response_format=form)) == {
        "message": rule,
        "type": "invalid_request_error",
        "param": "messages",
        "code": None,
    }
    assert mini.chat("My JSONs", MINI, response_format=form).status == 200
    assert mini.chat("Hi", MINI, response_format={"type": "text"}).status == 200


def test_models_that_cannot(mini: Asker) -> None:
    """An older model has JSON mode but no schemas; the oldest has neither."""
    deploy(mini.azure, "gpt-4-vision")
    assert mini.chat("json", BIG, response_format={"type": "json_object"}).status == 200
    error = error_of(mini.chat("Hi", BIG, response_format=shape(ANSWER)))
    assert error["message"].startswith(
        "Invalid parameter: 'response_format' of type 'json_schema' is not supported with this model."
    )
    error = error_of(mini.chat("json", "gpt-4-vision", response_format={"type": "json_object"}))
    assert error["param"] == "response_format"
