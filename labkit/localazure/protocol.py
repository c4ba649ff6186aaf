"""HTTP/1.1 connections: uvicorn's, with a short cut for the small calls of models that nearly all traffic is.

Such a call is answered in the turn of the event loop in which its last byte arrives, and its answer leaves in one
piece, without the task, the queue and the messages of ASGI: that comes to a third of what the call would cost
(benchmarks/README.md). When the answer has to wait or is a stream, uvicorn takes over where the short cut ends.
Everything else is uvicorn's, of which release 0.54.0 was read for this.
"""

from collections.abc import Mapping
from functools import lru_cache
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from labkit.localazure.begun import Begun
from labkit.localazure.hangup import hang_up
from labkit.localazure.wire import Dropped, Reply, Request, StreamReply

# Larger bodies may be refused before they are read, so they go uvicorn's way.
_SMALL_BYTES = 64 * 1024
_USUAL_URL_BYTES = 500
_CALLS = b"/openai/"
_PHRASES = {status.value: status.phrase for status in HTTPStatus}
_STATUS_LINES = {status: f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(200, 600)}


class Protocol(HttpToolsProtocol):
    """One connection. The application it serves may have a method ``reply``, as ``App`` has; without it nothing is cut
    short.
    """

    _pieces: list[bytes] | None = None
    _by_name: Mapping[bytes, bytes]
    _begun: Begun[Reply | StreamReply] | None = None

    def on_headers_complete(self) -> None:
        """Uvicorn starts the application here; a small call waits for its body."""
        if self._is_small_call():
            self._pieces = []
        else:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body is there."""
        if self._pieces is not None:
            self._pieces.append(body)
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """The last piece of a body is there."""
        if self._pieces is None:
            super().on_message_complete()
            return
        body, self._pieces = b"".join(self._pieces), None
        self._answer(body)

    def _is_small_call(self) -> bool:
        if _CALLS not in self.url or self.parser.get_method() != b"POST" or not hasattr(self.app, "reply"):
            return False
        if self.cycle is not None and not self.cycle.response_complete:
            return False  # pipelined behind an answer that is still under way
        self._by_name = dict(self.headers)
        size = self._by_name.get(b"content-length", b"")
        return size.isdigit() and int(size) <= _SMALL_BYTES and not self.expect_100_continue

    def _answer(self, body: bytes) -> None:
        try:
            begun: Begun[Reply | StreamReply] = Begun(self.app.reply(self._request(body)))
        except Dropped as dropped:
            hang_up(self.transport, dropped)
            return
        if begun.is_done and isinstance(begun.result, Reply) and not self.flow.write_paused:
            self._write(begun.result)
            return
        self._begun = begun
        super().on_headers_complete()
        super().on_message_complete()

    def _write(self, reply: Reply) -> None:
        keep_alive = self.parser.should_keep_alive() and self.parser.get_http_version() != "1.0"
        lines = [b"%b: %b\r\n" % pair for pair in (*self.server_state.default_headers, *reply.headers)]
        end = b"content-length: %d\r\n%b\r\n" % (len(reply.body), b"" if keep_alive else b"connection: close\r\n")
        self.transport.write(b"".join((_STATUS_LINES[reply.status], *lines, end, reply.body)))
        if not keep_alive:
            self.transport.close()
        self.on_response_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        begun, self._begun = self._begun, None
        if begun is None:
            super()._start_asgi_task(cycle, app)
            return

        async def rest(scope: Any, receive: Any, send: Any) -> None:
            await app.deliver(begun, receive, send)

        super()._start_asgi_task(cycle, rest)

    def _request(self, body: bytes) -> Request:
        path, query = _kept_address(self.url) if len(self.url) <= _USUAL_URL_BYTES else _address(self.url)
        scope = {
            "method": "POST",
            "path": path,
            "query_string": query,
            "headers": self._by_name,
            "scheme": self.scheme,
        }
        return Request(scope, None, body)


def _address(url: bytes) -> tuple[str, bytes]:
    """The path of ``url``, decoded, and its query."""
    parsed = httptools.parse_url(url)
    return unquote(parsed.path.decode("ascii")), parsed.query or b""


# The same few come with nearly all calls.
_kept_address = lru_cache(maxsize=256)(_address)
