"""How near to the ideal a job of 300 calls comes on a service with strict token buckets, ours beside the peers.

    python benchmarks/batch.py [--rounds 3] [--jobs mixed] [--services told] [--only labkit] [--calls 300]

Three jobs at 20 calls a second: bound by calls per minute, by calls and tokens in mixed sizes, by tokens per minute.
Four services: one whose limits the driver is told, one that counts refused calls, too, one whose limits the driver is
not told, and one that besides tells nothing of them before it refuses. A cell is makespan / ideal · refusals · failed
calls, medians of the rounds; the ideal is what the buckets let through at best, and the mean latency of the last call.
Every driver has a service and a process of its own; of each round some run side by side, as they mostly wait.
Peers run in an environment of their own (`make bench-peers`) and are left out where it is missing.
"""

import argparse
import asyncio
import json
import random
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import bucket_server
from drivers import OURS, PEERS, Call, Job

PEERS_PYTHON = Path(".bench/peers/bin/python")
PEERS_MISSING = "the peers are left out: they are not installed (make bench-peers)"
RPM, MANY = 1200, 100_000_000
LATENCY_MS = (80, 250)
# A driver that takes so many times the ideal is ended.
PATIENCE = 4.0
SIDE_BY_SIDE = 3
SENTENCES = (
    "Our shop sells bicycles, and most of our customers write to us in the evening.",
    "Please read the following report and say in a few words what the reader should do next.",
    "The delivery was late, the parcel was open, and nobody answered the telephone.",
    "We are looking for a short description that a customer understands at first glance.",
)


@dataclass(frozen=True)
class Work:
    """A job: the tokens per minute of its service, the least and the most tokens of a call, and what must hold."""

    name: str
    tpm: float
    sizes: tuple[int, int]
    most_of_ideal: float
    most_refusals: int


WORKS = {
    "calls": Work("bound by calls", MANY, (60, 200), 1.02, 5),
    "mixed": Work("calls and tokens", 480_000, (100, 1500), 1.10, 20),
    "tokens": Work("bound by tokens", 360_000, (700, 900), 1.05, 60),
}
SERVICES = {
    "told": "limits told",
    "charging": "limits told, refused calls count",
    "untold": "limits not told",
    "silent": "limits not told, no headers before a refusal",
}


@dataclass(frozen=True)
class Outcome:
    """One run: makespan over ideal, refusals, failed calls by kind, calls lost, doubled or answered for another."""

    of_ideal: float
    refusals: int
    failed: dict[str, int]
    wrong: int

    @property
    def failures(self) -> int:
        """How many calls failed."""
        return sum(self.failed.values())


