"""Decides whether and when a failed call is tried again, and does so: the only retry layer there is.

The SDK's own retries are off (``max_retries=0``): stacked layers multiply, and what multiplies cannot be counted.
"""

import asyncio
import math
import random
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, TypeVar

from labkit.errors import LabkitError
from labkit.plugins import PluginError, Retry

if TYPE_CHECKING:
    from tenacity import RetryCallState

T = TypeVar("T")

# The openai SDK honours Retry-After up to this and gives up beyond it (openai 3.54, MAX_RETRY_AFTER_DELAY, read
# 2026-11-22). Real services have answered "retry after 86400 seconds".
LONGEST_WAIT_S = 120.0
# Whatever a policy of one's own says, a call ends: a policy that never gives up would hang its notebook.
MOST_ATTEMPTS = 20
# 409 is left out on purpose: inference has no locks to wait for.
_TRANSIENT_STATUS = frozenset({408, 429, 500, 502, 503, 504})


class WaitTooLongError(LabkitError):
    """The service asks to wait longer than is sensible; ``wait_s`` says how long."""

    def __init__(self, wait_s: float, longest_s: float = LONGEST_WAIT_S) -> None:
        super().__init__(
            f"The service asks to wait {wait_s:,.0f} s before the next call; labkit waits {longest_s:,.0f} s at most. "
            "Try again later, use another deployment, or ask for more quota."
        )
        self.wait_s = wait_s


def is_transient(error: Exception) -> bool:
    """True for an error that may be gone next time: 408, 429, 5xx, a timeout or a lost connection.

    Never for 400, 401, 403, 404 or a content filter, which answer the same however often they are asked, nor for a
    429 that means "no credit left".
    """
    from openai import APIConnectionError, APIStatusError

    if isinstance(error, APIConnectionError):  # includes timeouts
        return True
    if not isinstance(error, APIStatusError) or error.code == "insufficient_quota":
        return False
    return error.status_code in _TRANSIENT_STATUS and error.response.headers.get("x-should-retry") != "false"


def retry_after_s(error: Exception, *, now: Callable[[], float] = time.time) -> float | None:
    """The seconds the service asks to wait: ``retry-after-ms``, else ``retry-after`` in seconds or as a date.

    None when it does not say, or says a time that has passed.
    """
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    wait_s = _number(headers.get("retry-after-ms"), per_second=1000)
    if wait_s is None:
        wait_s = _number(headers.get("retry-after"))
    if wait_s is None:
        wait_s = _until(headers.get("retry-after"), now())
    return wait_s if wait_s is not None and wait_s > 0 else None


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Waits as long as the service says; where it does not say, 0.5 s, 1 s, 2 s … up to ``longest_backoff_s``.

    Up to ``jitter`` (a share) is added to every wait, the service's word included, so that callers refused together
    do not come back together. The draw is unseeded, as it must differ between processes; ``jitter=0`` or a seeded
    ``rng`` makes the waits reproducible. ``now`` is the clock that dates in ``retry-after`` are compared with.
    """

    max_retries: int = 3
    first_backoff_s: float = 0.5
    longest_backoff_s: float = 8.0
    longest_wait_s: float = LONGEST_WAIT_S
    jitter: float = 0.1
    rng: random.Random = field(default_factory=random.Random, repr=False, compare=False)
    now: Callable[[], float] = field(default=time.time, repr=False, compare=False)

    def wait_s(self, error: Exception, attempt: int) -> float | None:
        """The seconds to wait after the ``attempt``-th try (from 1) failed with ``error``, or None to give up.

        ``WaitTooLongError`` when the service asks for more than ``longest_wait_s``.
        """
        if not is_transient(error):
            return None
        said_s = retry_after_s(error, now=self.now)
        if said_s is not None and said_s > self.longest_wait_s:
            raise WaitTooLongError(said_s, self.longest_wait_s) from error
        if attempt > self.max_retries:
            return None
        # 2.0 ** 64 is far beyond any wait; more would overflow.
        backoff_s = min(self.first_backoff_s * 2.0 ** min(attempt - 1, 64), self.longest_backoff_s)
        return min((said_s or backoff_s) * (1 + self.jitter * self.rng.random()), self.longest_wait_s)


async def call_with_retry(
    call: Callable[[], Awaitable[T]],
    policy: Retry,
    *,
    max_attempts: int = MOST_ATTEMPTS,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> T:
    """The result of ``call()``, tried again as ``policy`` says, at most ``max_attempts`` times.

    The last error is raised as it is, with a note of how many attempts were made.
    """
    from tenacity import AsyncRetrying, stop_after_attempt

    async def attempt() -> T:
        return await call()

    turn = _Turn(policy)
    stop = stop_after_attempt(max_attempts)
    retrying = AsyncRetrying(retry=turn.again, wait=turn.wait_s, stop=stop, sleep=sleep, reraise=True)
    try:
        return await retrying(attempt)
    except Exception as error:
        attempts = retrying.statistics["attempt_number"]
        if attempts > 1:
            error.add_note(f"Given up after {attempts} attempts.")
        raise


class _Turn:
    """Asks the policy once for each error: tenacity wants to know first whether, then how long."""

    def __init__(self, policy: Retry) -> None:
        self._policy = policy
        self._wait_s = 0.0

    def again(self, state: "RetryCallState") -> bool:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, Exception):  # success, or a cancellation
            return False
        wait_s = self._policy.wait_s(error, state.attempt_number)
        if wait_s is None:
            return False
        self._wait_s = _checked_wait(self._policy, wait_s, error)
        return True

    def wait_s(self, state: "RetryCallState") -> float:
        return self._wait_s


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
        value = float(text or "")
    except ValueError:
        return None
    return None if math.isnan(value) else value / per_second


def _until(text: str | None, now_s: float) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp() - now_s
    except (TypeError, ValueError, OverflowError):
        return None
