"""Microsoft.Insights/scheduledQueryRules: alerts on what a KQL query finds. Evaluated by ``monitor.log_rules``.

API version 2023-12-01, as azure-mgmt-monitor 7.0 speaks it; kind LogAlert. What may be asked for: the docstrings of its
models, and what terraform-provider-azurerm checks (monitor_scheduled_query_rules_alert_v2, #18960, 2022-10), read
2026-11-25. Where no wording of the service was found it is ours.
"""

import re
from typing import TYPE_CHECKING

from labkit.localazure.management.providers.base import (
    Draft,
    ResourceType,
    bad_request,
    invalid_content,
    number,
    objects,
    region,
    tags,
    text,
)
from labkit.localazure.management.providers.criteria import (
    check_dimensions,
    check_group,
    check_periods,
    duration_s,
    lasting_s,
    one_of,
    severity,
)
from labkit.localazure.monitor import log_rules
from labkit.localazure.monitor.conditions import OPERATORS
from labkit.localazure.resources import Document, Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

TYPE = "Microsoft.Insights/scheduledQueryRules"
_MINUTES = (1, 5, 10, 15, 30, 45, 60, 120, 180, 240, 300, 360, 1_440)
_FREQUENCIES_S = tuple(minutes * 60 for minutes in _MINUTES)
_WINDOWS_S = (*_FREQUENCIES_S, 2 * 86_400)
_LONGEST_LOOK_BACK_S = 2 * 86_400
_AGGREGATIONS = ("Count", "Average", "Minimum", "Maximum", "Total")
_CONDITIONS = 5
_QUERY_CHARACTERS = 10_000
_ACTION_GROUPS = 5
_CUSTOM_PROPERTIES = 20
_BOOLEANS = ("skipQueryValidation", "checkWorkspaceAlertsStorageConfigured")


def prepare(draft: Draft) -> Document:
    """The rule to store. Refuses a query that is no KQL (with the place of the mistake), and what could never fire."""
    if (draft.body.get("kind") or "LogAlert") != "LogAlert":
        raise bad_request(f"The kind '{draft.body.get('kind')}' is not supported. The local Azure has LogAlert.")
    if not draft.properties:
        # Azure/bicep#3661 (2021-07).
        raise bad_request("Alert rule payload cannot be empty")
    given = draft.properties
    frequency_s = duration_s(given, "evaluationFrequency", _FREQUENCIES_S)
    window_s = duration_s(given, "windowSize", _WINDOWS_S)
    scopes = _scopes(draft)
    stored = {
        **{name: given[name] for name in ("description", "displayName", "targetResourceTypes") if given.get(name)},
        **{name: _boolean(given, name, False) for name in _BOOLEANS},
        "severity": severity(given),
        "enabled": _boolean(given, "enabled", True),
        "autoMitigate": _boolean(given, "autoMitigate", True),
        "scopes": scopes,
        "evaluationFrequency": given["evaluationFrequency"],
        "windowSize": given["windowSize"],
        "criteria": {"allOf": _conditions(draft, scopes, window_s)},
        "actions": _actions(draft),
    }
    stored |= _optional_durations(given, frequency_s, auto_mitigate=stored["autoMitigate"])
    return {"location": region(draft, TYPE), "kind": "LogAlert", "tags": tags(draft), "properties": stored}


def _boolean(given: Document, name: str, default: bool) -> bool:
    value = given.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise bad_request(f"The {name} property '{value}' is invalid. It is true or false.")
    return value


def _optional_durations(given: Document, frequency_s: int, *, auto_mitigate: bool) -> Document:
    found: Document = {}
    if given.get("muteActionsDuration"):
        if auto_mitigate:
            raise bad_request("muteActionsDuration needs autoMitigate to be false: a stateful alert fires once anyway.")
        duration_s(given, "muteActionsDuration", _WINDOWS_S)
        found["muteActionsDuration"] = given["muteActionsDuration"]
    if given.get("overrideQueryTimeRange"):
        raise bad_request("overrideQueryTimeRange is not supported here: a query sees the rule's windows.")
    resolve = given.get("resolveConfiguration")
    if isinstance(resolve, dict) and resolve.get("timeToResolve"):
        if lasting_s(resolve["timeToResolve"]) < frequency_s:
            raise bad_request("resolveConfiguration's timeToResolve is a duration of at least the evaluationFrequency.")
        found["resolveConfiguration"] = resolve
    return found


