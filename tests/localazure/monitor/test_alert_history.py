"""The alert history, through azure-mgmt-alertsmanagement and without it."""

from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.alertsmanagement import AlertsManagementClient

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock, iso
from labkit.localazure.monitor.alerts import Alerts, Source
from labkit.localazure.resources import GROUP_ID, RESOURCE_GROUP, SUBSCRIPTION_ID
from tests.localazure.conftest import ACCOUNT_ID, Answer, Caller
from tests.localazure.monitor.conftest import RULE, Metrics, condition, metric_alert

Arm = Callable[..., Answer]
ALERTS = f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.AlertsManagement/alerts"
RULE_ID = f"{GROUP_ID}/providers/{RULE}"
SOURCE = Source(RULE_ID, "slow", "Sev2", "Metric", "Platform", "Answers are slow.")


def fire(azure: Any, at_s: float, **changes: Any) -> Any:
    """An alert without a rule behind it."""
    return azure.monitor.alerts.fire(SOURCE, ACCOUNT_ID, (), {"why": "slow"}, at_s, **changes)


def test_history_is_read_and_acknowledged_by_the_real_sdk(sdk: Callable[..., Any], azure: LocalAzure) -> None:
    """List, get, history, change of state and summary, as azure-mgmt-alertsmanagement 1.0.1 reads them."""
    clock = azure.azure.clock
    alert = fire(azure.azure, clock.now())
    client = sdk(AlertsManagementClient)
    (listed,) = client.alerts.get_all(time_range="1h", sort_by="severity")
    essentials = listed.properties.essentials
    assert (listed.name, essentials.severity, essentials.monitor_condition) == ("slow", "Sev2", "Fired")
    assert (essentials.alert_state, essentials.monitor_service, essentials.signal_type) == ("New", "Platform", "Metric")
    assert (essentials.target_resource, essentials.target_resource_group) == (ACCOUNT_ID, RESOURCE_GROUP)
    assert essentials.target_resource_type == "microsoft.cognitiveservices/accounts"
    assert (essentials.alert_rule, essentials.description) == (RULE_ID, "Answers are slow.")
    assert essentials.start_date_time.timestamp() == pytest.approx(alert.fired_at_s, abs=1e-3)
    assert listed.properties.context is None
    id = listed.id.rpartition("/")[2]
    assert client.alerts.get_by_id(id).properties.context == {"why": "slow"}
    changed = client.alerts.change_state(id, "Acknowledged")
    assert changed.properties.essentials.alert_state == "Acknowledged"
    azure.azure.monitor.alerts.resolve(alert, clock.now())
    assert client.alerts.get_by_id(id).properties.essentials.monitor_condition_resolved_date_time is not None
    events = [line.modification_event for line in client.alerts.get_history(id).properties.modifications]
    assert events == ["AlertCreated", "StateChange", "MonitorConditionChange"]
    summary = client.alerts.get_summary(groupby="severity,alertState")
    assert summary.properties.total == 1
    (severity,) = summary.properties.values
    assert (severity.name, severity.count, severity.groupedby) == ("Sev2", 1, "alertState")
    assert [(state.name, state.count) for state in severity.values] == [("Acknowledged", 1)]
    with pytest.raises(ResourceNotFoundError):
        client.alerts.get_by_id("00000000-0000-0000-0000-000000000000")
    with pytest.raises(HttpResponseError) as refused:
        client.alerts.change_state(id, "Solved")
    assert "Supported values: New, Acknowledged, Closed" in str(refused.value)


def test_reading_evaluates_what_is_due_first(arm: Arm, clock: ManualClock, metrics: Metrics) -> None:
    """Advance the clock and read: the alert is there."""
    arm("PUT", RULE, metric_alert())
    metrics.values = {(): 4.0}
    clock.advance(60)
    (alert,) = arm("GET", ALERTS, includeContext="true").json["value"]
    (entry,) = alert["properties"]["context"]["condition"]["allOf"]
    assert entry == {
        "metricName": "AzureOpenAITimeToResponse",
        "metricNamespace": None,
        "operator": "GreaterThan",
        "threshold": "3",
        "timeAggregation": "Average",
        "dimensions": [],
        "metricValue": 4.0,
        "webTestName": None,
    }
    assert alert["properties"]["essentials"]["startDateTime"] == iso(clock.now())


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({}, 2),
        ({"monitorCondition": "fired"}, 1),
        ({"monitorCondition": "Resolved", "severity": "Sev2"}, 1),
        ({"severity": "Sev0"}, 0),
        ({"alertState": "New"}, 2),
        ({"targetResource": ACCOUNT_ID.upper()}, 2),
        ({"targetResource": GROUP_ID}, 0),
        ({"targetResourceGroup": RESOURCE_GROUP, "targetResourceType": "Microsoft.CognitiveServices/accounts"}, 2),
        ({"alertRule": RULE_ID}, 2),
        ({"alertRule": "slow"}, 2),
        ({"alertRule": "other"}, 0),
        ({"monitorService": "Platform"}, 2),
        ({"timeRange": "1h"}, 1),
        ({"timeRange": "7d"}, 3),
    ],
)
def test_filters(call: Caller, arm: Arm, clock: ManualClock, filters: dict[str, str], count: int) -> None:
    """By condition, severity, target, rule and time; without a time those of the last day."""
    for ago_s in (3 * 86_400, 7_200, 60):
        alert = fire(call.azure, clock.now() - ago_s)
    call.azure.monitor.alerts.resolve(alert, clock.now())
    assert len(arm("GET", ALERTS, **filters).json["value"]) == count


