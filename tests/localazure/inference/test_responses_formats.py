"""What a response is made of besides plain text: JSON, log probabilities, pictures, and a prompt that was cached."""

import json
from typing import Any, Literal

import jsonschema
import pytest
from openai import OpenAI
from pydantic import BaseModel

from labkit.localazure import LocalAzure
from tests.localazure.asking import OMNI, REASONING, Asker, account_of, error_of
from tests.localazure.inference.test_responses_streaming import events_of
from tests.localazure.pictures import png, url

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "size": {"enum": ["small", "large"]}, "people": {"type": "integer"}},
    "required": ["city", "size", "people"],
    "additionalProperties": False,
}
LOGPROBS = "message.output_text.logprobs"


class City(BaseModel):
    """What a program wants to know of a city."""

    name: str
    size: Literal["small", "large"]
    sights: list[str]


def schema_format(**changes: Any) -> dict[str, Any]:
    """The ``text`` parameter that asks for JSON with a schema."""
    return {"format": {"type": "json_schema", "name": "city", "schema": SCHEMA, "strict": True, **changes}}


def text_of(body: dict[str, Any]) -> str:
    """The text of a response."""
    text: str = body["output"][-1]["content"][0]["text"]
    return text


@pytest.mark.parametrize("model", [OMNI, REASONING])
def test_answer_fits_its_schema(ask: Asker, model: str) -> None:
    """And the response shows the format that it was asked for."""
    body = ask.respond("Tell me about Paris.", model, text=schema_format()).json
    jsonschema.validate(json.loads(text_of(body)), SCHEMA)
    assert body["text"] == {**schema_format(), "verbosity": "medium"}


def test_any_json(ask: Asker) -> None:
    """An object, when the input speaks of JSON; the instructions do not count."""
    asked: dict[str, Any] = {"text": {"format": {"type": "json_object"}}}
    assert isinstance(json.loads(text_of(ask.respond("A city as JSON, please.", **asked).json)), dict)
    error = error_of(ask.respond("A city, please.", instructions="Answer in JSON.", **asked))
    assert (error["code"], error["param"]) == (None, "input")
    assert error["message"] == (
        "Response input messages must contain the word 'json' in some form to use 'text.format' of type 'json_object'."
    )


@pytest.mark.parametrize(
    ("changes", "code", "param"),
    [
        ({"schema": {"type": "object", "properties": {}}}, "invalid_json_schema", "text.format.schema"),
        ({"schema": None}, "missing_required_parameter", "text.format.schema"),
        ({"name": "a city"}, "invalid_value", "text.format.name"),
        ({"name": None}, "missing_required_parameter", "text.format.name"),
        ({"description": "x" * 2_000}, "string_above_max_length", "text.format.description"),
        ({"strict": "yes"}, "invalid_type", "text.format.strict"),
    ],
    ids=lambda value: str(value)[:40] if isinstance(value, dict) else None,
)
def test_formats_that_cannot_be(ask: Asker, changes: dict[str, Any], code: str, param: str) -> None:
    """The rules of chat completions, in the names of responses."""
    error = error_of(ask.respond("Tell me about Paris.", text=schema_format(**changes)))
    assert (error["code"], error["param"]) == (code, param)
    assert "json_schema." not in error["message"]


def test_real_client_parses_answers(served: LocalAzure) -> None:
    """Into the class that the program wants, plain and streamed."""
    client = OpenAI(base_url=f"{served.url}/openai/v1/", api_key=account_of(served.azure).keys[0], max_retries=0)
    with client:
        parsed = client.responses.parse(model=REASONING, input="Tell me about Paris.", text_format=City).output_parsed
        assert parsed is not None
        assert parsed.size in ("small", "large")
        with client.responses.stream(model=OMNI, input="Tell me about Rome.", text_format=City) as stream:
            streamed = stream.until_done().get_final_response().output_parsed
        assert isinstance(streamed, City)


@pytest.mark.parametrize("alternatives", [None, 0, 3])
def test_log_probabilities(ask: Asker, alternatives: int | None) -> None:
    """One for each token, in the response and in the pieces of a stream; without being asked for there are none."""
    asked = {} if alternatives is None else {"include": [LOGPROBS], "top_logprobs": alternatives}
    body = ask.respond("Hello", temperature=0, **asked).json
    (part,) = body["output"][0]["content"]
    assert body["top_logprobs"] == (alternatives or 0)
    if alternatives is None:
        assert part["logprobs"] == []
    else:
        assert "".join(entry["token"] for entry in part["logprobs"]) == part["text"]
        assert {len(entry["top_logprobs"]) for entry in part["logprobs"]} == {alternatives}
    events = events_of(ask.respond("Hello", temperature=0, stream=True, **asked))
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert "".join(delta["delta"] for delta in deltas) == part["text"]
    assert [entry for delta in deltas for entry in delta["logprobs"]] == part["logprobs"]


def test_reasoning_models_have_no_log_probabilities(ask: Asker) -> None:
    """The refusal has the parameter of responses."""
    assert error_of(ask.respond("Hello", REASONING, include=[LOGPROBS]))["param"] == "top_logprobs"


@pytest.mark.parametrize(
    ("picture", "code"),
    [
        (url(b"no picture"), "sanitizer_server_error"),
        ("https://example.com/a.png", "invalid_image_url"),
    ],
    ids=["no picture", "address on the web"],
)
def test_pictures_that_cannot_be_seen(ask: Asker, picture: str, code: str) -> None:
    """Refused as chat completions refuse them."""
    given = [{"role": "user", "content": [{"type": "input_image", "image_url": picture}]}]
    assert error_of(ask.respond(given))["code"] == code


@pytest.mark.parametrize("detail", ["low", "high"])
def test_detail_of_a_picture_costs_what_it_costs_in_chat(ask: Asker, detail: str) -> None:
    """The tokens depend on the picture's size and on the detail."""
    picture = url(png(1_000, 800))
    chat = [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": picture, "detail": detail}}]}]
    given = [{"role": "user", "content": [{"type": "input_image", "image_url": picture, "detail": detail}]}]
    assert ask.respond(given).json["usage"]["input_tokens"] == ask.chat(chat, OMNI).json["usage"]["prompt_tokens"]


def test_cached_prompt_is_shown_and_journaled(ask: Asker) -> None:
    """A long conversation that goes on is read again for less."""
    first = ask.respond("word " * 2_000, temperature=0).json
    assert first["usage"]["input_tokens_details"]["cached_tokens"] == 0
    second = ask.respond("Thanks!", previous_response_id=first["id"]).json
    assert second["usage"]["input_tokens_details"]["cached_tokens"] >= 1_024
    entry = ask.azure.journal.after()[-1]
    assert entry.cached_tokens == second["usage"]["input_tokens_details"]["cached_tokens"]


def test_prompt_cache_can_be_kept_for_a_day(ask: Asker) -> None:
    """As for chat completions, when the request says so."""
    said: dict[str, Any] = {"said": "word " * 2_000, "temperature": 0, "prompt_cache_retention": "24h"}
    ask.respond(**said)
    ask.azure.clock.advance(3_600)  # type: ignore[attr-defined]
    assert ask.respond(**said).json["usage"]["input_tokens_details"]["cached_tokens"] >= 1_024
