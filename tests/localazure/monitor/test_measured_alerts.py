"""Metric alerts over what was really measured: an account's calls, a component's telemetry, custom metrics."""

from collections.abc import Callable
from typing import Any

import pytest

from labkit.localazure.clock import ManualClock, iso
from labkit.localazure.management.providers.components import instrumentation_key
from labkit.localazure.state import Azure
from tests.localazure.asking import BIG, SMALL, Asker
from tests.localazure.conftest import Answer
from tests.localazure.monitor.conftest import RULE, condition, metric_alert
from tests.localazure.monitor.test_log_alerts import COMPONENT, COMPONENT_ID, send

Arm = Callable[..., Answer]
History = Callable[[], dict[str, Any]]


@pytest.fixture
def component(arm: Arm) -> None:
    """An Application Insights component."""
    body = {"location": "swedencentral", "kind": "web", "properties": {"Application_Type": "web"}}
    assert arm("PUT", COMPONENT, body).status == 200


def values(history: History) -> dict[str, float]:
    """The value that each alert fired with, by its dimension's value."""
    return {
        next(iter(alert["dimensions"].values()), ""): alert["context"]["condition"]["allOf"][0]["metricValue"]
        for alert in history()["alerts"]
    }


def test_calls_of_each_deployment_are_counted(ask: Asker, arm: Arm, clock: ManualClock, history: History) -> None:
    """In the window, and no longer when they have left it."""
    split = [{"name": "ModelDeploymentName", "operator": "Include", "values": ["*"]}]
    many = condition(
        metricName="AzureOpenAIRequests", timeAggregation="Total", operator="GreaterThanOrEqual", threshold=2
    )
    assert arm("PUT", RULE, metric_alert({**many, "dimensions": split})).status == 200
    for deployment in (BIG, BIG, SMALL):
        assert ask.chat(deployment=deployment).status == 200
    clock.advance(60)
    assert values(history) == {BIG: 2.0}
    clock.advance(4 * 60)
    assert [alert["condition"] for alert in history()["alerts"]] == ["Fired"]
    clock.advance(3 * 60)
    assert [alert["condition"] for alert in history()["alerts"]] == ["Resolved"]


def test_time_to_response_is_averaged(ask: Asker, arm: Arm, clock: ManualClock, history: History) -> None:
    """The simulated model's latency, in milliseconds."""
    arm("PUT", RULE, metric_alert(condition(threshold=1)))
    ask.chat()
    ask.chat("Another one")
    (first, second) = [entry.simulated_ms for entry in ask.azure.journal if entry.face == "inference"]
    clock.advance(60)
    assert values(history) == {"": pytest.approx((first + second) / 2)}


@pytest.mark.usefixtures("component")
def test_failed_requests_of_a_component_are_counted(ask: Asker, arm: Arm, clock: ManualClock, history: History) -> None:
    """From its telemetry, by result code."""
    failed = condition(
        metricName="requests/failed",
        metricNamespace="microsoft.insights/components",
        timeAggregation="Count",
        threshold=1,
        dimensions=[{"name": "request/resultCode", "operator": "Include", "values": ["500"]}],
    )
    assert arm("PUT", RULE, metric_alert(failed, scopes=[COMPONENT_ID])).status == 200
    for _ in range(2):
        send(ask.azure, clock.now())
    send(ask.azure, clock.now(), success=True)
    clock.advance(60)
    assert values(history) == {"500": 2.0}


@pytest.mark.usefixtures("component")
def test_custom_metric_can_be_watched_once_it_was_sent(
    ask: Asker, arm: Arm, clock: ManualClock, history: History
) -> None:
    """Before, only with skipMetricValidation."""
    quality = condition(
        metricName="quality",
        metricNamespace="azure.applicationinsights",
        operator="LessThan",
        threshold=0.8,
    )
    refused = arm("PUT", RULE, metric_alert(quality, scopes=[COMPONENT_ID]))
    assert refused.error == (400, "BadRequest")
    assert "skipMetricValidation" in refused.json["error"]["message"]
    skipping = {**quality, "skipMetricValidation": True}
    assert arm("PUT", f"{RULE}2", metric_alert(skipping, scopes=[COMPONENT_ID])).status == 200
    send_metric(ask.azure, clock.now(), "quality", 0.5)
    assert arm("PUT", RULE, metric_alert(quality, scopes=[COMPONENT_ID])).status == 200
    clock.advance(60)
    assert [alert["rule"] for alert in history()["alerts"]] == ["slow", "slow2"]
    assert values(history) == {"": 0.5}


def send_metric(azure: Azure, at_s: float, name: str, value: float) -> None:
    """One value of a custom metric for the component."""
    resource = azure.resources.get(COMPONENT_ID)
    assert resource is not None
    metric = {"name": name, "value": value, "count": 1}
    azure.telemetry.add(
        {
            "name": "Microsoft.ApplicationInsights.Metric",
            "time": iso(at_s),
            "iKey": instrumentation_key(resource),
            "data": {"baseType": "MetricData", "baseData": {"ver": 2, "metrics": [metric]}},
        }
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"dimensions": [{"name": "Mood", "operator": "Include", "values": ["*"]}]}, "no dimension 'Mood'"),
        ({"metricNamespace": "microsoft.storage/accounts"}, "namespace 'microsoft.storage/accounts'"),
        ({"metricNamespace": 1}, "metricNamespace '1'"),
        ({"metricName": "Mood"}, "Couldn't find a metric named Mood"),
    ],
)
def test_what_the_resource_does_not_have_is_refused(arm: Arm, changes: dict[str, Any], said: str) -> None:
    """When the rule is stored, with what there is."""
    refused = arm("PUT", RULE, metric_alert(condition(**changes)))
    assert refused.error == (400, "BadRequest")
    assert said in refused.json["error"]["message"]


def test_scopes_are_bounded(arm: Arm) -> None:
    """Each is looked at in every evaluation."""
    refused = arm("PUT", RULE, metric_alert(scopes=["/x"] * 101))
    assert "up to 100" in refused.json["error"]["message"]
