"""Faults as the real client meets them over loopback: every kind, plain and streamed, and the journal's word for it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AzureOpenAI,
    InternalServerError,
    RateLimitError,
)

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.faults import Fault, scripted
from labkit.localazure.journal import Entry
from tests.localazure.asking import BIG, EMBEDDING, REASONING, SMALL, account_of, deploy

Say = Callable[..., str]


@pytest.fixture
def moved(clock: ManualClock) -> Iterator[LocalAzure]:
    """A running local Azure whose clock a test moves, at a latency scale of 1; it never really waits."""
    with LocalAzure(clock=clock, latency_scale=1.0) as running:
        deploy(running.azure)
        yield running


@pytest.fixture
def say(served: LocalAzure, client: AzureOpenAI) -> Say:
    """Says hello to a deployment; the text that came back."""
    return lambda *args, **options: said_to(client, *args, **options)


def said_to(client: AzureOpenAI, deployment: str = BIG, *, stream: bool = False, **options: Any) -> str:
    """The text that a deployment answers with, read to the end of the stream."""
    asked: Any = {"model": deployment, "messages": [{"role": "user", "content": "Tell me about Poland."}], **options}
    if not stream:
        return client.chat.completions.create(**asked).choices[0].message.content or ""
    chunks = client.chat.completions.create(**asked, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def last(azure: LocalAzure) -> Entry:
    """The newest journal entry."""
    return azure.azure.journal.after()[-1]


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (429, RateLimitError),
        (500, InternalServerError),
        (503, InternalServerError),
        (408, APIStatusError),
        (499, APIStatusError),
    ],
)
def test_status(served: LocalAzure, say: Say, status: int, error: type[Exception]) -> None:
    """The SDK's own class for the status."""
    served.azure.faults.add(Fault(status=status, retry_after_s=0.1))
    with pytest.raises(error) as raised:
        say()
    assert raised.value.response.headers["retry-after-ms"] == "100"  # type: ignore[attr-defined]
    assert say()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("kind", "code", "cause"),
    [("drop", "ConnectionDropped", "Server disconnected"), ("reset", "ConnectionReset", "reset by peer")],
)
def test_no_answer_at_all(served: LocalAzure, say: Say, kind: Any, code: str, cause: str, stream: bool) -> None:
    """A closed connection and a reset one are told apart by the client's cause, and by the journal."""
    planned = served.azure.faults.add(Fault(kind=kind))
    with pytest.raises(APIConnectionError) as raised:
        say(stream=stream)
    assert cause in str(raised.value.__cause__)
    entry = last(served)
    assert (entry.status, entry.error_code, entry.fault, entry.fault_by) == (0, code, planned.id, "admin")
    assert say(stream=stream)


@pytest.mark.parametrize("after", [{}, {"after_chunks": 5}, {"after_bytes": 900}], ids=["half", "chunks", "bytes"])
def test_stream_is_cut(served: LocalAzure, client: AzureOpenAI, after: dict[str, int]) -> None:
    """The chunks before the cut arrive; then the SDK raises, in the middle of the loop."""
    whole = list(_chunks(client))
    planned = served.azure.faults.add(Fault(kind="cut", **after))  # type: ignore[arg-type]
    arrived: list[Any] = []
    with pytest.raises(APIConnectionError) as raised:
        arrived.extend(_chunks(client))
    assert "incomplete chunked read" in str(raised.value.__cause__)
    assert 0 < len(arrived) < len(whole)
    if "after_chunks" in after:
        assert len(arrived) == 5
    entry = last(served)
    assert (entry.status, entry.error_code, entry.fault) == (200, "StreamCut", planned.id)


def _chunks(client: AzureOpenAI) -> Any:
    asked: Any = {"model": BIG, "messages": [{"role": "user", "content": "Tell me about Poland."}], "temperature": 0}
    return client.chat.completions.create(**asked, stream=True)


