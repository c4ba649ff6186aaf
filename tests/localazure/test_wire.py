"""Requests and replies, and the application around the faces."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from labkit.localazure import app, wire
from labkit.localazure.clock import ManualClock, SystemClock, iso
from labkit.localazure.errors import AzureError
from labkit.localazure.state import Azure
from labkit.localazure.wire import ClientGone, Dropped, Reply, Request, StreamReply

from .conftest import Caller


def request(pieces: list[bytes], **headers: str) -> Request:
    """A request whose body comes in these pieces."""
    left = list(pieces)

    async def receive() -> dict[str, Any]:
        if not left:
            return {"type": "http.disconnect"}
        return {"type": "http.request", "body": left.pop(0), "more_body": bool(left)}

    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Request(
        {"type": "http", "method": "POST", "path": "/", "query_string": b"a=1&b=%20&a=2&c", "headers": pairs}, receive
    )


@pytest.mark.parametrize("pieces", [[b"abcdef"], [b"abc", b"def"], [b"", b"abcdef", b""]])
def test_body_is_put_together(pieces: list[bytes]) -> None:
    """However it arrives."""
    assert asyncio.run(request(pieces).body()) == b"abcdef"


def test_body_may_be_as_large_as_the_limit() -> None:
    """And not a byte larger."""
    assert asyncio.run(request([b"abc", b"def"]).body(6)) == b"abcdef"


@pytest.mark.parametrize(
    ("pieces", "headers"),
    [
        pytest.param([], {"content_length": "7"}, id="declared, before anything was read"),
        pytest.param([b"abcdefg"], {}, id="in one piece"),
        pytest.param([b"abcdef", b"g", b"never read"], {"content_length": "six"}, id="in pieces"),
    ],
)
def test_large_body_is_refused_early(pieces: list[bytes], headers: dict[str, str]) -> None:
    """As soon as it is known to be too large."""
    with pytest.raises(AzureError) as refused:
        asyncio.run(request(pieces, **headers).body(6))
    assert refused.value.status == 413


def test_client_that_leaves_while_sending_is_noticed() -> None:
    """There is nobody to answer."""
    with pytest.raises(ClientGone):
        asyncio.run(request([]).body())


def test_query_and_headers_are_decoded() -> None:
    """The last of repeated parameters counts; a missing header is the default."""
    given = request([], user_agent="test")
    assert given.query == {"a": "2", "b": " ", "c": ""}
    assert (given.text(b"user-agent"), given.text(b"missing"), given.text(b"missing", "x")) == ("test", "", "x")


@pytest.mark.parametrize("path", ["/favicon.ico", "/msi", "/metadata/instance", "/v1/chat/completions", "//"])
def test_unknown_paths_are_not_found(call: Caller, path: str) -> None:
    """In the inference face's shape, for that is what most clients speak."""
    answer = call("GET", path)
    assert (answer.status, answer.json) == (404, {"error": {"code": "404", "message": "Resource not found"}})


@pytest.mark.parametrize(
    ("path", "face"),
    [
        ("/openai/deployments/d/chat/completions", app._INFERENCE),
        ("/accounts/second/openai/v1/models", app._INFERENCE),
        ("/proxy/OpenAI/v1/models", app._INFERENCE),
        ("/subscriptions/s/resourceGroups/openai/providers/x", app._MANAGEMENT),
        ("/SUBSCRIPTIONS", app._MANAGEMENT),
        ("//subscriptions/s", app._MANAGEMENT),
        ("/providers/Microsoft.Billing/x", app._MANAGEMENT),
        ("/msi/token", app._IDENTITY),
        ("/metadata/identity/oauth2/token/", app._IDENTITY),
        ("//v2.1/track", app._TELEMETRY),
        ("/QuickPulseService.svc/ping", app._TELEMETRY),
        ("/labkit/journal", app._ADMIN),
        ("/", app._CONSOLE),
        ("/console/style.css", app._CONSOLE),
        ("/labkitty", app._NOWHERE),
    ],
)
def test_paths_lead_to_their_face(path: str, face: object) -> None:
    """Whatever the case, with doubled slashes, and with any prefix for the models."""
    assert app._face(path) is face


