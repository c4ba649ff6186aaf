"""Values for JSON schemas: they fit, they say what the prompt names, and no schema is too much."""

import re
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from labkit.localazure.inference import pattern_text
from labkit.localazure.inference.mentions import mentions_of
from labkit.localazure.inference.schema_leaves import Source
from labkit.localazure.inference.schema_rules import problem
from labkit.localazure.inference.schema_values import make
from tests.localazure.inference.schemas import ROOTS, STRICT_ROOTS

DRAW = bytes(range(16))
ANY = 'What is the weather in Paris and Oslo on 2026-03-01 at 20 degrees? Write to ann@example.org about "rain".'


def object_of(**properties: Any) -> dict[str, Any]:
    """A schema for an object that has all ``properties``."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def made(schema: dict[str, Any], text: str = "", **options: Any) -> Any:
    """The value that a prompt with ``text`` makes for ``schema``."""
    assert problem(schema, strict=False) is None
    return make(schema, Source(mentions_of(text), DRAW, **options)).value


@given(schema=ROOTS, text=st.sampled_from(["", ANY]), draw=st.binary(min_size=16, max_size=16))
@settings(max_examples=60)
def test_values_fit_their_schema(schema: dict[str, Any], text: str, draw: bytes) -> None:
    """As the jsonschema package, the standard's reference in Python, sees it."""
    assert problem(schema, strict=False) is None
    value = make(schema, Source(mentions_of(text), draw, "A sentence.", "42", "Because.")).value
    jsonschema.validate(value, schema, format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER)


@given(schema=STRICT_ROOTS)
@settings(max_examples=30)
def test_strict_values_fit_their_schema(schema: dict[str, Any]) -> None:
    """Recursive ones too."""
    assert problem(schema, strict=True) is None
    jsonschema.validate(make(schema, Source(mentions_of(ANY), DRAW)).value, schema)


@pytest.mark.parametrize(
    ("schema", "text", "expected"),
    [
        ({"city": {"type": "string"}}, "What is the weather in Paris?", {"city": "Paris"}),
        ({"city": {"type": "string"}}, "Jaka jest pogoda w Gdańsku?", {"city": "Gdańsku"}),
        ({"title": {"type": "string"}}, 'Add "Buy milk" to my list', {"title": "Buy milk"}),
        ({"a": {"type": "integer"}, "b": {"type": "integer"}}, "Add 17 and 25", {"a": 17, "b": 25}),
        ({"amount": {"type": "number"}}, "Przelicz 12,5 euro", {"amount": 12.5}),
        ({"unit": {"enum": ["kelvin", "celsius"]}}, "How warm is it, in Celsius?", {"unit": "celsius"}),
        ({"expression": {"type": "string"}}, "Calculate 17 * (3 + 4) now", {"expression": "17 * (3 + 4)"}),
        ({"query": {"type": "string"}}, "find cheap flights", {"query": "find cheap flights"}),
        ({"email": {"type": "string", "format": "email"}}, "Mail joe@x.org", {"email": "joe@x.org"}),
        ({"day": {"type": "string", "format": "date"}}, "Book 2026-03-01", {"day": "2026-03-01"}),
        (
            {"people": {"type": "array", "items": {"type": "string"}}},
            "Invite Anna, Bob and Celina",
            {"people": ["Anna", "Bob", "Celina"]},
        ),
    ],
    ids=str,
)
def test_what_the_prompt_names_goes_in(schema: dict[str, Any], text: str, expected: dict[str, Any]) -> None:
    """Numbers, names, quotations, choices, each to where it fits."""
    assert made(object_of(**schema), text) == expected


