"""Comparing shapes: what counts as a difference, and what does not."""

import json
from typing import Any

import pytest

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.state import Azure
from tests.localazure.asking import EMBEDDING, OMNI, account_of, deploy
from tests.localazure.conformance.probes import PROBES, answers, over_http, to_local
from tests.localazure.conformance.shapes import differences, document_shape, shape_of, unexpected
from tests.localazure.conftest import Answer, Caller


def answer(document: object, status: int = 200, **headers: str) -> Answer:
    """An answer with a JSON body."""
    return Answer(status, {"content-type": "application/json", **headers}, json.dumps(document).encode())


def stream(*blocks: str) -> Answer:
    """An answer with events."""
    return Answer(200, {"Content-Type": "text/event-stream"}, "\n\n".join((*blocks, "")).encode())


def between(real: Answer, local: Answer) -> list[str]:
    """The differences of two answers."""
    return differences(shape_of(real), shape_of(local))


def test_paths_and_types_of_a_document() -> None:
    """Items of a list share a path; whole numbers and others are the same type."""
    assert document_shape([("", {"a": [1, 2.5, None], "b": {"c": "x"}, "d": True})]) == {
        "": {"object"},
        ".a": {"list"},
        ".a[]": {"number", "null"},
        ".b": {"object"},
        ".b.c": {"text"},
        ".d": {"bool"},
    }


@pytest.mark.parametrize(
    ("real", "local", "found"),
    [
        pytest.param({"a": 1}, {"a": 2}, [], id="other values"),
        pytest.param({"a": "x"}, {"a": ""}, [], id="empty text"),
        pytest.param({"a": 1}, {"a": 1.5}, [], id="numbers"),
        pytest.param({"a": [1]}, {"a": [1, 2]}, [], id="longer list"),
        pytest.param({"a": 1, "b": 2}, {"a": 1}, [".b: missing here"], id="field missing"),
        pytest.param({"a": 1}, {"a": 1, "b": 2}, [".b: only here"], id="field added"),
        pytest.param({"a": 1}, {"a": "1"}, [".a: number there, text here"], id="other type"),
        pytest.param({"a": None}, {"a": {}}, [".a: null there, object here"], id="null or not"),
        pytest.param({"a": {"b": {"c": 1}}}, {"a": {}}, [".a.b: missing here"], id="what holds others is named once"),
        pytest.param({"a": [{"b": 1}]}, {"a": [{"b": None}]}, [".a[].b: number there, null here"], id="in a list"),
        pytest.param([], {}, [": list there, object here"], id="the document itself"),
    ],
)
def test_differences_of_bodies(real: object, local: object, found: list[str]) -> None:
    """Keys and types count, values do not."""
    assert between(answer(real), answer(local)) == found


def test_differences_around_the_body() -> None:
    """The status and the names of headers in any case; their values do not count."""
    real, local = (
        answer({}, 404, **{"X-Request-Id": "a", "date": "today"}),
        answer({}, 400, **{"x-request-id": "b", "x": ""}),
    )
    assert between(real, local) == [
        "status: 404 there, 400 here",
        "header date: missing here",
        "header x: only here",
    ]


def test_differences_of_streams() -> None:
    """The order of events counts, how often one comes in a row does not; each kind has a shape of its own."""
    real = stream(
        'event: a\ndata: {"n": 1}', 'event: b\ndata: {"t": "x"}', 'event: b\ndata: {"t": "y"}', "event: c\ndata: {}"
    )
    same = stream('event: a\ndata: {"n": 9}', 'event: b\ndata: {"t": "z"}', "event: c\ndata: {}")
    assert between(real, same) == []
    other = stream('event: b\ndata: {"t": "z"}', 'event: a\ndata: {"t": 1}', "event: c\ndata: {}")
    assert between(real, other) == ["events: a, b, c there, b, a, c here", "a:.n: missing here", "a:.t: only here"]


def test_chunks_of_chat_completions_are_told_apart() -> None:
    """By what is in them, as they have no names."""

    def chunk(**choice: Any) -> str:
        return f"data: {json.dumps({'choices': [choice]})}"

    blocks = [
        'data: {"choices": [], "prompt_filter_results": []}',
        chunk(delta={"role": "assistant"}, finish_reason=None),
        chunk(delta={"content": "x"}, finish_reason=None),
        chunk(delta={"content": "y"}, finish_reason=None),
        chunk(delta={}, finish_reason="stop"),
        'data: {"choices": [], "usage": {}}',
        "data: [DONE]",
    ]
    events = shape_of(stream(*blocks)).events
    assert events == ("prompt filter", "role", "content", "end", "usage", "[DONE]")


def test_known_differences_are_left_out() -> None:
    """Those that a pattern matches; the others stay."""
    found = ["header date: missing here", ".b: missing here"]
    assert unexpected(found, {"^header date": "the server's own"}) == [".b: missing here"]
    assert unexpected(found, {}) == found


def test_probes_reach_a_server_and_are_compared(served: LocalAzure, clock: ManualClock) -> None:
    """One local Azure over http in the part of the real one, another one beside it: nothing differs but transport."""
    call = Caller(Azure(clock))
    deploy(call.azure)
    names = {"deployment": OMNI, "embedding": EMBEDDING}
    real = answers(over_http(served.url), {"api-key": account_of(served.azure).keys[0]}, names)
    local = answers(to_local(call), {"api-key": account_of(call.azure).keys[0]}, names)
    assert real.keys() == local.keys() == {probe.name for probe in PROBES}
    statuses = {name: answer.status for name, answer in local.items()}
    assert [name for name, status in statuses.items() if status == 200] == [
        *("chat", "chat on v1", "chat stream", "chat with a tool", "embeddings", "response", "response again"),
        *("input of the response", "end of the response", "response stream", "response with a tool", "models"),
    ]
    transport = {r"^header (date|server|connection|transfer-encoding): missing here$": "the server's own"}
    for name, answer in real.items():
        assert unexpected(between(answer, local[name]), transport) == [], name
