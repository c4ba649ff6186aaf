"""Requests and replies: a thin layer over ASGI that costs little on the hot path."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl

import orjson

from labkit.localazure.errors import AzureError, Headers, too_large

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Chunks = AsyncGenerator[bytes, None]

MIB = 2**20
JSON = (b"content-type", b"application/json")
EVENT_STREAM = (b"content-type", b"text/event-stream; charset=utf-8")


class Dropped(Exception):
    """Raised instead of answering: the connection is closed, or ``reset``, and the client sees a connection error."""

    def __init__(self, *, reset: bool = False) -> None:
        super().__init__()
        self.reset = reset


class ClientGone(Exception):
    """The client hung up before its request was read."""


class Request:
    """One request: what ASGI gave, read lazily, and what the journal should know about it.

    ``headers`` maps lower-case names to raw values; of a repeated header the last one counts.
    ``whole_body`` is the body when all of it was there at once; then there is no ``receive``.
    ``operation``, ``auth``, ``deployment`` and ``model`` are notes that a handler leaves for the journal.
    """

    __slots__ = (
        "_query",
        "_receive",
        "_scope",
        "auth",
        "deployment",
        "headers",
        "method",
        "model",
        "operation",
        "path",
        "whole_body",
    )

    def __init__(self, scope: Scope, receive: Receive | None, whole_body: bytes | None = None) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.headers: dict[bytes, bytes] = dict(scope["headers"])
        self.operation = ""
        self.auth = "none"
        self.deployment: str | None = None
        self.model: str | None = None
        self._scope = scope
        self._receive = receive
        self.whole_body = whole_body
        self._query: Mapping[str, str] | None = None

    @property
    def query_string(self) -> bytes:
        """The query as it was sent."""
        raw: bytes = self._scope["query_string"]
        return raw

    @property
    def query(self) -> Mapping[str, str]:
        """The query parameters, decoded; of a repeated one the last counts."""
        if self._query is None:
            self._query = _parsed(self._scope["query_string"])
        return self._query

    @property
    def base_url(self) -> str:
        """Where the client addressed this local Azure (scheme, host, a class's prefix): absolute links begin so."""
        host = self.headers.get(b"host", b"127.0.0.1").decode("latin-1")
        return f"{self._scope.get('scheme', 'http')}://{host}{self._scope.get('root_path', '')}"

    def text(self, name: bytes, default: str = "") -> str:
        """The header ``name`` (lower-case bytes) as text."""
        value = self.headers.get(name)
        return default if value is None else value.decode("latin-1")

    async def body(self, limit_bytes: int = MIB) -> bytes:
        """The whole body; ``AzureError`` 413 as soon as it is known to exceed ``limit_bytes``."""
        declared = self.headers.get(b"content-length", b"")
        if declared.isdigit() and int(declared) > limit_bytes:
            raise too_large(limit_bytes)
        if self.whole_body is not None:
            return self.whole_body
        message = await self._next()
        data: bytes = message.get("body", b"")
        if not message.get("more_body") and len(data) <= limit_bytes:
            return data  # the usual case: one piece, not copied
        pieces, size = [data], len(data)
        while message.get("more_body") and size <= limit_bytes:
            message = await self._next()
            pieces.append(message.get("body", b""))
            size += len(pieces[-1])
        if size > limit_bytes:
            raise too_large(limit_bytes)
        return b"".join(pieces)

    async def _next(self) -> MutableMapping[str, Any]:
        assert self._receive is not None
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        return message


@lru_cache(maxsize=256)
def _parsed(query: bytes) -> Mapping[str, str]:
    # Nearly every call carries the same few: ?api-version=…
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))


class Reply:
    """A whole answer. ``content-length`` is added when it is sent."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int = 200, body: bytes = b"", headers: Headers = (JSON,)) -> None:
        self.status = status
        self.body = body
        self.headers = headers


class StreamReply:
    """An answer in pieces. ``chunks`` is closed (``aclose``) when the client hangs up before its end.

    A ``Dropped`` raised by ``chunks`` cuts the connection in the middle of the answer.
    """

    __slots__ = ("chunks", "headers", "status")

    def __init__(self, chunks: Chunks, status: int = 200, headers: Headers = (EVENT_STREAM,)) -> None:
        self.status = status
        self.chunks = chunks
        self.headers = headers


def json_reply(document: object, status: int = 200, headers: Headers = ()) -> Reply:
    """``document`` as a JSON answer with ``headers`` besides the content type."""
    return Reply(status, orjson.dumps(document), (JSON, *headers))


def parse_object(body: bytes, error: AzureError) -> dict[str, Any]:
    """``body`` as a JSON object; ``error`` is raised when it is not one."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise error from None
    if not isinstance(document, dict):
        raise error
    return document
