"""Streams: the chunks of the real service, in its order, at the model's pace, to real clients and broken ones."""

import asyncio
import socket
import time
from collections.abc import Iterator

import pytest
from openai import AsyncAzureOpenAI, AzureOpenAI, BadRequestError

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.faults import Fault
from labkit.localazure.inference.contentfilter import CATEGORIES
from labkit.localazure.inference.delivery import paced
from labkit.localazure.inference.latency import Latency
from tests.localazure.asking import BIG, REASONING, SAFE, SMALL, VERSION, Asker, account_of, deploy, error_of, events_of
from tests.localazure.conftest import Caller

SAID = "Explain how a cache saves money, please."


@pytest.fixture
def slow() -> Iterator[LocalAzure]:
    """A running local Azure whose models take a hundredth of their simulated time."""
    server = LocalAzure(latency_scale=0.01)
    deploy(server.azure)
    with server:
        yield server


def client_of(server: LocalAzure) -> AzureOpenAI:
    """A real client with the account's key."""
    key = account_of(server.azure).keys[0]
    return AzureOpenAI(azure_endpoint=server.url, api_key=key, api_version=VERSION, max_retries=0)


def test_chunks_are_the_services(ask: Asker) -> None:
    """Verdict on the prompt, role, text in pieces, reason; one id, the snapshot's name, verdicts on each piece."""
    whole = ask.chat(SAID, temperature=0).json
    answer = ask.chat(SAID, temperature=0, stream=True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    first, role, *pieces, last = events_of(answer)
    assert first["prompt_filter_results"] == whole["prompt_filter_results"]
    assert {name: first[name] for name in first if name != "prompt_filter_results"} == {
        "choices": [],
        "created": 0,
        "id": "",
        "model": "",
        "object": "",
    }
    assert role["choices"][0]["delta"] == {"content": "", "refusal": None, "role": "assistant"}
    text = "".join(piece["choices"][0]["delta"]["content"] for piece in pieces)
    assert text == whole["choices"][0]["message"]["content"]
    assert len(pieces) > 20
    assert all(p["choices"][0]["content_filter_results"] == dict.fromkeys(CATEGORIES, SAFE) for p in pieces)
    assert last["choices"][0]["delta"] == {}
    reasons = [chunk["choices"][0]["finish_reason"] for chunk in (role, *pieces, last)]
    assert reasons == [None] * (len(pieces) + 1) + ["stop"]
    chunks = [role, *pieces, last]
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[0]["id"].startswith("chatcmpl-")
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert {chunk["model"] for chunk in chunks} == {"gpt-4-turbo-2024-04-09"}
    assert {chunk["created"] for chunk in chunks} == {int(ask.azure.clock.now())}
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_comes_once_and_last_when_asked_for(ask: Asker) -> None:
    """The other chunks then carry a null usage."""
    whole = ask.chat(SAID, temperature=0).json
    _, *chunks, last = events_of(ask.chat(SAID, temperature=0, stream=True, stream_options={"include_usage": True}))
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]
    assert [chunk["usage"] for chunk in chunks] == [None] * len(chunks)
    assert last["id"] == chunks[0]["id"]


def test_cut_stream_says_length(ask: Asker) -> None:
    """The reason for the end is the same as without streaming."""
    chunks = events_of(ask.chat(SAID, max_tokens=5, stream=True))
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"


def test_filtered_answer_streams_no_text(ask: Asker) -> None:
    """The reason and the verdict come, the text does not."""
    _, role, last = events_of(ask.chat("content filter test: answer hate high", stream=True))
    assert role["choices"][0]["delta"]["role"] == "assistant"
    assert last["choices"][0]["finish_reason"] == "content_filter"
    assert last["choices"][0]["content_filter_results"]["hate"] == {"filtered": True, "severity": "high"}


def test_several_choices_keep_their_index(ask: Asker) -> None:
    """Each has its own role, text and reason."""
    chunks = events_of(ask.chat(SAID, n=3, stream=True))[1:]
    for place in range(3):
        own = [chunk["choices"][0] for chunk in chunks if chunk["choices"][0]["index"] == place]
        assert own[0]["delta"]["role"] == "assistant"
        assert own[-1]["finish_reason"] == "stop"


def test_text_survives_in_pieces(ask: Asker) -> None:
    """Polish, quotes and what looks like our own marks pass unharmed."""
    said = 'Zażółć "created":0,"id":"?" \\ gęślą \n\t jaźń'
    whole = ask.chat(said, temperature=0).json["choices"][0]["message"]["content"]
    chunks = events_of(ask.chat(said, temperature=0, stream=True))[1:]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == whole
    assert '"created":0,"id":"?"' in whole


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        pytest.param({"stream": "yes"}, "invalid_type", id="not a truth value"),
        pytest.param({"stream_options": {"include_usage": True}}, "invalid_parameter_combination", id="no stream"),
        pytest.param({"stream": True, "stream_options": []}, "invalid_type", id="options not an object"),
        pytest.param({"stream": True, "stream_options": {"x": 1}}, "unknown_parameter", id="unknown option"),
        pytest.param({"stream": True, "temperature": 3}, "decimal_above_max_value", id="error elsewhere"),
    ],
)
def test_failing_stream_answers_json(ask: Asker, parameters: dict[str, object], code: str) -> None:
    """An error is never an event."""
    answer = ask.chat(SAID, **parameters)
    assert answer.status == 400
    assert answer.headers["content-type"] == "application/json"
    assert error_of(answer)["code"] == code


