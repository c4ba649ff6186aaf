"""Metric alerts: when they fire, when they are resolved, and which time series they see."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.monitor.schedule import CATCH_UP, due
from labkit.localazure.state import Azure
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

Arm = Callable[..., Answer]
History = Callable[[], dict[str, Any]]


def conditions_of(history: History) -> list[str]:
    """Fired or Resolved, of each alert."""
    return [alert["condition"] for alert in history()["alerts"]]


def test_alert_fires_once_and_is_resolved_after_three_healthy_checks(
    arm: Arm, clock: ManualClock, metrics: Metrics, history: History
) -> None:
    """At the times of the evaluations, whenever they are looked at."""
    started = clock.now()
    arm("PUT", RULE, metric_alert())
    metrics.values = {(): 4.0}
    clock.advance(130)
    (alert,) = history()["alerts"]
    assert (alert["rule"], alert["severity"], alert["service"]) == ("slow", "Sev2", "Platform")
    assert (alert["condition"], alert["fired_at_s"], alert["state"]) == ("Fired", started + 60, "New")
    assert (alert["target"], alert["dimensions"], alert["description"]) == (ACCOUNT_ID, {}, "Answers are slow.")
    metrics.values = {(): 3.0}
    clock.advance(110)  # two healthy checks
    assert conditions_of(history) == ["Fired"]
    metrics.values = {(): 3.1}
    clock.advance(60)  # one that is not begins the count anew
    assert conditions_of(history) == ["Fired"]
    metrics.values = {(): 2.0}
    clock.advance(180)
    (alert,) = history()["alerts"]
    assert (alert["condition"], alert["resolved_at_s"]) == ("Resolved", started + 480)
    metrics.values = {(): 9.0}
    clock.advance(60)
    assert conditions_of(history) == ["Resolved", "Fired"]


def test_no_data_does_not_fire_and_resolves(arm: Arm, clock: ManualClock, metrics: Metrics, history: History) -> None:
    """Neither a window without a value, nor a series that is gone."""
    arm("PUT", RULE, metric_alert(condition(operator="LessThan")))
    metrics.values = {(): None}
    clock.advance(120)
    assert conditions_of(history) == []
    metrics.values = {(): 1.0}
    clock.advance(60)
    assert conditions_of(history) == ["Fired"]
    metrics.values = {}
    clock.advance(180)
    assert conditions_of(history) == ["Resolved"]


@pytest.mark.parametrize(
    ("operator", "fires"),
    [
        ("Equals", [3.0]),
        ("GreaterThan", [4.0]),
        ("GreaterThanOrEqual", [3.0, 4.0]),
        ("LessThan", [2.0]),
        ("LessThanOrEqual", [2.0, 3.0]),
    ],
)
def test_operators(
    arm: Arm, clock: ManualClock, metrics: Metrics, history: History, operator: str, fires: list[float]
) -> None:
    """Each compares the window's value with the threshold, which may come as text."""
    dims = {value: (("ModelDeploymentName", str(value)),) for value in (2.0, 3.0, 4.0)}
    metrics.values = {key: value for value, key in dims.items()}
    wanted = [{"name": "ModelDeploymentName", "operator": "Include", "values": ["*"]}]
    arm("PUT", RULE, metric_alert(condition(operator=operator, threshold="3", dimensions=wanted)))
    clock.advance(60)
    assert sorted(float(alert["dimensions"]["ModelDeploymentName"]) for alert in history()["alerts"]) == fires


def test_each_dimension_value_has_its_own_alert(
    arm: Arm, clock: ManualClock, metrics: Metrics, history: History
) -> None:
    """Chosen by Include, Exclude and ``*``; each fires and is resolved by itself."""
    wanted = [
        {"name": "ModelDeploymentName", "operator": "Include", "values": ["*"]},
        {"name": "StatusCode", "operator": "Exclude", "values": ["200"]},
    ]
    arm("PUT", RULE, metric_alert(condition(dimensions=wanted)))

    def series(deployment: str, status: str) -> tuple[tuple[str, str], ...]:
        return ("ModelDeploymentName", deployment), ("StatusCode", status)

    metrics.values = {series("a", "429"): 5.0, series("b", "429"): 5.0, series("a", "200"): 5.0}
    clock.advance(60)
    assert [alert["dimensions"] for alert in history()["alerts"]] == [dict(series(name, "429")) for name in "ab"]
    metrics.values = {series("a", "429"): 5.0, series("b", "429"): 1.0}
    clock.advance(180)
    assert conditions_of(history) == ["Fired", "Resolved"]


