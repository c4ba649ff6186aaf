"""Action groups at work: who is told what, in which shape."""

from collections.abc import Callable
from typing import Any

import pytest

from labkit.localazure.clock import ManualClock, iso
from labkit.localazure.resources import GROUP_ID, SUBSCRIPTION_ID
from tests.localazure.conftest import ACCOUNT_ID, Answer, Caller
from tests.localazure.monitor.conftest import (
    GROUP,
    GROUP_PATH,
    RULE,
    Metrics,
    action_group,
    condition,
    metric_alert,
)
from tests.localazure.monitor.receiver import Receiver

Arm = Callable[..., Answer]
History = Callable[[], dict[str, Any]]
ACTIONS = [{"actionGroupId": GROUP_PATH, "webHookProperties": {"team": "blue"}}]


def test_webhook_gets_the_common_alert_schema_when_fired_and_when_resolved(
    arm: Arm, call: Caller, clock: ManualClock, metrics: Metrics, history: History
) -> None:
    """All essentials, and the condition with its value then (Microsoft Learn, alerts-payload-samples)."""
    wanted = [{"name": "ModelDeploymentName", "operator": "Include", "values": ["*"]}]
    with Receiver() as receiver:
        arm("PUT", GROUP, action_group(receiver.url))
        arm("PUT", RULE, metric_alert(condition(dimensions=wanted), actions=ACTIONS))
        series = (("ModelDeploymentName", "chat"),)
        metrics.values = {series: 4.5}
        clock.advance(60)
        fired_at = iso(clock.now())
        history()
        metrics.values = {series: 1.5}
        clock.advance(180)
        (alert,) = history()["alerts"]
        assert call.azure.monitor.notifier.webhooks.settle(10.0)
    fired, resolved = receiver.bodies
    essentials = {
        "alertId": f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.AlertsManagement/alerts/{alert['id']}",
        "alertRule": "slow",
        "severity": "Sev2",
        "signalType": "Metric",
        "monitorCondition": "Fired",
        "monitoringService": "Platform",
        "alertTargetIDs": [ACCOUNT_ID.lower()],
        "configurationItems": ["aoai-session13"],
        "originAlertId": alert["id"],
        "firedDateTime": fired_at,
        "description": "Answers are slow.",
        "essentialsVersion": "1.0",
        "alertContextVersion": "1.0",
    }
    assert fired["schemaId"] == resolved["schemaId"] == "azureMonitorCommonAlertSchema"
    assert fired["data"]["essentials"] == essentials
    assert resolved["data"]["essentials"] == {
        **essentials,
        "monitorCondition": "Resolved",
        "resolvedDateTime": iso(clock.now()),
    }
    context = fired["data"]["alertContext"]
    assert (context["properties"], context["conditionType"]) == (
        {"team": "blue"},
        "SingleResourceMultipleMetricCriteria",
    )
    assert context["condition"]["windowSize"] == "PT5M"
    assert context["condition"]["windowEndTime"] == fired_at
    (entry,) = context["condition"]["allOf"]
    assert entry["dimensions"] == [{"name": "ModelDeploymentName", "value": "chat"}]
    assert entry["metricValue"] == 4.5
    assert resolved["data"]["alertContext"]["condition"]["allOf"][0]["metricValue"] == 1.5
    assert alert["context"]["condition"]["allOf"][0]["metricValue"] == 4.5


def test_webhook_without_the_common_schema_gets_the_older_shape(
    arm: Arm, call: Caller, clock: ManualClock, metrics: Metrics, history: History
) -> None:
    """As Microsoft Learn shows it, alerts-non-common-schema-definitions."""
    with Receiver() as receiver:
        hook = {"name": "old", "serviceUri": receiver.url}
        arm("PUT", GROUP, action_group(webhookReceivers=[hook]))
        arm("PUT", RULE, metric_alert(actions=ACTIONS))
        metrics.values = {(): 4.5}
        clock.advance(60)
        history()
        assert call.azure.monitor.notifier.webhooks.settle(10.0)
    (body,) = receiver.bodies
    assert (body["schemaId"], body["data"]["version"], body["data"]["status"]) == (
        "AzureMonitorMetricAlert",
        "2.0",
        "Activated",
    )
    context = body["data"]["context"]
    assert (context["name"], context["severity"], context["resourceType"]) == (
        "slow",
        "2",
        "microsoft.cognitiveservices/accounts",
    )
    assert context["condition"]["allOf"][0]["metricValue"] == 4.5


