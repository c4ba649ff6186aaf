"""The queue behind a pacer, at the moments when something happens to it in one and the same turn of the loop."""

import asyncio

import pytest

from labkit.pacing.turns import Turns, Waiter


class Slot:
    """What a turn gives."""

    def __init__(self):
        self.is_back = False

    def release(self):
        self.is_back = True


class Door:
    """Shut until it is opened; keeps what it gave out. Naps end when they are ended."""

    def __init__(self):
        self.is_open, self.given, self.naps = False, [], []
        self.turns = Turns(wait_s=lambda waiter: 0.0 if self.is_open else 1.0, grant=self._grant, sleep=self._sleep)

    def open(self):
        """Time is up: whoever waits may go."""
        self.is_open = True
        for nap in self.naps:
            if not nap.done():
                nap.set_result(None)

    def _grant(self, waiter):
        self.given.append(Slot())
        return self.given[-1]

    async def _sleep(self, seconds):
        self.naps.append(asyncio.get_running_loop().create_future())
        await self.naps[-1]


async def spin(turns=5):
    """Let the loop go round."""
    for _ in range(turns):
        await asyncio.sleep(0)


@pytest.mark.parametrize("moment", range(8))
async def test_who_is_cancelled_at_any_moment_takes_nobody_along(moment):
    """Also in the turn of the loop in which its time comes: the next one goes, and no slot is lost."""
    door = Door()
    first, second = (asyncio.create_task(door.turns.take(Waiter(1, goes_first=False))) for _ in range(2))
    await spin()
    door.open()
    await spin(moment)
    first.cancel()
    await spin(20)
    assert second.done()
    assert not second.cancelled()
    assert second.result() in door.given
    kept = [slot for slot in door.given if not slot.is_back]
    assert kept == ([second.result()] if first.cancelled() else [first.result(), second.result()])
    assert len(door.turns) == 0
