"""The time the local Azure lives in: the machine's, or one that a test moves by hand."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Where the local Azure reads the time and waits; nothing else in it may ask the machine."""

    def now(self) -> float:
        """The time in seconds since 1970."""
        ...

    def advance(self, delay_s: float) -> None:
        """Move the time forward by ``delay_s`` seconds; ValueError for a step back."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Return when ``delay_s`` seconds have passed for the client."""
        ...


class SystemClock:
    """The machine's own clock, and what it was moved forward by: five minutes pass at once when a class asks for it."""

    def __init__(self) -> None:
        self._ahead_s = 0.0

    def now(self) -> float:
        """The time in seconds since 1970."""
        return time.time() + self._ahead_s

    def advance(self, delay_s: float) -> None:
        """Move the clock forward; ValueError for a step back, which no clock of a service takes."""
        self._ahead_s += _forward(delay_s)

    async def sleep(self, delay_s: float) -> None:
        """Really wait."""
        await asyncio.sleep(delay_s)


class ManualClock:
    """A clock that stands still until ``advance`` is called, so that tests of limits and expiry never wait.

    Sleeping on it returns at once and does not move it: how late an answer is must not depend on
    which other answers are under way.
    """

    def __init__(self, start_s: float = 1_700_000_000.0) -> None:
        self._now_s = start_s

    def now(self) -> float:
        """The time it was set to, in seconds since 1970."""
        return self._now_s

    def advance(self, delay_s: float) -> None:
        """Move the clock forward; ValueError for a step back."""
        self._now_s += _forward(delay_s)

    async def sleep(self, delay_s: float) -> None:
        """Let other requests have their turn, without waiting."""
        await asyncio.sleep(0)


def _forward(delay_s: float) -> float:
    if delay_s < 0:
        raise ValueError(f"A clock only moves forward; got {delay_s} s.")
    return delay_s


def iso(at_s: float) -> str:
    """``at_s`` as Azure writes times: UTC, seven decimals as in .NET, a Z at the end."""
    moment = datetime.fromtimestamp(at_s, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond:06d}0Z"
