"""Microsoft.Insights/metricAlerts: when somebody is to be told. Checked here, evaluated by ``monitor.metric_rules``."""

import re
from datetime import datetime
from typing import TYPE_CHECKING

from labkit.localazure.clock import iso
from labkit.localazure.management.providers.base import Draft, ResourceType, bad_request, number, objects, tags, text
from labkit.localazure.management.providers.criteria import (
    check_dimensions,
    check_group,
    check_periods,
    duration_s,
    one_of,
    severity,
)
from labkit.localazure.resources import Document, Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

TYPE = "Microsoft.Insights/metricAlerts"
# What a rule may ask for. Microsoft Learn, alerts-metric-create-templates (2020-10-07: windowSize,
# evaluationFrequency), and azure-mgmt-monitor 7.0 (operators, aggregations, criteria), read 2026-11-22.
_FREQUENCIES_S = (60, 300, 900, 1_800, 3_600)
_WINDOWS_S = (*_FREQUENCIES_S, 21_600, 43_200, 86_400)
_AGGREGATIONS = ("Average", "Count", "Minimum", "Maximum", "Total")
_STATIC_OPERATORS = ("Equals", "GreaterThan", "GreaterThanOrEqual", "LessThan", "LessThanOrEqual")
_DYNAMIC_OPERATORS = ("GreaterThan", "LessThan", "GreaterOrLessThan")
_SINGLE = "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria"
_MULTIPLE = "Microsoft.Azure.Monitor.MultipleResourceMultipleMetricCriteria"
_CRITERIA_LIMIT = 5
_SCOPES = 100  # ours: every one is looked at in every evaluation
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def prepare(draft: Draft) -> Document:
    """The rule to store. Refuses what could never fire: no scope, no criteria, an unknown metric or action group,
    a window shorter than the time between two evaluations.
    """
    properties = draft.properties
    if not text(draft.body.get("location")):
        raise bad_request("The location property is required for this definition.", "LocationRequired")
    scopes = _scopes(draft)
    frequency_s = duration_s(properties, "evaluationFrequency", _FREQUENCIES_S)
    window_s = duration_s(properties, "windowSize", _WINDOWS_S)
    if window_s < frequency_s:
        raise bad_request(
            f"The windowSize '{properties['windowSize']}' is shorter than the evaluationFrequency "
            f"'{properties['evaluationFrequency']}': some values would never be looked at."
        )
    stored = {
        **properties,
        "severity": severity(properties),
        "enabled": _enabled(properties),
        "scopes": scopes,
        "criteria": _criteria(draft, scopes),
        "autoMitigate": properties.get("autoMitigate", True) is not False,
        "actions": _actions(draft),
    }
    return {"location": draft.body["location"], "tags": tags(draft), "properties": stored}


def _enabled(properties: Document) -> bool:
    enabled = properties.get("enabled")
    if not isinstance(enabled, bool):
        raise bad_request(f"The enabled property '{enabled}' is invalid. It is required, and true or false.")
    return enabled


def _scopes(draft: Draft) -> list[str]:
    scopes = draft.properties.get("scopes")
    if not isinstance(scopes, list) or not scopes or not all(text(scope).startswith("/") for scope in scopes):
        # Azure/bicep-registry-modules#2449 (2023-06).
        raise bad_request("Alert scope is invalid. It is a list of at least one resource id.")
    if len(scopes) > _SCOPES:
        raise bad_request(f"The alert has {len(scopes)} scopes. It takes up to {_SCOPES}.")
    for scope in scopes:
        if draft.azure.resources.get(scope) is None:
            # hashicorp/terraform#26547 (2020-10) shows this code with a 400.
            raise bad_request(f"The resource '{scope}' in the alert's scopes was not found.", "ResourceNotFound")
    if len(scopes) > 1 and not (
        text(draft.properties.get("targetResourceType")) and text(draft.properties.get("targetResourceRegion"))
    ):
        raise bad_request(
            "targetResourceType and targetResourceRegion are required when the scope has more than one resource."
        )
    return scopes


