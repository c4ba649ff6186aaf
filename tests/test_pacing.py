"""The pacer against a strict server, in virtual time: how long a job takes, and how often it is refused."""

import asyncio
import random
from dataclasses import dataclass

import pytest
from openai import RateLimitError

from labkit.pacing import CallTooLargeError, Pacer
from labkit.pacing.ratelimits import stated_wait_s
from tests.bucketserver import BucketServer, Machine, clock, ideal_s, in_parallel, run
from tests.scripted import Sleeper, refused, sdk_error

REFUSAL = sdk_error(refused(429, message="You have exceeded call rate limit.", retry_after="17"))
REFUSAL_OF_A_SECOND = sdk_error(refused(429, message="You have exceeded call rate limit.", retry_after="1"))
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


async def without_burst(**options):
    """A pacer of one call a second, which has used up what it may send at once."""
    pacer = Pacer(rpm=60, **{"clock": clock, **options})
    for _ in range(9):
        await pacer.reserve(1)
    return pacer


def test_few_calls_are_sent_at_once_where_a_minute_has_few():
    """Below 600 a minute the service counts over 10 s: nine questions of ten need not wait for each other."""

    async def main():
        pacer = await without_burst()
        at_once_s = clock()
        await pacer.reserve(1)
        return at_once_s, clock()

    assert run(main()) == (0, pytest.approx(1))


def test_a_service_that_takes_no_burst_is_not_sent_another():
    """Refused once, a minute later it gets a call a second from the beginning."""

    async def main():
        pacer = await without_burst()
        (await pacer.reserve(1)).refuse(REFUSAL_OF_A_SECOND, 1.0)
        await asyncio.sleep(60)
        since_s = clock()
        for _ in range(4):
            await pacer.reserve(1)
        return clock() - since_s

    assert run(main()) == pytest.approx(3, abs=0.1)


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
        pacer, order = await without_burst(), []
        await pacer.reserve(1)
        order.append("a")

        async def go(name, *, first=False):
            await pacer.reserve(1, first=first)
            order.append(name)

        async with asyncio.TaskGroup() as callers:
            for name in "bc":
                callers.create_task(go(name))
            await asyncio.sleep(0)
            callers.create_task(go("refused", first=True))
        return order, clock()

    assert run(main()) == (["a", "refused", "b", "c"], pytest.approx(4, abs=0.01))


def paced(main, **limits):
    """What ``main(pacer)`` gives, in virtual time."""

    async def start():
        return await main(Pacer(clock=clock, **limits))

    return run(start())


def test_who_is_cancelled_gives_up_no_room():
    """Neither while waiting, nor in the moment when the turn comes."""

    async def main():
        pacer = await without_burst()
        leaving, staying = [asyncio.create_task(pacer.reserve(1)) for _ in range(2)]
        await asyncio.sleep(0.5)
        leaving.cancel()
        await staying
        first = clock()
        leaving, staying = [asyncio.create_task(pacer.reserve(1)) for _ in range(2)]
        leaving_when_due = asyncio.get_running_loop().call_at(first + 1, leaving.cancel)
        await staying
        assert leaving_when_due.when() == first + 1
        assert pacer.waiting == 0
        return first, clock()

    assert run(main()) == (pytest.approx(1, abs=0.01), pytest.approx(2, abs=0.02))


