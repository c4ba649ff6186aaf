"""The pacer against a strict server, in virtual time: how long a job takes, and how often it is refused."""

import asyncio
import random
from dataclasses import dataclass

import pytest
from openai import RateLimitError

from labkit.pacing import CallTooLargeError, Pacer
from labkit.ratelimits import stated_wait_s
from tests.bucketserver import BucketServer, Machine, clock, ideal_s, in_parallel, run

LATENCIES = {"fast": (0.05, 0.05), "slow": (0.5, 0.5), "uneven": (0.05, 0.5)}


@dataclass(frozen=True)
class Job:
    """300 calls, their sizes in tokens, and the deployment's tokens per minute."""

    sizes: tuple[int, ...]
    tpm: int
    most_of_ideal: float
    most_refusals: int


def jobs(name, seed):
    """The jobs of FACTS.md section 5 with the issue's bounds."""
    draw = random.Random(seed)
    if name == "calls":
        return Job(tuple(draw.randint(100, 300) for _ in range(300)), 10_000_000, 1.02, 5)
    if name == "both":
        return Job(tuple(draw.choice((50, 200, 600, 1200)) for _ in range(300)), 480_000, 1.10, 20)
    return Job(tuple(draw.randint(400, 800) for _ in range(300)), 300_000, 1.05, 60)


class Work:
    """Callers that share a pacer: each sends a call again until it is answered."""

    def __init__(self, pacer, server, seed):
        self.pacer, self.server = pacer, server
        self.machine, self.rng = Machine(random.Random(seed)), random.Random(seed)
        self.most_refusals_of_a_call = 0

    async def call(self, tokens):
        refusals = 0
        while True:
            reservation = await self.pacer.reserve(tokens, first=refusals > 0)
            await self.machine.send()
            try:
                headers = await self.server.call(tokens)
            except RateLimitError as error:
                refusals += 1
                self.most_refusals_of_a_call = max(self.most_refusals_of_a_call, refusals)
                # The retry policy adds a tenth at most to what the service says.
                reservation.refuse(error, stated_wait_s(error)[0] * (1 + 0.1 * self.rng.random()))
                continue
            await self.machine.work()
            reservation.settle(tokens=tokens // 2, headers=headers)
            return


def simulate(job, server, *, told=True, callers=64, seed=0):
    """The job's makespan as a multiple of the least possible, and the most refusals that one call met."""
    limits = {"rpm": server.rpm, "tpm": server.tpm} if told else {}

    async def main():
        work = Work(Pacer(**limits, clock=clock), server, seed)
        await in_parallel(job.sizes, work.call, callers)
        return work.most_refusals_of_a_call

    most_refusals_of_a_call = run(main())
    assert server.answered == len(job.sizes)
    return server.last_s / ideal_s(server, job.sizes), most_refusals_of_a_call


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("latency", LATENCIES)
@pytest.mark.parametrize("charges", [False, True], ids=["refusals-free", "refusals-charged"])
@pytest.mark.parametrize("told", [True, False], ids=["told", "learned"])
@pytest.mark.parametrize("name", ["calls", "both", "tokens"])
def test_a_job_takes_hardly_longer_than_the_limits_ask_for(name, told, charges, latency, seed):
    """The issue's bounds, with limits that were told and with limits learned from the answers' headers."""
    job = jobs(name, seed)
    server = BucketServer(tpm=job.tpm, latency_s=LATENCIES[latency], seed=seed, charges=charges, headers=not told)
    of_ideal, most_refusals_of_a_call = simulate(job, server, told=told, seed=seed)
    assert of_ideal <= job.most_of_ideal
    assert server.refusals <= job.most_refusals
    assert most_refusals_of_a_call <= 3


def test_a_call_that_never_fits_is_sent_once_and_then_an_error():
    """It waits for nothing and holds up nobody; the service's own word decides."""

    async def main():
        pacer = Pacer(rpm=600, tpm=1000, clock=clock)
        server = BucketServer(rpm=600, tpm=1000)
        large = await pacer.reserve(5000)
        with pytest.raises(RateLimitError) as refusal:
            await server.call(5000)
        large.refuse(refusal.value, 60.0)
        await pacer.reserve(100)
        with pytest.raises(CallTooLargeError, match="about 5,000 tokens.*has 1,000 tokens per minute.*Lower max_tok"):
            await pacer.reserve(5000, first=True)
        return clock()

    assert run(main()) == 0


def test_calls_go_in_the_order_they_came_and_refused_ones_first():
    """First come, first served, whatever their size."""

    async def main():
        pacer, order = Pacer(rpm=60, clock=clock), []

        async def go(name, *, first=False):
            await pacer.reserve(1, first=first)
            order.append(name)

        async with asyncio.TaskGroup() as callers:
            for name in "abc":
                callers.create_task(go(name))
            await asyncio.sleep(0)
            callers.create_task(go("refused", first=True))
        return order, clock()

    assert run(main()) == (["a", "refused", "b", "c"], pytest.approx(3.0, abs=0.01))
