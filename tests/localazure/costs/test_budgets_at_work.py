"""Budgets at work: what they stand at, whom they tell, once a period."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from azure.mgmt.consumption import ConsumptionManagementClient
from azure.mgmt.consumption import models as consumption
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.monitor import models as monitor

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock
from labkit.localazure.resources import GROUP_ID, RESOURCE_GROUP, SUBSCRIPTION_ID
from tests.localazure.conftest import ACCOUNT_ID, Answer, Caller
from tests.localazure.costs.spending import SMALL, use
from tests.localazure.monitor.receiver import Receiver

Arm = Callable[..., Answer]
Admin = Callable[[], dict[str, Any]]
BUDGET = "Microsoft.Consumption/budgets/b"
GROUP = "Microsoft.Insights/actionGroups/ag"
DAY_S = 86_400


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at noon on 16 November 2026: half of the month has passed."""
    return ManualClock(datetime(2026, 11, 16, tzinfo=UTC).timestamp())


@pytest.fixture
def history(call: Caller) -> Admin:
    """What ``GET /labkit/alerts`` answers."""

    def read() -> dict[str, Any]:
        answer = call("GET", "/labkit/alerts", headers={"x-labkit-key": call.azure.lab_key})
        assert answer.status == 200
        found: dict[str, Any] = answer.json
        return found

    return read


def notification(**changes: Any) -> dict[str, Any]:
    """One alarm of a budget, by mail."""
    return {
        "enabled": True,
        "operator": "GreaterThan",
        "threshold": 80,
        "thresholdType": "Actual",
        "contactEmails": ["teacher@example.com"],
        **changes,
    }


def budget(amount: float = 100, filter: object = None, **notifications: dict[str, Any]) -> dict[str, Any]:
    """The body of a monthly budget's PUT."""
    properties = {
        "category": "Cost",
        "amount": amount,
        "timeGrain": "Monthly",
        "timePeriod": {"startDate": "2026-11-01T00:00:00Z"},
        "notifications": notifications or {"actual80": notification()},
        "filter": filter,
    }
    return {"properties": properties}


def spends(arm: Arm, path: str = BUDGET) -> tuple[float, float | None]:
    """What the budget stands at: actual and forecast."""
    properties = arm("GET", path).json["properties"]
    return properties["currentSpend"]["amount"], properties.get("forecastSpend", {}).get("amount")


def test_spend_is_usage_times_price_in_the_period(call: Caller, arm: Arm) -> None:
    """Last month's usage is last month's; half a month spent foretells the double."""
    arm("PUT", BUDGET, budget(forecast=notification(thresholdType="Forecasted")))
    use(call.azure, at_s=call.azure.clock.now() - 16 * DAY_S)
    use(call.azure)
    use(call.azure, "cheap", SMALL)
    assert spends(arm) == (10.5, 21.0)


def test_forecast_is_shown_only_when_an_alarm_asks_for_it(call: Caller, arm: Arm) -> None:
    """As the SDK's model says."""
    arm("PUT", BUDGET, budget())
    assert spends(arm) == (0.0, None)


@pytest.mark.parametrize(
    ("scope", "spent"),
    [
        (f"/subscriptions/{SUBSCRIPTION_ID}", 10.0),
        (GROUP_ID, 10.0),
        (ACCOUNT_ID, 10.0),
        (f"{GROUP_ID}/providers/Microsoft.CognitiveServices/accounts/other", 0.0),
    ],
    ids=["subscription", "group", "account", "another account"],
)
def test_scope_decides_what_a_budget_watches(call: Caller, arm: Arm, scope: str, spent: float) -> None:
    """The subscription, the resource group or one account."""
    path = f"{scope}/providers/{BUDGET}"
    arm("PUT", path, budget())
    use(call.azure)
    assert spends(arm, path)[0] == spent


