"""The door of a service: so many calls at a time, first come first served, and closed once the service is drained."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from labkit.deadline import Deadline
from labkit.errors import InvalidRequestError, LabkitError

# What a cut call gets for leaving in good order: closing its connection, giving back what it reserved.
_LEAVING_S = 5.0


class ServiceDrainingError(LabkitError):
    """The service takes no calls any more, or cut this one, because it is being shut down."""


@dataclass(frozen=True, slots=True)
class Drained:
    """What became of the calls that were under way: how many ended by themselves, and how many were cut."""

    finished: int
    cut: int


class Gate:
    """Lets at most ``max_concurrency`` calls in at a time (None: all), in the order they came."""

    def __init__(self, max_concurrency: int | None = None) -> None:
        whole = isinstance(max_concurrency, int) and not isinstance(max_concurrency, bool)
        if max_concurrency is not None and not (whole and max_concurrency >= 1):
            raise InvalidRequestError(
                f"max_concurrency must be a whole number from 1, or None; this is {max_concurrency!r}."
            )
        self.max_concurrency = max_concurrency
        self.is_closed = False
        self._inside = 0
        self._queue: deque[asyncio.Future[None]] = deque()
        self._passages: set[Passage] = set()
        self._idle: asyncio.Future[None] | None = None

    @property
    def under_way(self) -> int:
        """How many calls have been taken, those that wait for their turn included."""
        return len(self._passages)

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return sum(not turn.done() for turn in self._queue)

    @asynccontextmanager
    async def passage(self, deadline: Deadline | None = None) -> "AsyncIterator[Passage]":
        """A call's stay inside; it waits for its turn until ``deadline``. ``ServiceDrainingError`` when closed."""
        passage = self.enter()
        try:
            async with passage.guarded():
                await passage.turn(deadline)
                yield passage
        finally:
            passage.leave()

    def enter(self) -> "Passage":
        """A stay that ends with its ``leave()``; to be followed by ``turn()``."""
        if self.is_closed:
            raise ServiceDrainingError(
                "This service takes no more calls: it has been drained. Make a new one, or send the call elsewhere."
            )
        passage = Passage(self)
        self._passages.add(passage)
        return passage

    async def drain(self, timeout_s: float) -> Drained:
        """Close the door, wait up to ``timeout_s`` for the calls inside, cut the rest, and say how many those were."""
        self.is_closed = True
        taken = len(self._passages)
        await self._emptied(timeout_s)
        cut = tuple(self._passages)
        for passage in cut:
            passage.cut()
        await self._emptied(_LEAVING_S)
        return Drained(taken - len(cut), len(cut))

    async def _emptied(self, timeout_s: float) -> None:
        if not self._passages:
            return
        if self._idle is None or self._idle.done():
            self._idle = asyncio.get_running_loop().create_future()
        await asyncio.wait([self._idle], timeout=max(timeout_s, 0.0))

    async def _take_place(self) -> None:
        if self.max_concurrency is None or (self._inside < self.max_concurrency and not self.waiting):
            self._inside += 1
            return
        turn = asyncio.get_running_loop().create_future()
        self._queue.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():
                self._give_place()  # it was this call's turn in the same moment
            raise

    def _give_place(self) -> None:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._inside -= 1

    def _has_left(self, passage: "Passage") -> None:
        self._passages.discard(passage)
        if not self._passages and self._idle is not None and not self._idle.done():
            self._idle.set_result(None)


class Passage:
    """One call's stay inside a gate."""

    def __init__(self, gate: Gate) -> None:
        self.is_cut = False
        self.on_cut: Callable[[], object] | None = None
        self._gate, self._has_place = gate, False
        self._timer: asyncio.Timeout | None = None

    async def turn(self, deadline: Deadline | None = None) -> None:
        """Wait until there is a place; ``DeadlineExceededError`` when there is none in time."""
        async with AsyncExitStack() as stack:
            if deadline is not None:
                await stack.enter_async_context(deadline.cut("it still waited for its turn"))
            await self._gate._take_place()
            self._has_place = True

    @asynccontextmanager
    async def guarded(self) -> AsyncIterator[None]:
        """A block in which this call can be cut; then ``ServiceDrainingError``."""
        self.check()
        try:
            async with asyncio.timeout(None) as self._timer:
                yield
        except TimeoutError:
            if not self.is_cut:
                raise
            raise _cut() from None
        finally:
            self._timer = None

    def check(self) -> None:
        """``ServiceDrainingError`` once this call has been cut."""
        if self.is_cut:
            raise _cut()

    def cut(self) -> None:
        """End this call now, wherever it waits."""
        self.is_cut = True
        if self._timer is not None:
            self._timer.reschedule(asyncio.get_running_loop().time())
        elif self.on_cut is not None:
            self.on_cut()

    def leave(self) -> None:
        """The call is over; its place goes to the next. Leaving twice is harmless."""
        if self._has_place:
            self._has_place = False
            self._gate._give_place()
        self._gate._has_left(self)


def _cut() -> ServiceDrainingError:
    return ServiceDrainingError(
        "This call was cut: the service was drained, and the call did not end in the time left for that."
    )
