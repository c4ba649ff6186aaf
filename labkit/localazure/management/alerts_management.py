"""Microsoft.AlertsManagement: the alerts that have fired, to be listed, read, counted and acknowledged.

REST reference, Alerts Management, 2019-05-05-preview, as azure-mgmt-alertsmanagement 1.0.1 speaks it, read 2026-11-25.
All alerts come on one page. The alerts of budgets are Cost Management's and not listed here, as on the service.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import orjson

from labkit.localazure.clock import iso
from labkit.localazure.errors import AzureError, method_not_allowed
from labkit.localazure.identity import APP_ID
from labkit.localazure.management.resourceids import Target
from labkit.localazure.monitor.alerts import USER_STATES, Alert, UserState
from labkit.localazure.monitor.payloads import COST_ALERTS, group_of, name_of, type_of
from labkit.localazure.resources import SUBSCRIPTION_ID
from labkit.localazure.wire import Reply, Request, json_reply

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

Document = dict[str, Any]
NAMESPACE = "Microsoft.AlertsManagement"
_BODY_LIMIT = 64 * 1024
_COMMENT = 1_000
_TIME_RANGES_S = {"1h": 3_600, "1d": 86_400, "7d": 7 * 86_400, "30d": 30 * 86_400}
# The filters, and the fields to sort and group by, under the names that the API gives them.
_FIELDS: dict[str, Callable[[Alert], str]] = {
    "name": lambda alert: alert.source.rule_name,
    "targetResource": lambda alert: alert.target,
    "targetResourceName": lambda alert: name_of(alert.target),
    "targetResourceType": lambda alert: type_of(alert.target),
    "targetResourceGroup": lambda alert: group_of(alert.target),
    "monitorService": lambda alert: alert.source.service,
    "monitorCondition": lambda alert: alert.condition,
    "severity": lambda alert: alert.source.severity,
    "alertState": lambda alert: alert.state,
    "alertRule": lambda alert: alert.source.rule_id,
    "signalType": lambda alert: alert.source.signal_type,
    "startDateTime": lambda alert: iso(alert.fired_at_s),
    "lastModifiedDateTime": lambda alert: iso(alert.changed_at_s),
}
_FILTERS = (
    "targetResource",
    "targetResourceType",
    "targetResourceGroup",
    "monitorService",
    "monitorCondition",
    "severity",
    "alertState",
    "alertRule",
)
_SORTS = (
    "name",
    "severity",
    "alertState",
    "monitorCondition",
    "targetResource",
    "targetResourceName",
    "targetResourceGroup",
    "targetResourceType",
    "startDateTime",
    "lastModifiedDateTime",
)
_GROUPS = ("severity", "alertState", "monitorCondition", "monitorService", "signalType", "alertRule")
_CHOICES = {
    "monitorCondition": ("Fired", "Resolved"),
    "severity": ("Sev0", "Sev1", "Sev2", "Sev3", "Sev4"),
    "alertState": USER_STATES,
}


async def answer(azure: "Azure", request: Request, found: Target) -> Reply:
    """The answer to a request for ``…/providers/Microsoft.AlertsManagement/…``; everything due is evaluated first."""
    words = [part.lower() for part in found.parts]
    if words == ["alerts"]:
        request.operation = "alerts.list"
        return await _get(azure, request, _list)
    if words == ["alertssummary"]:
        request.operation = "alertsSummary.read"
        return await _get(azure, request, _summary)
    if words[0] != "alerts" or len(words) > 3:
        raise _unknown(found)
    await azure.catch_up()
    alert = _existing(azure, found.parts[1])
    if len(words) == 2:
        request.operation = "alerts.read"
        return _only_get(request, _shown(alert, with_context=True))
    if words[2] == "history":
        request.operation = "alerts.history"
        return _only_get(request, _history(alert))
    if words[2] == "changestate":
        request.operation = "alerts.changestate"
        return await _change_state(azure, request, alert)
    raise _unknown(found)


async def _get(azure: "Azure", request: Request, show: Callable[["Azure", Request], Document]) -> Reply:
    if request.method != "GET":
        raise method_not_allowed(request.method, request.path)
    await azure.catch_up()
    return json_reply(show(azure, request))


def _only_get(request: Request, document: Document) -> Reply:
    if request.method != "GET":
        raise method_not_allowed(request.method, request.path)
    return json_reply(document)


def _existing(azure: "Azure", id: str) -> Alert:
    alert = azure.monitor.alerts.get(id)
    if alert is None or alert.source.service == COST_ALERTS:
        raise AzureError(404, "AlertNotFound", f"There is no alert '{id[:100]}'. Alerts are kept for 30 days.")
    return alert


# -- lists ------------------------------------------------------------------------------------------------------


def _list(azure: "Azure", request: Request) -> Document:
    query = request.query
    by = _choice(query.get("sortBy") or "lastModifiedDateTime", _SORTS, "sortBy")
    order = _choice(query.get("sortOrder") or "desc", ("asc", "desc"), "sortOrder")
    alerts = sorted(_matching(azure, request), key=_FIELDS[by], reverse=order == "desc")
    with_context = query.get("includeContext", "").lower() == "true"
    return {"value": [_shown(alert, with_context=with_context) for alert in alerts], "nextLink": None}


def _matching(azure: "Azure", request: Request) -> list[Alert]:
    found = [alert for alert in azure.monitor.alerts if alert.source.service != COST_ALERTS]
    for name in _FILTERS:
        wanted = request.query.get(name)
        if wanted:
            wanted = _choice(wanted, _CHOICES[name], name) if name in _CHOICES else wanted
            found = [alert for alert in found if _is(name, wanted, alert)]
    start_s, end_s = _time_range(azure, request)
    return [alert for alert in found if start_s <= alert.fired_at_s <= end_s]


def _is(name: str, wanted: str, alert: Alert) -> bool:
    """True when the alert's field is ``wanted``; a rule may be named by its id or its name."""
    value = _FIELDS[name](alert).lower()
    return wanted.lower() == value or (name == "alertRule" and wanted.lower() == name_of(value))


