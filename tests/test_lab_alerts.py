"""An alert in class: telemetry, five minutes skipped, a webhook, and the history of it."""

import json
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from azure.mgmt.applicationinsights.models import ApplicationInsightsComponent
from azure.mgmt.monitor import models as monitor

from labkit import clients, lab
from labkit.localazure import LocalAzure
from labkit.localazure.resources import RESOURCE_GROUP
from tests.localazure.costs.spending import use
from tests.localazure.monitor.receiver import Receiver


@pytest.fixture
def fail(local: LocalAzure) -> Callable[[], None]:
    """Sends the telemetry of one failed request to the component, dated by this machine's clock as exporters do."""
    wanted = ApplicationInsightsComponent(location="swedencentral", kind="web", application_type="web")
    made = clients.application_insights().components.create_or_update(RESOURCE_GROUP, "appi", wanted)

    def send() -> None:
        base = {"ver": 2, "id": "1", "name": "chat", "duration": "00:00:01", "success": False, "responseCode": "500"}
        item = {
            "name": "Microsoft.ApplicationInsights.Request",
            "time": datetime.now(UTC).isoformat(),
            "iKey": made.instrumentation_key,
            "data": {"baseType": "RequestData", "baseData": base},
        }
        request = urllib.request.Request(f"{local.url}/v2.1/track", json.dumps([item]).encode())
        with urllib.request.urlopen(request) as reply:
            assert json.load(reply)["itemsAccepted"] == 1

    return send


def watch_failures(scope: str, receiver: Receiver) -> None:
    """A rule over the component's failed requests, every minute, and a webhook that it tells."""
    hook = monitor.WebhookReceiver(name="hook", service_uri=receiver.url, use_common_alert_schema=True)
    group = clients.monitor().action_groups.create_or_update(
        RESOURCE_GROUP,
        "ag",
        monitor.ActionGroupResource(location="Global", group_short_name="ag", enabled=True, webhook_receivers=[hook]),
    )
    failures = monitor.Condition(
        query="requests | where success == false", time_aggregation="Count", operator="GreaterThan", threshold=0
    )
    clients.monitor().scheduled_query_rules.create_or_update(
        RESOURCE_GROUP,
        "failures",
        monitor.ScheduledQueryRuleResource(
            location="swedencentral",
            severity=1,
            enabled=True,
            scopes=[scope],
            evaluation_frequency=timedelta(minutes=1),
            window_size=timedelta(minutes=5),
            criteria=monitor.ScheduledQueryRuleCriteria(all_of=[failures]),
            actions=monitor.Actions(action_groups=[group.id]),
        ),
    )


def test_a_class_skips_five_minutes_and_sees_its_alert(fail: Callable[[], None]) -> None:
    """One POST when it fires, one when it is resolved; and again later, when the clocks have come apart."""
    scope = clients.application_insights().components.get(RESOURCE_GROUP, "appi").id
    with Receiver() as receiver:
        watch_failures(scope, receiver)
        fail()
        lab.advance(minutes=5)
        (alert,) = lab.alerts()
        assert (alert["rule"], alert["severity"], alert["condition"]) == ("failures", "Sev1", "Fired")
        (told,) = lab.notifications()
        assert (told["channel"], told["receiver"], told["outcome"]) == ("webhook", "hook", "delivered")
        assert [body["data"]["essentials"]["monitorCondition"] for body in receiver.bodies] == ["Fired"]
        lab.advance(minutes=20)
        assert [alert["condition"] for alert in lab.alerts()] == ["Resolved"]
        assert len(lab.notifications(after=told["id"])) == 1
        fail()
        lab.advance(minutes=1)
        assert [alert["condition"] for alert in lab.alerts()] == ["Resolved", "Fired"]
    assert [body["data"]["essentials"]["monitorCondition"] for body in receiver.bodies] == [
        "Fired",
        "Resolved",
        "Fired",
    ]


def test_costs_are_told_by_deployment(local: LocalAzure) -> None:
    """One row a day and deployment."""
    assert lab.costs() == []
    use(local.azure, "chat")
    (row,) = lab.costs()
    assert (row["deployment"], row["model"], row["tokens"], row["cost_usd"]) == ("chat", "gpt-4-turbo", 1_000_000, 10.0)
