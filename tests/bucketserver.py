"""A deployment with strict limits, in virtual time: a job of an hour takes milliseconds, and always the same ones.

``run`` drives coroutines on an event loop whose clock jumps to the next timer instead of waiting for it.
"""

import asyncio
import math
import random
import selectors
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import httpx2
from openai import RateLimitError

from labkit.localazure.inference.limits import Limiter
from tests.scripted import REQUEST

T = TypeVar("T")


class _Jump(selectors.DefaultSelector):  # type: ignore[valid-type,misc]
    """Passes time instead of waiting."""

    loop: "_Loop"

    def select(self, timeout: float | None = None) -> Any:
        events = super().select(0)
        if not events:
            if timeout is None:
                raise RuntimeError("Everybody waits for somebody else.")
            self.loop.now_s += max(timeout, 0)
        return events


class _Loop(asyncio.SelectorEventLoop):
    """An event loop in virtual time."""

    def __init__(self) -> None:
        self.now_s = 0.0
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now_s


def run(main: Coroutine[Any, Any, T]) -> T:
    """The result of ``main`` in virtual time, which starts at 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(main)


def clock() -> float:
    """The virtual time of the running loop, in seconds."""
    return asyncio.get_running_loop().time()


@dataclass
class StrictBucket:
    """A token bucket as FACTS.md describes the neutral server: full at the start, no credit."""

    rate: float
    burst: float
    level: float = field(init=False)
    at_s: float = 0.0

    def __post_init__(self) -> None:
        self.level = self.burst

    def refill(self, now: float) -> None:
        self.level = min(self.burst, self.level + (now - self.at_s) * self.rate)
        self.at_s = now


@dataclass
class BucketServer:
    """Answers after its latency, or refuses at once.

    ``charges``: a refused call uses up its budget all the same. ``headers``: says its limits and what is left.
    ``whole_s``: Retry-After in whole seconds only. ``sliding``: the limits of the local Azure instead of buckets.
    """

    rpm: float = 1200
    tpm: float = 1e9
    latency_s: tuple[float, float] = (0.05, 0.05)
    seed: int = 0
    charges: bool = False
    headers: bool = False
    whole_s: bool = True
    sliding: bool = False
    answered: int = 0
    refusals: int = 0
    most_refusals_of_a_call: int = 0
    last_s: float = 0.0

    def __post_init__(self) -> None:
        self.rng = random.Random(self.seed)
        self.calls = StrictBucket(self.rpm / 60, self.rpm / 60)
        self.tokens = StrictBucket(self.tpm / 60, self.tpm / 6)
        self.limiter = Limiter(int(self.tpm), int(self.rpm))

    async def call(self, tokens: int) -> dict[str, str]:
        """The headers of the answer; ``RateLimitError`` when the call is refused."""
        now = clock()
        refusal = self._slide(now, tokens) if self.sliding else self._drain(now, tokens)
        if refusal is not None:
            self.refusals += 1
            kind, wait_s = refusal
            raise self._refused(kind, wait_s)
        said = self._headers()
        await asyncio.sleep(self.rng.uniform(*self.latency_s))
        self.answered += 1
        self.last_s = clock()
        return said

    def _slide(self, now: float, tokens: int) -> tuple[str, float] | None:
        refusal = self.limiter.take(now, tokens)
        return None if refusal is None else (refusal.kind, refusal.wait_s)

    def _drain(self, now: float, tokens: int) -> tuple[str, float] | None:
        needs = (("call", self.calls, 1.0), ("token", self.tokens, float(tokens)))
        empty = None
        for kind, bucket, amount in needs:
            bucket.refill(now)
            if bucket.level < amount - 1e-9 and empty is None:
                empty = (kind, (amount - bucket.level) / bucket.rate)
        for _, bucket, amount in needs:
            if empty is None or self.charges:
                bucket.level = max(0.0, bucket.level - amount)
        return empty

    def _headers(self) -> dict[str, str]:
        if not self.headers:
            return {}
        left = (
            (self.limiter.remaining_requests, self.limiter.remaining_tokens)
            if self.sliding
            else (int(self.calls.level), int(self.tokens.level))
        )
        return {
            "x-ratelimit-limit-requests": f"{self.rpm:.0f}",
            "x-ratelimit-limit-tokens": f"{self.tpm:.0f}",
            "x-ratelimit-remaining-requests": str(left[0]),
            "x-ratelimit-remaining-tokens": str(left[1]),
        }

    def _refused(self, kind: str, wait_s: float) -> RateLimitError:
        said = {**self._headers(), "retry-after": str(max(1, math.ceil(wait_s)))}
        if not self.whole_s:
            said["retry-after-ms"] = str(max(1, math.ceil(wait_s * 1000)))
        words = f"Requests have exceeded {kind} rate limit of your current OpenAI S0 pricing tier."
        return RateLimitError(words, response=httpx2.Response(429, headers=said, request=REQUEST), body=None)


@dataclass
class Machine:
    """One core that prepares a call in ``cpu_s`` and reads an answer in as much; then the network delays it."""

    rng: random.Random
    cpu_s: float = 0.004
    network_s: tuple[float, float] = (0.001, 0.01)
    first_s: float = 0.05  # opening the first connections, loading what is loaded on first use
    free_s: float = 0.0

    async def send(self) -> None:
        await self.work()
        await asyncio.sleep(self.rng.uniform(*self.network_s))

    async def work(self) -> None:
        first_s, self.first_s = self.first_s, 0.0
        self.free_s = max(self.free_s, clock()) + self.cpu_s + first_s
        await asyncio.sleep(self.free_s - clock())


def ideal_s(server: BucketServer, sizes: Iterable[int]) -> float:
    """The least time the server's buckets allow for calls of these ``sizes``, plus one latency."""
    sizes = list(sizes)
    calls = (len(sizes) - server.calls.burst) / server.calls.rate
    tokens = (sum(sizes) - server.tokens.burst) / server.tokens.rate
    return max(0.0, calls, tokens) + sum(server.latency_s) / 2


async def in_parallel(sizes: Iterable[int], one: Callable[[int], Awaitable[object]], workers: int) -> None:
    """Do ``one`` for each of ``sizes``, ``workers`` at a time."""
    waiting = iter(list(sizes))

    async def worker() -> None:
        for size in waiting:
            await one(size)

    await asyncio.gather(*[worker() for _ in range(workers)])
