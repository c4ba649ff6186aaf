"""The page's alerts and budgets: rules, what fired and was resolved, who was told, and what was spent."""

import time
from typing import Any

import pytest

from labkit.localazure import LocalAzure
from labkit.localazure.clock import iso
from labkit.localazure.monitor.alerts import Source
from labkit.localazure.resources import GROUP_ID, Resource
from tests.localazure.conftest import ACCOUNT_ID
from tests.localazure.console.conftest import Page

RULE_ID = f"{GROUP_ID}/providers/Microsoft.Insights/metricAlerts/many-calls"
BUDGET_ID = f"{GROUP_ID}/providers/Microsoft.Consumption/budgets/course"
HOSTILE = "<img src=x onerror=alert(1)>"


def put(azure: LocalAzure, id: str, type: str, properties: dict[str, Any]) -> None:
    """Store a resource as the control plane would have."""
    now_s = azure.azure.clock.now()
    azure.azure.resources.put(Resource(id, type, {"properties": properties}, now_s, now_s))


@pytest.fixture
def rule(shown: LocalAzure) -> Source:
    """A metric alert rule, switched off so that it is never evaluated; as a source of alerts."""
    criterion = {"metricName": "AzureOpenAIRequests", "timeAggregation": "Total", "operator": "GreaterThan"}
    criteria = {"odata.type": "", "allOf": [{**criterion, "name": "c", "threshold": 20}]}
    properties = {"enabled": False, "severity": 2, "windowSize": "PT5M", "criteria": criteria, "scopes": [ACCOUNT_ID]}
    put(shown, RULE_ID, "Microsoft.Insights/metricAlerts", properties)
    return Source(RULE_ID, "many-calls", "Sev2", "Metric", "Platform")


def test_empty_sections_say_what_to_do(page: Page) -> None:
    """Without rules and budgets the page names the calls that make some."""
    page.live()
    assert "metric_alerts.create_or_update" in page.text("alerts")
    assert "az consumption budget create" in page.text("budgets")


def test_alert_is_shown_and_its_end_announced(page: Page, rule: Source) -> None:
    """Fired in words, with its time series; when it is resolved a screen reader is told, and only then."""
    azure = page.azure.azure
    alert = azure.monitor.alerts.fire(rule, ACCOUNT_ID, (("ModelName", HOSTILE),), {}, azure.clock.now())
    page.live()
    line = page.find("#alerts-body tbody tr").text
    assert all(word in line for word in ("many-calls", "Sev2", "▲ Fired", f"ModelName = {HOSTILE}"))
    assert page.text("alerts-news") == ""
    azure.monitor.alerts.resolve(alert, azure.clock.now())
    page.until(lambda: "many-calls: Resolved" in page.run("return document.getElementById('alerts-news').textContent"))
    assert "✓ Resolved" in page.find("#alerts-body tbody tr").text
    assert page.said() == []


def test_rule_and_notification_are_shown(page: Page, rule: Source) -> None:
    """What the rule waits for, whether it is on, and what became of a message."""
    azure = page.azure.azure
    alert = azure.monitor.alerts.fire(rule, ACCOUNT_ID, (), {}, azure.clock.now())
    azure.monitor.notifier.would_send(alert, azure.clock.now(), channel="email", to="ala@example.org")
    page.live()
    said = page.text("alerts-body")
    assert "Total AzureOpenAIRequests GreaterThan 20 in PT5M" in said
    assert "off" in said
    assert "ala@example.org" in said
    assert "simulated" in said


def test_budget_is_shown_with_spend_and_forecast(page: Page) -> None:
    """Both against the amount, in words besides the bars, and the thresholds at which somebody is told."""
    notice = {"enabled": True, "operator": "GreaterThan", "threshold": 80.0, "thresholdType": "Forecasted"}
    period = {"startDate": time.strftime("%Y-%m-01T00:00:00Z"), "endDate": iso(time.time() + 9e7)}
    properties = {"category": "Cost", "amount": 0.0001, "timeGrain": "Monthly", "timePeriod": period}
    put(page.azure, BUDGET_ID, "Microsoft.Consumption/budgets", properties | {"notifications": {"n": notice}})
    page.ask("What does this cost?")
    page.live()
    card = page.find("#budgets .card").text
    assert "course" in card
    assert card.count("of $0.0001 (") == 2
    assert "over" in card
    assert "Notifies at 80% forecasted" in card
