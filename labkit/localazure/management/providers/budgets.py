"""Microsoft.Consumption/budgets: how much may be spent, and who is told. Checked here, watched by ``costs.budgets``.

The rules are those of the REST reference (Consumption, Budgets, 2024-08-01) and of the docstrings in
azure-mgmt-consumption 11.0, read 2026-11-22. The service answers a bad budget with the code "400"
(jpsnover/ai-triad-research#1697, 2026-09); where no wording of it was found the wording is ours.
"""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from labkit.localazure.costs.budgets import TYPE as TYPE
from labkit.localazure.costs.budgets import spend
from labkit.localazure.costs.dimensions import BadFilter, check_filter
from labkit.localazure.costs.periods import plus_months
from labkit.localazure.errors import AzureError
from labkit.localazure.management.providers.action_groups import is_email
from labkit.localazure.management.providers.base import Draft, ResourceType, number, text
from labkit.localazure.resources import Document, Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_GRAINS_MONTHS = {"Monthly": 1, "Quarterly": 3, "Annually": 12}
_BILLING_GRAINS = ("BillingMonth", "BillingQuarter", "BillingAnnual")
# `az consumption budget create` writes these and the category in lower case (azure-cli 2.91.0).
_GRAINS = {grain.lower(): grain for grain in (*_GRAINS_MONTHS, *_BILLING_GRAINS)}
_OPERATORS = ("EqualTo", "GreaterThan", "GreaterThanOrEqualTo")
_NOTIFICATIONS = 5
_THRESHOLD_PERCENT = (0, 1_000)
_EARLIEST = datetime(2017, 6, 1, tzinfo=UTC)
_DEFAULT_YEARS = 10


def prepare(draft: Draft) -> Document:
    """The budget to store. Refuses one without an amount, with a start that is not the first of a month (or too old,
    too far ahead, or moved), and alarms that nobody would get.
    """
    _check_etag(draft)
    properties = draft.properties
    amount = number(properties.get("amount"))
    if amount is None or amount <= 0:
        raise _refused(f"The amount '{properties.get('amount')}' is invalid. It is required, and greater than zero.")
    if text(properties.get("category")).lower() != "cost":
        raise _refused(f"The category '{properties.get('category')}' is invalid. It is Cost.")
    grain = _GRAINS.get(text(properties.get("timeGrain")).lower())
    if grain is None:
        choices = ", ".join(_GRAINS.values())
        raise _refused(f"The timeGrain '{properties.get('timeGrain')}' is invalid. It is one of: {choices}.")
    stored = {
        "category": "Cost",
        "amount": amount,
        "timeGrain": grain,
        "timePeriod": _period(draft, grain),
        "notifications": _notifications(draft),
    }
    if properties.get("filter"):
        stored["filter"] = _filter(properties["filter"])
    return {"properties": stored}


def _filter(given: object) -> object:
    try:
        check_filter(given)
    except BadFilter as reason:
        raise _refused(f"The filter is invalid: {reason}.") from None
    return given


def _check_etag(draft: Draft) -> None:
    given = draft.body.get("eTag")
    if given and draft.old is not None and str(given).strip('"') != draft.old.etag:
        raise AzureError(412, "412", "The eTag is not the budget's current one: it was changed since. Read it again.")


def _period(draft: Draft, grain: str) -> Document:
    period = draft.properties.get("timePeriod")
    if not isinstance(period, dict) or not period.get("startDate"):
        raise _refused("The timePeriod with its startDate is required.")
    start = _date(period["startDate"], "startDate")
    _check_start(draft, start, grain)
    end = _date(period["endDate"], "endDate") if period.get("endDate") else plus_months(start, 12 * _DEFAULT_YEARS)
    if end <= start:
        raise _refused("The endDate must be after the startDate.")
    return {"startDate": _zulu(start), "endDate": _zulu(end)}