def test_all_conditions_must_hold(arm: Arm, clock: ManualClock, metrics: Metrics, history: History) -> None:
    """For the same dimension values, where both have them."""
    wanted = [{"name": "ModelDeploymentName", "operator": "Include", "values": ["*"]}]
    slow, many = (
        condition("slow", dimensions=wanted),
        condition("many", metricName="AzureOpenAIRequests", timeAggregation="Total", dimensions=wanted),
    )
    arm("PUT", RULE, metric_alert(slow, many))
    a, b = (("ModelDeploymentName", "a"),), (("ModelDeploymentName", "b"),)
    metrics.of_metric = {
        "AzureOpenAITimeToResponse": {a: 5.0, b: 5.0},
        "AzureOpenAIRequests": {a: 1.0, b: 10.0},
    }
    clock.advance(60)
    (alert,) = history()["alerts"]
    assert alert["dimensions"] == {"ModelDeploymentName": "b"}
    assert [entry["metricValue"] for entry in alert["context"]["condition"]["allOf"]] == [5.0, 10.0]
    metrics.of_metric["AzureOpenAIRequests"] = {}
    clock.advance(180)
    assert conditions_of(history) == ["Resolved"]


def test_stateless_rule_fires_every_time_and_never_resolves(
    arm: Arm, clock: ManualClock, metrics: Metrics, history: History
) -> None:
    """autoMitigate false: Microsoft Learn, alerts-troubleshoot-metric."""
    arm("PUT", RULE, metric_alert(autoMitigate=False))
    metrics.values = {(): 4.0}
    clock.advance(120)
    assert conditions_of(history) == ["Fired", "Fired"]
    metrics.values = {(): 1.0}
    clock.advance(600)
    assert conditions_of(history) == ["Fired", "Fired"]


@pytest.mark.parametrize(
    ("sensitivity", "fires"), [("High", True), ("Medium", True), ("Low", False)], ids=["1 sd", "2 sd", "3 sd"]
)
def test_dynamic_threshold_is_mean_and_deviation_of_the_windows_before(
    arm: Arm, clock: ManualClock, metrics: Metrics, history: History, sensitivity: str, fires: bool
) -> None:
    """Mean 10, deviation 2: 15 is above 12 and 14, not above 16."""
    dynamic = condition(
        criterionType="DynamicThresholdCriterion",
        alertSensitivity=sensitivity,
        failingPeriods={"numberOfEvaluationPeriods": 1.0, "minFailingPeriodsToAlert": 1.0},
        operator="GreaterOrLessThan",
    )
    criteria = {"odata.type": "Microsoft.Azure.Monitor.MultipleResourceMultipleMetricCriteria", "allOf": [dynamic]}
    assert arm("PUT", RULE, metric_alert(criteria=criteria)).status == 200
    metrics.past = [8.0, 12.0] * 15
    metrics.values = {(): 15.0}
    clock.advance(60)
    assert bool(history()["alerts"]) is fires


