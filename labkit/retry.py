"""Decides whether and when a failed call is tried again, and does so: the only retry layer there is.

The SDK's own retries are off (``max_retries=0``): stacked layers multiply, and what multiplies cannot be counted.
"""

import asyncio
import itertools
import random
import re
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from labkit.deadline import Deadline, DeadlineExceededError
from labkit.errors import LabkitError
from labkit.plugins import PluginError, Retry
from labkit.telemetry import error_kind

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

# The openai SDK honours Retry-After up to this and gives up beyond it (openai 3.54, MAX_RETRY_AFTER_DELAY, read
# 2026-11-22). Real services have answered "retry after 86400 seconds".
LONGEST_WAIT_S = 120.0
# Whatever a policy of one's own says, a call ends: a policy that never gives up would hang its notebook.
MOST_ATTEMPTS = 20
# 409 is left out on purpose: inference has no locks to wait for.
_TRANSIENT_STATUS = frozenset({408, 429, *range(500, 600)})
_TRANSIENT_CODES = frozenset({"server_error", "rate_limit_exceeded", *map(str, _TRANSIENT_STATUS)})
# What Azure writes into the message of a 429 (vanderschaarlab/climb#1); a gateway in between may drop the headers.
_IN_WORDS = re.compile(r"retry after (\d+(?:\.\d+)?) (milli)?seconds?\b", re.IGNORECASE)


class WaitTooLongError(LabkitError):
    """The service asks to wait longer than is sensible; ``wait_s`` says how long."""

    def __init__(self, wait_s: float, longest_s: float = LONGEST_WAIT_S) -> None:
        super().__init__(
            f"The service asks to wait {wait_s:,.0f} s before the next call; labkit waits {longest_s:,.0f} s at most. "
            "Try again later, use another deployment, or ask for more quota."
        )
        self.wait_s = wait_s


@dataclass(frozen=True, slots=True)
class Attempt:
    """One try that failed: the kind of error (never its text), the time it took, and the wait after it.

    ``wait_s`` is None after the last one. ``is_refusal``: the service works, but not for this call now (429).
    """

    error: str
    is_refusal: bool
    duration_s: float
    wait_s: float | None = None


def attempts_of(error: BaseException) -> tuple[Attempt, ...]:
    """The failed tries that ended in ``error``, oldest first; none for an error of no call.

    A policy that is asked about ``error`` finds them here, too.
    """
    attempts: tuple[Attempt, ...] = getattr(error, "_labkit_attempts", ())
    return attempts


def is_transient(error: Exception) -> bool:
    """True for an error that may be gone next time: 408, 429, 5xx, a timeout or a lost connection.

    Never for 400, 401, 403, 404 or a content filter, which answer the same however often they are asked, nor for a
    429 that means "no credit left".
    """
    from openai import APIConnectionError, APIError, APIStatusError

    if isinstance(error, APIConnectionError):  # includes timeouts
        return True
    if type(error) is APIError:  # came as an event of a stream, without a status
        return error.code in _TRANSIENT_CODES
    if not isinstance(error, APIStatusError) or error.code == "insufficient_quota":
        return False
    return error.status_code in _TRANSIENT_STATUS and error.response.headers.get("x-should-retry") != "false"


def is_rate_limit(error: BaseException) -> bool:
    """True for a 429 that passes: the deployment works and has no room for this call now."""
    return getattr(error, "status_code", None) == 429 and getattr(error, "code", None) != "insufficient_quota"


