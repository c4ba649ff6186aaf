"""Application Insights components, metric alerts and action groups: stored, and checked as Azure Monitor does."""

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.mgmt.applicationinsights import ApplicationInsightsManagementClient
from azure.mgmt.applicationinsights.models import ApplicationInsightsComponent
from azure.mgmt.monitor import MonitorManagementClient
from azure.mgmt.monitor import models as monitor

from labkit.localazure import LocalAzure
from labkit.localazure.resources import RESOURCE_GROUP
from tests.localazure.conftest import ACCOUNT_ID, Answer

Arm = Callable[..., Answer]
ALERTS = "Microsoft.Insights/metricAlerts"
GROUPS = "Microsoft.Insights/actionGroups"
COMPONENTS = "Microsoft.Insights/components"


# -- Application Insights ---------------------------------------------------------------------------------------


def test_component_is_created_and_read_by_the_real_sdk(sdk: Callable[..., Any], azure: LocalAzure) -> None:
    """Its connection string points at this server; creating it again keeps its keys."""
    client = sdk(ApplicationInsightsManagementClient)
    wanted = ApplicationInsightsComponent(location="swedencentral", kind="web", application_type="web")
    made = client.components.create_or_update(RESOURCE_GROUP, "appi-session13", wanted)
    parts = dict(part.split("=", 1) for part in made.connection_string.split(";"))
    assert parts["InstrumentationKey"] == made.instrumentation_key
    assert parts["IngestionEndpoint"] == parts["LiveEndpoint"] == f"{azure.url}/"
    assert (made.app_id, made.provisioning_state) == (parts["ApplicationId"], "Succeeded")
    again = client.components.create_or_update(RESOURCE_GROUP, "appi-session13", wanted)
    assert again.connection_string == made.connection_string
    assert client.components.get(RESOURCE_GROUP, "appi-session13").instrumentation_key == made.instrumentation_key
    assert [c.name for c in client.components.list()] == ["appi-session13"]
    client.components.delete(RESOURCE_GROUP, "appi-session13")
    with pytest.raises(ResourceNotFoundError):
        client.components.get(RESOURCE_GROUP, "appi-session13")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"kind": "web"}, "LocationRequired"),
        ({"location": "swedencentral"}, "BadRequest"),
        ({"location": "swedencentral", "kind": "web", "properties": {"Application_Type": "game"}}, "BadRequest"),
    ],
    ids=["no location", "no kind", "unknown application type"],
)
def test_incomplete_component_is_refused(arm: Arm, body: object, code: str) -> None:
    """It needs a place and a kind."""
    assert arm("PUT", f"{COMPONENTS}/appi", body).error == (400, code)


# -- action groups ----------------------------------------------------------------------------------------------


def action_group(**properties: Any) -> dict[str, Any]:
    """The body of an action group's PUT."""
    receivers = [{"name": "teacher", "emailAddress": "teacher@example.com"}]
    return {
        "location": "Global",
        "properties": {"groupShortName": "oncall", "enabled": True, "emailReceivers": receivers, **properties},
    }


def test_alert_is_created_and_read_by_the_real_sdk(sdk: Callable[..., Any]) -> None:
    """An action group and a rule that names it, as the third task makes them."""
    client = sdk(MonitorManagementClient)
    group = client.action_groups.create_or_update(
        RESOURCE_GROUP,
        "ag-oncall",
        monitor.ActionGroupResource(
            location="Global",
            group_short_name="oncall",
            enabled=True,
            email_receivers=[monitor.EmailReceiver(name="teacher", email_address="teacher@example.com")],
        ),
    )
    assert group.email_receivers[0].status == "Enabled"
    made = client.metric_alerts.create_or_update(
        RESOURCE_GROUP,
        "alert-latency",
        monitor.MetricAlertResource(
            location="global",
            severity=2,
            enabled=True,
            scopes=[ACCOUNT_ID],
            evaluation_frequency=dt.timedelta(minutes=1),
            window_size=dt.timedelta(minutes=5),
            criteria=monitor.MetricAlertSingleResourceMultipleMetricCriteria(
                all_of=[
                    monitor.MetricCriteria(
                        name="slow",
                        metric_name="AzureOpenAITimeToResponse",
                        operator="GreaterThan",
                        threshold=3_000,
                        time_aggregation="Average",
                    )
                ]
            ),
            actions=[monitor.MetricAlertAction(action_group_id=group.id)],
        ),
    )
    read = client.metric_alerts.get(RESOURCE_GROUP, "alert-latency")
    assert (read.severity, read.enabled, read.auto_mitigate) == (2, True, True)
    assert (read.window_size, read.evaluation_frequency) == (dt.timedelta(minutes=5), dt.timedelta(minutes=1))
    assert read.criteria.all_of[0].threshold == 3_000
    assert read.actions[0].action_group_id == group.id
    assert read.last_updated_time == made.last_updated_time
    client.metric_alerts.update(RESOURCE_GROUP, "alert-latency", monitor.MetricAlertResourcePatch(enabled=False))
    assert [rule.enabled for rule in client.metric_alerts.list_by_resource_group(RESOURCE_GROUP)] == [False]
    assert [g.name for g in client.action_groups.list_by_subscription_id()] == ["ag-oncall"]
    client.metric_alerts.delete(RESOURCE_GROUP, "alert-latency")
    client.action_groups.delete(RESOURCE_GROUP, "ag-oncall")
    assert list(client.metric_alerts.list_by_subscription()) == []


