"""How many chat completions a second the local Azure answers, beside a bare ASGI app and the peer aimock.

    python benchmarks/hot_path.py [--seconds 2] [--rounds 5] [--connections 16]

The floor is a bare ASGI app with a fixed body on plain uvicorn with the same settings. Each server has a process of
its own; they take turns, round by round; the load comes from this process over loopback. CPU time is the server's own,
so it holds on a busy machine, too. Latency scale 0; authentication, limits, accounting, journal on. The local Azure
remembers the small bodies it has seen last, so repeated prompts and prompts that never come twice are measured apart.
The peer answers with a fixture of the same length.
"""

import argparse
import asyncio
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import median, quantiles
from typing import Any

import serving
from loading import MARK, encoded, load, numbered
from serving import CHAT_MODEL, EMBEDDING_MODEL, Server

from labkit import bank, tokens

FLOOR = "bare ASGI, 700-byte body, plain uvicorn"
SYSTEM = "You are a helpful assistant. Answer in the language of the question."
PROMPTS = 256
ANSWER = "The answer is **42**. " + bank.QUESTIONS[0].explanation * 3


@dataclass(frozen=True)
class Row:
    """One line of the table: a server, its connections, and the requests it gets again and again."""

    name: str
    server: str
    connections: int
    requests: list[bytes]


@dataclass
class Measured:
    """What the rounds of one row gave."""

    per_second: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    latencies_ms: list[float] = field(default_factory=list)


def prompts() -> list[str]:
    """Half of them questions of the bank, half others, in two languages."""
    asked = [f"({number}) {q.text}" for number in range(2) for q in bank.QUESTIONS]
    other = [f"Please explain step by step how to plan project {number} of our team." for number in range(PROMPTS)]
    return [prompt for pair in zip(asked, other, strict=False) for prompt in pair][:PROMPTS]


def chats(mark: str = "", **parameters: Any) -> list[dict[str, Any]]:
    """The bodies of chat calls; with ``mark`` no prompt comes twice."""
    settings = {"temperature": 0, "max_tokens": 400, **parameters}
    return [
        {
            "messages": [{"role": "system", "content": SYSTEM}, {"role": "user", "content": f"{prompt}{mark}"}],
            **settings,
        }
        for prompt in prompts()
    ]


def rows(servers: Mapping[str, Server], connections: int) -> list[Row]:
    """The lines of the table for the servers that run."""
    facts = servers["azure"].facts
    key, bearer = f"api-key: {facts['key']}", f"Authorization: Bearer {facts['token']}"
    path, mark = f"{CHAT_MODEL}/chat/completions", f" {MARK.decode()}"
    fresh, repeated, streamed = (chats(mark), chats(), chats(stream=True))
    inputs = [{"input": f"{prompt}{mark}", "encoding_format": "base64"} for prompt in prompts()]
    found = [
        Row(FLOOR, "bare", connections, encoded(path, key, repeated)),
        Row("chat, repeated prompts", "azure", connections, encoded(path, key, repeated)),
        Row("chat, every prompt new", "azure", connections, encoded(path, key, fresh)),
        Row("chat, repeated, Entra token", "azure", connections, encoded(path, bearer, repeated)),
        Row("chat, repeated, streamed", "azure", connections, encoded(path, key, streamed)),
        Row("embeddings, every text new", "azure", connections, encoded(f"{EMBEDDING_MODEL}/embeddings", key, inputs)),
        Row("floor, 64 connections", "bare", 64, encoded(path, key, repeated)),
        Row("chat, repeated, 64 connections", "azure", 64, encoded(path, key, repeated)),
    ]
    if "aimock" in servers:
        found += [
            Row("aimock, chat", "aimock", connections, encoded(path, "api-key: none", repeated)),
            Row("aimock, chat streamed", "aimock", connections, encoded(path, "api-key: none", streamed)),
        ]
    return found


def measure(seconds: float, rounds: int, connections: int) -> dict[str, Measured]:
    """Every row, ``rounds`` times in turn so that a noisy neighbour disturbs all of them alike."""
    with ExitStack() as stack:
        servers = {kind: stack.enter_context(serving.running(kind)) for kind in ("bare", "azure")}
        peer = stack.enter_context(serving.aimock(ANSWER))
        if peer is not None:
            servers["aimock"] = peer
        else:
            print(f"{serving.AIMOCK_MISSING}\n")
        lines = rows(servers, connections)
        found = {line.name: Measured() for line in lines}
        for number in range(rounds + 1):
            for line in lines:
                sample = _sample(servers[line.server], line, seconds)
                if number > 0:  # the first round warms up: vocabularies, caches, branch predictors
                    _keep(found[line.name], sample)
    return found


def _sample(server: Server, line: Row, seconds: float) -> tuple[float, float, list[float]]:
    before, started = server.cpu_s(), time.perf_counter()
    took_ms = asyncio.run(load(server.facts["url"], numbered(line.requests), line.connections, seconds))
    passed_s, cpu_s = time.perf_counter() - started, server.cpu_s() - before
    return len(took_ms) / passed_s, cpu_s / len(took_ms) * 1e6, took_ms


def _keep(row: Measured, sample: tuple[float, float, list[float]]) -> None:
    row.per_second.append(sample[0])
    row.cpu_us.append(sample[1])
    row.latencies_ms += sample[2]


def table(found: Mapping[str, Measured]) -> Iterator[str]:
    """The lines of the table: medians of the rounds."""
    yield "| | requests/s | of the floor | CPU µs per call | p50 ms | p99 ms |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: |"
    floor = found[FLOOR].per_second
    for name, row in found.items():
        share = median(mine / its for mine, its in zip(row.per_second, floor, strict=True))
        cuts = quantiles(row.latencies_ms, n=100)
        numbers = f"{median(row.per_second):,.0f} | {share:.0%} | {median(row.cpu_us):.0f}"
        yield f"| {name} | {numbers} | {cuts[49]:.1f} | {cuts[98]:.1f} |"


def tokenizer_us() -> float:
    """The time a chat call's tokens take to count: prompt and answer, without any cache."""
    asked = [chat["messages"] for chat in chats()]
    started = time.process_time()
    for messages in asked:
        tokens.chat_prompt_tokens(messages, "cl100k_base")
        tokens.count(ANSWER, "cl100k_base")
    return (time.process_time() - started) / len(asked) * 1e6


def main() -> None:
    """Measure and print the table."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--seconds", type=float, default=2.0, help="how long one row of one round takes")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--connections", type=int, default=16)
    chosen = options.parse_args()
    for line in table(measure(chosen.seconds, chosen.rounds, chosen.connections)):
        print(line)
    tokenizer_us()  # load the vocabulary
    print(f"\nCounting the tokens of a chat call takes {tokenizer_us():.0f} µs of its CPU time.")


if __name__ == "__main__":
    main()
