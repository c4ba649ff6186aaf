"""The periods of budgets, and what a spend so far foretells."""

from datetime import UTC, datetime

import pytest

from labkit.localazure.costs.periods import Period, current, plus_months

DAY_S = 86_400


def at(text: str) -> datetime:
    """A moment in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("grain", "start", "moment", "begins", "ends"),
    [
        ("Monthly", "2026-11-01", "2026-11-25", "2026-11-01", "2026-12-01"),
        ("Monthly", "2026-11-01", "2027-02-28T23:59:59", "2027-02-01", "2027-03-01"),
        ("Quarterly", "2026-11-01", "2027-04-30", "2027-02-01", "2027-05-01"),
        ("Annually", "2026-11-01", "2028-10-31", "2027-11-01", "2028-11-01"),
        ("BillingMonth", "2026-11-18", "2026-12-17", "2026-11-18", "2026-12-18"),
        ("BillingMonth", "2026-11-18", "2026-12-18", "2026-12-18", "2027-01-18"),
        ("BillingMonth", "2027-01-31", "2027-03-01", "2027-02-28", "2027-03-31"),
        ("BillingQuarter", "2026-11-18", "2027-02-17", "2026-11-18", "2027-02-18"),
    ],
)
def test_period_is_the_one_that_the_moment_lies_in(grain: str, start: str, moment: str, begins: str, ends: str) -> None:
    """Counted from the budget's start; a billing period begins on its day of the month, or the month's last."""
    found = current(grain, at(start), at("2036-01-01"), at(moment).timestamp())
    assert found == Period(at(begins).timestamp(), at(ends).timestamp())


def test_no_period_outside_the_budget() -> None:
    """Not before its start, not from its end on; its last period ends with it."""
    start, end = at("2026-11-01"), at("2026-12-15")
    assert current("Monthly", start, end, at("2026-10-31T23:59:59").timestamp()) is None
    assert current("Monthly", start, end, end.timestamp()) is None
    last = current("Monthly", start, end, at("2026-12-14").timestamp())
    assert last == Period(at("2026-12-01").timestamp(), end.timestamp())


def test_forecast_is_linear_from_the_second_day_on() -> None:
    """Half of the period doubles what was spent; its first minutes count as a day."""
    period = Period(0.0, 30 * DAY_S)
    assert period.forecast(4.0, 15 * DAY_S) == 8.0
    assert period.forecast(4.0, 30 * DAY_S) == 4.0
    assert period.forecast(1.0, 60.0) == period.forecast(1.0, DAY_S) == 30.0


def test_a_leap_day_has_no_anniversary() -> None:
    """Ten years after 29 February is the 28th."""
    assert plus_months(at("2028-02-29"), 120) == at("2038-02-28")