@pytest.mark.parametrize(
    ("properties", "code", "said"),
    [
        pytest.param({"groupShortName": None}, "BadRequest", "groupShortName", id="no short name"),
        pytest.param({"groupShortName": "n" * 13}, "GroupShortNameIsTooLong", "'12' or less", id="long short name"),
        pytest.param({"enabled": "yes"}, "InvalidRequestContent", "true or false", id="enabled no bool"),
        pytest.param({"emailReceivers": "a@b.c"}, "InvalidRequestContent", "list", id="receivers no list"),
        pytest.param({"emailReceivers": [{"name": "x"}]}, "BadRequest", "emailAddress", id="receiver incomplete"),
        pytest.param(
            {"emailReceivers": [{"name": "x", "emailAddress": "nobody"}]}, "BadRequest", "'nobody'", id="bad address"
        ),
        pytest.param(
            {"webhookReceivers": [{"name": "x", "serviceUri": "ftp://x"}]}, "BadRequest", "http(s)", id="bad URL"
        ),
        pytest.param(
            {"webhookReceivers": [{"name": "Teacher", "serviceUri": "https://x"}]}, "BadRequest", "twice", id="twice"
        ),
    ],
)
def test_impossible_action_groups_are_refused(arm: Arm, properties: dict[str, Any], code: str, said: str) -> None:
    """Nobody could be told, so the group is not stored."""
    refused = arm("PUT", f"{GROUPS}/ag", action_group(**properties))
    assert refused.error == (400, code)
    assert said in refused.json["error"]["message"]
    assert arm("GET", f"{GROUPS}/ag").status == 404


# -- metric alerts ----------------------------------------------------------------------------------------------


def condition(**changes: Any) -> dict[str, Any]:
    """One condition of a rule."""
    return {
        "criterionType": "StaticThresholdCriterion",
        "name": "slow",
        "metricName": "AzureOpenAITimeToResponse",
        "operator": "GreaterThan",
        "threshold": 3000,
        "timeAggregation": "Average",
        **changes,
    }


def alert(*conditions: object, **properties: Any) -> dict[str, Any]:
    """The body of a metric alert's PUT."""
    criteria = {
        "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
        "allOf": list(conditions) or [condition()],
    }
    base = {
        "severity": 2,
        "enabled": True,
        "scopes": [ACCOUNT_ID],
        "evaluationFrequency": "PT1M",
        "windowSize": "PT5M",
        "criteria": criteria,
    }
    return {"location": "global", "properties": {**base, **properties}}


