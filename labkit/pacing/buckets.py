"""What a rate limit still lets through: one that refills steadily, and one that counts a span of time.

They know no clock: every call says what time it is. Both can be told by the service that they are wrong.
"""

import math
from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

MINUTE_S = 60.0
# The least time by which a call may arrive earlier than those before it would have it.
_EARLY_S = 0.05
# How long it is remembered that others use a limit, what they may take of it at most, and how much use without them is
# assumed to begin with: seconds' worth, or calls, whichever is more.
_MEMORY_S = 10.0
_MOST_OF_OTHERS = 0.9
_DOUBT_S = 1.0
_DOUBTED_AMOUNTS = 4


class Taken(NamedTuple):
    """An amount that was taken: what was left after it, and the corrections that had been made until then."""

    amount: float
    left: float
    corrections: float


class Limit(Protocol):
    """What ``Bucket`` and ``Window`` have in common."""

    per_minute: float

    def resize(self, now: float, per_minute: float) -> None:
        """Go on with another limit; what was used stays used."""

    def level(self, now: float) -> float:
        """What may be taken at once; less than nothing after too much was taken."""

    def wait_s(self, now: float, amount: float) -> float:
        """The seconds until ``amount`` may be taken; more than there can ever be counts as all there can be."""

    def take(self, now: float, amount: float) -> Taken:
        """Take ``amount``, whether it is there or not."""

    def give_back(self, now: float, taken: Taken) -> None:
        """Undo ``taken``: it did not count."""

    def correct(self, now: float, taken: Taken, left: float, *, raise_it: bool = True) -> None:
        """The service says in its answer to ``taken`` that ``left`` is left: move the present level by the difference.

        It may mean when the call came, or when it was answered: the smaller of the two differences is taken, and none
        when they contradict each other. Without ``raise_it`` the level is only ever lowered.
        """

    def found_empty(self, now: float, taken: Taken, left: float, wait_s: float) -> None:
        """The service refused ``taken``, before which so much was left: lower the level to that.

        ``wait_s`` says when there is room for it.
        """


@dataclass(slots=True)
class Bucket:
    """Refills steadily, up to what ``burst_s`` seconds bring, but at least 1; full at the start.

    Others may draw from it, too: what the service corrects again and again is their share, and refills only for them.
    Where the burst ``is_guessed``, the first correction is of the guess.
    """

    per_minute: float
    burst_s: float
    at_s: float
    is_guessed: bool = False
    _level: float = field(init=False)
    _corrections: float = 0.0
    _others: "_Others" = field(default_factory=lambda: _Others())
    _history: "_Spent" = field(default_factory=lambda: _Spent())

    def __post_init__(self) -> None:
        self._level = self.burst
        if not self.is_guessed:
            self._others.note(self.at_s, 0.0, 0.0, 0.0)

    @property
    def burst(self) -> float:
        """The most there can be."""
        return max(1.0, self.per_minute * self.burst_s / MINUTE_S)

    def resize(self, now: float, per_minute: float) -> None:
        """Go on with another limit; what was used stays used."""
        used = self.burst - self.level(now)
        self.per_minute = per_minute
        self._set(now, self.burst - used)

    def level(self, now: float) -> float:
        """What may be taken at once."""
        passed_s = max(0.0, now - self.at_s)
        return min(self.burst, self._level + passed_s * self._own_per_s)

    def wait_s(self, now: float, amount: float) -> float:
        """The seconds until ``amount``, or at most the burst, is there."""
        missing = min(amount, self.burst) - self.level(now)
        return max(0.0, missing / self._own_per_s)

    def take(self, now: float, amount: float) -> Taken:
        """Take ``amount``, whether it is there or not."""
        self._set(now, self.level(now) - amount)
        self._history.forget(now - MINUTE_S)
        self._history.add(now, amount)
        return Taken(amount, self._level, self._corrections)

    def give_back(self, now: float, taken: Taken) -> None:
        """Undo ``taken``."""
        self._set(now, self.level(now) + taken.amount)
        self._history.remove_newest(taken.amount)

    def correct(self, now: float, taken: Taken, left: float, *, raise_it: bool = True) -> None:
        """Move the level by what the service says, unless that has been said before."""
        change = _smaller(_since(taken, left, self._corrections), left - self.level(now))
        if change < 0 or raise_it:
            self._move(now, change, taken.amount)

    def found_empty(self, now: float, taken: Taken, left: float, wait_s: float) -> None:
        """The service refused ``taken`` for want of room, with so much left before it."""
        self._move(now, min(0.0, _since(taken, left - taken.amount, self._corrections)), taken.amount)

    def as_window(self, now: float, span_s: float, wait_s: float) -> "Window":
        """The same limit over a span of time, of which nothing is left until ``wait_s`` have passed."""
        window = Window(self.per_minute, span_s, max(_EARLY_S, span_s / MINUTE_S), self._history)
        window.found_empty(now, Taken(0.0, window.level(now), 0.0), 0.0, wait_s)
        return window

    @property
    def _own_per_s(self) -> float:
        return self.per_minute / MINUTE_S * (1 - self._others.share)

    def _move(self, now: float, change: float, amount: float) -> None:
        if change:
            self._corrections += change
            self._set(now, self.level(now) + change)
            self._others.note(now, -change, self.per_minute / MINUTE_S, amount)

    def _set(self, now: float, level: float) -> None:
        self._level = min(self.burst, level)
        self._others.fade(now - self.at_s)
        self.at_s = max(self.at_s, now)


