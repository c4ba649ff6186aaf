"""Log search alerts: KQL checked when it is stored, evaluated over windows, split by dimensions."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.monitor import models as monitor

from labkit.localazure import LocalAzure
from labkit.localazure.clock import ManualClock, iso
from labkit.localazure.management.providers.components import instrumentation_key
from labkit.localazure.resources import GROUP_ID, RESOURCE_GROUP
from labkit.localazure.state import Azure
from tests.localazure.conftest import Answer, Caller
from tests.localazure.monitor.conftest import GROUP, GROUP_PATH, action_group
from tests.localazure.monitor.receiver import Receiver

Arm = Callable[..., Answer]
History = Callable[[], dict[str, Any]]
RULE = "Microsoft.Insights/scheduledQueryRules/failures"
COMPONENT = "Microsoft.Insights/components/appi"
COMPONENT_ID = f"{GROUP_ID}/providers/{COMPONENT}"


def log_condition(query: str = "requests | where success == false", **changes: Any) -> dict[str, Any]:
    """One condition: any row."""
    return {"query": query, "timeAggregation": "Count", "operator": "GreaterThan", "threshold": 0, **changes}


def log_alert(*conditions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of a scheduled query rule's PUT: every five minutes, over five."""
    properties = {
        "severity": 1,
        "enabled": True,
        "description": "Requests fail.",
        "scopes": [COMPONENT_ID],
        "evaluationFrequency": "PT5M",
        "windowSize": "PT5M",
        "criteria": {"allOf": list(conditions) or [log_condition()]},
        **changes,
    }
    return {"location": "swedencentral", "kind": "LogAlert", "properties": properties}


@pytest.fixture
def component(arm: Arm) -> None:
    """An Application Insights component that telemetry may be sent to."""
    body = {"location": "swedencentral", "kind": "web", "properties": {"Application_Type": "web"}}
    assert arm("PUT", COMPONENT, body).status == 200


def send(azure: Azure, at_s: float, *, success: bool = False, name: str = "chat", duration_ms: int = 100) -> None:
    """One request's telemetry for the component, with the time it says it happened."""
    resource = azure.resources.get(COMPONENT_ID)
    assert resource is not None
    azure.telemetry.add(
        {
            "name": "Microsoft.ApplicationInsights.Request",
            "time": iso(at_s),
            "iKey": instrumentation_key(resource),
            "tags": {},
            "data": {
                "baseType": "RequestData",
                "baseData": {
                    "ver": 2,
                    "id": "1",
                    "name": name,
                    "duration": f"00:00:00.{duration_ms:03d}",
                    "success": success,
                    "responseCode": "200" if success else "500",
                },
            },
        }
    )


def fired(history: History) -> list[tuple[str, dict[str, str]]]:
    """Condition and dimensions of each alert."""
    return [(alert["condition"], alert["dimensions"]) for alert in history()["alerts"]]


