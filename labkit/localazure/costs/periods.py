"""The periods of a budget: what its time grain makes of its start."""

from calendar import monthrange
from datetime import UTC, datetime
from typing import NamedTuple

from labkit.localazure.usage import DAY_S

_MONTHS = {"Monthly": 1, "Quarterly": 3, "Annually": 12, "BillingMonth": 1, "BillingQuarter": 3, "BillingAnnual": 12}


class Period(NamedTuple):
    """From ``start_s`` up to and without ``end_s``, in seconds since 1970."""

    start_s: float
    end_s: float

    def forecast(self, spent: float, at_s: float) -> float:
        """What ``spent`` comes to by the end if it goes on like this.

        Linear from the period so far, and at least one whole day counts as gone: the first minutes of a month must
        not foretell a fortune. (The service's own forecast is a model that learns from weeks of history.)
        """
        gone_s = min(max(at_s - self.start_s, DAY_S), self.end_s - self.start_s)
        return spent * (self.end_s - self.start_s) / gone_s


def current(grain: str, start: datetime, end: datetime, at_s: float) -> Period | None:
    """The period that ``at_s`` lies in; None before the budget's ``start`` and from its ``end`` on."""
    at = datetime.fromtimestamp(at_s, UTC)
    if not start <= at < end:
        return None
    months = _MONTHS[grain]
    passed = ((at.year - start.year) * 12 + at.month - start.month) // months * months
    if plus_months(start, passed) > at:  # a billing month that begins later in the month
        passed -= months
    begins, ends = plus_months(start, passed), plus_months(start, passed + months)
    return Period(begins.timestamp(), min(ends, end).timestamp())


def plus_months(moment: datetime, months: int) -> datetime:
    """``months`` later, on the same day or the last one that the month has."""
    years, month = divmod(moment.month - 1 + months, 12)
    year, month = moment.year + years, month + 1
    return moment.replace(year=year, month=month, day=min(moment.day, monthrange(year, month)[1]))
