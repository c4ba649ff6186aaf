"""A call's place in a pacer's queue: room is reserved before each attempt, and what it was used for is told after."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from labkit.pacing import Pacer, Reservation
from labkit.retry import LONGEST_WAIT_S, is_rate_limit, retry_after_s


@dataclass(slots=True)
class Room:
    """What one call has reserved with ``pacer``; without one, there is always room.

    A refused attempt keeps its reservation until it is known how long to wait: the pacer then makes everybody wait,
    and this call comes first after that.
    """

    pacer: Pacer | None
    tokens: Callable[[], int]
    _held: Reservation | None = None
    _refusal: Exception | None = None
    _was_refused: bool = False

    async def reserve(self) -> None:
        """Wait for room for one attempt."""
        if self.pacer is not None:
            self._held = await self.pacer.reserve(self.tokens, first=self._was_refused)

    def answered(self, tokens: int | None, headers: Mapping[str, str] | None) -> None:
        """The attempt was answered, and took so many tokens (None: the service did not say)."""
        if self._held is not None:
            self._held.settle(tokens=tokens, headers=headers)

    def failed(self, error: BaseException) -> None:
        """The attempt ended in ``error``. Only a lost connection is taken not to count: it may not have been there.

        A timeout or a cancellation leaves a call that the service has counted.
        """
        if self._held is None:
            return
        if isinstance(error, Exception) and is_rate_limit(error):
            self._refusal = error
        elif type(error).__name__ == "APIConnectionError":  # a timeout is a subclass
            self._held.release()
        else:
            response = getattr(error, "response", None)
            self._held.settle(tokens=None, headers=getattr(response, "headers", None))

    def unused(self) -> None:
        """The room was there, and the attempt is not made after all."""
        if self._held is not None:
            self._held.release()

    def pauses(self, wait_s: float) -> bool:
        """True when a refused attempt leaves the wait of ``wait_s`` before the next one to the pacer."""
        if self._held is None or self._refusal is None:
            return False
        self._held.refuse(self._refusal, wait_s)
        self._refusal, self._was_refused = None, True
        return True

    def close(self) -> None:
        """The call is over: a refusal that nobody waits out is still told, for what can be learned from it.

        Others are not made to wait for longer than a call of their own would: each hears that word for itself.
        """
        if self._refusal is not None:
            wait_s = retry_after_s(self._refusal) or 0.0
            self.pauses(wait_s if wait_s <= LONGEST_WAIT_S else 0.0)