def test_rule_fires_a_webhook_and_is_resolved_with_the_real_sdk(sdk: Callable[..., Any], azure: LocalAzure) -> None:
    """As a notebook makes it with azure-mgmt-monitor: one POST when it fires, one when it is resolved."""
    clock = azure.azure.clock
    client = sdk(MonitorManagementClient)
    with Receiver() as receiver:
        make_component(sdk)
        group = client.action_groups.create_or_update(
            RESOURCE_GROUP,
            "ag",
            monitor.ActionGroupResource(
                location="Global",
                group_short_name="ag",
                enabled=True,
                webhook_receivers=[
                    monitor.WebhookReceiver(name="hook", service_uri=receiver.url, use_common_alert_schema=True)
                ],
            ),
        )
        wanted = monitor.ScheduledQueryRuleResource(
            location="swedencentral",
            kind="LogAlert",
            severity=1,
            enabled=True,
            description="Requests fail.",
            scopes=[COMPONENT_ID],
            evaluation_frequency=timedelta(minutes=1),
            window_size=timedelta(minutes=5),
            criteria=monitor.ScheduledQueryRuleCriteria(
                all_of=[
                    monitor.Condition(
                        query="requests | where success == false",
                        time_aggregation="Count",
                        operator="GreaterThan",
                        threshold=2,
                        dimensions=[monitor.Dimension(name="name", operator="Include", values=["*"])],
                        failing_periods=monitor.ConditionFailingPeriods(),
                    )
                ]
            ),
            actions=monitor.Actions(action_groups=[group.id], custom_properties={"team": "blue"}),
        )
        made = client.scheduled_query_rules.create_or_update(RESOURCE_GROUP, "failures", wanted)
        assert (made.auto_mitigate, made.etag is not None, made.is_legacy_log_analytics_rule) == (True, True, False)
        for _ in range(3):
            send(azure.azure, clock.now())
        send(azure.azure, clock.now(), name="other")
        azure.azure.advance(60)
        read = client.scheduled_query_rules.get(RESOURCE_GROUP, "failures")
        assert read.criteria.all_of[0].threshold == 2
        azure.azure.advance(15 * 60)
        assert [r.name for r in client.scheduled_query_rules.list_by_resource_group(RESOURCE_GROUP)] == ["failures"]
        assert azure.azure.monitor.notifier.webhooks.settle(10.0)
    first, last = receiver.bodies
    assert [body["data"]["essentials"]["monitorCondition"] for body in (first, last)] == ["Fired", "Resolved"]
    essentials, context = first["data"]["essentials"], first["data"]["alertContext"]
    assert (essentials["monitoringService"], essentials["signalType"]) == ("Log Alerts V2", "Log")
    assert (essentials["severity"], essentials["alertTargetIDs"]) == ("Sev1", [COMPONENT_ID.lower()])
    assert (context["conditionType"], context["properties"]) == ("LogQueryCriteria", {"team": "blue"})
    (entry,) = context["condition"]["allOf"]
    assert (entry["searchQuery"], entry["metricValue"], entry["threshold"]) == (
        "requests | where success == false",
        3.0,
        "2",
    )
    assert entry["dimensions"] == [{"name": "name", "value": "chat"}]
    client.scheduled_query_rules.update(
        RESOURCE_GROUP, "failures", monitor.ScheduledQueryRuleResourcePatch(enabled=False)
    )
    client.scheduled_query_rules.delete(RESOURCE_GROUP, "failures")
    with pytest.raises(ResourceNotFoundError):
        client.scheduled_query_rules.get(RESOURCE_GROUP, "failures")


def make_component(sdk: Callable[..., Any]) -> None:
    """The component, through the real SDK."""
    from azure.mgmt.applicationinsights import ApplicationInsightsManagementClient
    from azure.mgmt.applicationinsights.models import ApplicationInsightsComponent

    wanted = ApplicationInsightsComponent(location="swedencentral", kind="web", application_type="web")
    sdk(ApplicationInsightsManagementClient).components.create_or_update(RESOURCE_GROUP, "appi", wanted)


def test_bad_kql_is_refused_with_its_place_through_the_real_sdk(sdk: Callable[..., Any], azure: LocalAzure) -> None:
    """The engine's own error comes as JSON in the message, as the service packs it."""
    make_component(sdk)
    body = log_alert(log_condition("requests | wear success == false"))["properties"]
    wanted = monitor.ScheduledQueryRuleResource(
        location="swedencentral",
        severity=1,
        enabled=True,
        scopes=body["scopes"],
        evaluation_frequency=timedelta(minutes=5),
        window_size=timedelta(minutes=5),
        criteria=monitor.ScheduledQueryRuleCriteria(
            all_of=[monitor.Condition.deserialize(body["criteria"]["allOf"][0])]
        ),
    )
    with pytest.raises(HttpResponseError) as refused:
        sdk(MonitorManagementClient).scheduled_query_rules.create_or_update(RESOURCE_GROUP, "failures", wanted)
    assert (refused.value.status_code, refused.value.error.code) == (400, "BadRequest")
    assert "SYN0002" in refused.value.error.message
    assert '"line": 1' in refused.value.error.message


@pytest.mark.usefixtures("component")
def test_unknown_column_is_refused_unless_validation_is_skipped(arm: Arm, clock: ManualClock, history: History) -> None:
    """A rule stored unchecked fails when it is evaluated; the reason can be read."""
    wrong = log_condition("requests | where successful == false")
    refused = arm("PUT", RULE, log_alert(wrong))
    assert refused.error == (400, "BadRequest")
    assert "SEM0100" in refused.json["error"]["message"]
    assert arm("PUT", RULE, log_alert(wrong, skipQueryValidation=True)).status == 201
    clock.advance(300)
    seen = history()
    assert seen["alerts"] == []
    assert "successful" in seen["errors"][f"{GROUP_ID}/providers/{RULE}".lower()]