def _check_start(draft: Draft, start: datetime, grain: str) -> None:
    if (start.day, start.hour, start.minute, start.second) != (1, 0, 0, 0) and grain in _GRAINS_MONTHS:
        raise _refused(f"The startDate {_zulu(start)} is invalid. It must be the first day of a month.")
    if start < _EARLIEST:
        raise _refused("The startDate must be on or after June 1, 2017.")
    if draft.old is not None:
        if draft.old.properties["timePeriod"]["startDate"] != _zulu(start):
            # jpsnover/ai-triad-research#1697 (2026-09), Azure/CanadaPubSecALZ#317 (2022-06).
            raise _refused("Start date of budgets cannot be updated. Please delete and create a new budget.")
        return  # an old budget keeps its old start
    now = datetime.fromtimestamp(draft.azure.clock.now(), UTC)
    months_ahead = (start.year - now.year) * 12 + start.month - now.month
    if months_ahead > 12:
        raise _refused("Start date of the budget cannot be more than 1 year into the future.")
    if months_ahead <= -_GRAINS_MONTHS.get(grain, 12):
        # hashicorp/terraform-provider-azurerm#12121 (2021-06).
        period = {"Monthly": "month", "Quarterly": "quarter"}.get(grain, "year")
        raise _refused(f"Start date for {grain.lower()} time grain should not be prior to the current {period}.")


def _date(value: object, name: str) -> datetime:
    try:
        moment = datetime.fromisoformat(str(value))
    except ValueError:
        raise _refused(f"The {name} '{value}' is not a date such as 2026-11-01T00:00:00Z.") from None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def _zulu(moment: datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%SZ}"


def _notifications(draft: Draft) -> Document:
    given = draft.properties.get("notifications") or {}
    if not isinstance(given, dict) or not all(isinstance(item, dict) for item in given.values()):
        raise _refused("The notifications are an object: a name for each, with its settings.")
    if len(given) > _NOTIFICATIONS:
        raise _refused(f"The budget has {len(given)} notifications. It can have up to {_NOTIFICATIONS}.")
    return {name: _notification(name, item) for name, item in given.items()}


def _notification(name: str, item: Document) -> Document:
    if not isinstance(item.get("enabled"), bool):
        raise _refused(f"The notification '{name}' needs enabled, true or false.")
    if item.get("operator") not in _OPERATORS:
        raise _refused(
            f"The operator '{item.get('operator')}' of the notification '{name}' is invalid. "
            f"It is one of: {', '.join(_OPERATORS)}."
        )
    threshold = number(item.get("threshold"))
    low, high = _THRESHOLD_PERCENT
    if threshold is None or not low <= threshold <= high:
        raise _refused(
            f"The threshold '{item.get('threshold')}' of the notification '{name}' is invalid. "
            f"It is a percentage of the amount, {low} to {high}."
        )
    kind = item.get("thresholdType", "Actual")
    if kind not in ("Actual", "Forecasted"):
        raise _refused(
            f"The thresholdType '{kind}' of the notification '{name}' is invalid. It is Actual or Forecasted."
        )
    _check_contacts(name, item)
    return {**item, "threshold": threshold, "thresholdType": kind}


def _check_contacts(name: str, item: Document) -> None:
    contacts = [item.get(kind) or [] for kind in ("contactEmails", "contactRoles", "contactGroups")]
    if not all(isinstance(listed, list) for listed in contacts) or not any(contacts):
        raise _refused(
            f"The notification '{name}' would reach nobody. It needs contactEmails, contactRoles or contactGroups."
        )
    for email in contacts[0]:
        if not is_email(email):
            raise _refused(f"The contact email '{email}' of the notification '{name}' is invalid.")


def _refused(message: str) -> AzureError:
    return AzureError(400, "400", message)


def show(azure: "Azure", resource: Resource) -> Document:
    """The budget as a GET answers it, with what was spent of it so far.

    A forecast is only given when a notification asks for one: azure-mgmt-consumption 11.0, ForecastSpend.
    """
    stands = spend(azure, resource, azure.clock.now())
    actual, forecast = (stands.actual_usd, stands.forecast_usd) if stands is not None else (0.0, 0.0)
    properties = {**resource.properties, "currentSpend": {"amount": round(actual, 6), "unit": "USD"}}
    notifications = resource.properties["notifications"].values()
    if any(notification["thresholdType"] == "Forecasted" for notification in notifications):
        properties["forecastSpend"] = {"amount": round(forecast, 6), "unit": "USD"}
    return {**resource.document, "properties": properties}


BUDGETS = ResourceType(
    name=TYPE,
    prepare=prepare,
    show=show,
    name_pattern=re.compile(r"[a-zA-Z0-9_-]{1,63}"),
    name_rule="it has 1 to 63 letters, digits, '-' or '_'",
    group_only=False,
    missing_delete_status=404,  # azure-mgmt-consumption 11.0 takes 200 and nothing else
    etag_name="eTag",
    system_data=False,
    evaluated=True,
)
