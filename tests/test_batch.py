import asyncio

import pytest

from labkit.batch import in_window


async def test_results_keep_the_order_of_the_items():
    """Whoever finishes first."""

    async def slow_first(number):
        await asyncio.sleep(0.02 if number == 0 else 0)
        return number * 10

    assert await in_window(range(6), slow_first, size=3) == [0, 10, 20, 30, 40, 50]


async def test_items_start_in_order():
    """Also from something that can be read only once."""
    started = []

    async def note(item):
        started.append(item)
        await asyncio.sleep(0)

    await in_window(iter("abcde"), note, size=2)
    assert started == list("abcde")


async def test_an_error_stops_the_others():
    """Work that must not stop returns its errors instead of raising them, as the optimizer's does."""
    ended = []

    async def work(number):
        if number == 1:
            raise ValueError("one")
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            ended.append(number)
            raise

    with pytest.raises(ExceptionGroup):
        await in_window(range(3), work, size=2)
    assert ended == [0]
