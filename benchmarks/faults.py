"""What becomes of calls when everything goes wrong at once, judged by the journal of the local Azure.

    python benchmarks/faults.py [--calls 10000] [--alike 1000] [--share 0.05]

Many calls through ``ProductionLLMService`` with one fallback, and through ``LLMOptimizer``, while a share of all
attempts on both deployments meets one of the faults below: each call must end in its own answer or in a classified
error, none lost and none paid twice. Then: calls that are alike, a service that says "retry after 86400 seconds", a
prompt that the content filter refuses, and a cost budget that concurrent callers share. The exit status is 1 when one
does not hold.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import openai
from openai.types.chat import ChatCompletion

import labkit
from labkit import AzureOpenAIManager, LLMOptimizer, ProductionLLMService, lab
from labkit.budget import Budget
from labkit.errors import LabkitError
from labkit.localazure import LocalAzure
from labkit.retry import WaitTooLongError

CONCURRENT = 64
# The client gives up on an attempt after this; a slow first byte takes twice as long.
TIMEOUT_S = 1.0
GOAL_AVAILABILITY = 0.995
KINDS: dict[str, dict[str, Any]] = {
    "429": {"status": 429, "retry_after_s": 1},
    "429 for a day": {"status": 429, "retry_after_s": 86_400},
    "500": {"status": 500},
    "503": {"status": 503},
    "408": {"status": 408},
    "slow first byte": {"kind": "first_byte", "delay_ms": int(2000 * TIMEOUT_S), "real": True},
    "body cut half-way": {"kind": "cut"},
    "body cut at once": {"kind": "cut", "after_bytes": 0},
    "connection reset": {"kind": "reset"},
    "connection closed": {"kind": "drop"},
}
# One prompt in so many is one that the content filter refuses, for good.
FILTERED_EVERY = 500
SECRET = "the violet otter sleeps at noon"
REFUSED = f"content filter test: violence high. {SECRET}."
CLASSIFIED = (openai.APIError, LabkitError)
_NUMBERED = re.compile(r"\[call (\d+)\]")


@dataclass(frozen=True)
class Claim:
    """Something that must hold, whether it does, and the figures that say so."""

    what: str
    holds: bool
    seen: str

    def __str__(self) -> str:
        return f"{'ok' if self.holds else 'MISSED':6}  {self.what}: {self.seen}"


@dataclass
class Seen:
    """What the journal holds of a stretch of calls, kept as it fills: it forgets after 10,000 entries."""

    azure: Any
    after: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    # Of each numbered call: how many attempts met no fault and were answered, and what those answers said.
    answered: Counter[int] = field(default_factory=Counter)
    digests: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    attempts: int = 0

    def __post_init__(self) -> None:
        self.after = self.azure.journal.last_id if hasattr(self.azure.journal, "last_id") else _last_id(self.azure)

    def collect(self) -> "Seen":
        """Take in what has come since."""
        for entry in self.azure.journal:
            if entry.id <= self.after or entry.face != "inference":
                continue
            self.after = entry.id
            self.attempts += 1
            self.faults[entry.fault or ""] += 1
            found = _NUMBERED.search(entry.prompt)
            if found and entry.status == 200 and entry.error_code is None:
                self.digests[int(found[1])].add(entry.answer_digest)
                self.answered[int(found[1])] += entry.fault is None
        return self


def _last_id(azure: Any) -> int:
    return max((entry.id for entry in azure.journal), default=0)


@contextmanager
def deployed() -> Iterator[LocalAzure]:
    """A local Azure that answers at once, labkit connected to it, with two deployments of plenty of capacity."""
    with LocalAzure(quota_ktpm=1_000_000) as local:
        os.environ |= local.environment()
        labkit.connect()
        manager = AzureOpenAIManager()
        manager.deploy_language_model("gpt-4o", "big", capacity=100_000)
        manager.deploy_language_model("gpt-4o-mini", "small", capacity=100_000)
        yield local


def prompt_of(number: int) -> str:
    """The prompt of a numbered call; now and then one that the filter refuses."""
    if number % FILTERED_EVERY == 0:
        return f"[call {number}] {REFUSED}"
    return f"[call {number}] Please explain in one sentence what the number {number} has to do with our plan."


async def in_turn(numbers: Sequence[int], ask: Callable[[int], Awaitable[Any]], seen: Seen) -> dict[int, Any]:
    """What each call ended in, so many at a time."""
    ends: dict[int, Any] = {}
    waiting = iter(numbers)

    async def worker() -> None:
        for number in waiting:
            try:
                ends[number] = await ask(number)
            except BaseException as error:
                ends[number] = error
            if len(ends) % 1000 == 0:
                seen.collect()

    await asyncio.gather(*(worker() for _ in range(CONCURRENT)))
    return ends


async def under_faults(local: LocalAzure, calls: int, share: float) -> list[Claim]:
    """The service with a fallback, then the optimizer, under faults of every kind."""
    client = labkit.clients.async_openai().with_options(timeout=TIMEOUT_S)
    service = ProductionLLMService("big", fallbacks=["small"], client=client)
    optimizer = LLMOptimizer("big", client=client)

    async def safely(number: int) -> Any:
        return await service.safe_completion([{"role": "user", "content": prompt_of(number)}], max_tokens=60)

    async def optimized(number: int) -> Any:
        message = {"role": "user", "content": prompt_of(number)}
        return await optimizer.optimized_completion([message], max_tokens=60, temperature=0)

    claims = []
    for name, ask, first in (("service with a fallback", safely, 1), ("optimizer", optimized, 1_000_001)):
        for fault in KINDS.values():
            lab.fault(**fault, share=share / len(KINDS), operation="chat")
        seen, began_s = Seen(local.azure), time.perf_counter()
        ends = await in_turn(range(first, first + calls), ask, seen)
        took_s = time.perf_counter() - began_s
        lab.clear_faults()
        claims += list(_judged(name, calls, ends, seen.collect(), took_s))
        if name != "optimizer":
            measured = service.measured()
            available = 1 - (measured.failed + measured.refused) / measured.requests
            held = available > GOAL_AVAILABILITY
            claims.append(Claim(f"{name}: availability above {GOAL_AVAILABILITY:.1%}", held, f"{available:.3%}"))
    return claims


def _judged(name: str, calls: int, ends: dict[int, Any], seen: Seen, took_s: float) -> Iterator[Claim]:
    errors = Counter(type(end).__name__ for end in ends.values() if isinstance(end, BaseException))
    whole = {number: end for number, end in ends.items() if isinstance(end, ChatCompletion)}
    met = sum(times for fault, times in seen.faults.items() if fault)
    told = f"{seen.attempts:,} attempts in {took_s:.0f} s, {met:,} of them met a fault"
    ended = len(ends) == calls and all(isinstance(end, (ChatCompletion, *CLASSIFIED)) for end in ends.values())
    results = f"{len(whole):,} answers, {dict(errors) or 'no error'}"
    yield Claim(f"{name}: {calls:,} calls end in a result or a classified error", ended, f"{results}; {told}")
    own = sum(_digest(end) in seen.digests[number] for number, end in whole.items())
    yield Claim(f"{name}: each answer belongs to its question", own == len(whole), f"{own:,} of {len(whole):,}")
    doubled = sum(times > 1 for times in seen.answered.values())
    lost = sum(times > 0 and number not in whole for number, times in seen.answered.items())
    yield Claim(f"{name}: none lost, none paid twice", doubled == lost == 0, f"{lost} lost, {doubled} doubled")
    expected = sum(number % FILTERED_EVERY == 0 for number in ends)
    filtered = errors["ContentFilteredError"] + errors["BadRequestError"]
    yield Claim(f"{name}: filtered prompts are the filter's", filtered == expected, f"{filtered} of {expected}")


def _digest(answer: ChatCompletion) -> str:
    said = answer.choices[0].message.content or ""
    return blake2b(said.encode("utf-8", "replace"), digest_size=8).hexdigest()


async def alike(local: LocalAzure, number: int) -> Claim:
    """Identical calls at the same time cost one."""
    optimizer, seen = LLMOptimizer("big"), Seen(local.azure)
    message = {"role": "user", "content": "What is the capital of Poland?"}
    calls = (optimizer.optimized_completion([message], temperature=0, max_tokens=60) for _ in range(number))
    answers = await asyncio.gather(*calls)
    same = len({answer.choices[0].message.content for answer in answers}) == 1
    sent = seen.collect().attempts
    return Claim(f"{number:,} identical calls at the same time cost one", same and sent == 1, f"{sent} sent")


async def a_day(local: LocalAzure) -> Iterator[Claim]:
    """ "Retry after 86400 seconds" ends at once, in an error that says so."""
    claims = []
    service, optimizer = ProductionLLMService("big"), LLMOptimizer("big")
    for name, ask in (("service", service.safe_completion), ("optimizer", optimizer.optimized_completion)):
        lab.fault("big", status=429, retry_after_s=86_400, times=1)
        seen, began_s, error = Seen(local.azure), time.perf_counter(), None
        try:
            await ask([{"role": "user", "content": "How long must I wait?"}])
        except Exception as raised:
            error = raised
        took_s = time.perf_counter() - began_s
        told = isinstance(error, WaitTooLongError) and "86,400 s" in str(error) and seen.collect().attempts == 1
        said = f"{type(error).__name__} after {took_s * 1000:.0f} ms and {seen.attempts} call"
        claims.append(Claim(f'{name}: "retry after 86400 seconds" ends at once and says so', told and took_s < 1, said))
        lab.clear_faults()
    return iter(claims)


_ASK_WHAT_IS_FILTERED = """
import asyncio, logging, sys, traceback
import labkit
from labkit import LLMOptimizer, ProductionLLMService
logging.basicConfig(level=logging.INFO)
logging.getLogger("labkit").setLevel(logging.DEBUG)
labkit.connect()
message = {"role": "user", "content": sys.argv[1]}