def _criteria(draft: Draft, scopes: list[str]) -> Document:
    criteria = draft.properties.get("criteria")
    if not isinstance(criteria, dict):
        raise bad_request("The criteria property is required: it says which metric is compared with which threshold.")
    kind = criteria.get("odata.type")
    if kind not in (_SINGLE, _MULTIPLE):
        raise bad_request(
            f"The criteria's odata.type '{kind}' is invalid. The local Azure knows {_SINGLE}, {_MULTIPLE}."
        )
    if kind == _SINGLE and len(scopes) > 1:
        raise bad_request(f"{_SINGLE} takes one resource in scopes; for more use {_MULTIPLE}.")
    conditions = objects(criteria.get("allOf"))
    if not 1 <= len(conditions) <= _CRITERIA_LIMIT:
        raise bad_request(f"The criteria's allOf has {len(conditions)} conditions. It takes 1 to {_CRITERIA_LIMIT}.")
    names = [_condition(draft, condition, scopes) for condition in conditions]
    if len(set(names)) < len(names):
        raise bad_request("Two conditions in allOf have the same name. Names are unique within a rule.")
    return criteria


def _condition(draft: Draft, condition: Document, scopes: list[str]) -> str:
    for field in ("name", "metricName", "timeAggregation", "operator"):
        if not text(condition.get(field)):
            raise bad_request(f"A condition in allOf has no {field}.")
    one_of(condition, "timeAggregation", _AGGREGATIONS)
    if condition.get("criterionType", "StaticThresholdCriterion") == "StaticThresholdCriterion":
        one_of(condition, "operator", _STATIC_OPERATORS)
        _check_threshold(condition.get("threshold"))
    else:
        _check_dynamic(condition)
    check_dimensions(condition.get("dimensions"))
    _check_metric(draft, condition, scopes)
    return str(condition["name"])


def _check_threshold(threshold: object) -> None:
    """A number; Microsoft's own templates send it as text, so that counts too."""
    if number(threshold) is None and not (isinstance(threshold, str) and _NUMBER.fullmatch(threshold)):
        raise bad_request(f"The threshold '{threshold}' is invalid. It is required, and a number.")


def _check_dynamic(condition: Document) -> None:
    one_of(condition, "criterionType", ("DynamicThresholdCriterion",))
    one_of(condition, "operator", _DYNAMIC_OPERATORS)
    one_of(condition, "alertSensitivity", ("Low", "Medium", "High"))
    check_periods(condition.get("failingPeriods"))
    _check_moment(condition.get("ignoreDataBefore"))


def _check_moment(given: object) -> None:
    if given is None:
        return
    try:
        datetime.fromisoformat(str(given)).timestamp()
    except (ValueError, OverflowError):
        raise bad_request(f"The ignoreDataBefore '{given}' is not a date such as 2026-11-25T00:00:00Z.") from None


def _check_metric(draft: Draft, condition: Document, scopes: list[str]) -> None:
    """Refuse a metric or a dimension that the resource does not have; a custom metric once it has been sent."""
    if condition.get("metricNamespace") is not None and not text(condition["metricNamespace"]):
        raise bad_request(f"The metricNamespace '{condition['metricNamespace']}' is invalid. It is a text.")
    if condition.get("skipMetricValidation") is True:
        return  # for custom metrics that have not been sent yet
    resource = draft.azure.resources.get(scopes[0])
    known = draft.azure.monitor.metric_names(scopes[0], text(condition.get("metricNamespace")))
    if condition["metricName"].lower() not in {name.lower() for name in known}:
        # Names are checked against the metric definitions, and skipMetricValidation turns that off: Microsoft Learn,
        # alerts-troubleshoot-metric (2024-02-28), read 2026-11-22. The wording is ours.
        raise bad_request(
            f"Couldn't find a metric named {condition['metricName']}. Make sure the name is correct, or set "
            "skipMetricValidation for a custom metric that hasn't been emitted yet. "
            f"{resource.type if resource is not None else scopes[0]} has: {', '.join(known) or 'none'}."
        )
    draft.azure.monitor.check_metric(scopes[0], condition)


def _actions(draft: Draft) -> list[Document]:
    actions = objects(draft.properties.get("actions"))
    for action in actions:
        check_group(draft, action.get("actionGroupId"))
    return actions


def show(azure: "Azure", resource: Resource) -> Document:
    """The rule as a GET answers it."""
    properties = {**resource.properties, "lastUpdatedTime": iso(resource.changed_at_s), "isMigrated": False}
    return {**resource.document, "properties": properties}


# azure-mgmt-monitor 7.0 takes 200 and nothing else for a PUT.
METRIC_ALERTS = ResourceType(
    name=TYPE, prepare=prepare, show=show, created_status=200, system_data=False, evaluated=True
)
