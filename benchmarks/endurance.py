"""Does the local Azure hold out? Memory over 100,000 calls, and 1,000 streams at the same time.

    python benchmarks/endurance.py [--calls 100000] [--streams 1000]

Memory: every prompt is new, so nothing may be kept for each call but the journal's last 10,000 entries; after the
first fifth, when journal and caches are full, the process must not grow by more than a tenth. Streams: all are open
before the first one ends, each must arrive whole. The exit status is 1 when either fails.
"""

import argparse
import asyncio
import itertools
import json
import sys
import time
from urllib.parse import urlsplit

import serving
from hot_path import chats
from loading import MARK, encoded, load, numbered
from serving import CHAT_MODEL

PATH = f"{CHAT_MODEL}/chat/completions"
STEPS = 10
GROWTH = 1.10


def memory(calls: int) -> bool:
    """Print how much memory the server holds as the calls go by; True when it stays flat."""
    with serving.running("azure") as server:
        bodies = chats(f" {MARK.decode()}")
        requests = numbered(encoded(PATH, f"api-key: {server.facts['key']}", bodies))
        held_mib = []
        print(f"Memory over {calls:,} chat completions, every prompt new, 16 connections:")
        answered = 0
        for _ in range(STEPS):
            batch = itertools.islice(requests, calls // STEPS)
            answered += len(asyncio.run(load(server.facts["url"], batch, 16, 600.0)))
            held_mib.append(server.memory_mib())
            print(f"  after {answered:>9,}: {held_mib[-1]:6.1f} MiB")
    settled, most = held_mib[STEPS // 5 - 1], max(held_mib[STEPS // 5 - 1 :])
    print(f"  {most / settled - 1:+.1%} since a fifth of the calls (allowed {GROWTH - 1:+.0%})")
    return most <= settled * GROWTH


async def _stream(url: str, request: bytes, opened: list[float], ended: list[float]) -> bool:
    """Read one stream to its end; True when it came whole."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    opened.append(time.perf_counter())
    body = await reader.readuntil(b"0\r\n\r\n") if b"chunked" in head.lower() else await reader.read()
    ended.append(time.perf_counter())
    writer.close()
    return head.startswith(b"HTTP/1.1 200") and b"data: [DONE]\n\n" in body


async def _streams(url: str, requests: list[bytes]) -> tuple[int, int]:
    """How many streams came whole, and how many were open at the same time."""
    opened: list[float] = []
    ended: list[float] = []
    whole = await asyncio.gather(*(_stream(url, request, opened, ended) for request in requests))
    changes = sorted([(at_s, 1) for at_s in opened] + [(at_s, -1) for at_s in ended])
    return sum(whole), max(itertools.accumulate(change for _, change in changes))


def streams(count: int) -> bool:
    """Open ``count`` streams at once, at a pace at which they all overlap; True when every one comes whole."""
    with serving.running("azure", "1.0") as server:
        bodies = chats(stream=True, max_tokens=200)
        some = encoded(PATH, f"api-key: {server.facts['key']}", bodies)
        requests = [some[number % len(some)] for number in range(count)]
        started = time.perf_counter()
        whole, together = asyncio.run(_streams(server.facts["url"], requests))
        took_s, cpu_s, held = time.perf_counter() - started, server.cpu_s(), server.memory_mib()
    print(
        f"{whole:,} of {count:,} streams came whole, up to {together:,} at the same time, in {took_s:.1f} s "
        f"({cpu_s:.1f} s CPU with the start, {held:.0f} MiB)."
    )
    return whole == count


def main() -> int:
    """Measure both; the exit status."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=100_000)
    options.add_argument("--streams", type=int, default=1_000)
    chosen = options.parse_args()
    _allow_connections(chosen.streams)
    held_out = [memory(chosen.calls), streams(chosen.streams)]
    print(json.dumps({"memory_flat": held_out[0], "streams_whole": held_out[1]}))
    return 0 if all(held_out) else 1


def _allow_connections(count: int) -> None:
    """Raise the limit on open files, which child processes inherit."""
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 100)), hard))


if __name__ == "__main__":
    sys.exit(main())
