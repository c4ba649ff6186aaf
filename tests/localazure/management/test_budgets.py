"""Budgets: stored, and checked as the service does."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.mgmt.consumption import ConsumptionManagementClient
from azure.mgmt.consumption import models as consumption

from labkit.localazure.clock import ManualClock
from labkit.localazure.resources import GROUP_ID, SUBSCRIPTION_ID
from tests.localazure.conftest import ACCOUNT_ID, Answer

Arm = Callable[..., Answer]
BUDGETS = "Microsoft.Consumption/budgets"
NOW = dt.datetime(2026, 11, 22, 12, tzinfo=dt.UTC)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at noon on 22 November 2026."""
    return ManualClock(NOW.timestamp())


def notification(**changes: Any) -> dict[str, Any]:
    """One alarm of a budget."""
    return {
        "enabled": True,
        "operator": "GreaterThan",
        "threshold": 80,
        "contactEmails": ["teacher@example.com"],
        "thresholdType": "Actual",
        **changes,
    }


def budget(**properties: Any) -> dict[str, Any]:
    """The body of a budget's PUT."""
    base = {
        "category": "Cost",
        "amount": 100,
        "timeGrain": "Monthly",
        "timePeriod": {"startDate": "2026-11-01T00:00:00Z"},
        "notifications": {"actual80": notification()},
    }
    return {"properties": {**base, **properties}}


def test_budget_is_created_and_read_by_the_real_sdk(sdk: Callable[..., Any]) -> None:
    """As the fourth task makes it: alarms at 80 % actual and 100 % forecasted; read, changed and deleted."""
    budgets = sdk(ConsumptionManagementClient).budgets
    start = dt.datetime.now(dt.UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    alarms = {
        "actual80": consumption.Notification(
            enabled=True, operator="GreaterThan", threshold=80, contact_emails=["a@example.com"]
        ),
        "forecast100": consumption.Notification(
            enabled=True,
            operator="GreaterThan",
            threshold=100,
            contact_emails=["a@example.com"],
            threshold_type="Forecasted",
        ),
    }
    wanted = consumption.Budget(
        properties=consumption.BudgetProperties(
            category="Cost",
            amount=50,
            time_grain="Monthly",
            time_period=consumption.BudgetTimePeriod(start_date=start),
            notifications=alarms,
        )
    )
    made = budgets.create_or_update(GROUP_ID, "budget-session13", wanted)
    read = budgets.get(GROUP_ID, "budget-session13")
    assert (read.amount, read.time_grain, read.current_spend.amount, read.current_spend.unit) == (
        50,
        "Monthly",
        0,
        "USD",
    )
    assert read.notifications["actual80"].threshold_type == "Actual"
    assert read.notifications["forecast100"].threshold == 100
    assert read.time_period.start_date == start
    wanted.e_tag = read.e_tag
    wanted.amount = 60
    changed = budgets.create_or_update(GROUP_ID, "budget-session13", wanted)
    assert (changed.amount, changed.e_tag != made.e_tag) == (60, True)
    assert [b.name for b in budgets.list(GROUP_ID)] == ["budget-session13"]
    assert list(budgets.list(f"/subscriptions/{SUBSCRIPTION_ID}")) == []
    budgets.delete(GROUP_ID, "budget-session13")
    with pytest.raises(HttpResponseError) as missing:
        budgets.get(GROUP_ID, "budget-session13")
    assert missing.value.status_code == 404


@pytest.mark.parametrize(
    "scope",
    [
        f"/subscriptions/{SUBSCRIPTION_ID}",
        GROUP_ID,
        ACCOUNT_ID,
        "/providers/Microsoft.Billing/billingAccounts/1234",
    ],
    ids=["subscription", "group", "resource", "billing account"],
)
def test_budget_may_stand_at_any_scope(arm: Arm, scope: str) -> None:
    """And is listed at exactly that scope."""
    path = f"{scope}/providers/{BUDGETS}"
    assert arm("PUT", f"{path}/b", budget()).status == 201
    assert [b["name"] for b in arm("GET", path).json["value"]] == ["b"]
    assert arm("DELETE", f"{path}/b").status == 200
    assert arm("DELETE", f"{path}/b").error == (404, "ResourceNotFound")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param({}, "amount", id="empty"),
        pytest.param(budget(amount=None), "amount", id="no amount"),
        pytest.param(budget(amount=0), "greater than zero", id="amount 0"),
        pytest.param(budget(amount="100"), "amount", id="amount is text"),
        pytest.param(budget(category="Usage"), "It is Cost", id="category"),
        pytest.param(budget(timeGrain=None), "Monthly", id="no time grain"),
        pytest.param(budget(timeGrain="Weekly"), "Monthly, Quarterly", id="time grain"),
        pytest.param(budget(timePeriod=None), "timePeriod", id="no period"),
        pytest.param(budget(timePeriod={}), "startDate is required", id="no start"),
        pytest.param(budget(timePeriod={"startDate": "November"}), "not a date", id="start no date"),
        pytest.param(
            budget(timePeriod={"startDate": "2026-11-22T00:00:00Z"}), "first day of a month", id="not the first"
        ),
        pytest.param(
            budget(timePeriod={"startDate": "2026-11-01T08:00:00Z"}), "first day of a month", id="not midnight"
        ),
        pytest.param(budget(timePeriod={"startDate": "2017-05-01T00:00:00Z"}), "June 1, 2017", id="before 2017"),
        pytest.param(
            budget(timePeriod={"startDate": "2026-10-01T00:00:00Z"}), "prior to the current month", id="last month"
        ),
        pytest.param(budget(timePeriod={"startDate": "2027-12-01T00:00:00Z"}), "1 year into", id="far ahead"),
        pytest.param(
            budget(timePeriod={"startDate": "2026-11-01T00:00:00Z", "endDate": "2026-11-01T00:00:00Z"}),
            "after the startDate",
            id="end at start",
        ),
        pytest.param(budget(notifications=[notification()]), "an object", id="notifications are a list"),
        pytest.param(budget(notifications={str(n): notification() for n in range(6)}), "up to 5", id="six alarms"),
        pytest.param(budget(notifications={"a": notification(enabled=None)}), "needs enabled", id="no enabled"),
        pytest.param(budget(notifications={"a": notification(operator=">")}), "GreaterThan", id="operator"),
        pytest.param(budget(notifications={"a": notification(threshold=None)}), "percentage", id="no threshold"),
        pytest.param(budget(notifications={"a": notification(threshold=-1)}), "0 to 1000", id="threshold under 0"),
        pytest.param(budget(notifications={"a": notification(threshold=1001)}), "0 to 1000", id="threshold over 1000"),
        pytest.param(budget(notifications={"a": notification(thresholdType="Guess")}), "Forecasted", id="kind"),
        pytest.param(budget(notifications={"a": notification(contactEmails=[])}), "reach nobody", id="no contacts"),
        pytest.param(budget(notifications={"a": notification(contactEmails="a@b.c")}), "reach nobody", id="no list"),
        pytest.param(budget(notifications={"a": notification(contactEmails=["me"])}), "'me'", id="bad address"),
    ],
)
def test_impossible_budgets_are_refused(arm: Arm, body: object, said: str) -> None:
    """With the service's code and the reason; nothing is stored."""
    refused = arm("PUT", f"{BUDGETS}/b", body)
    assert refused.error == (400, "400")
    assert said in refused.json["error"]["message"]
    assert arm("GET", f"{BUDGETS}/b").status == 404


