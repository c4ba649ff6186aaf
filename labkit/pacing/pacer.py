"""Sends calls as fast as a deployment's limits allow, and no faster: one queue for everyone who calls it."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from labkit.errors import LabkitError
from labkit.pacing.buckets import MINUTE_S, Bucket, Limit, Taken
from labkit.pacing.estimates import estimate_tokens
from labkit.pacing.ratelimits import RateLimits, emptied, headers_of, rate_limits, stated_wait_s
from labkit.pacing.turns import Turns, Waiter

__all__ = ["CallTooLargeError", "Pacer", "Reservation", "estimate_tokens"]

# Requests are judged over windows of 1 or 10 s (how-to/quota): a burst of one second fits both. Below 600 a minute, one
# second has so few calls that 10 s are assumed until the service objects: nobody wants to wait between two questions. A
# tenth is kept back, as calls do not arrive in the rhythm in which they left.
_MARGIN_S = 0.1
_CALL_BURST_S = 1.0 - _MARGIN_S
_FEW_RPM, _FEW_CALLS_BURST_S = 600, 9.0
_CALL_SPANS_S = (1.0, 10.0)
# While nothing is known of the limits this many calls are out at a time, for this long: one of their answers may tell.
_SCOUTS = 8
_SCOUTING_S = 1.0
# Retry-After is in whole seconds, rounded up.
_ROUNDING_S = 1.0


class CallTooLargeError(LabkitError):
    """The call counts more tokens than the deployment has in a minute, and the service has refused it."""

    def __init__(self, tokens: int, tpm: float) -> None:
        super().__init__(
            f"This call counts about {tokens:,} tokens (its prompt and max_tokens); the deployment has {tpm:,.0f} "
            "tokens per minute, so waiting does not help. Lower max_tokens, shorten the prompt, or raise the capacity."
        )
        self.tokens = tokens


@dataclass(eq=False, slots=True)
class Reservation:
    """Room for one call, which ends exactly once: by ``settle``, ``refuse`` or ``release``; again is harmless."""

    pacer: "Pacer"
    sent_s: float
    tokens: int | None = None
    calls_taken: Taken | None = None
    tokens_taken: Taken | None = None
    is_oversized: bool = False
    has_ended: bool = False

    def settle(self, *, tokens: int | None = None, headers: Mapping[str, str] | None = None) -> None:
        """The call was answered, with this usage and these headers.

        The service keeps its estimate counted when fewer tokens were used (how-to/quota), so nothing is released; when
        more were used, the estimate was too small, and the rest is taken. ``x-ratelimit-remaining-*`` beats both.
        """
        if self._ends():
            self.pacer._settle(self, tokens, rate_limits(headers))

    def refuse(self, error: Exception, wait_s: float) -> None:
        """The call was refused with the 429 ``error``: nobody sends anything for ``wait_s`` seconds."""
        if self._ends():
            self.pacer._refuse(self, error, wait_s)

    def release(self) -> None:
        """The call never reached the service: what it took is free again."""
        if self._ends():
            self.pacer._release(self)

    def _ends(self) -> bool:
        ends, self.has_ended = not self.has_ended, True
        return ends


class Pacer:
    """Keeps the calls to one deployment within its requests and tokens per minute; share it among all who call it.

    Limits that are not given are learned from the answers' headers, and limits that are given are lowered by them.
    A refusal corrects the bucket that was empty and pauses everyone once. First come, first served, except that
    refused calls go first. It belongs to one event loop at a time.
    """

    def __init__(
        self,
        *,
        rpm: float | None = None,
        tpm: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._clock, self._asleep = clock, sleep
        self._reached_s = clock()
        self._given = (rpm, tpm)
        self._calls: Limit | None = None
        self._tokens: Limit | None = None
        self._turns: Turns[Reservation] = Turns(wait_s=self._wait_s, grant=self._grant, sleep=self._sleep)
        self._paused_until_s = self._paused_from_s = self._reached_s
        self._after_pause = False
        self._out = 0
        self._may_be_out: float = _SCOUTS
        self._is_scouting = True
        self._scouting_until_s: float | None = None
        self._learn(RateLimits(), since_s=self._reached_s)

    @property
    def rpm(self) -> float | None:
        """The requests per minute it keeps to; None while it knows none."""
        return None if self._calls is None else self._calls.per_minute

    @property
    def tpm(self) -> float | None:
        """The tokens per minute it keeps to; None while it knows none."""
        return None if self._tokens is None else self._tokens.per_minute

    @property
    def waiting(self) -> int:
        """How many calls wait for their turn."""
        return len(self._turns)

    async def reserve(self, tokens: int | Callable[[], int], *, first: bool = False) -> Reservation:
        """Room for a call of about ``tokens`` tokens, once there is room and nobody was here before.

        ``first`` is for a call that was refused: it goes before all that were not. ``tokens`` may be a function, which
        is called when the tokens per minute are known. Who is cancelled while waiting gives up nobody else's turn.
        ``CallTooLargeError`` for a refused call that a whole minute has no room for. Such a call is sent once, as the
        service's own count may be smaller.
        """
        return await self._turns.take(Waiter(tokens, goes_first=first))

    async def _sleep(self, seconds: float) -> None:
        until_s = self._now() + seconds
        await self._asleep(seconds)
        # Timers fire a little early, and a test's sleep at once: slept is slept, or this would spin.
        self._reached_s = max(self._reached_s, until_s)

    def _now(self) -> float:
        return max(self._clock(), self._reached_s)

    def _wait_s(self, waiter: Waiter[Reservation]) -> float:
        """The seconds until ``waiter`` may go; 0 for now."""
        now = self._now()
        if now < self._paused_until_s:
            return self._paused_until_s - now
        if self._after_pause and waiter.goes_first:
            return 0.0  # the service's own word, which beats what is thought to be left
        wait_s = self._scouting_s(now)
        if self._calls is not None:
            wait_s = max(wait_s, self._calls.wait_s(now, 1))
        if self._tokens is not None and not self._is_oversized(waiter.count()):
            wait_s = max(wait_s, self._tokens.wait_s(now, waiter.count()))
        return wait_s

    def _scouting_s(self, now: float) -> float:
        if self._calls is not None or self._out < self._may_be_out:
            return 0.0
        if self._scouting_until_s is None:
            self._scouting_until_s = now + _SCOUTING_S
        return max(0.0, self._scouting_until_s - now)

    def _is_oversized(self, tokens: int) -> bool:
        return self._tokens is not None and tokens > self._tokens.per_minute

    def _grant(self, waiter: Waiter[Reservation]) -> Reservation:
        now = self._now()
        granted = Reservation(self, now)
        if self._tokens is not None:
            granted.tokens = waiter.count()
            granted.is_oversized = self._is_oversized(granted.tokens)
            if granted.is_oversized and waiter.goes_first:
                raise CallTooLargeError(granted.tokens, self._tokens.per_minute)
            if not granted.is_oversized:
                granted.tokens_taken = self._tokens.take(now, granted.tokens)
        if self._calls is not None:
            granted.calls_taken = self._calls.take(now, 1)
        self._after_pause = False
        self._scouting_until_s = None
        self._out += 1
        return granted

    def _settle(self, done: Reservation, used: int | None, said: RateLimits) -> None:
        now = self._now()
        self._learn(said, since_s=done.sent_s)
        self._out -= 1
        # What the first answer does not tell, none will. Once a service has refused something it is felt out instead.
        self._may_be_out = math.inf if self._is_scouting else self._may_be_out + 1 / self._may_be_out
        self._is_scouting = False
        if self._tokens is not None and done.tokens is not None and used is not None and used > done.tokens:
            self._tokens.take(now, used - done.tokens)
        if self._calls is not None and done.calls_taken is not None and said.remaining_requests is not None:
            # Only lowered, and not for a trifle: what is left of a window of 10 s is not what may be sent in one.
            margin = self._calls.per_minute * _MARGIN_S / MINUTE_S
            self._calls.correct(now, done.calls_taken, said.remaining_requests + margin, raise_it=False)
        if self._tokens is not None and done.tokens_taken is not None and said.remaining_tokens is not None:
            margin = self._tokens.per_minute * _MARGIN_S / MINUTE_S
            self._tokens.correct(now, done.tokens_taken, said.remaining_tokens - margin)
        self._turns.look_again()

    def _refuse(self, refused: Reservation, error: Exception, wait_s: float) -> None:
        now = self._now()
        said = rate_limits(headers_of(error))
        self._learn(said, since_s=refused.sent_s)
        self._may_be_out, self._is_scouting = max(1.0, self._out / 2), False
        self._release(refused)
        if refused.is_oversized:
            return  # its own affair: nobody else has to wait for what never fits
        kind, stated = emptied(error), stated_wait_s(error)
        if kind == "call" and self._calls is not None and refused.calls_taken is not None:
            self._calls = _as_refused(self._calls, now, refused.calls_taken, 0.0, stated, _CALL_SPANS_S)
            if isinstance(self._calls, Bucket):
                self._calls.burst_s = _CALL_BURST_S
        if kind == "token" and self._tokens is not None and refused.tokens_taken is not None:
            left = min(said.remaining_tokens or 0.0, refused.tokens_taken.amount)
            self._tokens = _as_refused(self._tokens, now, refused.tokens_taken, left, stated, (MINUTE_S,))
        self._pause(now, refused.sent_s, wait_s)

    def _pause(self, now: float, sent_s: float, wait_s: float) -> None:
        if now >= self._paused_until_s:
            self._paused_from_s = now
            self._paused_until_s = now + wait_s
        elif sent_s > self._paused_from_s or now + wait_s > self._paused_until_s + _ROUNDING_S:
            self._paused_until_s = max(self._paused_until_s, now + wait_s)
        # Else it was on its way when the pause began, and what it was told is the same, a moment later.
        self._after_pause = True
        self._turns.look_again()

    def _release(self, done: Reservation) -> None:
        now = self._now()
        self._out -= 1
        if self._calls is not None and done.calls_taken is not None:
            self._calls.give_back(now, done.calls_taken)
        if self._tokens is not None and done.tokens_taken is not None:
            self._tokens.give_back(now, done.tokens_taken)
        self._turns.look_again()

    def _learn(self, said: RateLimits, *, since_s: float) -> None:
        """Take over the limits that are said, but never more than what was given."""
        rpm, tpm = _least(self._given[0], said.rpm), _least(self._given[1], said.tpm)
        if rpm is not None and self._calls is None:
            burst_s, is_guessed = (_FEW_CALLS_BURST_S, True) if rpm < _FEW_RPM else (_CALL_BURST_S, False)
            self._calls = Bucket(rpm, burst_s, since_s, is_guessed=is_guessed)
            self._calls.take(since_s, self._out)
        elif rpm is not None and said.rpm is not None and self._calls and self._calls.per_minute != rpm:
            self._calls.resize(self._now(), rpm)
        if tpm is not None and self._tokens is None:
            self._tokens = Bucket(tpm, MINUTE_S, since_s, is_guessed=True)
            if said.remaining_tokens is not None:
                full = self._tokens.take(since_s, 0)
                self._tokens.correct(since_s, full, said.remaining_tokens)
        elif tpm is not None and said.tpm is not None and self._tokens and self._tokens.per_minute != tpm:
            self._tokens.resize(self._now(), tpm)


def _as_refused(
    limit: Limit,
    now: float,
    taken: Taken,
    left: float,
    stated: tuple[float, float] | None,
    spans_s: tuple[float, ...],
) -> Limit:
    """``limit``, put right after the service found no more than ``left`` in it, too little for ``taken``."""
    wait_s, rounding_s = (0.0, 0.0) if stated is None else stated
    if isinstance(limit, Bucket):
        # From empty, a bucket has enough after this time. Who must wait longer is not waiting for a bucket; who must
        # wait longer than every span is not waiting for a limit at all, but for a fault or a quota of another kind.
        longest_s = taken.amount * MINUTE_S / limit.per_minute + rounding_s + _MARGIN_S
        span_s = next((span for span in spans_s if span >= wait_s), None)
        if wait_s > longest_s:
            return limit if span_s is None else limit.as_window(now, span_s, wait_s)
    limit.found_empty(now, taken, left, wait_s)
    return limit


def _least(given: float | None, said: float | None) -> float | None:
    known = [limit for limit in (given, said) if limit is not None]
    return min(known, default=None)
