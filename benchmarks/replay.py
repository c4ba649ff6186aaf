"""Replays two hours of real traffic on the local Azure and compares the token totals, exactly.

    python benchmarks/replay.py DATA [--seconds 60] [--connections 64]

DATA is the folder with the Azure LLM inference traces of 2023 (Azure/AzurePublicDataset, CC-BY 4.0): 28,185 calls with
their arrival times, context tokens and generated tokens. Both services start at the same moment; their hour of traffic
arrives in ``--seconds``. Every call has a prompt of exactly the trace's context tokens and gets an answer of exactly
its generated tokens. A chat prompt has some tokens of its own, so the few shorter contexts are sent at the shortest
length that still asks for a long answer. What the clients were told, what the server metered and what the traces say
must agree to the token; the exit status is 1 when they do not.
"""

import argparse
import asyncio
import csv
import json
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import serving
from loading import encoded
from serving import CHAT_MODEL

from labkit import tokens

SERVICES = ("code", "conv")
ENCODING = "cl100k_base"
REQUEST = "Write at least 2000 words."
FILLER = " data"  # one token, wherever it stands
SHORTEST = tokens.chat_prompt_tokens([{"role": "user", "content": REQUEST}], ENCODING)


class Arrival(NamedTuple):
    """One call of a trace; ``at_s`` counts from the trace's first call."""

    at_s: float
    context_tokens: int
    generated_tokens: int


def trace(path: Path) -> list[Arrival]:
    """The calls of one service in the order of their arrival."""
    with path.open(newline="") as file:
        rows = [
            (datetime.fromisoformat(r["TIMESTAMP"][:26]), int(r["ContextTokens"]), int(r["GeneratedTokens"]))
            for r in csv.DictReader(file)
        ]
    start = min(row[0] for row in rows)
    return [Arrival((at - start).total_seconds(), context, generated) for at, context, generated in sorted(rows)]


def request(arrival: Arrival, key: str) -> bytes:
    """The call as an HTTP request."""
    fillers = max(arrival.context_tokens, SHORTEST) - SHORTEST
    message = {"role": "user", "content": REQUEST + FILLER * fillers}
    body = {"messages": [message], "max_tokens": arrival.generated_tokens, "temperature": 0}
    return encoded(f"{CHAT_MODEL}/chat/completions", f"api-key: {key}", [body])[0]


async def _connection(url: str, calls: Iterator[Arrival], key: str, start_s: float, pace: float) -> Counter[str]:
    """Send each next call at its time and sum up the usage that the answers tell."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=2**22)
    told: Counter[str] = Counter()
    for arrival in calls:
        written = request(arrival, key)
        await asyncio.sleep(start_s + arrival.at_s * pace - time.perf_counter())
        told["late_ms"] = max(told["late_ms"], round((time.perf_counter() - start_s - arrival.at_s * pace) * 1000))
        writer.write(written)
        usage = (await _answer(reader))["usage"]
        told += Counter(calls=1, prompt=usage["prompt_tokens"], completion=usage["completion_tokens"])
    writer.close()
    return told


async def _answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    body = await reader.readexactly(int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(f"not answered: {body[:500]!r}")
    answer: dict[str, Any] = json.loads(body)
    return answer


async def replay(url: str, key: str, arrivals: Sequence[Arrival], seconds: float, connections: int) -> Counter[str]:
    """What the answers to all calls told, summed up."""
    calls = iter(arrivals)
    pace = seconds / arrivals[-1].at_s
    start_s = time.perf_counter() + 0.2
    found = await asyncio.gather(*(_connection(url, calls, key, start_s, pace) for _ in range(connections)))
    late_ms = max(told.pop("late_ms") for told in found)
    return sum(found, Counter(late_ms=late_ms))


def metered(facts: dict[str, str]) -> Counter[str]:
    """What the server counted."""
    asked = urllib.request.Request(f"{facts['url']}/labkit/overview", headers={"x-labkit-key": facts["admin"]})
    with urllib.request.urlopen(asked, timeout=10) as answer:
        total = json.load(answer)["usage"]["total"]
    return Counter(calls=total["requests"], prompt=total["prompt_tokens"], completion=total["completion_tokens"])


def main() -> int:
    """Replay, print the three sums, and the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("data", type=Path, help="the folder with AzureLLMInferenceTrace_*.csv")
    options.add_argument("--seconds", type=float, default=60.0, help="how long the hour of traffic takes here")
    options.add_argument("--connections", type=int, default=64)
    chosen = options.parse_args()
    paths = [chosen.data / f"AzureLLMInferenceTrace_{service}.csv" for service in SERVICES]
    if not all(path.exists() for path in paths):
        print(f"skipped: there is no {' or no '.join(path.name for path in paths)} in {chosen.data}")
        return 0
    arrivals = sorted(arrival for path in paths for arrival in trace(path))
    short = [arrival.context_tokens for arrival in arrivals if arrival.context_tokens < SHORTEST]
    wanted = Counter(
        calls=len(arrivals),
        prompt=sum(arrival.context_tokens for arrival in arrivals) + len(short) * SHORTEST - sum(short),
        completion=sum(arrival.generated_tokens for arrival in arrivals),
    )
    with serving.running("azure") as server:
        told = asyncio.run(
            replay(server.facts["url"], server.facts["key"], arrivals, chosen.seconds, chosen.connections)
        )
        counted, cpu_s = metered(server.facts), server.cpu_s()
    late_ms = told.pop("late_ms")
    print(f"{len(short)} contexts of fewer than {SHORTEST} tokens were sent at {SHORTEST}.")
    for name, sums in (("traces", wanted), ("answers", told), ("metered", counted)):
        print(f"{name:8} " + " · ".join(f"{sums[key]:,} {key}" for key in ("calls", "prompt", "completion")))
    print(f"{chosen.seconds:.0f} s, the latest call {late_ms} ms behind its time, server {cpu_s:.1f} s CPU.")
    return 0 if wanted == told == counted else 1


if __name__ == "__main__":
    sys.exit(main())