async def ask():
    for call in (ProductionLLMService("big", fallbacks=["small"]).safe_completion,
                 LLMOptimizer("big").optimized_completion):
        try:
            await call([message])
        except Exception as error:
            print(repr(error), error, getattr(error, "__notes__", ""))
            traceback.print_exc()
    (end,) = await LLMOptimizer("big").batch_process([{"messages": [message]}])
    print(repr(end))

asyncio.run(ask())
"""


def filtered(local: LocalAzure) -> Iterator[Claim]:
    """What the filter refuses is sent once by each of three ways to ask, and printed nowhere."""
    seen = Seen(local.azure)
    command = [sys.executable, "-c", _ASK_WHAT_IS_FILTERED, REFUSED]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    sent = seen.collect().attempts
    told = f"{sent} sent by service, optimizer and batch"
    yield Claim("a prompt that the filter refuses is sent exactly once", sent == 3 and run.returncode == 0, told)
    printed = run.stdout + run.stderr
    count = printed.count(SECRET)
    where = f"{count} times in {len(printed):,} characters of output, logs, errors and traces"
    yield Claim("… and printed nowhere", count == 0 and "filter" in printed, where)


async def budget(local: LocalAzure, calls: int) -> Claim:
    """Concurrent callers share a budget that has room for half of them."""
    asked = Budget(10.0)
    trial = LLMOptimizer("big", model="gpt-4o", budget=asked)
    params = {"max_tokens": 60, "temperature": 0.7}
    await trial.optimized_completion([{"role": "user", "content": prompt_of(1)}], **params)
    shared = Budget(asked.spent_usd * calls / 2)
    optimizer, highest_usd = LLMOptimizer("big", model="gpt-4o", budget=shared), 0.0
    spent_before = _cost_usd()

    async def ask(number: int) -> Any:
        nonlocal highest_usd
        message = {"role": "user", "content": prompt_of(number)}
        answer = await optimizer.optimized_completion([message], **params)
        highest_usd = max(highest_usd, shared.spent_usd + shared.held_usd)
        return answer

    numbers = [number for number in range(1, calls + 1) if number % FILTERED_EVERY]
    ends = await in_turn(numbers, ask, Seen(local.azure))
    paid_usd = _cost_usd() - spent_before
    kinds = Counter(type(end).__name__ for end in ends.values())
    some = kinds["BudgetExceededError"] > 0 and kinds["ChatCompletion"] > 0 and len(kinds) == 2
    within = max(paid_usd, highest_usd) <= shared.limit_usd and abs(paid_usd - shared.spent_usd) < 1e-9
    told = f"limit {shared.limit_usd:.6f}, paid {paid_usd:.6f}, held at most {highest_usd:.6f} USD; {dict(kinds)}"
    return Claim(f"a budget shared by {CONCURRENT} callers is not overshot", some and within, told)


def _cost_usd() -> float:
    return sum(float(row["cost_usd"]) for row in lab.costs())


async def claims(options: argparse.Namespace) -> list[Claim]:
    """Everything that must hold, in turn."""
    with deployed() as local:
        found = [await alike(local, options.alike), *await a_day(local)]
        # In a thread: the local Azure runs in this process.
        found += await asyncio.to_thread(lambda: list(filtered(local)))
        found.append(await budget(local, max(20, options.calls // 20)))
        found += await under_faults(local, options.calls, options.share)
        return found


def main() -> int:
    """Try and print; the exit status is 1 when something does not hold."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--calls", type=int, default=10_000)
    options.add_argument("--alike", type=int, default=1_000)
    options.add_argument("--share", type=float, default=0.05, help="of all attempts, that meet a fault")
    found = asyncio.run(claims(options.parse_args()))
    print("\n".join(map(str, found)))
    return 0 if all(claim.holds for claim in found) else 1


if __name__ == "__main__":
    sys.exit(main())