def test_cancelling_everybody_leaves_no_task_behind():
    """The one that served the queue ends with it."""

    async def main():
        pacer = await without_burst()
        waiting = [asyncio.create_task(pacer.reserve(1)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return len(asyncio.all_tasks())

    assert run(main()) == 1


def test_a_refusal_makes_everybody_wait_once():
    """Three calls are refused together; the pause is the first one's, and the refused go first after it."""

    async def main(pacer):
        refused_ones = [await pacer.reserve(1) for _ in range(3)]
        for reservation in refused_ones:
            reservation.refuse(REFUSAL, 5.0)
            await asyncio.sleep(0.1)
        times = {}

        async def go(name, *, first):
            await pacer.reserve(1, first=first)
            times[name] = round(clock(), 1)

        await asyncio.gather(go("new", first=False), go("again", first=True))
        return list(times), times["again"]

    assert paced(main, rpm=6000) == (["again", "new"], 5.0)


def test_a_long_wait_that_no_limit_explains_is_a_pause_and_nothing_more():
    """A fault, or somebody's gateway: when it is over, calls go as before."""

    async def main(pacer):
        (await pacer.reserve(1)).refuse(REFUSAL, 17.0)
        for _ in range(61):
            await pacer.reserve(1)
        return clock()

    assert paced(main, rpm=60) == pytest.approx(17 + 60, abs=0.1)


def test_what_never_reached_the_service_is_free_again():
    """And a reservation ends once: a second ending changes nothing."""

    async def main(pacer):
        for _ in range(20):
            reservation = await pacer.reserve(1)
            reservation.release()
            reservation.release()
            reservation.settle(tokens=10, headers={})
        return clock()

    assert paced(main, rpm=60) == 0


def test_tokens_are_not_counted_while_no_limit_is_known():
    """Counting costs time; the first answer's headers say whether it is worth it."""
    counted = []

    def count():
        counted.append(1)
        return 400

    async def main(pacer):
        first = await pacer.reserve(count)
        assert (counted, pacer.rpm, pacer.tpm) == ([], None, None)
        first.settle(headers={"x-ratelimit-limit-tokens": "600", "x-ratelimit-remaining-tokens": "200"})
        assert (pacer.rpm, pacer.tpm) == (None, 600)
        await pacer.reserve(count)
        return clock(), len(counted)

    waited_s, count_calls = paced(main)
    assert (waited_s, count_calls) == (pytest.approx(20, abs=1), 1)


def test_an_error_in_counting_is_the_callers_own():
    """The others go on."""

    async def main(pacer):
        await pacer.reserve(60)
        broken = asyncio.create_task(pacer.reserve(lambda: 1 // 0))
        other = asyncio.create_task(pacer.reserve(1))
        await asyncio.wait([broken, other])
        return broken.exception(), other.exception()

    broken, other = paced(main, rpm=60, tpm=60)
    assert isinstance(broken, ZeroDivisionError)
    assert other is None


def test_given_limits_are_lowered_by_the_services_but_not_raised():
    """Half of a deployment may be meant for somebody else; a deployment that was made smaller is smaller."""

    async def main(pacer):
        reservation = await pacer.reserve(1)
        reservation.settle(headers={"x-ratelimit-limit-requests": "6000", "x-ratelimit-limit-tokens": "1000"})
        return pacer.rpm, pacer.tpm

    assert paced(main, rpm=600, tpm=5000) == (600, 1000)


def test_more_tokens_than_estimated_count_and_fewer_do_not_come_back():
    """The service keeps its estimate counted; what was used beyond it cannot have been in it."""

    async def left_after(used):
        pacer = Pacer(rpm=600, tpm=6000, clock=clock)
        (await pacer.reserve(3000)).settle(tokens=used, headers={})
        await pacer.reserve(3000)
        return clock()

    assert run(left_after(100)) == 0
    assert run(left_after(3500)) == pytest.approx(5, abs=0.1)


def test_a_sleep_that_returns_early_does_not_spin():
    """Timers may fire early, and tests sleep without sleeping; slept is slept."""
    naps = []

    async def no_sleep(seconds):
        naps.append(seconds)

    async def main():
        pacer = await without_burst(clock=lambda: 0.0, sleep=no_sleep)
        await asyncio.gather(*[pacer.reserve(1) for _ in range(10)])

    run(main())
    assert naps == [pytest.approx(1.0)] * 10


def test_a_sleep_that_fails_leaves_nobody_waiting():
    """Everyone in the queue learns of it."""

    async def broken(seconds):
        raise OSError("no timer")

    async def main():
        pacer = await without_burst(sleep=broken)
        return await asyncio.gather(*[pacer.reserve(1) for _ in range(3)], return_exceptions=True)

    assert [type(result) for result in run(main())] == [OSError] * 3


def test_a_pacer_can_be_used_in_one_event_loop_after_another():
    """As by ``asyncio.run`` twice; those who waited in the first one are gone with it."""
    pacer = Pacer(rpm=6000, sleep=Sleeper())

    async def ten():
        await asyncio.gather(*[pacer.reserve(1) for _ in range(95)])

    asyncio.run(ten())
    asyncio.run(ten())
    assert pacer.waiting == 0


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("exact", [True, False], ids=["milliseconds", "seconds"])
def test_a_sliding_minute_is_noticed_and_kept_to(seed, exact):
    """The local Azure's own limiter: 180,000 tokens with 100,000 a minute need a good minute, and few refusals."""
    job = Job((600,) * 300, 100_000, 0, 0)
    server = BucketServer(rpm=600, tpm=job.tpm, seed=seed, sliding=True, headers=True, whole_s=not exact)
    _, most_refusals_of_a_call = simulate(job, server, told=False, seed=seed)
    assert 60 < server.last_s < 90
    assert server.refusals <= (5 if exact else 40)
    assert most_refusals_of_a_call <= 3


@pytest.mark.parametrize("headers", [True, False], ids=["headers", "no-headers"])
@pytest.mark.parametrize("name", ["calls", "tokens"])
def test_processes_that_share_a_deployment_leave_each_other_room(name, headers):
    """Two that know nothing of each other: hardly slower than one, and no call is refused again and again."""
    job = jobs(name, 0)
    server = BucketServer(tpm=job.tpm, latency_s=(0.05, 0.5), headers=headers)

    async def main():
        works = [Work(Pacer(rpm=server.rpm, tpm=server.tpm, clock=clock), server, seed) for seed in range(2)]
        halves = [job.sizes[::2], job.sizes[1::2]]
        await asyncio.gather(*[in_parallel(half, work.call, 32) for half, work in zip(halves, works, strict=True)])
        return max(work.most_refusals_of_a_call for work in works)

    most_refusals_of_a_call = run(main())
    assert server.answered == 300
    assert server.last_s <= 1.2 * ideal_s(server, job.sizes)
    assert server.refusals <= 150
    assert most_refusals_of_a_call <= 8


def test_a_service_that_says_nothing_is_found_out_by_its_refusals():
    """No limit is told in any way; still every call is answered, and soon."""
    job = jobs("calls", 0)
    server = BucketServer(tpm=job.tpm, whole_s=False)
    of_ideal, most_refusals_of_a_call = simulate(job, server, told=False, callers=16)
    assert of_ideal <= 1.2
    assert most_refusals_of_a_call <= 8