def test_plain_answers_are_cut(served: LocalAzure, client: AzureOpenAI, say: Say) -> None:
    """The client was told a length and got less."""
    served.azure.faults.add(Fault(kind="cut", times=2))
    for ask in (say, lambda: client.embeddings.create(model=EMBEDDING, input="Poland")):
        with pytest.raises(APIConnectionError) as raised:
            ask()
        assert "without sending complete message body" in str(raised.value.__cause__)
        assert (last(served).status, last(served).error_code) == (200, "AnswerCut")
    assert say()


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_first_byte_comes_too_late(served: LocalAzure, say: Say, stream: bool) -> None:
    """With a real delay the client's own timeout passes, before any header has come."""
    served.azure.faults.add(Fault(kind="first_byte", delay_ms=300, real=True))
    with pytest.raises(APITimeoutError):
        say(stream=stream, timeout=0.05)
    assert last(served).simulated_ms > 300


def test_error_comes_late(served: LocalAzure, say: Say) -> None:
    """A delay holds an error back, too; a client that does not wait sees a timeout instead."""
    served.azure.faults.add(Fault(status=503, delay_ms=300, real=True))
    with pytest.raises(APITimeoutError):
        say(timeout=0.05)
    entry = last(served)
    assert (entry.status, entry.error_code, entry.simulated_ms) == (503, "ServiceUnavailable", 300)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
def test_slow_answers_arrive_whole(moved: LocalAzure, stream: bool) -> None:
    """Whatever slows them down; the journal has the simulated time, to which all of it has been added."""
    with _client(moved) as client:
        usual = said_to(client, stream=stream, temperature=0)
        usual_ms = last(moved).simulated_ms
        moved.azure.faults.add(Fault(kind="slow", delay_ms=1_000))
        moved.azure.faults.add(Fault(kind="first_byte", delay_ms=500))
        moved.azure.faults.add(Fault(kind="latency", factor=10))
        assert said_to(client, stream=stream, temperature=0) == usual
    assert last(moved).simulated_ms == pytest.approx(usual_ms * 10 + 1_500)
    assert last(moved).fault == "f1,f2,f3"


def test_outage_of_one_deployment(moved: LocalAzure) -> None:
    """Every call of it fails from the one minute to the other, on the server's clock; the other one answers."""
    clock = moved.azure.clock
    moved.azure.faults.add_all(
        scripted([{"at_s": 600, "fault": {"deployment": BIG, "status": 503, "for_s": 120}}]),
    )
    with _client(moved) as client:
        assert said_to(client)
        clock.advance(600)
        for _ in range(3):
            with pytest.raises(InternalServerError):
                said_to(client)
        assert said_to(client, SMALL)
        clock.advance(120)
        assert said_to(client)
    assert [entry.status for entry in moved.azure.journal] == [200, 503, 503, 503, 200, 200]


def _client(azure: LocalAzure) -> AzureOpenAI:
    key = account_of(azure.azure).keys[0]
    return AzureOpenAI(azure_endpoint=azure.url, api_key=key, api_version="2025-04-01-preview", max_retries=0)


@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ({"status": 429, "retry_after_s": 1}, RateLimitError),
        ({"kind": "reset"}, APIConnectionError),
        ({"kind": "cut"}, APIConnectionError),
        ({"kind": "first_byte", "delay_ms": 300, "real": True}, APITimeoutError),
    ],
    ids=["status", "reset", "cut", "first byte"],
)
def test_responses_break_alike(served: LocalAzure, fault: Any, error: type[Exception], stream: bool) -> None:
    """The Responses API's plain answers and named events, picked by the operation."""
    planned = served.azure.faults.add(Fault(operation="responses", **fault))
    with _client(served) as client:
        assert said_to(client)
        asked = client.with_options(timeout=0.05 if error is APITimeoutError else 10)
        with pytest.raises(error):
            _respond(asked, stream)
    entry = last(served)
    assert (entry.operation, entry.fault) == ("responses", planned.id)


def _respond(client: AzureOpenAI, stream: bool) -> None:
    answer: Any = client.responses.create(model=REASONING, input="Tell me about Poland.", stream=stream)
    if stream:
        list(answer)
