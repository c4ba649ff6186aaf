"""A circuit breaker: a deployment that keeps failing is left alone for a while, then tried with one call at a time."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from labkit.errors import InvalidRequestError, LabkitError
from labkit.retry import LONGEST_WAIT_S, is_transient, retry_after_s
from labkit.telemetry import error_kind

if TYPE_CHECKING:
    from labkit.telemetry.instruments import BreakerState


class CircuitOpenError(LabkitError):
    """The deployment is not asked now, because it kept failing; ``retry_in_s`` says when it is tried again."""

    def __init__(self, deployment: str, last_error: str, *, open_for_s: float, retry_in_s: float) -> None:
        due = f"The next probe is due in {retry_in_s:.3g} s" if retry_in_s else "A probe is under way"
        super().__init__(
            f"Deployment {deployment!r} is not asked now: its circuit opened {open_for_s:.3g} s ago, after "
            f"{last_error}. {due}. Try again then, or give the service a fallback deployment."
        )
        self.deployment, self.last_error = deployment, last_error
        self.open_for_s, self.retry_in_s = open_for_s, retry_in_s


class AllCircuitsOpenError(CircuitOpenError):
    """No deployment of the service is asked now; ``errors`` has the reason for each."""

    def __init__(self, errors: Sequence[CircuitOpenError]) -> None:
        soonest = min(errors, key=lambda error: error.retry_in_s)
        told = (f"{each.deployment} (after {each.last_error}, probe in {each.retry_in_s:.3g} s)" for each in errors)
        LabkitError.__init__(
            self,
            f"No deployment is asked now, the circuits of all are open: {', '.join(told)}. "
            f"Try again in {soonest.retry_in_s:.3g} s.",
        )
        self.errors = tuple(errors)
        self.deployment, self.last_error = soonest.deployment, soonest.last_error
        self.open_for_s, self.retry_in_s = soonest.open_for_s, soonest.retry_in_s


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When a circuit opens, and for how long.

    After ``failures_in_a_row``, or once ``failure_share`` of the last ``window`` attempts failed. It stays open for
    ``open_s``, or as long as the service said (Retry-After, two minutes at most) where that is longer.
    """

    failures_in_a_row: int = 10
    failure_share: float = 0.5
    window: int = 20
    open_s: float = 30.0

    def __post_init__(self) -> None:
        if self.failures_in_a_row < 1 or self.window < 1 or not 0 < self.failure_share <= 1 or not self.open_s > 0:
            raise InvalidRequestError(
                "A breaker needs failures_in_a_row and window from 1, a failure_share over 0 up to 1, and open_s over "
                f"0; this is {self}."
            )


def is_outage(error: BaseException) -> bool:
    """True when ``error`` says that the deployment does not work: 408, 5xx, a timeout or a lost connection.

    Not a 429 or any other 4xx: a service that refuses a call works.
    """
    from openai import APIConnectionError, APIError

    if type(error) is APIError:  # came as an event of a stream, without a status
        return is_transient(error) and error.code not in ("429", "rate_limit_exceeded")
    status = getattr(error, "status_code", None)
    return isinstance(error, APIConnectionError) or status == 408 or (isinstance(status, int) and status >= 500)


class CircuitBreaker:
    """Closed: every attempt may go. Open: none. Half open: one at a time, and the first answer closes it again.

    ``on_change`` is told the new state. An attempt asks with ``admit`` and says how it went to what that gives back.
    """

    def __init__(
        self,
        deployment: str,
        policy: BreakerPolicy | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
        on_change: "Callable[[CircuitBreaker], object]" = lambda breaker: None,
    ) -> None:
        self.deployment, self.policy = deployment, policy or BreakerPolicy()
        self.state: BreakerState = "closed"
        self.last_error = ""
        self._clock, self._on_change = clock, on_change
        self._outcomes: deque[bool] = deque(maxlen=self.policy.window)
        self._in_a_row = self._generation = 0
        self._opened_s = self._until_s = 0.0
        self._probe: Permit | None = None

    def __repr__(self) -> str:
        due = f", next probe in {self.retry_in_s:.3g} s" if self.state == "open" else ""
        return f"<CircuitBreaker {self.deployment}: {self.state}{due}>"

    @property
    def retry_in_s(self) -> float:
        """The seconds until the next attempt may go; 0 when it may go now."""
        return max(self._until_s - self._clock(), 0.0) if self.state == "open" else 0.0

    def admit(self) -> "Permit":
        """Leave to make one attempt, or ``CircuitOpenError``."""
        if self.state == "open" and not self.retry_in_s:
            self._become("half_open")
        if self.state == "open" or self._probe is not None:
            open_for_s = self._clock() - self._opened_s
            raise CircuitOpenError(self.deployment, self.last_error, open_for_s=open_for_s, retry_in_s=self.retry_in_s)
        permit = Permit(self, self._generation)
        if self.state == "half_open":
            self._probe = permit
        return permit

    def examine(self) -> "Permit":
        """Leave for a health check, which is never refused. Its success closes the circuit like that of a probe."""
        return Permit(self, self._generation)

    def _succeeded(self) -> None:
        self._in_a_row = 0
        self._outcomes.append(False)
        if self.state != "closed":
            self._become("closed")

    def _failed(self, permit: "Permit", error: BaseException) -> None:
        if self.state != "closed" and permit is not self._probe:
            return  # of a health check: it is known to be down
        self.last_error = error_kind(error)
        self._in_a_row += 1
        self._outcomes.append(True)
        if permit is self._probe or self._is_too_much():
            self._open(error)

    def _is_too_much(self) -> bool:
        policy = self.policy
        share = sum(self._outcomes) / policy.window if len(self._outcomes) == policy.window else 0.0
        return self._in_a_row >= policy.failures_in_a_row or share >= policy.failure_share

    def _open(self, error: BaseException) -> None:
        now_s = self._clock()
        if self.state == "closed":
            self._opened_s = now_s
        said_s = retry_after_s(error) if isinstance(error, Exception) else None
        self._until_s = now_s + max(self.policy.open_s, min(said_s or 0.0, LONGEST_WAIT_S))
        self._become("open")

    def _become(self, state: "BreakerState") -> None:
        self.state, self._probe = state, None
        self._generation += 1
        if state == "closed":
            self._in_a_row = 0
            self._outcomes.clear()
        self._on_change(self)


class Permit:
    """Leave for one attempt. It ends once; what it says after its circuit has changed is no news."""

    __slots__ = ("_breaker", "_generation", "_has_ended")

    def __init__(self, breaker: CircuitBreaker, generation: int) -> None:
        self._breaker, self._generation, self._has_ended = breaker, generation, False

    @property
    def is_stale(self) -> bool:
        """True once the circuit has opened or closed since."""
        return self._generation != self._breaker._generation

    def success(self) -> None:
        """The deployment works: it answered, or refused for a reason of its own."""
        if self._ends():
            self._breaker._succeeded()

    def failure(self, error: BaseException) -> None:
        """The deployment does not work."""
        if self._ends():
            self._breaker._failed(self, error)

    def release(self) -> None:
        """Nothing is known: the attempt was not made, or its caller left. A probe's place is free again."""
        if self._ends() and self._breaker._probe is self:
            self._breaker._probe = None

    def end(self, error: BaseException) -> None:
        """What ``error`` says of the deployment: an outage is a failure, any other status a sign of life."""
        if is_outage(error):
            self.failure(error)
        elif hasattr(error, "status_code"):
            self.success()
        else:
            self.release()

    def _ends(self) -> bool:
        ends = not self._has_ended and not self.is_stale
        self._has_ended = True
        return ends
