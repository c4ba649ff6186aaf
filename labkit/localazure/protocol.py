"""HTTP/1.1 connections: uvicorn's, with two short cuts for the small calls of models that nearly all traffic is.

A call is handed to the application when its whole body is there, and the application runs at once for as long as it
need not wait, without a task of its own. An answer that is whole leaves in one piece. What that saves stands in
benchmarks/README.md. Everything else is uvicorn's, of which release 0.54.0 was read for this.
"""

import types
from collections.abc import Coroutine, Generator, Iterable
from http import HTTPStatus
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from labkit.localazure.errors import Headers

# Larger bodies may be refused before they are read, so their application starts when the headers are there.
_SMALL_BYTES = 64 * 1024
_CALLS = "/openai/"
_STATUS_LINES = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus if status >= 200
}


class Protocol(HttpToolsProtocol):
    """One connection."""

    _held: tuple[RequestResponseCycle, Any] | None = None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if _CALLS not in cycle.scope["path"]:
            super()._start_asgi_task(cycle, app)
        elif cycle.more_body and _is_small(cycle.scope["headers"]):
            self._held = cycle, app
        else:
            self._run(cycle, app)

    def on_message_complete(self) -> None:
        """The last piece of a body is there."""
        super().on_message_complete()
        if self._held is not None:
            (cycle, app), self._held = self._held, None
            self._run(cycle, app)

    def _run(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Run the application until it waits for something; what remains then is a task."""
        running = cycle.run_asgi(app)
        try:
            awaited = running.send(None)
        except StopIteration:
            return
        task = self.loop.create_task(_finish(running, awaited))
        task.add_done_callback(self.tasks.discard)
        self.tasks.add(task)


def write(send: Any, status: int, headers: Headers, body: bytes) -> bool:
    """Send a whole answer in one piece, and True; False when that must be left to ``send``, the ASGI callable.

    It must under another server (an ASGI test client), to a client that reads slowly, and for a HEAD request.
    """
    cycle = getattr(send, "__self__", None)
    if not isinstance(cycle, RequestResponseCycle) or cycle.flow.write_paused or cycle.scope["method"] == "HEAD":
        return False
    if cycle.disconnected:
        return True
    lines = [b"%b: %b\r\n" % pair for pair in (*cycle.default_headers, *headers)]
    head = b"".join(lines)
    if head.count(b"\n") != len(lines) or status not in _STATUS_LINES:
        return False  # a line break in a header: uvicorn says what is wrong with it
    end = b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n"
    cycle.transport.write(b"".join((_STATUS_LINES[status], head, end, body)))
    cycle.response_started = cycle.response_complete = True
    cycle.message_event.set()
    if not cycle.keep_alive:
        cycle.transport.close()
    cycle.on_response()
    return True


def _is_small(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True for a request that says that its body has some kilobytes, and does not wait to be asked for it."""
    size = _SMALL_BYTES + 1
    for name, value in headers:
        if name == b"content-length" and value.isdigit():
            size = int(value)
        elif name == b"expect":
            return False
    return size <= _SMALL_BYTES


async def _finish(running: Coroutine[Any, Any, None], awaited: Any) -> None:
    await _rest(running, awaited)


@types.coroutine
def _rest(running: Coroutine[Any, Any, None], awaited: Any) -> Generator[Any, Any, None]:
    """Goes on with a coroutine that was begun outside of any task and now waits for ``awaited``."""
    try:
        while True:
            try:
                value = yield awaited
            except BaseException as error:  # what the awaited future was given, or a cancellation
                awaited = running.throw(error)
            else:
                awaited = running.send(value)
    except StopIteration:
        return
