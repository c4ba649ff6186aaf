"""What an action group's receivers are sent: the common alert schema, and the older shapes besides it.

Microsoft Learn, read 2026-11-25: alerts-payload-samples (2026-07-08), alerts-non-common-schema-definitions,
alerts-common-schema-test-action-definitions ("Budget", "Actual Cost Budget", "Forecasted Budget"). A receiver says with
``useCommonAlertSchema`` which it wants; log search alerts know the common one only.
"""

from typing import Any

from labkit.localazure.clock import iso
from labkit.localazure.monitor.alerts import Alert
from labkit.localazure.resources import SUBSCRIPTION_ID

Document = dict[str, Any]
COST_ALERTS = "CostAlerts"
_CONTEXT_VERSION = "1.0"


def payload(alert: Alert, context: Document, *, common: bool) -> Document:
    """The body for ``alert`` as it stands now, fired or resolved, with ``context`` as the reason."""
    if alert.source.service == COST_ALERTS:
        return _common(_cost_essentials(alert), context) if common else _aip_budget(context)
    if not common and alert.source.signal_type == "Metric":
        return _metric_alert(alert, context)
    return _common(_essentials(alert), context)


def subject(alert: Alert) -> str:
    """The subject line of an e-mail about ``alert``; the wording is ours."""
    if alert.source.service == COST_ALERTS:
        return alert.source.description
    done = "Fired" if alert.condition == "Fired" else "Resolved"
    return f"{done}:{alert.source.severity} Azure Monitor Alert {alert.source.rule_name} on {name_of(alert.target)}"


def name_of(resource_id: str) -> str:
    """The last part of a resource id."""
    return resource_id.rstrip("/").rpartition("/")[2]


def type_of(resource_id: str) -> str:
    """The resource type in a resource id, in lower case: ``microsoft.insights/components``."""
    parts = resource_id.lower().rpartition("/providers/")[2].split("/")
    return "/".join((parts[0], *parts[1::2]))


def group_of(resource_id: str) -> str:
    """The resource group's name in a resource id, or the empty string."""
    words = resource_id.split("/")
    lower = [word.lower() for word in words]
    return words[lower.index("resourcegroups") + 1] if "resourcegroups" in lower[:-1] else ""


def _common(essentials: Document, context: Document) -> Document:
    return {"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": essentials, "alertContext": context}}


def _essentials(alert: Alert) -> Document:
    essentials = {
        "alertId": alert.resource_id,
        "alertRule": alert.source.rule_name,
        "severity": alert.source.severity,
        "signalType": alert.source.signal_type,
        "monitorCondition": alert.condition,
        "monitoringService": alert.source.service,
        "alertTargetIDs": [alert.target.lower()],
        "configurationItems": [name_of(alert.target).lower()],
        "originAlertId": alert.id,
        "firedDateTime": iso(alert.fired_at_s),
        "description": alert.source.description,
        "essentialsVersion": "1.0",
        "alertContextVersion": _CONTEXT_VERSION,
    }
    if alert.resolved_at_s is not None:
        essentials["resolvedDateTime"] = iso(alert.resolved_at_s)
    return essentials


def _metric_alert(alert: Alert, context: Document) -> Document:
    """The shape of metric alerts before the common schema."""
    return {
        "schemaId": "AzureMonitorMetricAlert",
        "data": {
            "version": "2.0",
            "properties": context.get("properties"),
            "status": "Activated" if alert.condition == "Fired" else "Deactivated",
            "context": {
                "timestamp": iso(alert.resolved_at_s or alert.fired_at_s),
                "id": alert.source.rule_id,
                "name": alert.source.rule_name,
                "description": alert.source.description,
                "conditionType": context.get("conditionType"),
                "severity": alert.source.severity.removeprefix("Sev"),
                "condition": context.get("condition"),
                "subscriptionId": SUBSCRIPTION_ID,
                "resourceGroupName": group_of(alert.target),
                "resourceName": name_of(alert.target),
                "resourceType": type_of(alert.target),
                "resourceId": alert.target,
            },
        },
    }


def _cost_essentials(alert: Alert) -> Document:
    return {
        "monitoringService": COST_ALERTS,
        "firedDateTime": iso(alert.fired_at_s),
        "description": alert.source.description,
        "essentialsVersion": "1.0",
        "alertContextVersion": _CONTEXT_VERSION,
        "alertId": f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.CostManagement/alerts/{alert.id}",
        "alertRule": None,
        "severity": None,
        "signalType": None,
        "monitorCondition": None,
        "alertTargetIDs": None,
        "configurationItems": ["budgets"],
        "originAlertId": None,
    }


def _aip_budget(context: Document) -> Document:
    """The shape of budget notifications before the common schema: plain numbers as text."""
    data = context.get("AlertData", {})
    return {
        "schemaId": "AIP Budget Notification",
        "data": {
            "SubscriptionName": "Session 13",
            "SubscriptionId": SUBSCRIPTION_ID,
            "ResourceGroup": group_of(data.get("Scope", "")),
            "SpendingAmount": _plain(data.get("SpentAmount")),
            "BudgetStartDate": data.get("BudgetStartDate"),
            "Budget": _plain(data.get("BudgetThreshold")),
            "Unit": data.get("Unit"),
            "BudgetCreator": data.get("BudgetCreator"),
            "BudgetName": data.get("BudgetName"),
            "BudgetType": data.get("BudgetType"),
            "NotificationThresholdAmount": _plain(data.get("NotificationThresholdAmount")),
        },
    }


def _plain(amount: str | None) -> str:
    return (amount or "").replace("$", "").replace(",", "")
