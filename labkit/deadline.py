"""A deadline: how much time a call has left, and the end of whatever takes longer."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from labkit.errors import InvalidRequestError, LabkitError

_EXACT_S = 0.001


class DeadlineExceededError(LabkitError, TimeoutError):
    """The call did not end within ``deadline_s``, or could not have; its ``__cause__`` is the last error before."""

    def __init__(self, deadline_s: float, reason: str) -> None:
        super().__init__(
            f"No answer within the deadline of {deadline_s:.3g} s: {reason}. "
            "Give the call more time, ask for a shorter answer, or use a deployment that is less busy."
        )
        self.deadline_s = deadline_s


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point in time by ``clock``, ``deadline_s`` after the call began. What a call waits for counts against it."""

    deadline_s: float
    ends_at_s: float
    clock: Callable[[], float]

    @classmethod
    def after(cls, deadline_s: float, clock: Callable[[], float] = time.monotonic) -> "Deadline":
        """The deadline ``deadline_s`` from now; 0 or less is one that is over. ``InvalidRequestError`` for no number.

        Zero is no mistake: a caller that passes on what is left of its own time may have none left.
        """
        if isinstance(deadline_s, bool) or not isinstance(deadline_s, int | float) or math.isnan(deadline_s):
            raise InvalidRequestError(f"deadline_s must be seconds, or None for no deadline; this is {deadline_s!r}.")
        return cls(float(deadline_s), clock() + deadline_s, clock)

    @classmethod
    def of(cls, given: "float | Deadline | None", clock: Callable[[], float] = time.monotonic) -> "Deadline | None":
        """``given`` itself when it is a deadline under way, one that begins now when it is seconds."""
        return cls.after(given, clock) if given is not None and not isinstance(given, Deadline) else given

    @property
    def left_s(self) -> float:
        """The seconds left; never below 0."""
        return max(self.ends_at_s - self.clock(), 0.0)

    @property
    def is_over(self) -> bool:
        """True when nothing is left, or less than timers are exact to."""
        return self.left_s < _EXACT_S

    def error(self, reason: str) -> DeadlineExceededError:
        """The error that says this deadline was not kept, and why."""
        return DeadlineExceededError(self.deadline_s, reason)

    @asynccontextmanager
    async def cut(self, doing: str = "the answer was still under way") -> AsyncIterator[None]:
        """Cancels the block at the deadline; then ``DeadlineExceededError``. A block that is too late is not begun."""
        left_s = self.left_s
        if self.is_over:
            raise self.error("there was no time left to send it")
        if math.isinf(left_s):
            yield
            return
        try:
            async with asyncio.timeout(left_s) as timer:
                yield
        except TimeoutError:
            if not timer.expired():
                raise
            raise self.error(doing) from None