def test_custom_time_range(call: Caller, arm: Arm, clock: ManualClock) -> None:
    """From and to, in ISO 8601."""
    fire(call.azure, clock.now() - 7_200)
    span = f"{iso(clock.now() - 7_300)}/{iso(clock.now() - 7_100)}"
    assert len(arm("GET", ALERTS, customTimeRange=span).json["value"]) == 1
    assert arm("GET", ALERTS, customTimeRange=f"2026-11-25/{iso(clock.now() - 7_201)}").json["value"] == []


def test_newest_change_comes_first_unless_asked_otherwise(call: Caller, arm: Arm, clock: ManualClock) -> None:
    """As the service sorts: lastModifiedDateTime, descending."""
    ids = [fire(call.azure, clock.now() - ago_s).id for ago_s in (30, 20, 10)]

    def listed(**query: str) -> list[str]:
        return [
            alert["properties"]["essentials"]["sourceCreatedId"] for alert in arm("GET", ALERTS, **query).json["value"]
        ]

    assert listed() == ids[::-1]
    assert listed(sortBy="startDateTime", sortOrder="asc") == ids


@pytest.mark.parametrize(
    "query",
    [
        {"severity": "Sev9"},
        {"monitorCondition": "Broken"},
        {"alertState": "x"},
        {"timeRange": "2d"},
        {"customTimeRange": "yesterday"},
        {"sortBy": "colour"},
        {"sortOrder": "up"},
    ],
)
def test_impossible_filters_are_refused(arm: Arm, query: dict[str, str]) -> None:
    """With 400 and what is allowed."""
    assert arm("GET", ALERTS, **query).error == (400, "BadRequest")


def test_summary_needs_known_fields(arm: Arm) -> None:
    """400 without or with a wrong one."""
    summary = ALERTS + "Summary"
    assert arm("GET", summary).error == (400, "BadRequest")
    assert arm("GET", summary, groupby="colour").error == (400, "BadRequest")
    assert arm("GET", summary, groupby="alertRule").json["properties"] == {
        "total": 0,
        "smartGroupsCount": 0,
        "groupedby": "alertRule",
        "values": [],
    }


def test_comment_comes_with_the_change_of_state(call: Caller, arm: Arm, clock: ManualClock) -> None:
    """As a JSON text or an object; anything else is refused."""
    path = f"{ALERTS}/{fire(call.azure, clock.now()).id}"
    assert arm("POST", f"{path}/changestate", "mine", newState="Acknowledged").status == 200
    assert arm("POST", f"{path}/changestate", {"comments": "fixed"}, newState="Closed").status == 200
    assert arm("POST", f"{path}/changestate", body=b"{", newState="New").error == (400, "BadRequest")
    lines = arm("GET", f"{path}/history").json["properties"]["modifications"][1:]
    assert [(line["oldValue"], line["newValue"], line["comments"]) for line in lines] == [
        ("New", "Acknowledged", "mine"),
        ("Acknowledged", "Closed", "fixed"),
    ]


@pytest.mark.parametrize(
    ("method", "path", "error"),
    [
        ("PUT", "", (405, "HttpMethodNotAllowed")),
        ("GET", "/none", (404, "AlertNotFound")),
        ("GET", "/none/history/x", (404, "InvalidResourceType")),
        ("GET", "Summaries", (404, "InvalidResourceType")),
    ],
)
def test_other_paths_are_refused(arm: Arm, method: str, path: str, error: tuple[int, str]) -> None:
    """In Resource Manager's words."""
    assert arm(method, f"{ALERTS}{path}").error == error


def test_history_is_bounded() -> None:
    """In number, in bytes, and in the lines of one alert."""
    alerts = Alerts(capacity=3, capacity_bytes=10_000)
    fired = [alerts.fire(SOURCE, "/x", (), {"n": number}, float(number)) for number in range(5)]
    assert [alert.id for alert in alerts] == [alert.id for alert in fired[2:]]
    alerts.fire(SOURCE, "/x", (), {"text": "x" * 9_930}, 9.0)
    assert len(alerts) < 3
    huge = alerts.fire(SOURCE, "/x", (), {"text": "x" * 300_000}, 10.0)
    assert huge.context == {}
    for number in range(200):
        state = "Closed" if number % 2 else "Acknowledged"
        alerts.change_state(huge, state, float(number), "me", "")  # type: ignore[arg-type]
    assert len(huge.history) == 50
    assert huge.history[0].event == "AlertCreated"
    alerts.forget_older(20.0)
    assert len(alerts) == 0


def test_alerts_are_kept_for_thirty_days(arm: Arm, clock: ManualClock, metrics: Metrics, call: Caller) -> None:
    """Then they are gone; a standing one stays known, so that it does not fire again."""
    arm("PUT", RULE, metric_alert(condition()))
    metrics.values = {(): 4.0}
    clock.advance(60)
    assert len(arm("GET", ALERTS).json["value"]) == 1
    clock.advance(30 * 86_400 + 60)
    assert arm("GET", ALERTS, timeRange="30d").json["value"] == []
    clock.advance(600)
    assert len(call.azure.monitor.alerts) == 0