def _time_range(azure: "Azure", request: Request) -> tuple[float, float]:
    """From when to when alerts are asked for; the last day when nothing is said, as the service does."""
    custom = request.query.get("customTimeRange")
    now = azure.clock.now()
    if not custom:
        name = _choice(request.query.get("timeRange") or "1d", tuple(_TIME_RANGES_S), "timeRange")
        return now - _TIME_RANGES_S[name], now
    start, _, end = custom.partition("/")
    try:
        return _moment_s(start), _moment_s(end)
    except (ValueError, OverflowError):
        raise _bad(f"The customTimeRange '{custom[:100]}' is not <start>/<end> in ISO 8601.") from None


def _moment_s(text: str) -> float:
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()


def _summary(azure: "Azure", request: Request) -> Document:
    """How many alerts there are, by one or more fields, nested in the order given."""
    fields = [
        _choice(part.strip(), _GROUPS, "groupby")
        for part in request.query.get("groupby", "").split(",")[: len(_GROUPS)]
    ]
    alerts = _matching(azure, request)
    return {
        "id": f"/subscriptions/{SUBSCRIPTION_ID}/providers/{NAMESPACE}/alertsSummary/current",
        "name": "current",
        "type": f"{NAMESPACE}/alertsSummary",
        "properties": {"total": len(alerts), "smartGroupsCount": 0, **_grouped(alerts, fields)},
    }


def _grouped(alerts: list[Alert], fields: list[str]) -> Document:
    if not fields:
        return {}
    groups: dict[str, list[Alert]] = {}
    for alert in alerts:
        groups.setdefault(_FIELDS[fields[0]](alert), []).append(alert)
    values = [
        {"name": name, "count": len(members), **_grouped(members, fields[1:])}
        for name, members in sorted(groups.items())
    ]
    return {"groupedby": fields[0], "values": values}


# -- one alert --------------------------------------------------------------------------------------------------


def _shown(alert: Alert, *, with_context: bool) -> Document:
    essentials = {
        "severity": alert.source.severity,
        "signalType": alert.source.signal_type,
        "alertState": alert.state,
        "monitorCondition": alert.condition,
        "targetResource": alert.target,
        "targetResourceName": name_of(alert.target),
        "targetResourceGroup": group_of(alert.target),
        "targetResourceType": type_of(alert.target),
        "monitorService": alert.source.service,
        "alertRule": alert.source.rule_id,
        "sourceCreatedId": alert.id,
        "startDateTime": iso(alert.fired_at_s),
        "lastModifiedDateTime": iso(alert.changed_at_s),
        "lastModifiedUserName": alert.changed_by,
        "actionStatus": {"isSuppressed": any(line.event == "ActionsSuppressed" for line in alert.history)},
        "description": alert.source.description,
    }
    if alert.resolved_at_s is not None:
        essentials["monitorConditionResolvedDateTime"] = iso(alert.resolved_at_s)
    properties: Document = {"essentials": essentials}
    if with_context:
        properties["context"] = alert.context
    return {"id": alert.resource_id, "name": alert.source.rule_name, "type": f"{NAMESPACE}/alerts"} | {
        "properties": properties
    }


def _history(alert: Alert) -> Document:
    modifications = [
        {
            "modificationEvent": line.event,
            "oldValue": line.old,
            "newValue": line.new,
            "modifiedAt": iso(line.at_s),
            "modifiedBy": line.by,
            "comments": line.comments,
            "description": "",
        }
        for line in alert.history
    ]
    return {
        "id": f"{alert.resource_id}/history/default",
        "name": "default",
        "type": f"{NAMESPACE}/alerts/history",
        "properties": {"alertId": alert.id, "modifications": modifications},
    }


async def _change_state(azure: "Azure", request: Request, alert: Alert) -> Reply:
    if request.method != "POST":
        raise method_not_allowed(request.method, request.path)
    state = cast(UserState, _choice(request.query.get("newState", ""), USER_STATES, "newState"))
    comments = _comments(await request.body(_BODY_LIMIT))
    azure.monitor.alerts.change_state(alert, state, azure.clock.now(), APP_ID, comments)
    return json_reply(_shown(alert, with_context=True))


def _comments(body: bytes) -> str:
    """The comment that may come with a change of state, as a JSON string or as an object's ``comments``."""
    if not body.strip():
        return ""
    try:
        given = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _bad("The comment is JSON: a text.") from None
    if isinstance(given, dict):
        given = given.get("comments", "")
    return given[:_COMMENT] if isinstance(given, str) else ""


def _choice(given: str, allowed: tuple[str, ...], name: str) -> str:
    for value in allowed:
        if value.lower() == given.lower():
            return value
    raise _bad(f"The {name} '{given[:100]}' is invalid. Supported values: {', '.join(allowed)}.")


def _bad(message: str) -> AzureError:
    return AzureError(400, "BadRequest", message)


def _unknown(found: Target) -> AzureError:
    return AzureError(
        404,
        "InvalidResourceType",
        f"The resource type '{'/'.join(found.parts[::2])[:100]}' could not be found in the namespace '{NAMESPACE}'. "
        "The local Azure knows: alerts (GET), alerts/{id} (GET), alerts/{id}/history (GET), alerts/{id}/changestate "
        "(POST), alertsSummary (GET).",
    )