@pytest.mark.parametrize(
    "properties",
    [
        pytest.param({"timePeriod": {"startDate": "2027-11-01T00:00:00Z"}}, id="a year ahead"),
        pytest.param({"timePeriod": {"startDate": "2026-11-01"}}, id="a bare date"),
        pytest.param({"timeGrain": "Quarterly", "timePeriod": {"startDate": "2026-09-01T00:00:00Z"}}, id="quarter"),
        pytest.param({"timeGrain": "Annually", "timePeriod": {"startDate": "2025-12-01T00:00:00Z"}}, id="year"),
        pytest.param({"timeGrain": "BillingMonth", "timePeriod": {"startDate": "2026-11-18T00:00:00Z"}}, id="billing"),
        pytest.param({"notifications": None}, id="no alarms"),
        pytest.param({"notifications": {"a": notification(contactEmails=[], contactRoles=["Owner"])}}, id="a role"),
        pytest.param(
            {"filter": {"dimensions": {"name": "ResourceId", "operator": "In", "values": ["x"]}}}, id="filter"
        ),
    ],
)
def test_possible_budgets_are_stored(arm: Arm, properties: dict[str, Any]) -> None:
    """What the service takes is taken; without an end the budget runs for ten years."""
    made = arm("PUT", f"{BUDGETS}/b", budget(**properties))
    assert made.status == 201
    start, end = (made.json["properties"]["timePeriod"][name] for name in ("startDate", "endDate"))
    assert int(end[:4]) - int(start[:4]) == 10


def test_budget_keeps_its_start_and_notices_changes(arm: Arm, clock: ManualClock) -> None:
    """The start cannot be moved, an old budget can still be changed, and an old eTag is refused."""
    first = arm("PUT", f"{BUDGETS}/b", budget()).json
    clock.advance(90 * 86_400)  # the month of its start is long over
    second = arm("PUT", f"{BUDGETS}/b", {**budget(amount=200), "eTag": first["eTag"]})
    assert second.status == 200
    moved = arm("PUT", f"{BUDGETS}/b", budget(timePeriod={"startDate": "2026-12-01T00:00:00Z"}))
    assert moved.json["error"]["message"].startswith("Start date of budgets cannot be updated.")
    assert arm("PUT", f"{BUDGETS}/b", {**budget(), "eTag": first["eTag"]}).error == (412, "412")
    assert arm("GET", f"{BUDGETS}/b").json["properties"]["amount"] == 200
