"""A cost budget: what a call may cost is held before it is sent, and what it did cost is spent when it ends."""

import logging
import math
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING, Literal, Self

from labkit.budget.billing import may_be_billed
from labkit.errors import InvalidRequestError, LabkitError

if TYPE_CHECKING:
    from types import TracebackType

    from labkit.catalog import Price

Period = Literal["day", "month"]

logger = logging.getLogger(__name__)

# Sums are whole picodollars: exact, and the same whatever order calls end in. The cheapest token of the catalogue costs
# 5,000 of them.
_PER_USD = 10**12


class BudgetExceededError(LabkitError):
    """The call does not fit into the budget, and was not sent; the sums are attributes, ``ends`` is None or a time."""

    def __init__(
        self,
        asked_usd: float,
        *,
        limit_usd: float,
        spent_usd: float,
        held_usd: float,
        period: Period | None,
        ends: datetime | None,
    ) -> None:
        per, until = f" a {period}" if period else "", f", or wait until {ends:%Y-%m-%d %H:%M} UTC" if ends else ""
        super().__init__(
            f"The call may cost up to {_usd(asked_usd)} USD, which the budget of {_usd(limit_usd)} USD{per} has no "
            f"room for: {_usd(spent_usd)} USD are spent and {_usd(held_usd)} USD held for calls under way. Set a "
            f"smaller max_tokens (it is what a call is held for), use a cheaper model, raise the limit{until}."
        )
        self.asked_usd, self.limit_usd = asked_usd, limit_usd
        self.spent_usd, self.held_usd = spent_usd, held_usd
        self.period, self.ends = period, ends


