"""The load of the benchmarks: a small asyncio client that keeps a number of connections busy."""

import asyncio
import json
import time
from collections.abc import Iterator, Sequence
from itertools import cycle
from typing import Any
from urllib.parse import urlsplit

# Where a request is to carry a number of its own, so that it never comes twice.
MARK = b"00000000"


class Client(asyncio.Protocol):
    """One connection that sends the next request as soon as it has the answer, until the deadline or the last one."""

    def __init__(self, requests: Iterator[bytes], deadline: float, latencies_ms: list[float]) -> None:
        self._requests, self._deadline, self._latencies_ms = requests, deadline, latencies_ms
        self._buffer = b""
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._send()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, blank, body = self._buffer.partition(b"\r\n\r\n")
        if not blank:
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.done.set_exception(RuntimeError(f"not answered: {self._buffer[:600]!r}"))
            return
        if not _is_whole(head.lower(), body):
            return
        self._buffer = b""
        self._latencies_ms.append((time.perf_counter() - self._sent) * 1000)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError("the server closed the connection"))

    def _send(self) -> None:
        request = next(self._requests, None) if time.perf_counter() < self._deadline else None
        if request is not None:
            self._sent = time.perf_counter()
            self._transport.write(request)
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()


def _is_whole(head: bytes, body: bytes) -> bool:
    if b"transfer-encoding: chunked" in head:
        return body.endswith(b"0\r\n\r\n")
    return len(body) >= int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])


async def load(url: str, requests: Iterator[bytes], connections: int, seconds: float) -> list[float]:
    """The latency in ms of every call that ``connections`` connections got answered, for at most ``seconds``."""
    latencies_ms: list[float] = []
    deadline, address, loop = time.perf_counter() + seconds, urlsplit(url), asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(requests, deadline, latencies_ms), address.hostname, address.port
        )
        clients.append(client)
    await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), seconds + 20)
    return latencies_ms


def numbered(requests: Sequence[bytes]) -> Iterator[bytes]:
    """The requests again and again, each sending with a number of its own where ``MARK`` is."""
    for number, request in enumerate(cycle(requests), start=time.monotonic_ns() % 50_000_000):
        yield request.replace(MARK, b"%08d" % (number % 100_000_000))


def encoded(path: str, credential: str, bodies: Sequence[dict[str, Any]]) -> list[bytes]:
    """The bodies as requests to ``/openai/deployments/{path}``, with the headers that the openai client sends."""
    head = (
        f"POST /openai/deployments/{path}?api-version=2024-10-21 HTTP/1.1\r\nHost: 127.0.0.1\r\n{credential}\r\n"
        "Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: AzureOpenAI/Python 3.54.0\r\n"
        "x-stainless-retry-count: 0\r\n"
    )
    written = [json.dumps(body, ensure_ascii=False).encode() for body in bodies]
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in written]
