"""Tokens and requests per minute: what a deployment's capacity lets through, and how long the rest must wait.

The rules are Microsoft Learn's ("Manage Azure OpenAI quota", how-to/quota, read 2026-11-22): the tokens of a call are
estimated when it arrives, from the length of its prompt and its ``max_tokens``; the estimate stays counted whatever the
call really uses; requests are judged over windows of 1 or 10 seconds, so that a minute's worth cannot arrive at once.
Measured by others in 2024: the minute slides, and a call that leaves ``max_tokens`` out is counted as if it asked
for about 640.
"""

import math
from dataclasses import dataclass
from typing import Literal

from labkit.localazure.resources import Deployment

Kind = Literal["call", "token"]

MINUTE_S = 60
_UNSET_MAX_TOKENS = 640
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that must wait: for which of the two limits, and how long.

    ``too_big`` is true when the call alone needs more tokens than a whole minute has, so that waiting cannot help.
    """

    kind: Kind
    wait_s: float
    too_big: bool = False

    @property
    def retry_after_s(self) -> int:
        """The wait in whole seconds, at least one, as the service states it."""
        return max(1, math.ceil(self.wait_s))

    @property
    def retry_after_ms(self) -> int:
        """The wait in whole milliseconds, at least one."""
        return max(1, math.ceil(self.wait_s * 1000))


class Limiter:
    """The limits of one deployment. It knows no clock: every call says what time it is.

    Constant time and memory: tokens are counted in sixty buckets of one second, requests in one window.
    """

    __slots__ = ("_allowed", "_newest", "_requests", "_spent", "_total", "_window_from", "_window_s", "rpm", "tpm")

    def __init__(self, tpm: int, rpm: int) -> None:
        self._spent = [0] * MINUTE_S
        self._total = 0
        self._newest = 0
        self._requests = 0
        self._window_from = -math.inf
        self.resize(tpm, rpm)

    def resize(self, tpm: int, rpm: int) -> None:
        """Change the limits; what was used in the last minute stays used."""
        self.tpm = tpm
        self.rpm = max(1, rpm)
        self._window_s = _window_s(self.rpm)
        self._allowed = self.rpm * self._window_s // MINUTE_S

    def take(self, now: float, tokens: int) -> Refusal | None:
        """None when a call of ``tokens`` may pass, and it is counted; else why not and for how long, and nothing is."""
        second = int(now)
        if second > self._newest:
            self._roll(second)
        if now >= self._window_from + self._window_s:
            self._window_from, self._requests = now, 0
        if self._requests >= self._allowed:
            return Refusal("call", self._window_from + self._window_s - now)
        if self._total + tokens > self.tpm:
            return self._full(now, tokens)
        self._requests += 1
        self._total += tokens
        self._spent[self._newest % MINUTE_S] += tokens
        return None

    def used_tokens(self, now: float) -> int:
        """The tokens counted in the minute before ``now``. Changes nothing."""
        oldest = max(int(now), self._newest) - MINUTE_S + 1
        return sum(self._spent[second % MINUTE_S] for second in range(oldest, self._newest + 1))

    @property
    def remaining_tokens(self) -> int:
        """What is left of the last minute's tokens, as of the last call."""
        return max(0, self.tpm - self._total)

    @property
    def remaining_requests(self) -> int:
        """What is left of the current window's requests, as of the last call."""
        return max(0, self._allowed - self._requests)

    def _roll(self, second: int) -> None:
        for passed in range(self._newest + 1, min(second, self._newest + MINUTE_S) + 1):
            self._total -= self._spent[passed % MINUTE_S]
            self._spent[passed % MINUTE_S] = 0
        self._newest = second

    def _full(self, now: float, tokens: int) -> Refusal:
        missing = self._total + tokens - self.tpm
        for second in range(self._newest - MINUTE_S + 1, self._newest + 1):
            missing -= self._spent[second % MINUTE_S]
            if missing <= 0:
                return Refusal("token", second + MINUTE_S - now)
        return Refusal("token", MINUTE_S, too_big=True)


class Limits:
    """The limiter of each deployment, made when its first call arrives."""

    def __init__(self) -> None:
        self._limiters: dict[str, tuple[Deployment, Limiter]] = {}

    def of(self, deployment: Deployment) -> Limiter:
        """The limiter of ``deployment`` at its present capacity."""
        known, limiter = self._limiters.get(deployment.id, (None, None))
        if limiter is not None and known is deployment:
            return limiter
        tpm, rpm = per_minute(deployment.capacity_ktpm, deployment.model.rpm_per_ktpm)
        if limiter is None:
            limiter = Limiter(tpm, rpm)
        elif (limiter.tpm, limiter.rpm) != (tpm, rpm):
            limiter.resize(tpm, rpm)
        self._limiters[deployment.id] = (deployment, limiter)
        return limiter


def per_minute(capacity_ktpm: int, rpm_per_ktpm: float) -> tuple[int, int]:
    """Tokens and requests per minute that come with a capacity in thousands of tokens per minute."""
    return capacity_ktpm * 1000, max(1, int(capacity_ktpm * rpm_per_ktpm))


def estimate_tokens(prompt_characters: int, max_tokens: int | None = None, answers: int = 1) -> int:
    """What a chat call counts against the tokens per minute when it arrives."""
    completion = _UNSET_MAX_TOKENS if max_tokens is None else max_tokens
    return estimate_input_tokens(prompt_characters) + completion * answers


def estimate_input_tokens(characters: int) -> int:
    """What a text counts against the tokens per minute when it arrives: a quarter of its characters, rounded up."""
    return -(-characters // _CHARACTERS_PER_TOKEN)


def _window_s(rpm: int) -> int:
    # Learn names windows of 1 and 10 s. A few requests a minute fit neither: less than one would be allowed in each.
    if rpm >= 600:
        return 1
    return 10 if rpm >= 6 else MINUTE_S