def calls_of(work: Work, number: int) -> tuple[Call, ...]:
    """The calls of a job, the same ones in every run: half of a call's tokens are prompt, half answer."""
    draw = random.Random(work.name)
    calls = []
    for index in range(1, number + 1):
        size = draw.randint(*work.sizes)
        prompt = f"[call {index}] "
        while len(prompt) < size // 2 * bucket_server.CHARACTERS_PER_TOKEN:
            prompt += draw.choice(SENTENCES) + " "
        calls.append(Call(index, prompt, size // 2))
    return tuple(calls)


def ideal_s(work: Work, calls: Sequence[Call]) -> float:
    """The least time the job can take, and the mean latency."""
    sizes = [bucket_server.tokens_of(len(call.prompt), call.max_tokens) for call in calls]
    return bucket_server.ideal_s(sizes, RPM, work.tpm, sum(LATENCY_MS) / 2000)


async def run_once(driver: str, work: Work, service: str, number: int) -> Outcome:
    """One driver does one job on a service of its own."""
    calls = calls_of(work, number)
    best_s = ideal_s(work, calls)
    options = {"charging": service == "charging", "silent": service == "silent"}
    with bucket_server.running(rpm=RPM, tpm=work.tpm, latency_ms=f"{LATENCY_MS[0]}-{LATENCY_MS[1]}", **options) as url:
        told = service in ("told", "charging")
        limits = (RPM, None if work.tpm == MANY else work.tpm) if told else (None, None)
        job = Job(url, calls, *limits, at_most_s=PATIENCE * best_s + 20)
        ended = await _drive(driver, job)
        with urllib.request.urlopen(f"{url}/counts") as answer:
            counts = json.load(answer)
    return Outcome(ended["took_s"] / best_s, sum(counts["refused"].values()), ended["failed"], _wrong(ended, counts))


def _wrong(ended: dict[str, Any], counts: dict[str, dict[str, int]]) -> int:
    doubled = sum(times - 1 for times in counts["answered"].values())
    return int(ended["wrong"]) + doubled


async def _drive(driver: str, job: Job) -> dict[str, Any]:
    python = str(PEERS_PYTHON) if driver in PEERS else sys.executable
    script = str(Path(__file__).with_name("drivers.py"))
    # What the peers log of every refusal would bury the figures.
    pipe, errors = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL if driver in PEERS else None
    process = await asyncio.create_subprocess_exec(python, script, driver, stdin=pipe, stdout=pipe, stderr=errors)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(json.dumps(asdict(job)).encode() + b"\n")
    while (line := await process.stdout.readline()) and line.strip() != b"ready":
        pass
    process.stdin.write(b"go\n")
    told, _ = await process.communicate()
    ended: dict[str, Any] = json.loads(told.splitlines()[-1])
    return ended


@dataclass(frozen=True)
class Plan:
    """What is run: every driver on every service and job, in rounds."""

    drivers: tuple[str, ...]
    works: tuple[str, ...]
    services: tuple[str, ...]
    rounds: int
    number: int

    def runs(self) -> Iterator[tuple[str, str, str]]:
        """One round's runs: ours on every service, the peers where limits are told and, once, on the others."""
        for service in self.services:
            for work in self.works:
                for driver in self.drivers:
                    yield driver, work, service


Found = dict[tuple[str, str, str], list[Outcome]]


async def measure(plan: Plan) -> Found:
    """The outcomes of every run. Peers run but once where they have no way to be told or to learn."""
    found: Found = {}
    gate = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(driver: str, work: str, service: str) -> None:
        async with gate:
            outcome = await run_once(driver, WORKS[work], service, plan.number)
        found.setdefault((driver, work, service), []).append(outcome)
        print(f"  {SERVICES[service]} | {WORKS[work].name} | {driver}: {outcome}", file=sys.stderr, flush=True)

    for turn in range(plan.rounds):
        wanted = [run for run in plan.runs() if turn == 0 or run[0] in OURS or run[2] == "told"]
        await asyncio.gather(*(one(*run) for run in wanted))
    return found


def cell(outcomes: Sequence[Outcome] | None) -> str:
    """Makespan / ideal · refusals · failed, medians; a job of which calls failed has no makespan."""
    if not outcomes:
        return "–"
    failed = median(outcome.failures for outcome in outcomes)
    took = "–" if failed else f"{median(outcome.of_ideal for outcome in outcomes):.3f}"
    wrong = sum(outcome.wrong for outcome in outcomes)
    told = f"{took} · {median(outcome.refusals for outcome in outcomes):.0f} · {failed:.0f}"
    return f"{told} · {wrong} WRONG" if wrong else told


def tables(plan: Plan, found: Found) -> Iterator[str]:
    """A table for each service."""
    for service in plan.services:
        yield f"\n{SERVICES[service]}:\n"
        yield "| | " + " | ".join(WORKS[work].name for work in plan.works) + " |"
        yield "| --- |" + " --- |" * len(plan.works)
        for driver in plan.drivers:
            cells = (cell(found.get((driver, work, service))) for work in plan.works)
            yield f"| {driver} | {' | '.join(cells)} |"


def missed(plan: Plan, found: Found) -> Iterator[str]:
    """What must hold of ours and does not."""
    for (driver, name, service), outcomes in found.items():
        if driver not in OURS:
            continue
        work, where = WORKS[name], f"{driver}, {SERVICES[service]}, {WORKS[name].name}"
        of_ideal, refusals = (median(getattr(o, key) for o in outcomes) for key in ("of_ideal", "refusals"))
        if any(outcome.failures or outcome.wrong for outcome in outcomes):
            yield f"{where}: calls failed, or were answered wrongly or twice"
        if service == "told" and of_ideal > work.most_of_ideal:
            yield f"{where}: {of_ideal:.3f} of the ideal, {work.most_of_ideal} is the goal"
        if service == "told" and refusals > work.most_refusals:
            yield f"{where}: {refusals:.0f} refusals, {work.most_refusals} is the goal"


def plan_of(arguments: Sequence[str] | None = None) -> Plan:
    """What the command line asks for."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--calls", type=int, default=300)
    options.add_argument("--jobs", nargs="*", choices=WORKS, default=list(WORKS))
    options.add_argument("--services", nargs="*", choices=SERVICES, default=list(SERVICES))
    options.add_argument("--only", default="", help="only the drivers whose name contains this")
    chosen = options.parse_args(arguments)
    drivers = [*OURS, *(PEERS if PEERS_PYTHON.exists() else ())]
    if not PEERS_PYTHON.exists():
        print(PEERS_MISSING)
    wanted = tuple(driver for driver in drivers if chosen.only in driver)
    return Plan(wanted, tuple(chosen.jobs), tuple(chosen.services), chosen.rounds, chosen.calls)


def main() -> int:
    """Measure and print; the exit status is 1 when one of ours misses what must hold."""
    plan = plan_of()
    found = asyncio.run(measure(plan))
    for line in tables(plan, found):
        print(line)
    misses = list(missed(plan, found))
    print("\n" + ("\n".join(f"MISSED {miss}" for miss in misses) if misses else "Everything that must hold does."))
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