def test_journal_knows_streams(ask: Asker) -> None:
    """A streamed answer is accounted for like any other."""
    ask.chat(SAID, temperature=0)
    ask.chat(SAID, temperature=0, stream=True)
    plain, streamed = ask.azure.journal.after()
    assert (plain.stream, streamed.stream) == (False, True)
    for name in ("prompt_tokens", "completion_tokens", "simulated_ms", "answer_digest", "prompt_digest"):
        assert getattr(plain, name) == getattr(streamed, name)


class Recorder(ManualClock):
    """A clock that remembers how long it was asked to sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []

    async def sleep(self, delay_s: float) -> None:
        self.slept.append(delay_s)


def paced_through(events: list[bytes], latency: Latency, scale: float) -> tuple[list[bytes], list[float]]:
    """What was sent, and the waits in between."""
    clock = Recorder()

    async def run() -> list[bytes]:
        return [piece async for piece in paced(events, latency, scale, clock)]

    return asyncio.run(run()), clock.slept


def test_events_come_at_the_models_pace() -> None:
    """First the wait for the first token, then one for each piece: together the simulated latency."""
    events = [b"0", b"1", b"2", b"3", b"4"]
    sent, slept = paced_through(events, Latency(500, 1500), 1.0)
    assert sent == events
    assert slept == pytest.approx([0.5, 0.25, 0.25, 0.25, 0.25])


def test_short_waits_are_put_together() -> None:
    """At a small scale events share a piece, and no timer is shorter than ten milliseconds."""
    events = [str(number).encode() for number in range(100)]
    sent, slept = paced_through(events, Latency(500, 2500), 0.02)
    assert b"".join(sent) == b"".join(events)
    assert min(slept[:-1]) >= 0.01
    assert sum(slept) == pytest.approx(0.05)


def test_real_client_reads_a_paced_stream(slow: LocalAzure) -> None:
    """The openai package puts the pieces together, and time passes between them."""
    arrived, text = [], ""
    with client_of(slow) as client:
        stream = client.chat.completions.create(
            model=BIG,
            messages=[{"role": "user", "content": SAID}],
            stream=True,
            stream_options={"include_usage": True},
        )
        for chunk in stream:
            arrived.append(time.perf_counter())
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
    assert chunk.usage is not None
    assert chunk.usage.completion_tokens > 20
    assert text.startswith(("A cache keeps", "You are asking"))
    assert arrived[-1] - arrived[0] > 0.01
    (entry,) = slow.azure.journal.after()
    give_up = time.monotonic() + 5
    while entry.duration_ms < entry.simulated_ms * 0.01 and time.monotonic() < give_up:
        time.sleep(0.001)  # the end of a stream is noted just after its last byte
    assert entry.duration_ms >= entry.simulated_ms * 0.01


async def test_real_async_clients_stream_side_by_side(slow: LocalAzure) -> None:
    """Fifty streams at once, each whole."""
    key = account_of(slow.azure).keys[0]
    async with AsyncAzureOpenAI(azure_endpoint=slow.url, api_key=key, api_version=VERSION, max_retries=0) as client:

        async def text(number: int) -> str:
            stream = await client.chat.completions.create(
                model=SMALL,
                messages=[{"role": "user", "content": f"Plan project {number} for our team"}],
                temperature=0,
                stream=True,
            )
            return "".join([c.choices[0].delta.content or "" async for c in stream if c.choices])

        texts = await asyncio.gather(*(text(number) for number in range(50)))
    assert all(f"Plan project {number} " in said for number, said in enumerate(texts))


def test_real_client_gets_errors_of_streams_as_exceptions(slow: LocalAzure) -> None:
    """A filtered prompt fails before the stream begins."""
    with client_of(slow) as client, pytest.raises(BadRequestError) as caught:
        client.chat.completions.create(
            model=BIG, messages=[{"role": "user", "content": "How to build a bomb?"}], stream=True
        )
    assert caught.value.code == "content_filter"


def test_server_survives_clients_that_hang_up(slow: LocalAzure) -> None:
    """Ten clients leave in the middle of their streams; the next one is served."""
    key = account_of(slow.azure).keys[0]
    body = b'{"messages":[{"role":"user","content":"Plan a project"}],"stream":true}'
    head = (
        f"POST /openai/deployments/{REASONING}/chat/completions?api-version={VERSION} HTTP/1.1\r\nHost: x\r\n"
        f"api-key: {key}\r\nContent-Length: {len(body)}\r\n\r\n"
    ).encode()
    host, port = slow.url.removeprefix("http://").split(":")
    for _ in range(10):
        with socket.create_connection((host, int(port)), timeout=5) as connection:
            connection.sendall(head + body)
            assert connection.recv(200).startswith(b"HTTP/1.1 200")
    with client_of(slow) as client:
        answer = client.chat.completions.create(model=SMALL, messages=[{"role": "user", "content": "Hello"}])
    assert answer.choices[0].message.content


def test_slow_fault_delays_the_first_token(call: Caller) -> None:
    """The delay is part of the simulated latency, of a stream's as well."""
    ask = Asker(call)
    before = ask.chat(SAID, temperature=0, stream=True).headers["openai-processing-ms"]
    ask.azure.faults.add(Fault(kind="slow", delay_ms=5_000))
    after = ask.chat(SAID, temperature=0, stream=True).headers["openai-processing-ms"]
    assert int(after) - int(before) == 5_000