@pytest.mark.parametrize(
    ("filter", "spent"),
    [
        ({"tags": {"name": "deployment", "operator": "In", "values": ["cheap"]}}, 0.5),
        ({"dimensions": {"name": "Meter", "operator": "In", "values": ["gpt-4-turbo Inp glbl Tokens"]}}, 10.0),
        ({"dimensions": {"name": "ResourceId", "operator": "In", "values": ["elsewhere"]}}, 0.0),
    ],
    ids=["one deployment", "one meter", "another resource"],
)
def test_filter_decides_what_a_budget_counts(call: Caller, arm: Arm, filter: object, spent: float) -> None:
    """By tag (the deployment is one), and by dimension."""
    arm("PUT", BUDGET, budget(filter=filter))
    use(call.azure)
    use(call.azure, "cheap", SMALL)
    assert spends(arm)[0] == spent


def test_filter_by_an_unknown_dimension_is_refused(arm: Arm) -> None:
    """With the code that bad budgets get."""
    wrong = {"dimensions": {"name": "Mood", "operator": "In", "values": ["x"]}}
    refused = arm("PUT", BUDGET, budget(filter=wrong))
    assert refused.error == (400, "400")
    assert "'Mood' is no dimension" in refused.json["error"]["message"]


def test_threshold_is_told_once_a_period(call: Caller, arm: Arm, clock: ManualClock, history: Admin) -> None:
    """At the minute after it was passed; the next month begins anew and ends the old alert."""
    arm("PUT", BUDGET, budget())
    use(call.azure, prompt=8_000_000)
    clock.advance(60)
    assert history()["alerts"] == []  # 80 is not greater than 80
    use(call.azure, prompt=1_000)
    clock.advance(90)
    seen = history()
    assert [(a["rule"], a["service"], a["condition"], a["fired_at_s"]) for a in seen["alerts"]] == [
        ("b", "CostAlerts", "Fired", clock.now() - 30)
    ]
    told = seen["notifications"]
    assert [(n["channel"], n["to"], n["outcome"]) for n in told] == [("email", "teacher@example.com", "not sent")]
    assert told[0]["subject"] == "Your spend for budget b is now $80.01 exceeding your specified threshold $80.00."
    clock.advance(5 * DAY_S)
    assert len(history()["alerts"]) == 1
    clock.advance(12 * DAY_S)  # December
    use(call.azure, prompt=9_000_000)
    clock.advance(60)
    old, new = history()["alerts"]
    assert (old["condition"], old["resolved_at_s"]) == ("Resolved", datetime(2026, 12, 1, tzinfo=UTC).timestamp())
    assert (new["condition"], new["fired_at_s"]) == ("Fired", clock.now() // 60 * 60)


def test_end_of_a_period_is_looked_at_when_the_clock_jumps(
    call: Caller, arm: Arm, clock: ManualClock, history: Admin
) -> None:
    """What was spent in November is told, though nobody looked again before December."""
    arm("PUT", BUDGET, budget())
    clock.advance(60)
    history()
    use(call.azure, prompt=9_000_000)
    clock.advance(30 * DAY_S)
    (alert,) = history()["alerts"]
    end = datetime(2026, 12, 1, tzinfo=UTC).timestamp()
    assert (alert["fired_at_s"], alert["resolved_at_s"]) == (end - 60, end)


@pytest.mark.parametrize(
    ("operator", "threshold", "fires"),
    [
        ("GreaterThan", 9.99, True),
        ("GreaterThan", 10, False),
        ("GreaterThanOrEqualTo", 10, True),
        ("GreaterThanOrEqualTo", 10.01, False),
        ("EqualTo", 10, True),
        ("EqualTo", 11, False),
    ],
)
def test_operators_compare_percent(
    call: Caller, arm: Arm, clock: ManualClock, history: Admin, operator: str, threshold: float, fires: bool
) -> None:
    """Ten dollars of a hundred are ten percent."""
    arm("PUT", BUDGET, budget(a=notification(operator=operator, threshold=threshold)))
    use(call.azure)
    clock.advance(60)
    assert bool(history()["alerts"]) is fires


def test_disabled_alarm_is_silent(call: Caller, arm: Arm, clock: ManualClock, history: Admin) -> None:
    """Whatever was spent."""
    arm("PUT", BUDGET, budget(a=notification(enabled=False)))
    use(call.azure, prompt=90_000_000)
    clock.advance(60)
    assert history()["alerts"] == []


def test_deleted_budget_ends_its_alert(call: Caller, arm: Arm, clock: ManualClock, history: Admin) -> None:
    """And one made anew under its name starts from nothing."""
    arm("PUT", BUDGET, budget())
    use(call.azure, prompt=9_000_000)
    clock.advance(60)
    assert [a["condition"] for a in history()["alerts"]] == ["Fired"]
    arm("DELETE", BUDGET)
    assert [a["condition"] for a in history()["alerts"]] == ["Resolved"]
    arm("PUT", BUDGET, budget())
    clock.advance(60)
    assert [a["condition"] for a in history()["alerts"]] == ["Resolved", "Fired"]


@pytest.mark.parametrize("common", [True, False])
def test_forecast_reaches_a_webhook_through_an_action_group(
    sdk: Callable[..., Any], azure: LocalAzure, common: bool
) -> None:
    """In the common alert schema or the older one, as the receiver wants it; with the real SDKs."""
    with Receiver() as receiver:
        group = sdk(MonitorManagementClient).action_groups.create_or_update(
            RESOURCE_GROUP,
            "ag",
            monitor.ActionGroupResource(
                location="Global",
                group_short_name="ag",
                enabled=True,
                webhook_receivers=[
                    monitor.WebhookReceiver(name="hook", service_uri=receiver.url, use_common_alert_schema=common)
                ],
            ),
        )
        start = datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        alarm = consumption.Notification(
            enabled=True,
            operator="GreaterThan",
            threshold=100,
            threshold_type="Forecasted",
            contact_emails=[],
            contact_groups=[group.id],
        )
        wanted = consumption.Budget(
            properties=consumption.BudgetProperties(
                category="Cost",
                amount=0.01,
                time_grain="Monthly",
                time_period=consumption.BudgetTimePeriod(start_date=start),
                notifications={"forecast": alarm},
            )
        )
        budgets = sdk(ConsumptionManagementClient).budgets
        budgets.create_or_update(GROUP_ID, "b", wanted)
        use(azure.azure)
        azure.azure.clock.advance(60)
        read = budgets.get(GROUP_ID, "b")
        assert float(read.current_spend.amount) == 10.0
        assert float(read.forecast_spend.amount) >= 10.0
        azure.azure.monitor.notifier.webhooks.settle(10.0)
    (body,) = receiver.bodies
    data = body["data"]
    if common:
        assert body["schemaId"] == "azureMonitorCommonAlertSchema"
        assert data["essentials"]["monitoringService"] == "CostAlerts"
        assert data["alertContext"]["AlertData"]["ThresholdType"] == "Forecasted"
        assert data["alertContext"]["AlertData"]["SpentAmount"] == "$10.00"
    else:
        assert body["schemaId"] == "AIP Budget Notification"
        assert (data["BudgetName"], data["Budget"], data["SpendingAmount"]) == ("b", "0.010000", "10.00")
        assert data["ResourceGroup"] == RESOURCE_GROUP


def test_costs_are_listed_by_day_and_deployment(call: Caller) -> None:
    """``GET /labkit/costs``, for notebooks and the console."""
    use(call.azure, completion=1_000)
    use(call.azure, "cheap", SMALL)
    answer = call("GET", "/labkit/costs", headers={"x-labkit-key": call.azure.lab_key})
    day_s = call.azure.clock.now() // DAY_S * DAY_S
    assert [(row["day_s"], row["deployment"], row["tokens"], row["cost_usd"]) for row in answer.json["costs"]] == [
        (day_s, "chat", 1_001_000, pytest.approx(10.03)),
        (day_s, "cheap", 1_000_000, 0.5),
    ]