@pytest.mark.usefixtures("component")
def test_rows_are_counted_in_the_window(call: Caller, arm: Arm, clock: ManualClock, history: History) -> None:
    """Not those before it; the alert is resolved after three healthy periods."""
    arm("PUT", RULE, log_alert())
    started = clock.now()
    send(call.azure, started - 1)
    send(call.azure, started, success=True)
    clock.advance(300)
    assert fired(history) == []
    send(call.azure, started + 300)
    clock.advance(300)
    (alert,) = history()["alerts"]
    assert (alert["condition"], alert["fired_at_s"], alert["service"]) == ("Fired", started + 600, "Log Alerts V2")
    assert alert["target"] == COMPONENT_ID
    clock.advance(600)
    assert fired(history) == [("Fired", {})]
    clock.advance(300)
    assert fired(history) == [("Resolved", {})]


@pytest.mark.usefixtures("component")
def test_no_rows_are_zero(arm: Arm, clock: ManualClock, history: History) -> None:
    """So a rule can notice that nothing comes any more."""
    arm("PUT", RULE, log_alert(log_condition(operator="LessThan", threshold=1)))
    clock.advance(300)
    (alert,) = history()["alerts"]
    assert alert["context"]["condition"]["allOf"][0]["metricValue"] == 0.0


@pytest.mark.usefixtures("component")
@pytest.mark.parametrize(
    ("aggregation", "value"), [("Average", 200.0), ("Minimum", 100.0), ("Maximum", 300.0), ("Total", 600.0)]
)
def test_measure_column_is_aggregated(
    call: Caller, arm: Arm, clock: ManualClock, history: History, aggregation: str, value: float
) -> None:
    """Of the rows that the query gives."""
    measured = log_condition(
        "requests | project name, duration", timeAggregation=aggregation, metricMeasureColumn="duration", threshold=99
    )
    arm("PUT", RULE, log_alert(measured))
    for duration_ms in (100, 200, 300):
        send(call.azure, clock.now(), duration_ms=duration_ms)
    clock.advance(300)
    (alert,) = history()["alerts"]
    assert alert["context"]["condition"]["allOf"][0]["metricValue"] == value


@pytest.mark.usefixtures("component")
def test_resource_column_names_the_target(call: Caller, arm: Arm, clock: ManualClock, history: History) -> None:
    """One alert for each resource that the query names."""
    arm("PUT", RULE, log_alert(log_condition("requests", resourceIdColumn="_ResourceId"), scopes=[GROUP_ID]))
    send(call.azure, clock.now())
    clock.advance(300)
    (alert,) = history()["alerts"]
    assert alert["target"] == COMPONENT_ID.lower()


@pytest.mark.usefixtures("component")
def test_so_many_of_so_many_periods(call: Caller, arm: Arm, clock: ManualClock, history: History) -> None:
    """Two of three windows must fail."""
    periods = {"numberOfEvaluationPeriods": 3, "minFailingPeriodsToAlert": 2}
    arm("PUT", RULE, log_alert(log_condition(failingPeriods=periods)))
    send(call.azure, clock.now())
    clock.advance(300)
    assert fired(history) == []
    clock.advance(300)
    send(call.azure, clock.now() - 1)
    assert fired(history) == [("Fired", {})]


@pytest.mark.usefixtures("component")
def test_muted_actions_stay_quiet(call: Caller, arm: Arm, clock: ManualClock, history: History) -> None:
    """A stateless rule fires every time; its actions rest for muteActionsDuration."""
    arm("PUT", GROUP, action_group(emailReceivers=[{"name": "mail", "emailAddress": "t@example.com"}]))
    body = log_alert(
        windowSize="PT1H",
        autoMitigate=False,
        muteActionsDuration="PT10M",
        actions={"actionGroups": [GROUP_PATH]},
    )
    assert arm("PUT", RULE, body).status == 201
    send(call.azure, clock.now())
    clock.advance(900)
    seen = history()
    assert len(seen["alerts"]) == 3
    assert [one["at_s"] for one in seen["notifications"]] == [clock.now() - 600, clock.now()]
    assert [line["event"] for line in seen["alerts"][1]["history"]] == ["AlertCreated", "ActionsSuppressed"]