MULTIPLE = "Microsoft.Azure.Monitor.MultipleResourceMultipleMetricCriteria"
DYNAMIC = condition(
    criterionType="DynamicThresholdCriterion",
    alertSensitivity="High",
    operator="GreaterOrLessThan",
    failingPeriods={"numberOfEvaluationPeriods": 4, "minFailingPeriodsToAlert": 4},
)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param(alert(), id="static"),
        pytest.param(alert(condition(name="a"), condition(name="b")), id="two conditions"),
        pytest.param(alert(windowSize="P1D", evaluationFrequency="PT1H"), id="day"),
        pytest.param(alert(windowSize="PT60M"), id="an hour in minutes"),
        pytest.param(alert(condition(threshold="3000")), id="threshold as text, as in Microsoft's templates"),
        pytest.param(alert(condition(metricName="my.metric", skipMetricValidation=True)), id="custom metric"),
        pytest.param(
            alert(criteria={"odata.type": MULTIPLE, "allOf": [DYNAMIC]}),
            id="dynamic",
        ),
    ],
)
def test_possible_alerts_are_stored(arm: Arm, body: dict[str, Any]) -> None:
    """What Azure Monitor takes is taken, with 200 for a new rule too."""
    assert arm("PUT", f"{ALERTS}/rule", body).status == 200
    stored = arm("GET", f"{ALERTS}/rule").json["properties"]
    assert stored["criteria"] == body["properties"]["criteria"]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        pytest.param({**alert(), "location": None}, "location", id="no location"),
        pytest.param(alert(severity=None), "severity", id="no severity"),
        pytest.param(alert(severity=5), "0 (critical) to 4", id="severity 5"),
        pytest.param(alert(enabled=None), "enabled", id="no enabled"),
        pytest.param(alert(scopes=None), "Alert scope is invalid", id="no scopes"),
        pytest.param(alert(scopes=[]), "Alert scope is invalid", id="empty scopes"),
        pytest.param(alert(scopes="x"), "Alert scope is invalid", id="scopes no list"),
        pytest.param(alert(scopes=["aoai-session13"]), "Alert scope is invalid", id="scope is a name"),
        pytest.param(alert(scopes=[f"{ACCOUNT_ID}-2"]), "was not found", id="scope does not exist"),
        pytest.param(alert(scopes=[ACCOUNT_ID, ACCOUNT_ID]), "targetResourceType", id="two scopes"),
        pytest.param(alert(criteria=None), "criteria", id="no criteria"),
        pytest.param(alert(criteria={"allOf": [condition()]}), "odata.type", id="criteria without type"),
        pytest.param(alert(criteria={"odata.type": MULTIPLE, "allOf": []}), "1 to 5", id="no conditions"),
        pytest.param(alert(condition(), condition()), "same name", id="conditions with one name"),
        pytest.param(alert("x"), "deserialized", id="condition no object"),
        pytest.param(alert(condition(name="")), "no name", id="condition without name"),
        pytest.param(alert(condition(threshold=None)), "threshold", id="no threshold"),
        pytest.param(alert(condition(threshold="3s")), "threshold", id="threshold with a unit"),
        pytest.param(alert(condition(operator=">")), "GreaterThan", id="operator"),
        pytest.param(alert(condition(timeAggregation="Mean")), "Average", id="aggregation"),
        pytest.param(alert(condition(metricName="Time to Response")), "AzureOpenAITimeToResponse", id="display name"),
        pytest.param(
            alert(condition(criterionType="DynamicThresholdCriterion")), "alertSensitivity", id="dynamic, incomplete"
        ),
        pytest.param(alert(condition(criterionType="Magic")), "criterionType", id="unknown criterion"),
        pytest.param(alert(windowSize="PT5"), "Supported values: PT1M", id="window no duration"),
        pytest.param(alert(windowSize=300), "Supported values: PT1M", id="window a number"),
        pytest.param(alert(windowSize="PT7M"), "PT5M, PT15M", id="window not offered"),
        pytest.param(alert(evaluationFrequency="PT6H", windowSize="P1D"), "PT1H", id="frequency not offered"),
        pytest.param(alert(evaluationFrequency="PT15M"), "never be looked at", id="window under frequency"),
        pytest.param(alert(actions=[{"actionGroupId": "ag-oncall"}]), "id of an action group", id="group by name"),
        pytest.param(alert(actions=[{"actionGroupId": ACCOUNT_ID}]), "was not found", id="group is no group"),
    ],
)
def test_impossible_alerts_are_refused(arm: Arm, body: object, said: str) -> None:
    """A rule that could never fire is refused with the reason, and is not stored."""
    refused = arm("PUT", f"{ALERTS}/rule", body)
    assert refused.status == 400
    assert said in refused.json["error"]["message"]
    assert arm("GET", f"{ALERTS}/rule").status == 404


def test_alert_on_telemetry_knows_the_components_metrics(arm: Arm) -> None:
    """A rule may watch Application Insights; the account's metrics are not there."""
    component = arm("PUT", f"{COMPONENTS}/appi", {"location": "swedencentral", "kind": "web"}).json["id"]
    rule = alert(condition(metricName="dependencies/duration"), scopes=[component])
    assert arm("PUT", f"{ALERTS}/rule", rule).status == 200
    assert arm("PUT", f"{ALERTS}/other", alert(scopes=[component])).status == 400
