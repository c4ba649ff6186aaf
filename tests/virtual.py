"""An event loop whose time passes only while everybody waits: deadlines and sleeps without waiting for them."""

import asyncio
import selectors
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


class _Jumping(selectors.DefaultSelector):
    """Instead of waiting, moves the loop's time on to the next thing that is due."""

    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("Everybody waits, and nothing is due: this would hang.")
        self.loop.now_s += timeout
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop for code that talks to no socket. Starts at a time that floats hold exactly."""

    def __init__(self) -> None:
        selector = _Jumping()
        super().__init__(selector)
        selector.loop, self.now_s = self, 1024.0

    def time(self) -> float:
        return self.now_s


def run_virtually(main: Coroutine[Any, Any, Any]) -> Any:
    """What ``main`` returns, on a loop of virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def now_s() -> float:
    """The running loop's time: a clock to hand in."""
    return asyncio.get_running_loop().time()


async def cancelled_after(turns: int, call: Coroutine[Any, Any, Any]) -> bool:
    """Cancels ``call`` after so many turns of a virtual loop, each of 0.1 s; True when it was still under way.

    Its own errors are let be.
    """
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(call)
    assert isinstance(loop, VirtualLoop)
    for _ in range(turns):
        await asyncio.sleep(0)
        loop.now_s += 0.1
        if task.done():
            break
    under_way = not task.done()
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
    return under_way