def retry_after_s(error: Exception, *, now: Callable[[], float] = time.time) -> float | None:
    """The seconds the service asks to wait: ``retry-after-ms``, else ``retry-after`` in seconds or as a date.

    Then what its message says ("Please retry after 7 seconds"). None when it does not say, or says nothing that lies
    ahead: nan, zero, a date gone by.
    """
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    said_s = (
        _number(headers.get("retry-after-ms"), per_second=1000),
        _number(headers.get("retry-after")),
        _until(headers.get("retry-after"), now()),
        _in_words(getattr(error, "message", None)),
    )
    return next((wait_s for wait_s in said_s if wait_s is not None and wait_s > 0), None)


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits as long as the service says; where it does not say, 0.5 s, 1 s, 2 s … up to ``longest_backoff_s``.

    ``max_refusals`` is how many rate-limit refusals (429) are waited out, apart from ``max_retries`` other failures:
    being refused is a matter of patience, not of luck. None: they are counted together.

    Up to ``jitter`` (a share) is added to every wait, the service's word included, so that callers refused together
    do not come back together; it is drawn from the room under ``longest_wait_s``, never clipped to it. The draw is
    unseeded, as it must differ between processes; ``jitter=0`` or a seeded ``rng`` makes the waits reproducible.
    ``now`` is the clock that dates in ``retry-after`` are compared with.
    """

    max_retries: int = 3
    max_refusals: int | None = None
    first_backoff_s: float = 0.5
    longest_backoff_s: float = 8.0
    longest_wait_s: float = LONGEST_WAIT_S
    jitter: float = 0.1
    rng: random.Random = field(default_factory=random.Random, repr=False, compare=False)
    now: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    @property
    def max_attempts(self) -> int:
        """The most attempts of one call that this policy allows."""
        return 1 + self.max_retries + (self.max_refusals or 0)

    def wait_s(self, error: Exception, attempt: int) -> float | None:
        """The seconds to wait after the ``attempt``-th try (from 1) failed with ``error``, or None to give up.

        ``WaitTooLongError`` when the service asks for more than ``longest_wait_s``.
        """
        if not is_transient(error):
            return None
        said_s = retry_after_s(error, now=self.now)
        if said_s is not None and said_s > self.longest_wait_s:
            raise WaitTooLongError(said_s, self.longest_wait_s) from error
        failures, allowed = self._failures(error, attempt)
        if failures > allowed:
            return None
        # 2.0 ** 64 is far beyond any wait; more would overflow.
        backoff_s = min(self.first_backoff_s * 2.0 ** min(failures - 1, 64), self.longest_backoff_s)
        least_s = min(said_s or backoff_s, self.longest_wait_s)
        most_s = min(least_s * (1 + self.jitter), self.longest_wait_s)
        return least_s + (most_s - least_s) * self.rng.random()

    def _failures(self, error: Exception, attempt: int) -> tuple[int, int]:
        """How many failures of this kind there were, and how many may be followed by another attempt."""
        if self.max_refusals is None:
            return attempt, self.max_retries
        refused = is_rate_limit(error)
        alike = sum(each.is_refusal == refused for each in attempts_of(error)) or attempt
        return alike, self.max_refusals if refused else self.max_retries


async def call_with_retry(
    call: Callable[[], Awaitable[T]],
    policy: Retry,
    *,
    max_attempts: int | None = None,
    deadline: Deadline | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    clock: Callable[[], float] = time.perf_counter,
    on_retry: Callable[[Exception, float], None] | None = None,
) -> T:
    """The result of ``call()``, tried again as ``policy`` says, at most ``max_attempts`` times and until ``deadline``.

    The last error is raised as it is, with its attempts (``attempts_of``) and a note that tells them in words. At the
    deadline the running attempt is cut; a wait that would end after it is not begun: ``DeadlineExceededError`` from
    the last error. ``on_retry`` is told the error and the seconds before each wait.
    """
    most = getattr(policy, "max_attempts", MOST_ATTEMPTS) if max_attempts is None else max_attempts
    turn = _Turn(policy, most, deadline, clock, on_retry)

    async def attempt() -> T:
        turn.began_s = clock()
        if deadline is None:
            return await call()
        async with deadline.cut():
            return await call()

    try:
        try:
            return await attempt()
        except Exception as error:  # most calls end above, and neither load tenacity nor pay for it
            return await _tried_again(attempt, error, turn, sleep)
    except Exception as error:
        turn.end(error)
        raise


async def _tried_again(
    attempt: Callable[[], Awaitable[T]], error: Exception, turn: "_Turn", sleep: Callable[[float], Awaitable[None]]
) -> T:
    """What comes of the attempts after the first, which ended in ``error``."""
    from tenacity import AsyncRetrying

    first: list[Exception] = [error]

    async def following() -> T:
        if first:
            raise first.pop()
        return await attempt()

    return await AsyncRetrying(retry=turn.again, wait=turn.wait_s, sleep=sleep, reraise=True)(following)


@dataclass(slots=True)
class _Turn:
    """One call's attempts. Asks the policy once for each error: tenacity wants to know first whether, then how long."""

    policy: Retry
    max_attempts: int
    deadline: Deadline | None
    clock: Callable[[], float]
    on_retry: Callable[[Exception, float], None] | None
    began_s: float = 0.0
    next_wait_s: float = 0.0
    attempts: tuple[Attempt, ...] = ()
    last: Exception | None = None

    def again(self, state: "RetryCallState") -> bool:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, Exception):  # success, or a cancellation
            return False
        self._take_note(error)
        wait_s = None if isinstance(error, DeadlineExceededError) else self._asked(error)
        if wait_s is None or len(self.attempts) >= self.max_attempts:
            return False
        self._check_deadline(wait_s, error)
        self.next_wait_s, self.last = wait_s, error
        self.attempts = (*self.attempts[:-1], replace(self.attempts[-1], wait_s=wait_s))
        if self.on_retry is not None:
            self.on_retry(error, wait_s)
        return True

    def wait_s(self, state: "RetryCallState") -> float:
        return self.next_wait_s

    def end(self, error: Exception) -> None:
        _attach(error, self.attempts)
        if isinstance(error, DeadlineExceededError) and error.__cause__ is None:
            error.__cause__ = self.last
        if len(self.attempts) > 1:
            error.add_note(f"Given up after {len(self.attempts)} attempts: {_told(self.attempts)}.")

    def _take_note(self, error: Exception) -> None:
        taken_s = self.clock() - self.began_s
        self.attempts = (*self.attempts, Attempt(error_kind(error), is_rate_limit(error), taken_s))
        _attach(error, self.attempts)

    def _asked(self, error: Exception) -> float | None:
        wait_s = self.policy.wait_s(error, len(self.attempts))
        return None if wait_s is None else _checked_wait(self.policy, wait_s, error)

    def _check_deadline(self, wait_s: float, error: Exception) -> None:
        if self.deadline is not None and wait_s >= self.deadline.left_s:
            left_s = self.deadline.left_s
            raise self.deadline.error(
                f"after {error_kind(error)} the next attempt is due in {wait_s:.3g} s, and {left_s:.3g} s are left"
            ) from error


