"""An event loop whose time passes only while everybody waits: deadlines and sleeps without waiting for them."""

import asyncio
import selectors
from collections.abc import Coroutine
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