def test_everybody_else_is_in_the_outbox(arm: Arm, clock: ManualClock, metrics: Metrics, history: History) -> None:
    """Mail, SMS and all others: what the service would have sent. A group named twice tells once."""
    receivers = {
        "emailReceivers": [{"name": "mail", "emailAddress": "t@example.com"}],
        "smsReceivers": [{"name": "text", "countryCode": "48", "phoneNumber": "123456789"}],
        "logicAppReceivers": [{"name": "flow", "resourceId": "/x", "callbackUrl": "https://example.com/?sig=secret"}],
    }
    arm("PUT", GROUP, action_group("https://example.com/hook?code=secret", **receivers))
    arm("PUT", RULE, metric_alert(actions=[*ACTIONS, {"actionGroupId": GROUP_PATH.upper()}]))
    metrics.values = {(): 4.5}
    clock.advance(60)
    seen = history()
    told = seen["notifications"]
    assert [(one["channel"], one["receiver"], one["to"], one["outcome"]) for one in told] == [
        ("email", "mail", "t@example.com", "not sent"),
        ("sms", "text", "123456789", "not sent"),
        ("logic app", "flow", "/x", "not sent"),
        ("webhook", "hook0", "https://example.com/hook", "not delivered"),
    ]
    assert told[0]["subject"] == "Fired:Sev2 Azure Monitor Alert slow on aoai-session13"
    assert (told[0]["alert_id"], told[0]["condition"], told[0]["group"]) == (seen["alerts"][0]["id"], "Fired", "ag")
    assert "secret" not in str(seen)


@pytest.mark.parametrize("how", ["disabled", "deleted"])
def test_group_that_is_not_there_tells_nobody(
    arm: Arm, clock: ManualClock, metrics: Metrics, history: History, how: str
) -> None:
    """The alert fires all the same."""
    arm("PUT", GROUP, action_group(emailReceivers=[{"name": "mail", "emailAddress": "t@example.com"}]))
    arm("PUT", RULE, metric_alert(actions=ACTIONS))
    if how == "disabled":
        arm("PATCH", GROUP, {"properties": {"enabled": False}})
    else:
        arm("DELETE", GROUP)
    metrics.values = {(): 4.5}
    clock.advance(60)
    seen = history()
    assert (len(seen["alerts"]), seen["notifications"]) == (1, [])
    assert [line["event"] for line in seen["alerts"][0]["history"]] == ["AlertCreated"]


def test_outbox_is_read_from_an_id_on(arm: Arm, call: Caller, clock: ManualClock, metrics: Metrics) -> None:
    """``after`` leaves out what was seen; the lab key may read, nobody without one."""
    arm("PUT", GROUP, action_group(emailReceivers=[{"name": "mail", "emailAddress": "t@example.com"}]))
    arm("PUT", RULE, metric_alert(actions=ACTIONS, autoMitigate=False))
    metrics.values = {(): 4.5}
    clock.advance(120)
    key = {"x-labkit-key": call.azure.lab_key}
    first = call("GET", "/labkit/alerts", headers=key).json
    assert (first["last_id"], [one["id"] for one in first["notifications"]]) == (2, [1, 2])
    later = call("GET", "/labkit/alerts?after=1", headers=key).json
    assert [one["id"] for one in later["notifications"]] == [2]
    assert call("GET", "/labkit/alerts").error == (401, "KeyMissing")


def test_group_may_be_named_in_any_case(arm: Arm, clock: ManualClock, metrics: Metrics, history: History) -> None:
    """Resource ids are compared without regard to case."""
    arm("PUT", GROUP, action_group(emailReceivers=[{"name": "mail", "emailAddress": "t@example.com"}]))
    named = f"{GROUP_ID.lower()}/providers/microsoft.insights/actiongroups/AG"
    assert arm("PUT", RULE, metric_alert(actions=[{"actionGroupId": named}])).status == 200
    metrics.values = {(): 4.5}
    clock.advance(60)
    assert len(history()["notifications"]) == 1