def _scopes(draft: Draft) -> list[str]:
    scopes = draft.properties.get("scopes")
    if not isinstance(scopes, list) or len(scopes) != 1 or not text(scopes[0]).startswith("/"):
        raise bad_request("The scopes of a log search alert are a list of exactly one resource id.")
    if not log_rules.is_scope(draft.azure, scopes[0]):
        raise bad_request(
            f"The resource '{scopes[0]}' in the alert's scopes was not found. It is an Application Insights component, "
            "a workspace, or a resource group or subscription that has components.",
            "ResourceNotFound",
        )
    return scopes


def _conditions(draft: Draft, scopes: list[str], window_s: int) -> list[Document]:
    criteria = draft.properties.get("criteria")
    conditions = objects(criteria.get("allOf")) if isinstance(criteria, dict) else []
    if not 1 <= len(conditions) <= _CONDITIONS:
        raise bad_request(f"The criteria's allOf has {len(conditions)} conditions. It takes 1 to {_CONDITIONS}.")
    return [_condition(draft, condition, scopes, window_s) for condition in conditions]


def _condition(draft: Draft, condition: Document, scopes: list[str], window_s: int) -> Document:
    query = text(condition.get("query"))
    if not query or len(query) > _QUERY_CHARACTERS:
        raise bad_request(f"A condition in allOf has no query, or one of more than {_QUERY_CHARACTERS} characters.")
    one_of(condition, "timeAggregation", _AGGREGATIONS)
    one_of(condition, "operator", tuple(OPERATORS))
    if number(condition.get("threshold")) is None:
        raise bad_request(f"The threshold '{condition.get('threshold')}' is invalid. It is required, and a number.")
    measure = text(condition.get("metricMeasureColumn"))
    if condition["timeAggregation"] != "Count" and not measure:
        raise bad_request(
            f"The timeAggregation {condition['timeAggregation']} needs a metricMeasureColumn; only Count counts rows."
        )
    check_dimensions(condition.get("dimensions"))
    periods = condition.get("failingPeriods") or {"numberOfEvaluationPeriods": 1, "minFailingPeriodsToAlert": 1}
    check_periods(periods)
    if window_s * periods["numberOfEvaluationPeriods"] > _LONGEST_LOOK_BACK_S:
        raise bad_request("windowSize times numberOfEvaluationPeriods is more than two days.")
    if draft.properties.get("skipQueryValidation") is not True:
        log_rules.check(draft.azure, scopes[0], condition)
    return {**condition, "failingPeriods": periods}


def _actions(draft: Draft) -> Document:
    actions = draft.properties.get("actions") or {}
    groups = actions.get("actionGroups") or [] if isinstance(actions, dict) else None
    if not isinstance(groups, list) or len(groups) > _ACTION_GROUPS:
        raise invalid_content(f"'properties.actions.actionGroups' is a list of up to {_ACTION_GROUPS} ids.")
    own = actions.get("customProperties") or {}
    if not isinstance(own, dict) or len(own) > _CUSTOM_PROPERTIES:
        raise invalid_content(f"'properties.actions.customProperties' is an object of up to {_CUSTOM_PROPERTIES}.")
    return {"actionGroups": [check_group(draft, group) for group in groups], "customProperties": own}


def show(azure: "Azure", resource: Resource) -> Document:
    """The rule as a GET answers it."""
    properties = {
        **resource.properties,
        "createdWithApiVersion": "2023-12-01",
        "isLegacyLogAnalyticsRule": False,
        "isWorkspaceAlertsStorageConfigured": False,
    }
    return {**resource.document, "properties": properties}


SCHEDULED_QUERY_RULES = ResourceType(
    name=TYPE,
    prepare=prepare,
    show=show,
    etag_name="etag",
    evaluated=True,
    name_pattern=re.compile(r"[^<>*%&:\\?+/#{}\x00-\x1f]{0,259}[^<>*%&:\\?+/.\s#{}\x00-\x1f]"),
    name_rule="it has 1 to 260 characters, none of <>*%&:\\?+/#{}, and does not end in a period or space",
)