def test_rule_is_evaluated_at_multiples_of_its_frequency() -> None:
    """After a long jump the first and the last ones, so that nothing is forgotten and nothing takes for ever."""
    assert due(60, 90.0, 60.0) == []
    assert due(60, 90.0, 120.0) == [120]
    assert due(300, 90.0, 900.0) == [300, 600, 900]
    jump = due(60, 0.0, 86_400.0)
    assert len(jump) == CATCH_UP
    assert (jump[:2], jump[CATCH_UP // 2 - 1], jump[-1]) == ([60, 120], 1_800, 86_400)


def test_jump_of_a_day_sees_what_came_before_it(
    arm: Arm, clock: ManualClock, metrics: Metrics, history: History
) -> None:
    """Bounded, and the rule is up to date afterwards."""
    arm("PUT", RULE, metric_alert())
    metrics.values = {(): 4.0}
    started = clock.now()
    clock.advance(86_400)
    (alert,) = history()["alerts"]
    assert alert["fired_at_s"] == started + 60
    assert len(metrics.asked) == CATCH_UP
    clock.advance(59)
    history()
    assert len(metrics.asked) == CATCH_UP


@pytest.mark.parametrize("how", ["deleted", "disabled", "made anew"])
def test_rule_that_ends_takes_its_alert_with_it(
    arm: Arm, clock: ManualClock, metrics: Metrics, history: History, how: str
) -> None:
    """Resolved without telling anybody; a rule that is switched on again begins anew."""
    arm("PUT", GROUP, action_group(emailReceivers=[{"name": "t", "emailAddress": "t@example.com"}]))
    body = metric_alert(actions=[{"actionGroupId": GROUP_PATH}])
    arm("PUT", RULE, body)
    metrics.values = {(): 4.0}
    clock.advance(60)
    assert len(history()["notifications"]) == 1
    if how == "disabled":
        arm("PATCH", RULE, {"properties": {"enabled": False}})
    else:
        arm("DELETE", RULE)
    if how == "made anew":
        clock.advance(1)
        arm("PUT", RULE, body)
    seen = history()
    assert [alert["condition"] for alert in seen["alerts"]] == ["Resolved"]
    assert seen["alerts"][0]["history"][-1]["comments"] == "The rule was deleted or disabled."
    assert len(seen["notifications"]) == 1
    if how == "disabled":
        arm("PATCH", RULE, {"properties": {"enabled": True}})
    clock.advance(60)
    assert conditions_of(history) == (["Resolved"] if how == "deleted" else ["Resolved", "Fired"])


def test_failing_evaluation_is_shown_and_changes_nothing(
    arm: Arm, clock: ManualClock, metrics: Metrics, history: History, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alert stays as it is; the reason is in the answer."""
    arm("PUT", RULE, metric_alert())
    metrics.values = {(): 4.0}
    clock.advance(60)
    assert conditions_of(history) == ["Fired"]

    def broken(*arguments: object, **options: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("labkit.localazure.monitor.metric_rules.windows", broken)
    clock.advance(600)
    seen = history()
    assert [alert["condition"] for alert in seen["alerts"]] == ["Fired"]
    assert list(seen["errors"].values()) == ["The evaluation failed (ZeroDivisionError)."]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"dimensions": [{"name": "ModelDeploymentName", "operator": "Like", "values": ["*"]}]}, "Include or Exclude"),
        ({"dimensions": [{"name": "ModelDeploymentName", "operator": "Include", "values": []}]}, "1 to 100 texts"),
        ({"dimensions": [{"name": "ModelDeploymentName", "operator": "Include", "values": [1]}]}, "texts in values"),
        ({"dimensions": [{"name": "ModelDeploymentName", "operator": "Include", "values": ["*"]}] * 11}, "up to 10"),
    ],
)
def test_impossible_conditions_are_refused(arm: Arm, change: dict[str, Any], said: str) -> None:
    """With 400 and the reason."""
    refused = arm("PUT", RULE, metric_alert(condition(**change)))
    assert refused.error == (400, "BadRequest")
    assert said in refused.json["error"]["message"]


@pytest.mark.parametrize(
    "periods",
    [
        None,
        {"numberOfEvaluationPeriods": 4},
        {"numberOfEvaluationPeriods": 2, "minFailingPeriodsToAlert": 3},
        {"numberOfEvaluationPeriods": 7, "minFailingPeriodsToAlert": 3},
        {"numberOfEvaluationPeriods": 2.5, "minFailingPeriodsToAlert": 1},
    ],
)
def test_impossible_periods_are_refused(arm: Arm, periods: object) -> None:
    """So many of so many windows, up to six."""
    dynamic = condition(
        criterionType="DynamicThresholdCriterion",
        alertSensitivity="High",
        failingPeriods=periods,
        operator="GreaterThan",
    )
    refused = arm("PUT", RULE, metric_alert(dynamic))
    assert refused.error == (400, "BadRequest")
    assert "whole numbers from 1 to 6" in refused.json["error"]["message"]


def test_alerts_survive_a_state_file(
    call: Caller, arm: Arm, clock: ManualClock, metrics: Metrics, history: History
) -> None:
    """What one local Azure dumps another loads, as JSON: a standing alert does not fire again and is resolved."""
    arm("PUT", RULE, metric_alert())
    metrics.values = {(("ModelDeploymentName", "a"),): 4.0}
    clock.advance(60)
    before = history()
    dumped = json.loads(json.dumps(call.azure.monitor.dump()))
    other = Azure(clock)
    for resource in call.azure.resources:
        other.resources.put(resource)
    other.monitor.load(dumped)
    clock.advance(60)
    other.tick()
    assert [(alert.id, alert.condition) for alert in other.monitor.alerts] == [(before["alerts"][0]["id"], "Fired")]
    metrics.values = {}
    clock.advance(180)
    other.tick()
    assert [alert.condition for alert in other.monitor.alerts] == ["Resolved"]