def test_unexpected_failure_is_a_500_with_a_reason_on_stderr(
    call: Caller, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Never an empty answer; the client does not see the server's insides, and the log not the client's headers."""

    def broken(*_: object) -> None:
        raise RuntimeError("inside")

    monkeypatch.setattr(call.azure.identity, "authorize_management", broken)
    answer = call("GET", "/subscriptions?api-version=2022-12-01", headers={"Authorization": "Bearer token-value"})
    assert answer.error == (500, "InternalServerError")
    assert b"inside" not in answer.body
    said = capsys.readouterr().err
    assert "GET /subscriptions failed" in said
    assert "RuntimeError: inside" in said
    assert "token-value" not in said
    (entry,) = call.azure.journal
    assert (entry.status, entry.error_code) == (500, "InternalServerError")


def test_reply_without_content_has_no_length() -> None:
    """A 204 has neither content nor its length."""
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(app.send_reply(send, Reply(204, headers=())))
    asyncio.run(app.send_reply(send, Reply(200, b"abc", headers=())))
    assert [message.get("headers") for message in sent] == [[], None, [(b"content-length", b"3")], None]


class Cycle:
    """Stands in for uvicorn's request: remembers what is sent, hangs up after ``patience`` pieces."""

    def __init__(self, patience: int = 100) -> None:
        self.sent: list[Any] = []
        self.patience = patience

    @property
    def disconnected(self) -> bool:
        """True when the client has gone."""
        return len(self.sent) > self.patience

    async def send(self, message: Any) -> None:
        """Take one message."""
        self.sent.append(message)


async def numbers(closed: list[bool], fail_at: int = -1, error: type[Exception] = ValueError) -> AsyncGenerator[bytes]:
    """Pieces of a stream; notes when it is closed."""
    try:
        for number in range(50):
            if number == fail_at:
                raise error
            yield b"%d" % number
    finally:
        closed.append(True)


def test_stream_is_sent_piece_by_piece() -> None:
    """And ends with an empty last message."""
    cycle, closed = Cycle(), list[bool]()
    asyncio.run(app._stream(cycle.send, StreamReply(numbers(closed))))
    assert cycle.sent[0]["headers"] == [wire.EVENT_STREAM]
    assert [message["body"] for message in cycle.sent[1:4]] == [b"0", b"1", b"2"]
    assert cycle.sent[-1] == {"type": "http.response.body", "body": b""}
    assert closed == [True]


def test_stream_stops_when_the_client_hangs_up() -> None:
    """The pieces that nobody would get are not made, and the generator is closed."""
    cycle, closed = Cycle(patience=5), list[bool]()
    asyncio.run(app._stream(cycle.send, StreamReply(numbers(closed))))
    assert len(cycle.sent) == 6
    assert closed == [True]


@pytest.mark.parametrize("error", [Dropped, ValueError])
def test_stream_that_fails_midway_is_cut(error: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    """A scripted cut is silent; a failure is said on stderr. Neither ends as if all were well."""
    cycle, closed = Cycle(), list[bool]()
    with pytest.raises(Dropped):
        asyncio.run(app._stream(cycle.send, StreamReply(numbers(closed, fail_at=3, error=error))))
    assert cycle.sent[-1]["more_body"] is True
    assert closed == [True]
    assert ("ValueError" in capsys.readouterr().err) is (error is ValueError)


def test_manual_clock_moves_only_by_hand() -> None:
    """Sleeping on it takes no time and does not move it; it cannot go back."""
    clock = ManualClock(100.0)
    asyncio.run(clock.sleep(1_000))
    assert clock.now() == 100.0
    clock.advance(2.5)
    assert clock.now() == 102.5
    with pytest.raises(ValueError, match="only moves forward"):
        clock.advance(-1)


def test_system_clock_is_the_machines() -> None:
    """Seconds since 1970."""
    before = SystemClock().now()
    asyncio.run(SystemClock().sleep(0))
    assert 1.7e9 < before <= SystemClock().now()


def test_times_are_written_as_azure_does() -> None:
    """UTC with seven decimals."""
    assert iso(1_700_000_000.25) == "2023-11-14T22:13:20.2500000Z"


@pytest.mark.parametrize(
    ("error", "body"),
    [
        pytest.param(
            AzureError(429, "429", "wait"), b'{"error":{"code":"429","message":"wait"}}', id="code and message only"
        ),
        pytest.param(
            AzureError(400, "c", "m", param="p"),
            b'{"error":{"message":"m","type":null,"param":"p","code":"c"}}',
            id="OpenAI's fields",
        ),
        pytest.param(
            AzureError(400, "content_filter", "m", param="prompt", extra={"status": 400, "innererror": {"code": "x"}}),
            b'{"error":{"message":"m","type":null,"param":"prompt","code":"content_filter","status":400,'
            b'"innererror":{"code":"x"}}}',
            id="content filter",
        ),
        pytest.param(AzureError(401, "x", "m", gateway=True), b'{"statusCode":401,"message":"m"}', id="gateway"),
    ],
)
def test_errors_have_the_inference_faces_shapes(error: AzureError, body: bytes) -> None:
    """As they were captured from the service."""
    assert error.openai_body() == body


def test_error_has_resource_managers_shape() -> None:
    """Code and message, whatever else the error knows."""
    error = AzureError(404, "ResourceNotFound", "m", param="p")
    assert error.arm_body() == b'{"error":{"code":"ResourceNotFound","message":"m"}}'


def test_state_starts_with_the_courses_account_only(clock: ManualClock) -> None:
    """No deployments, no telemetry, nothing in the journal."""
    azure = Azure(clock)
    assert [resource.name for resource in azure.resources] == ["aoai-session13"]
    assert (len(azure.journal), azure.faults.waiting()) == (0, [])
