"""Single flight: several identical calls that are wanted at the same time cost one."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SingleFlight(Generic[T]):
    """Runs one of several identical calls that are wanted at the same time, and gives its result to all of them."""

    def __init__(self) -> None:
        self._flights: dict[str, _Flight[T]] = {}

    async def run(self, key: str, call: Callable[[], Coroutine[Any, Any, T]]) -> tuple[T, bool]:
        """The result of ``call()``, and whether it was shared: True for those who joined a flight under way.

        An error of the call reaches everyone who waits for it. Whoever is cancelled leaves alone; the call itself is
        cancelled when nobody waits any more.
        """
        flight = self._flights.get(key)
        # A call of another event loop (another thread's, or one that was stopped) cannot be waited for in this one.
        joined = flight is not None and flight.task.get_loop() is asyncio.get_running_loop()
        if flight is None or not joined:
            flight = self._flights[key] = _Flight(asyncio.create_task(call()))
        flight.waiting += 1
        try:
            return await asyncio.shield(flight.task), joined
        finally:
            flight.waiting -= 1
            self._land(key, flight)

    def _land(self, key: str, flight: "_Flight[T]") -> None:
        # Also when the last one was cancelled: whoever asks next must start anew, not join a call that is ending.
        if not flight.waiting:
            flight.task.cancel()  # does nothing to a task that is done
        if self._flights.get(key) is flight and (flight.task.done() or not flight.waiting):
            del self._flights[key]


@dataclass(eq=False, slots=True)
class _Flight(Generic[T]):
    """One call under way, and how many wait for it."""

    task: "asyncio.Task[T]"
    waiting: int = 0
