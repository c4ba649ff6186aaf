"""Whose turn it is: a queue whose head sleeps until its time has come, and all others until they are the head."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

# Less than this is now: a sum of floats never quite gets there.
_INSTANT_S = 1e-6


class Granted(Protocol):
    """What a turn gives; nobody may be there any more to take it."""

    def release(self) -> None:
        """Take it back unused."""


G = TypeVar("G", bound=Granted)


@dataclass(eq=False, slots=True)
class Waiter(Generic[G]):
    """Somebody in the queue; whoever ``goes_first`` is ahead of all that do not."""

    tokens: int | Callable[[], int]
    goes_first: bool
    turn: "asyncio.Future[G]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def count(self) -> int:
        """The tokens, worked out when they are first needed."""
        if callable(self.tokens):
            self.tokens = self.tokens()
        return self.tokens


class Turns(Generic[G]):
    """Lets one after the other go: ``wait_s`` says in how many seconds the head may, ``grant`` lets it.

    One task serves the queue while there is one; it sleeps with ``sleep`` until something is due, or ``look_again`` is
    called because something has changed. It belongs to one event loop at a time.
    """

    def __init__(
        self,
        *,
        wait_s: Callable[[Waiter[G]], float],
        grant: Callable[[Waiter[G]], G],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._wait_s, self._grant, self._sleep = wait_s, grant, sleep
        self._queue: deque[Waiter[G]] = deque()
        self._server: asyncio.Task[None] | None = None
        self._wake: asyncio.Future[None] | None = None

    def __len__(self) -> int:
        return len(self._queue)

    async def take(self, waiter: Waiter[G]) -> G:
        """What ``waiter`` is granted when its turn has come. Who is cancelled leaves alone, and leaves no gap."""
        if not self._queue and self._wait_s(waiter) <= _INSTANT_S:
            return self._grant(waiter)
        self._enqueue(waiter)
        try:
            return await waiter.turn
        except asyncio.CancelledError:
            self._leave(waiter)
            raise

    def look_again(self) -> None:
        """Something has changed: the head's time may have come."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def _enqueue(self, waiter: Waiter[G]) -> None:
        if self._server is not None and self._server.get_loop() is not asyncio.get_running_loop():
            # They waited in an event loop that has ended.
            self._queue.clear()
            self._server = self._wake = None
        if waiter.goes_first:
            self._queue.insert(sum(other.goes_first for other in self._queue), waiter)
            self.look_again()
        else:
            self._queue.append(waiter)
        if self._server is None or self._server.done():
            self._server = asyncio.create_task(self._serve())

    def _leave(self, waiter: Waiter[G]) -> None:
        if waiter in self._queue:
            self._queue.remove(waiter)
            self.look_again()
        elif waiter.turn.done() and not waiter.turn.cancelled() and waiter.turn.exception() is None:
            waiter.turn.result().release()  # its turn came in the same moment

    async def _serve(self) -> None:
        try:
            while self._queue:
                await self._serve_head(self._queue[0])
        except BaseException as error:
            self._fail_all(error)
            raise

    async def _serve_head(self, head: Waiter[G]) -> None:
        if head.turn.done():
            self._queue.popleft()  # cancelled in this very turn of the loop: it has not left by itself yet
            return
        try:
            wait_s = self._wait_s(head)
            granted = self._grant(head) if wait_s <= _INSTANT_S else None
        except Exception as error:  # its own: the tokens cannot be counted, or never fit
            self._queue.popleft()
            head.turn.set_exception(error)
            return
        if granted is None:
            await self._nap(wait_s)
            return
        self._queue.popleft()
        head.turn.set_result(granted)

    async def _nap(self, wait_s: float) -> None:
        """Sleep that long, or until something has changed."""
        self._wake = asyncio.get_running_loop().create_future()
        nap = asyncio.ensure_future(self._sleep(wait_s))
        try:
            await asyncio.wait((nap, self._wake), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._wake = None
            if not nap.done():
                nap.cancel()
        if nap.done():
            nap.result()

    def _fail_all(self, error: BaseException) -> None:
        while self._queue:
            turn = self._queue.popleft().turn
            if isinstance(error, asyncio.CancelledError):
                turn.cancel()
            elif not turn.done():
                turn.set_exception(error)
