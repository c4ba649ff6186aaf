"""How many chat completions a second the local Azure answers, beside a bare ASGI app that answers a fixed body.

    python benchmarks/hot_path.py [--seconds 2] [--rounds 5] [--connections 16]

Both run on the same uvicorn with the same settings, one after the other, round by round, each in a process of its own;
the load comes from this process over loopback. CPU time is the server's own, so it holds on a busy machine, too.
Latency scale 0; authentication, limits, accounting and the journal on. The local Azure remembers the small bodies it
has seen last, so repeated prompts and prompts that never come twice are measured apart.
"""

import argparse
import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import cycle
from statistics import median, quantiles
from typing import Any
from urllib.parse import urlsplit

from labkit import bank, tokens
from labkit.catalog import model
from labkit.localazure import LocalAzure
from labkit.localazure.loopback import _listen, _Server
from labkit.localazure.resources import Deployment

FLOOR = "bare ASGI, 700-byte body"
SYSTEM = "You are a helpful assistant. Answer in the language of the question."
CAPACITY_KTPM = 10_000_000
PROMPTS = 256
MARK = b"00000000"


@dataclass(frozen=True)
class Row:
    """One line of the table: a server and the requests it gets, with ``MARK`` where each sending has its own number."""

    name: str
    server: str
    requests: list[bytes]


@dataclass
class Measured:
    """What the rounds of one row gave."""

    per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One connection that sends the next request as soon as it has the answer, until the deadline."""

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
        if len(body) < int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]):
            return
        self._buffer = b""
        self._latencies_ms.append((time.perf_counter() - self._sent) * 1000)
        if time.perf_counter() < self._deadline:
            self._send()
        elif not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, error: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(RuntimeError("the server closed the connection"))

    def _send(self) -> None:
        self._sent = time.perf_counter()
        self._transport.write(next(self._requests))


class Server:
    """A server in a process of its own, which tells its CPU time when asked."""

    def __init__(self, kind: str) -> None:
        command = [sys.executable, __file__, "--serve", kind]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.facts: dict[str, Any] = json.loads(self._ask(None))

    def cpu_s(self) -> float:
        """The CPU time of the server's process so far."""
        return float(self._ask("cpu\n"))

    def stop(self) -> None:
        """End it and wait."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)

    def _ask(self, question: str | None) -> str:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if question is not None:
            self._process.stdin.write(question)
            self._process.stdin.flush()
        return self._process.stdout.readline()


def serve(kind: str) -> None:
    """Run a server and answer questions about its CPU time until stdin closes."""
    local_azure = LocalAzure()
    if kind == "azure":
        local_azure.start()
        facts = {"url": local_azure.url, **_deployed(local_azure)}
    else:
        import threading

        listener = _listen(0)
        server = _Server(bare)
        threading.Thread(target=server.serve_on, args=(listener,), daemon=True).start()
        server.ready.wait(10)
        facts = {"url": f"http://127.0.0.1:{listener.getsockname()[1]}"}
    print(json.dumps(facts), flush=True)
    for _ in sys.stdin:
        print(time.process_time(), flush=True)


def _deployed(local_azure: LocalAzure) -> dict[str, str]:
    resources = local_azure.azure.resources
    account = resources.account()
    assert account is not None
    for name in ("gpt-35-turbo", "text-embedding-3-small"):
        id = f"{account.id}/deployments/{name}"
        resources.set_deployment(Deployment(id, name, account.id, model(name), "Standard", CAPACITY_KTPM, 0.0))
    token = local_azure.azure.identity.issue("https://cognitiveservices.azure.com")["access_token"]
    return {"key": account.keys[0], "token": token}


FIXED_BODY = b"x" * 700
FIXED_HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"700")]


async def bare(scope: Any, receive: Any, send: Any) -> None:
    """The floor: reads the body and answers always the same."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": FIXED_HEADERS})
    await send({"type": "http.response.body", "body": FIXED_BODY})


def prompts() -> list[str]:
    """Half of them questions of the bank, half others, in two languages."""
    asked = [f"({number}) {q.text}" for number in range(2) for q in bank.QUESTIONS]
    other = [f"Please explain step by step how to plan project {number} of our team." for number in range(PROMPTS)]
    return [prompt for pair in zip(asked, other, strict=False) for prompt in pair][:PROMPTS]


def chat_messages(prompt: str) -> list[dict[str, str]]:
    """The messages of one benchmark call."""
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": prompt}]