@dataclass(slots=True)
class _Others:
    """The share of a bucket's refill that somebody else takes, as the service's corrections betray it.

    They are weighed over some ten seconds. Where nothing is corrected any more, the share fades: others have stopped.
    """

    share: float = 0.0
    _noted_s: float | None = None
    _used: float = 0.0
    _refilled: float = 0.0

    def note(self, now: float, unexpected: float, per_s: float, amount: float) -> None:
        """Others have used ``unexpected`` more, or if negative less, than this share since the last note.

        One ``amount`` that is missing may be chance; several are somebody.
        """
        if self._noted_s is not None:  # the first tells only where things stand
            passed_s = max(0.0, now - self._noted_s)
            keep = math.exp(-passed_s / _MEMORY_S)
            refilled = per_s * passed_s
            self._used = max(0.0, self._used * keep + self.share * refilled + unexpected)
            self._refilled = self._refilled * keep + refilled
            doubt = max(per_s * _DOUBT_S, amount * _DOUBTED_AMOUNTS)
            self.share = min(_MOST_OF_OTHERS, self._used / (self._refilled + doubt))
        self._noted_s = now

    def fade(self, passed_s: float) -> None:
        """Time has passed in which nobody was noticed."""
        if self.share and passed_s > 0:
            self.share *= math.exp(-passed_s / _MEMORY_S)


@dataclass(slots=True)
class Window:
    """What was taken comes back ``span_s`` later, all at once: a limit that counts the last minute or seconds.

    Here it comes back ``slack_s`` later still: calls take unequal times to arrive, and services count in steps.
    """

    per_minute: float
    span_s: float
    slack_s: float = 0.0
    _spent: "_Spent" = field(default_factory=lambda: _Spent())
    _corrections: float = 0.0

    @property
    def most(self) -> float:
        """What the span lets through."""
        return max(1.0, self.per_minute * self.span_s / MINUTE_S)

    def resize(self, now: float, per_minute: float) -> None:
        """Go on with another limit; what was used stays used."""
        self.per_minute = per_minute

    def level(self, now: float) -> float:
        """What may be taken at once."""
        self._spent.forget(now - self._back_s)
        return self.most - self._spent.total

    def wait_s(self, now: float, amount: float) -> float:
        """The seconds until enough of what was taken has come back."""
        missing = min(amount, self.most) - self.level(now)
        return max(0.0, self._spent.when(missing) + self._back_s - now) if missing > 0 else 0.0

    def take(self, now: float, amount: float) -> Taken:
        """Take ``amount``, whether it is there or not."""
        self._spent.add(now, amount)
        return Taken(amount, self.level(now), self._corrections)

    def give_back(self, now: float, taken: Taken) -> None:
        """Undo ``taken``; of what was spent the newest goes, as what was refused was sent late."""
        self._spent.remove_newest(taken.amount)

    def correct(self, now: float, taken: Taken, left: float, *, raise_it: bool = True) -> None:
        """Somebody else's use comes back a whole span from now; what was counted too much has come back already."""
        change = _smaller(_since(taken, left, self._corrections), left - self.level(now))
        if change < 0 or raise_it:
            self._move(now, change, self._back_s)

    def found_empty(self, now: float, taken: Taken, left: float, wait_s: float) -> None:
        """What nobody here has taken comes back after ``wait_s``: there is room for this call then."""
        self._move(now, min(0.0, _since(taken, left - taken.amount, self._corrections)), min(wait_s, self._back_s))

    @property
    def _back_s(self) -> float:
        return self.span_s + self.slack_s

    def _move(self, now: float, change: float, back_s: float) -> None:
        self._corrections += change
        if change < 0:
            self._spent.add(now + back_s - self._back_s, -change)
        else:
            self._spent.remove_oldest(change)


def _since(taken: Taken, left: float, corrections: float) -> float:
    """By how much ``left`` after ``taken`` differs from what was thought, as far as that has not been corrected since.

    The difference holds for all that was taken after it, too.
    """
    return left - taken.left - (corrections - taken.corrections)


def _smaller(one: float, other: float) -> float:
    """The smaller of two changes in one direction; 0 for two in opposite ones."""
    return min(one, other, key=abs) if one * other > 0 else 0.0


@dataclass(slots=True)
class _Spent:
    """Amounts by the time they were taken, oldest first."""

    entries: deque[tuple[float, float]] = field(default_factory=deque)
    total: float = 0.0

    def add(self, at_s: float, amount: float) -> None:
        if self.entries and at_s < self.entries[-1][0]:
            insort(self.entries, (at_s, amount))
        else:
            self.entries.append((at_s, amount))
        self.total += amount

    def forget(self, until_s: float) -> None:
        """Drop what was taken until then."""
        while self.entries and self.entries[0][0] <= until_s:
            self.total -= self.entries.popleft()[1]

    def when(self, amount: float) -> float:
        """The time at which the oldest ``amount`` of it had been taken; all of it when there is less."""
        for at_s, spent in self.entries:
            amount -= spent
            if amount <= 0:
                return at_s
        return self.entries[-1][0] if self.entries else -math.inf

    def remove_newest(self, amount: float) -> None:
        self._remove(amount, -1)

    def remove_oldest(self, amount: float) -> None:
        self._remove(amount, 0)

    def _remove(self, amount: float, end: int) -> None:
        while amount > 0 and self.entries:
            at_s, spent = self.entries[end]
            removed = min(amount, spent)
            amount -= removed
            self.total -= removed
            if removed < spent:
                self.entries[end] = (at_s, spent - removed)
            else:
                del self.entries[end]