@pytest.mark.parametrize(
    ("properties", "answer", "expected"),
    [
        ({"answer": {"type": "string"}}, "Canberra", "Canberra"),
        ({"reasoning": {"type": "string"}, "result": {"type": "number"}}, "1,024", 1024),
        ({"capital_city": {"type": "string"}}, "Canberra", "Canberra"),
        ({"label": {"type": "string", "enum": ["positive", "negative"]}}, "Negative", "negative"),
        ({"explanation": {"type": "string"}, "wynik": {"type": "integer"}}, "-7", -7),
    ],
    ids=str,
)
def test_the_answer_has_its_place(properties: dict[str, Any], answer: str, expected: object) -> None:
    """In the property that asks for it, or in the only one that can hold it."""
    source = Source(mentions_of("What is 17 + 25?"), DRAW, "A sentence.", answer, "Because.")
    result = make(object_of(**properties), source)
    assert result.answer == answer
    assert expected in result.value.values()


def test_optional_properties_come_when_they_are_named() -> None:
    """Where some are required, the others are left out unless the prompt has one of their values."""
    schema = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["city"],
    }
    assert made(schema, "Weather in Rome?") == {"city": "Rome"}
    assert made(schema, "Weather in Rome in fahrenheit?") == {"city": "Rome", "unit": "fahrenheit"}


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\d{3}-\d{2,4}$",
        r"[A-Z]{2}\w+\s?[^\s]*",
        r"^(?:red|green)(-(?P<shade>dark|light))?$",
        r"^[a-z0-9._%+-]+@[a-z]+\.[a-z]{2,}$",
        r"x{0}y{0,0}z{0,}",
        r"\(\d+\)$|\$",
        r"^(?<word>a)+?[]x][^a0A]$",
        r"{literal}a{2}",
        "",
    ],
)
def test_texts_match_simple_patterns(pattern: str) -> None:
    """From beginning to end, without the pattern ever being matched by the server."""
    assert re.fullmatch(pattern.replace("?<word>", "?P<word>"), pattern_text.example(pattern))


@pytest.mark.parametrize(
    "pattern", ["(" * 400, "[" * 400, "a{99999}" * 40, "((x{99999}){99999}){99999}", "\\", "[a-", "(?<"]
)
def test_patterns_that_cannot_be(pattern: str) -> None:
    """Any text will do, soon and short."""
    assert len(pattern_text.example(pattern)) <= 200


NEST: dict[str, Any] = {"type": "array", "items": True, "minItems": 10**9}
for _ in range(8):
    NEST = {"type": "array", "items": NEST, "minItems": 10**9}


@pytest.mark.parametrize(
    "inner",
    [
        pytest.param({"$ref": "#/$defs/a"}, id="reference in circles"),
        pytest.param({"$ref": "#"}, id="itself, required"),
        pytest.param({"allOf": [{"$ref": "#/$defs/both"}, {"$ref": "#/$defs/both"}]}, id="doubling"),
        pytest.param(NEST, id="billions of items"),
        pytest.param({"type": "string", "minLength": 10**12}, id="endless text"),
        pytest.param({"type": "string", "pattern": "(a+)+$" * 60 + "(" * 300}, id="pattern"),
        pytest.param({"type": "string", "pattern": "(((x{99999}){99999}){99999})"}, id="exploding pattern"),
        pytest.param({"type": "object", "minProperties": 10**9}, id="billions of properties"),
        pytest.param({"type": "integer", "minimum": 1e300, "multipleOf": 1e-300}, id="huge numbers"),
        pytest.param({"type": "integer", "minimum": 10, "maximum": 1}, id="impossible"),
        pytest.param({"type": "array", "items": {"const": 1}, "uniqueItems": True, "minItems": 5}, id="not unique"),
        pytest.param({"not": {}}, id="nothing"),
    ],
)
def test_hostile_schemas_end_soon(inner: dict[str, Any]) -> None:
    """What no value of moderate size fits gets some value, in bounded time and space."""
    definitions = {
        "a": {"$ref": "#/$defs/b"},
        "b": {"$ref": "#/$defs/a"},
        "both": {"allOf": [{"$ref": "#/$defs/both"}, {"$ref": "#/$defs/both"}]},
    }
    schema = {**object_of(x=inner, y={"type": "string"}), "$defs": definitions}
    assert len(str(made(schema, ANY))) < 100_000