def _attach(error: Exception, attempts: tuple[Attempt, ...]) -> None:
    error._labkit_attempts = attempts  # type: ignore[attr-defined]


def _told(attempts: Iterable[Attempt]) -> str:
    """The attempts in words; runs of one kind are told together."""
    told = []
    for kind, run in itertools.groupby(attempts, key=lambda attempt: attempt.error):
        waits = [attempt.wait_s for attempt in run]
        waited_s = sum(wait_s or 0.0 for wait_s in waits)
        times = f"{len(waits)} x " if len(waits) > 1 else ""
        told.append(f"{times}{kind}" + (f" (waited {waited_s:.3g} s)" if waited_s else ""))
    return ", ".join(told)


def _checked_wait(policy: Retry, wait_s: object, error: Exception) -> float:
    if isinstance(wait_s, bool) or not isinstance(wait_s, int | float) or not wait_s >= 0:
        name = type(policy).__name__
        raise PluginError(f"{name}.wait_s must return seconds (0 or more), or None to give up; it returned {wait_s!r}.")
    longest_s = getattr(policy, "longest_wait_s", LONGEST_WAIT_S)
    if wait_s > longest_s:
        raise WaitTooLongError(wait_s, longest_s) from error
    return float(wait_s)


def _number(text: str | None, *, per_second: float = 1) -> float | None:
    try:
        return float(text or "") / per_second
    except ValueError:
        return None


def _until(text: str | None, now_s: float) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp() - now_s
    except (TypeError, ValueError, OverflowError):
        return None


def _in_words(message: object) -> float | None:
    said = _IN_WORDS.search(message) if isinstance(message, str) else None
    return float(said[1]) / (1000 if said[2] else 1) if said else None
