"""Serves an ASGI application on 127.0.0.1: uvicorn in a thread of this process."""

import asyncio
import errno
import logging
import os
import socket
import threading
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

import uvicorn

from labkit.localazure.protocol import Protocol
from labkit.localazure.tls import Authority

_HOST = "127.0.0.1"
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 10.0
_KEEP_ALIVE_S = 75
# A client that is in the middle of a stream when the server stops is cut off after this time.
_GRACE_S = 1


class PortBusyError(OSError):
    """The port asked for is taken by another program."""


class LoopbackServer:
    """A server on this machine's loopback address; a context manager. What it serves is ``_application``'s to say.

    ``port`` 0 takes a free one. With ``authority`` it speaks https, under a certificate of that authority.
    """

    def __init__(self, *, port: int, authority: Authority | None = None) -> None:
        self._port = port
        self._authority = authority
        self._url = ""
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def __repr__(self) -> str:
        where = self.url if self._thread is not None else "not running"
        return f"<{type(self).__name__} {where}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where it listens, without a slash at the end; RuntimeError before it was started."""
        if self._thread is None:
            raise RuntimeError("The local Azure is not running; call start() or use it as a context manager.")
        return self._url

    def start(self) -> Self:
        """Listen, and return once requests are answered. Starting it again while it runs changes nothing.

        ``PortBusyError`` when the port is taken.
        """
        if self._thread is not None:
            return self
        try:
            self._begin()
        except BaseException:
            self._closed()
            raise
        return self

    def _begin(self) -> None:
        listener = _listen(self._port)
        scheme = "http" if self._authority is None else "https"
        self._url = f"{scheme}://{_HOST}:{listener.getsockname()[1]}"
        try:
            self._server = _Server(self._application(self._url), self._upkeep, self._authority)
        except BaseException:
            listener.close()
            raise
        self._thread = threading.Thread(
            target=self._server.serve_on, args=(listener,), name="labkit-local-azure", daemon=True
        )
        self._thread.start()
        if not self._server.ready.wait(_START_TIMEOUT_S) or self._server.failure is not None:
            failure = self._server.failure
            self._end()
            raise RuntimeError("The local Azure did not start.") from failure

    def stop(self) -> None:
        """Stop listening and free the port. Stopping it twice changes nothing."""
        if self._server is not None:
            self._end()
            self._closed()

    def _end(self) -> None:
        assert self._server is not None
        assert self._thread is not None
        self._server.ask_to_stop()
        self._thread.join(_STOP_TIMEOUT_S)
        self._server = self._thread = None

    def _application(self, url: str) -> object:
        """The ASGI application to serve at ``url``."""
        raise NotImplementedError

    async def _upkeep(self) -> None:
        """What is to be done about once a second, unless it is still being done; nothing unless a server says so."""

    def _closed(self) -> None:
        """What is to be done when nothing is served any more, or could not be; nothing unless a server says so."""


class _Server(uvicorn.Server):
    """Uvicorn with a ready signal, and a main loop that ends when asked instead of looking ten times a second."""

    def __init__(
        self, app: object, upkeep: Callable[[], Coroutine[Any, Any, None]], authority: Authority | None = None
    ) -> None:
        config = uvicorn.Config(
            app,  # type: ignore[arg-type]
            http=Protocol,
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            lifespan="off",
            ws="none",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=_KEEP_ALIVE_S,
            timeout_graceful_shutdown=_GRACE_S,
            ssl_context_factory=None if authority is None else lambda *_: authority.server_context(),
        )
        super().__init__(config)
        self.ready = threading.Event()
        self.failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()
        self._upkeep = upkeep

    def serve_on(self, listener: socket.socket) -> None:
        """Serve until asked to stop; what goes wrong is kept in ``failure``."""
        try:
            self.run(sockets=[listener])
        except BaseException as failure:
            self.failure = failure
        finally:
            listener.close()
            self.ready.set()

    def ask_to_stop(self) -> None:
        """End the main loop, from any thread."""
        self.should_exit = True
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._stop.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.ready.set()

    async def main_loop(self) -> None:
        tick = 0
        upkeep: asyncio.Task[None] | None = None
        while not await self.on_tick(tick):  # sets the date header; counts in tenths of a second
            tick += 10
            if upkeep is None or upkeep.done():
                upkeep = asyncio.create_task(self._upkeep())
            try:
                await asyncio.wait_for(self._stop.wait(), 1.0)
            except TimeoutError:
                continue


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":
        # Only lets a port be taken again right after it was left; on Windows it would let two programs share it.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((_HOST, port))
    except (OSError, OverflowError) as refused:
        listener.close()
        raise _explained(port, refused) from refused
    return listener


def _explained(port: int, refused: OSError | OverflowError) -> OSError:
    if isinstance(refused, OverflowError):
        return PortBusyError(f"There is no port {port}; ports are 1 to 65535, and 0 takes a free one.")
    if refused.errno in (errno.EADDRINUSE, errno.EACCES, getattr(errno, "WSAEADDRINUSE", -1)):
        return PortBusyError(
            f"Port {port} on {_HOST} is taken by another program; choose another, or 0 for a free one."
        )
    return refused