def rows(facts: dict[str, str]) -> list[Row]:
    """The lines of the table for an Azure server that told ``facts``."""
    key, bearer = f"api-key: {facts['key']}", f"Authorization: Bearer {facts['token']}"
    chats = [{"messages": chat_messages(prompt), "temperature": 0, "max_tokens": 400} for prompt in prompts()]
    fresh = [
        {**chat, "messages": chat_messages(f"{prompt} {MARK.decode()}")}
        for chat, prompt in zip(chats, prompts(), strict=True)
    ]
    inputs = [{"input": f"{prompt} {MARK.decode()}", "encoding_format": "base64"} for prompt in prompts()]
    chat_path = "gpt-35-turbo/chat/completions"
    return [
        Row(FLOOR, "bare", _encoded(chat_path, key, fresh)),
        Row("chat, every prompt new", "azure", _encoded(chat_path, key, fresh)),
        Row("chat, 256 prompts repeated", "azure", _encoded(chat_path, key, chats)),
        Row("chat, repeated, Entra token", "azure", _encoded(chat_path, bearer, chats)),
        Row(
            "chat, repeated, streamed", "azure", _encoded(chat_path, key, [{**chat, "stream": True} for chat in chats])
        ),
        Row("embeddings, every text new", "azure", _encoded("text-embedding-3-small/embeddings", key, inputs)),
    ]


def _encoded(path: str, credential: str, bodies: list[dict[str, Any]]) -> list[bytes]:
    head = (
        f"POST /openai/deployments/{path}?api-version=2024-10-21 HTTP/1.1\r\nHost: 127.0.0.1\r\n{credential}\r\n"
        "Content-Type: application/json\r\nAccept: application/json\r\nUser-Agent: AzureOpenAI/Python 3.54.0\r\n"
        "x-stainless-retry-count: 0\r\n"
    )
    encoded = [json.dumps(body, ensure_ascii=False).encode() for body in bodies]
    return [f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body for body in encoded]


def numbered(requests: list[bytes]) -> Iterator[bytes]:
    """The requests again and again, each sending with a number of its own where ``MARK`` is."""
    for number, request in enumerate(cycle(requests), start=time.monotonic_ns() % 50_000_000):
        yield request.replace(MARK, b"%08d" % (number % 100_000_000))


async def load(url: str, requests: list[bytes], connections: int, seconds: float) -> list[float]:
    """The latency in ms of every call that ``connections`` connections got answered in ``seconds``."""
    latencies_ms: list[float] = []
    endless, deadline = numbered(requests), time.perf_counter() + seconds
    address, loop = urlsplit(url), asyncio.get_running_loop()
    clients = []
    for _ in range(connections):
        _, client = await loop.create_connection(
            lambda: Client(endless, deadline, latencies_ms), address.hostname, address.port
        )
        clients.append(client)
    await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), seconds + 20)
    return latencies_ms


def measure(seconds: float, rounds: int, connections: int) -> dict[str, Measured]:
    """Every row, ``rounds`` times in turn so that a noisy neighbour disturbs all of them alike."""
    servers = {kind: Server(kind) for kind in ("bare", "azure")}
    try:
        lines = rows(servers["azure"].facts)
        found = {line.name: Measured() for line in lines}
        for number in range(rounds + 1):
            for line in lines:
                server = servers[line.server]
                before, started = server.cpu_s(), time.perf_counter()
                took_ms = asyncio.run(load(server.facts["url"], line.requests, connections, seconds))
                passed_s, cpu_s = time.perf_counter() - started, server.cpu_s() - before
                if number == 0:
                    continue  # warming up: vocabularies, caches, branch predictors
                found[line.name].per_second.append(len(took_ms) / passed_s)
                found[line.name].cpu_us.append(cpu_s / len(took_ms) * 1e6)
                found[line.name].latencies_ms += took_ms
    finally:
        for server in servers.values():
            server.stop()
    return found


def tokenizer_us() -> float:
    """The time a chat call's tokens take to count: prompt and answer, without any cache."""
    asked = [chat_messages(prompt) for prompt in prompts()]
    answer = "The answer is **42**. " + bank.QUESTIONS[0].explanation * 2
    started = time.process_time()
    for messages in asked:
        tokens.chat_prompt_tokens(messages, "cl100k_base")
        tokens.count(answer, "cl100k_base")
    return (time.process_time() - started) / len(asked) * 1e6


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--serve", choices=("bare", "azure"), help=argparse.SUPPRESS)
    options.add_argument("--seconds", type=float, default=2.0, help="how long one row of one round takes")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--connections", type=int, default=16)
    chosen = options.parse_args()
    if chosen.serve:
        serve(chosen.serve)
        return
    found = measure(chosen.seconds, chosen.rounds, chosen.connections)
    floor = median(found[FLOOR].per_second)
    print("| | requests/s | of the floor | CPU µs per call | p50 ms | p99 ms |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for name, row in found.items():
        per_second, cuts = median(row.per_second), quantiles(row.latencies_ms, n=100)
        cells = (
            f"{per_second:,.0f} | {per_second / floor:.0%} | {median(row.cpu_us):.0f} | {cuts[49]:.1f} | {cuts[98]:.1f}"
        )
        print(f"| {name} | {cells} |")
    tokenizer_us()  # load the vocabulary
    print(f"\nCounting the tokens of a chat call takes {tokenizer_us():.0f} µs of its CPU time.")


if __name__ == "__main__":
    main()