class Budget:
    """At most ``limit_usd`` US dollars for all calls that share it: in total, or each ``period`` of UTC.

    ``reserve`` before a call holds the most it may cost, so that concurrent callers together cannot overshoot the limit
    by more than their estimates were wrong. A hold belongs to the period in which it ends: what is under way at
    midnight counts for the new day. Any number of event loops and threads may share a budget.

    ``on_threshold(share, budget)`` is called once a period when ``share`` of the limit is spent, for each of
    ``thresholds``; without one, a warning is logged. The sums live in this object and end with the process: for a
    limit that outlives it use a budget of Azure's Cost Management, which warns but does not stop calls.
    """

    def __init__(
        self,
        limit_usd: float,
        *,
        period: Period | None = None,
        thresholds: Sequence[float] = (),
        on_threshold: "Callable[[float, Budget], object] | None" = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        if period not in (None, "day", "month"):
            raise InvalidRequestError(f"period is 'day', 'month', or None for one budget in all; this is {period!r}.")
        self._limit = _pico(limit_usd, "limit_usd")
        self.period = period
        self.thresholds = tuple(sorted(_share(each) for each in thresholds))
        self._on_threshold = on_threshold or _warn
        self._now = now
        self._lock = Lock()
        self._spent = self._held = self._passed = 0
        self._begins = self._first_moment()
        # Estimates of holds that were lost, left here by their finalizers, which must not take a lock.
        self._lost: deque[int] = deque()

    def reserve(self, estimate_usd: float) -> "Hold":
        """A hold on ``estimate_usd``, to be ended exactly once; ``BudgetExceededError`` when it does not fit."""
        asked = _pico(estimate_usd, "estimate_usd")
        with self._lock:
            self._catch_up()
            if self._spent + self._held + asked > self._limit:
                raise self._exceeded(asked)
            self._held += asked
        return Hold(self, asked)

    @property
    def limit_usd(self) -> float:
        """The most that may be spent, in US dollars."""
        return self._limit / _PER_USD

    @property
    def spent_usd(self) -> float:
        """What calls that have ended did cost in this period, in US dollars."""
        return self._sums()[0] / _PER_USD

    @property
    def held_usd(self) -> float:
        """What calls under way may still cost, in US dollars."""
        return self._sums()[1] / _PER_USD

    @property
    def remaining_usd(self) -> float:
        """What the next call may cost, in US dollars; below 0 where an estimate was too low."""
        return (self._limit - sum(self._sums())) / _PER_USD

    @property
    def ends(self) -> datetime | None:
        """When the present period ends and the budget is whole again; None without a period."""
        with self._lock:
            self._catch_up()
            return self._end()

    def __repr__(self) -> str:
        spent, held = self._sums()
        per, until = (
            f" a {self.period}" if self.period else "",
            f", until {self._end():%Y-%m-%d}" if self.period else "",
        )
        limit_usd, spent_usd, held_usd = (_usd(each / _PER_USD) for each in (self._limit, spent, held))
        return f"Budget({limit_usd} USD{per}: {spent_usd} spent, {held_usd} held{until})"

    def _sums(self) -> tuple[int, int]:
        with self._lock:
            self._catch_up()
            return self._spent, self._held

    def _settle(self, estimate: int, cost: int) -> None:
        with self._lock:
            self._catch_up()
            self._held -= estimate
            crossed = self._spend(cost)
        # Outside the lock, so that the callback may ask the budget.
        for share in crossed:
            self._tell(share)

    def _spend(self, cost: int) -> Sequence[float]:
        """Adds ``cost`` to what is spent; returns the thresholds that this crossed."""
        self._spent += cost
        first = self._passed
        while self._passed < len(self.thresholds) and self._spent >= self.thresholds[self._passed] * self._limit:
            self._passed += 1
        return self.thresholds[first : self._passed]

    def _tell(self, share: float) -> None:
        try:
            self._on_threshold(share, self)
        except Exception:
            # The call is paid for: its answer must not be lost to an alarm that fails.
            logger.exception("on_threshold failed at %.0f %% of the budget", 100 * share)

    def _catch_up(self) -> None:
        """Takes in what was lost since, and begins a new period when it is time."""
        begins = self._first_moment()
        # A clock that is set back gives nothing back.
        if begins and self._begins and begins > self._begins:
            self._begins, self._spent, self._passed = begins, 0, 0
        while self._lost:
            lost = self._lost.popleft()
            self._held -= lost
            self._spent += lost  # its threshold rings with the next call that ends
            logger.warning(
                "A hold on %s USD was dropped without settle() or release(); it counts as spent, because its call may "
                "have been billed. Use `with budget.reserve(…) as hold:`.",
                _usd(lost / _PER_USD),
            )

    def _first_moment(self) -> datetime | None:
        if self.period is None:
            return None
        midnight = self._now().astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return midnight.replace(day=1) if self.period == "month" else midnight

    def _end(self) -> datetime | None:
        if self._begins is None:
            return None
        if self.period == "day":
            return self._begins + timedelta(days=1)
        return (self._begins + timedelta(days=31)).replace(day=1)

    def _exceeded(self, asked: int) -> BudgetExceededError:
        return BudgetExceededError(
            asked / _PER_USD,
            limit_usd=self._limit / _PER_USD,
            spent_usd=self._spent / _PER_USD,
            held_usd=self._held / _PER_USD,
            period=self.period,
            ends=self._end(),
        )


class Hold:
    """What one call may cost. The first of ``settle``, ``release`` and ``fail`` ends it; the others do nothing then.

    As a context manager it ends by itself: ``fail`` for an error, otherwise the estimate is taken for the cost. A hold
    that is dropped without an end counts as spent, with a warning: its call may have been billed, and nobody can say.
    """

    __slots__ = ("_budget", "_estimate", "_is_open")

    def __init__(self, budget: Budget, estimate: int) -> None:
        self._budget, self._estimate = budget, estimate
        # Whoever takes the one element ends the hold: popping it is atomic, also between threads.
        self._is_open = [True]

    @property
    def estimate_usd(self) -> float:
        """What is held, in US dollars."""
        return self._estimate / _PER_USD

    def settle(self, cost_usd: float) -> None:
        """The call did cost ``cost_usd``; where that is unknown (``nan``), its estimate is taken."""
        cost = self._estimate if math.isnan(cost_usd) else _pico(cost_usd, "cost_usd")
        self._end(cost)

    def release(self) -> None:
        """The call was never sent, or refused: it cost nothing."""
        self._end(0)

    def fail(self, error: BaseException) -> None:
        """The call ended in ``error``: it cost nothing, or its estimate where it may have been billed."""
        self._end(self._estimate if may_be_billed(error) else 0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: "TracebackType | None"
    ) -> None:
        if error is None:
            self._end(self._estimate)
        else:
            self.fail(error)

    def __del__(self) -> None:
        # Runs anywhere, even while this thread has the budget's lock: so it only leaves a note.
        if self._is_open:
            self._budget._lost.append(self._estimate)

    def _end(self, cost: int) -> None:
        try:
            self._is_open.pop()
        except IndexError:
            return
        self._budget._settle(self._estimate, cost)


def estimate_usd(prompt_tokens: int, max_tokens: int, price: "Price", *, n: int = 1) -> float:
    """The most a call can cost: none of the prompt is cached, and all ``n`` answers are as long as they may be."""
    most_tokens = max_tokens * n
    written_usd = price.cost_usd(prompt_tokens, most_tokens, cache_write_tokens=prompt_tokens)
    return max(price.cost_usd(prompt_tokens, most_tokens), written_usd)


def _pico(usd: float, name: str) -> int:
    if isinstance(usd, bool) or not isinstance(usd, int | float) or not math.isfinite(usd) or usd < 0:
        raise InvalidRequestError(f"{name} is a sum in US dollars from 0; this is {usd!r}.")
    return round(usd * _PER_USD)


def _share(share: float) -> float:
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 < share <= 1:
        raise InvalidRequestError(f"A threshold is a share of the limit above 0 and up to 1; this is {share!r}.")
    return float(share)


def _usd(usd: float) -> str:
    """A sum with two decimals, or with two digits where that is too coarse: calls cost fractions of a cent."""
    return f"{usd:,.2f}" if usd == 0 or usd >= 0.1 else f"{usd:.2g}" if usd >= 1e-4 else f"{usd:.6f}"


def _warn(share: float, budget: Budget) -> None:
    logger.warning("%.0f %% of the budget are spent: %r", 100 * share, budget)
