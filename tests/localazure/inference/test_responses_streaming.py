"""Streams of responses: named events in the service's order, at the model's pace, to the real client."""

import json
from collections import Counter
from typing import Any

import pytest
from openai import AzureOpenAI

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.state import Azure
from tests.localazure.asking import REASONING, RESPONSES_VERSION, Asker, account_of, error_of
from tests.localazure.conftest import Answer, Caller

SAID = "Explain how a cache saves money, please."
BEGINNING = ["response.created", "response.in_progress"]
MESSAGE = [
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
]


def events_of(answer: Answer) -> list[dict[str, Any]]:
    """The events of a streamed response, in order; each must have its type as its name, and the next number."""
    assert answer.headers["content-type"].startswith("text/event-stream")
    *blocks, end = answer.body.decode().split("\n\n")
    assert end == ""
    events = []
    for number, block in enumerate(blocks):
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        assert event["sequence_number"] == number
        events.append(event)
    return events


def kinds(events: list[dict[str, Any]]) -> list[str]:
    """The types of the events, repetitions of the same one left out."""
    found = [event["type"] for event in events]
    return [kind for number, kind in enumerate(found) if number == 0 or found[number - 1] != kind]


def test_events_are_the_services(ask: Asker) -> None:
    """Created, in progress, the message piece by piece, completed; the pieces make the text, the end the response."""
    whole = ask.respond(SAID, temperature=0, metadata={"a": "b"}).json
    events = events_of(ask.respond(SAID, temperature=0, metadata={"a": "b"}, stream=True))
    assert kinds(events) == [*BEGINNING, *MESSAGE, "response.completed"]
    by_kind = {event["type"]: event for event in events}
    started = by_kind["response.created"]["response"]
    assert started == by_kind["response.in_progress"]["response"]
    assert (started["status"], started["output"], started["usage"]) == ("in_progress", [], None)
    done = by_kind["response.completed"]["response"]
    (item,) = done["output"]
    deltas = [event for event in events if event["type"] == "response.output_text.delta"]
    assert len(deltas) > 20
    assert {(d["item_id"], d["output_index"], d["content_index"]) for d in deltas} == {(item["id"], 0, 0)}
    text = "".join(delta["delta"] for delta in deltas)
    assert text == by_kind["response.output_text.done"]["text"] == item["content"][0]["text"]
    assert by_kind["response.content_part.done"]["part"] == item["content"][0]
    assert by_kind["response.output_item.done"]["item"] == item
    assert by_kind["response.output_item.added"]["item"] == {**item, "content": [], "status": "in_progress"}
    own = ("id", "output")
    assert {name: done[name] for name in done if name not in own} == {n: whole[n] for n in whole if n not in own}
    assert started["id"] == done["id"] != whole["id"]


def test_reasoning_comes_before_the_message(ask: Asker) -> None:
    """As an item of its own, done before the message begins."""
    events = events_of(ask.respond(SAID, REASONING, stream=True))
    reasoning = ["response.output_item.added", "response.output_item.done"]
    assert kinds(events) == [*BEGINNING, *reasoning, *MESSAGE, "response.completed"]
    items = [(event["output_index"], event["item"]["type"]) for event in events if "item" in event]
    assert items == [(0, "reasoning"), (0, "reasoning"), (1, "message"), (1, "message")]


@pytest.mark.parametrize(
    ("said", "parameters", "reason"),
    [
        pytest.param(SAID, {"max_output_tokens": 16}, "max_output_tokens", id="cut short"),
        pytest.param("content filter test: answer hate high", {}, "content_filter", id="filtered"),
    ],
)
def test_incomplete_stream_ends_with_its_reason(ask: Asker, said: str, parameters: dict[str, Any], reason: str) -> None:
    """The last event is named after the status; a filtered answer streams no text."""
    events = events_of(ask.respond(said, stream=True, **parameters))
    assert events[-1]["type"] == "response.incomplete"
    assert events[-1]["response"]["incomplete_details"] == {"reason": reason}
    assert ("response.output_text.delta" in kinds(events)) == (reason == "max_output_tokens")


def test_text_survives_in_pieces(ask: Asker) -> None:
    """Polish, quotes and line breaks pass unharmed."""
    said = 'Zażółć "event: x" \\ gęślą \n\t jaźń\n\ndata: [DONE]'
    whole = ask.respond(said, temperature=0).json["output"][0]["content"][0]["text"]
    events = events_of(ask.respond(said, temperature=0, stream=True))
    assert "".join(event.get("delta", "") for event in events) == whole
    assert '"event: x"' in whole


def test_streamed_response_is_stored(ask: Asker) -> None:
    """It can be asked for again, and gone on from, like any other."""
    done = events_of(ask.respond(SAID, stream=True))[-1]["response"]
    assert ask.stored(done["id"]).json == done
    assert ask.respond("Thanks!", previous_response_id=done["id"]).status == 200


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        pytest.param({"stream": "yes"}, "invalid_type", id="not a truth value"),
        pytest.param({"stream_options": {}}, "invalid_parameter_combination", id="no stream"),
        pytest.param({"stream": True, "stream_options": {"include_usage": True}}, "unknown_parameter", id="chat's"),
        pytest.param({"stream": True, "previous_response_id": "resp_x"}, "previous_response_not_found", id="elsewhere"),
    ],
)
def test_failing_stream_answers_json(ask: Asker, parameters: dict[str, object], code: str) -> None:
    """An error is never an event."""
    answer = ask.respond(SAID, **parameters)
    assert (answer.status, answer.headers["content-type"]) == (400, "application/json")
    assert error_of(answer)["code"] == code


def test_stream_takes_the_simulated_time() -> None:
    """What was created is told at once; the rest comes at the model's pace."""

    class Recorder(ManualClock):
        slept = 0.0

        async def sleep(self, delay_s: float) -> None:
            Recorder.slept += delay_s

    ask = Asker(Caller(Azure(Recorder(), latency_scale=0.5)))
    for said in (SAID, "content filter test: answer hate high"):
        Recorder.slept = 0.0
        ask.respond(said, stream=True)
        assert Recorder.slept == pytest.approx(ask.azure.journal.after()[-1].simulated_ms * 0.5 / 1000)


def test_real_client_reads_a_stream(served: LocalAzure) -> None:
    """The openai package gathers the events into the response that it returns at the end."""
    key = account_of(served.azure).keys[0]
    with AzureOpenAI(azure_endpoint=served.url, api_key=key, api_version=RESPONSES_VERSION, max_retries=0) as client:
        with client.responses.stream(model=REASONING, input=SAID) as stream:
            seen = Counter(event.type for event in stream)
            final = stream.get_final_response()
        raw = client.responses.create(model=REASONING, input=SAID, stream=True)
        text = "".join(event.delta for event in raw if event.type == "response.output_text.delta")
    assert seen["response.completed"] == seen["response.created"] == 1
    assert len(final.output_text.split()) == seen["response.output_text.delta"]
    assert text