@pytest.mark.usefixtures("component")
@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"severity": 7}, "severity '7'"),
        ({"enabled": "yes"}, "enabled"),
        ({"evaluationFrequency": "PT7M"}, "Supported values: PT1M, PT5M"),
        ({"windowSize": "P3D"}, "windowSize 'P3D'"),
        ({"scopes": []}, "exactly one"),
        ({"scopes": [COMPONENT_ID + "x"]}, "was not found"),
        ({"criteria": {"allOf": []}}, "1 to 5"),
        ({"criteria": {"allOf": [log_condition("")]}}, "no query"),
        ({"criteria": {"allOf": [log_condition("x" * 10_001)]}}, "more than 10000"),
        ({"criteria": {"allOf": [log_condition(timeAggregation="Median")]}}, "timeAggregation 'Median'"),
        ({"criteria": {"allOf": [log_condition(timeAggregation="Average")]}}, "needs a metricMeasureColumn"),
        ({"criteria": {"allOf": [log_condition(operator="Like")]}}, "operator 'Like'"),
        ({"criteria": {"allOf": [log_condition(threshold="many")]}}, "threshold 'many'"),
        ({"criteria": {"allOf": [log_condition(metricMeasureColumn="speed")]}}, "no column 'speed'"),
        (
            {
                "windowSize": "P1D",
                "criteria": {
                    "allOf": [
                        log_condition(failingPeriods={"numberOfEvaluationPeriods": 3, "minFailingPeriodsToAlert": 1})
                    ]
                },
            },
            "more than two days",
        ),
        ({"muteActionsDuration": "PT10M"}, "autoMitigate to be false"),
        ({"overrideQueryTimeRange": "P1D"}, "not supported"),
        ({"resolveConfiguration": {"timeToResolve": "PT1M"}}, "timeToResolve"),
        ({"actions": {"actionGroups": ["/none"]}}, "was not found"),
        ({"actions": {"actionGroups": "all"}}, "list of up to"),
    ],
)
def test_impossible_rules_are_refused(arm: Arm, changes: dict[str, Any], said: str) -> None:
    """With 400 and the reason; nothing is stored."""
    refused = arm("PUT", RULE, log_alert(**changes))
    assert refused.status == 400
    assert said in refused.json["error"]["message"]
    assert arm("GET", RULE).status == 404


def test_empty_and_other_kinds_of_rules_are_refused(arm: Arm) -> None:
    """Only LogAlert is evaluated here."""
    assert (
        arm("PUT", RULE, {"location": "swedencentral"}).json["error"]["message"] == "Alert rule payload cannot be empty"
    )
    refused = arm("PUT", RULE, {**log_alert(), "kind": "LogToMetric"})
    assert "LogToMetric" in refused.json["error"]["message"]


@pytest.mark.usefixtures("component")
@pytest.mark.parametrize(
    ("frequency", "own", "healthy_s"),
    [("PT1M", None, 600), ("PT5M", None, 900), ("PT30M", None, 3_600), ("PT5M", "PT10M", 600)],
)
def test_time_to_resolve_depends_on_the_frequency(
    call: Caller, arm: Arm, clock: ManualClock, history: History, frequency: str, own: str | None, healthy_s: int
) -> None:
    """Microsoft Learn, alerts-overview: 10 minutes, three periods, two periods; or what the rule says itself."""
    changes = {"resolveConfiguration": {"autoResolved": True, "timeToResolve": own}} if own else {}
    arm("PUT", RULE, log_alert(evaluationFrequency=frequency, windowSize=frequency, **changes))
    send(call.azure, clock.now())
    period_s = {"PT1M": 60, "PT5M": 300, "PT30M": 1_800}[frequency]
    clock.advance(period_s)
    assert fired(history) == [("Fired", {})]
    clock.advance(healthy_s - 1)
    assert fired(history) == [("Fired", {})]
    clock.advance(1)
    assert fired(history) == [("Resolved", {})]
