import asyncio

import pytest

from labkit.deadline import Deadline, DeadlineExceededError
from labkit.errors import InvalidRequestError
from labkit.gate import Drained, Gate, ServiceDrainingError
from tests.virtual import cancelled_after, now_s, run_virtually


async def stay(gate, seconds, order=None, name=None, deadline=None):
    """A call that takes so long once it is in."""
    async with gate.passage(deadline):
        if order is not None:
            order.append(name)
        await asyncio.sleep(seconds)
    return "done"


def test_no_more_than_allowed_run_at_a_time_and_in_the_order_they_came():
    """Three places, ten calls of a second: four rounds."""

    async def main():
        gate, order = Gate(3), []
        began_s = now_s()
        await asyncio.gather(*[stay(gate, 1, order, name) for name in range(10)])
        assert (order, now_s() - began_s) == (list(range(10)), 4)
        assert (gate.under_way, gate.waiting) == (0, 0)

    run_virtually(main())


def test_a_newcomer_does_not_overtake_who_waits():
    """A place that becomes free belongs to the first in the queue, also when somebody comes in that very moment."""

    async def main():
        gate, order = Gate(1), []
        first, second = (asyncio.create_task(stay(gate, 1, order, name)) for name in "ab")
        await first
        await asyncio.gather(stay(gate, 1, order, "c"), second)
        assert order == ["a", "b", "c"]

    run_virtually(main())


def test_waiting_for_a_place_counts_against_the_deadline():
    """The error says what it waited for, and the queue goes on without it."""

    async def main():
        gate = Gate(1)
        long, waits = asyncio.create_task(stay(gate, 10)), asyncio.create_task(stay(gate, 1))
        await asyncio.sleep(0)
        with pytest.raises(DeadlineExceededError, match="it still waited for its turn"):
            await stay(gate, 1, deadline=Deadline.after(5, now_s))
        assert (await long, await waits) == ("done", "done")
        assert gate.under_way == 0

    run_virtually(main())


def test_a_call_cancelled_anywhere_gives_its_place_back():
    """In the queue, at its turn, inside: all three places can be taken afterwards."""

    async def cancel_at(turns):
        gate = Gate(1)
        others = [asyncio.create_task(stay(gate, 0.35)) for _ in range(2)]
        under_way = await cancelled_after(turns, stay(gate, 0.35))
        await asyncio.gather(*others)
        assert (await stay(gate, 0), gate.under_way, gate._inside) == ("done", 0, 0)
        return under_way

    turns = 0
    while run_virtually(cancel_at(turns)):
        turns += 1
    assert turns > 5


def test_draining_refuses_new_calls_and_waits_for_those_under_way():
    """Those that wait for their turn have been taken, too."""

    async def main():
        gate = Gate(1)
        calls = [asyncio.create_task(stay(gate, 1)) for _ in range(3)]
        await asyncio.sleep(0)
        drain = asyncio.create_task(gate.drain(10))
        await asyncio.sleep(0)
        with pytest.raises(ServiceDrainingError, match="takes no more calls"):
            await stay(gate, 1)
        assert await drain == Drained(finished=3, cut=0)
        assert [await call for call in calls] == ["done"] * 3

    run_virtually(main())


def test_what_does_not_end_in_time_is_cut_and_counted():
    """Inside or still in the queue; each gets an error that says so, and nobody is cancelled."""

    async def main():
        gate = Gate(2)
        calls = [asyncio.create_task(stay(gate, seconds)) for seconds in (1, 60, 60)]
        await asyncio.sleep(0)
        began_s = now_s()
        assert await gate.drain(5) == Drained(finished=1, cut=2)
        assert now_s() - began_s == 5
        assert await calls[0] == "done"
        for call in calls[1:]:
            with pytest.raises(ServiceDrainingError, match="was cut"):
                await call

    run_virtually(main())


def test_draining_again_or_with_nothing_under_way_is_at_once():
    """There is nothing to wait for."""

    async def main():
        gate = Gate()
        began_s = now_s()
        assert await gate.drain(60) == Drained(0, 0)
        assert await gate.drain(60) == Drained(0, 0)
        assert now_s() == began_s

    run_virtually(main())


def test_two_who_drain_both_wait():
    """A signal handler and the end of the block may both ask."""

    async def main():
        gate = Gate()
        call = asyncio.create_task(stay(gate, 3))
        await asyncio.sleep(0)
        assert await asyncio.gather(gate.drain(60), gate.drain(60)) == [Drained(1, 0), Drained(1, 0)]
        assert call.done()

    run_virtually(main())


def test_errors_and_timeouts_of_a_call_pass_through():
    """A timeout of the call itself is not taken for a cut."""

    async def main():
        gate = Gate(1)
        for error in (ValueError("mine"), TimeoutError("mine")):
            with pytest.raises(type(error), match="mine"):
                async with gate.passage():
                    raise error
        assert await stay(gate, 0) == "done"

    run_virtually(main())


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "5"])
def test_the_number_of_places_is_checked(wrong):
    """The error says what was given."""
    with pytest.raises(InvalidRequestError, match="max_concurrency must be a whole number from 1"):
        Gate(wrong)
