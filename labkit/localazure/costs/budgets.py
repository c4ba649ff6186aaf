"""Budgets at work: what was spent of them, what will be, and who is told when a threshold is passed.

Evaluated once a minute of the clock (the service: once in 24 hours, Microsoft Learn, tutorial-acm-create-budgets), so
that a class sees its alert. Each notification goes out once a period. The alert stands until the period ends.
"""

from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from labkit.localazure.costs.charges import charges
from labkit.localazure.costs.dimensions import keeps
from labkit.localazure.costs.periods import Period, current
from labkit.localazure.monitor.alerts import Alert, Alerts, Source
from labkit.localazure.monitor.notifier import Notifier
from labkit.localazure.monitor.payloads import COST_ALERTS
from labkit.localazure.resources import Document, Resource

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

TYPE = "Microsoft.Consumption/budgets"
_EVERY_S = 60
_UNIT = "USD"


@dataclass(frozen=True, slots=True)
class Spend:
    """What a budget's period has cost so far, and what it will have cost at its end, in US dollars."""

    period: Period
    actual_usd: float
    forecast_usd: float


@dataclass(slots=True)
class _State:
    """The period that a budget is in, and the alert that each of its notifications has fired there."""

    created_at_s: float
    start_s: float
    end_s: float
    fired: dict[str, str] = field(default_factory=dict)


def spend(azure: "Azure", budget: Resource, at_s: float) -> Spend | None:
    """What ``budget`` stands at; None when ``at_s`` is outside its time period."""
    properties = budget.properties
    start, end = (datetime.fromisoformat(properties["timePeriod"][name]) for name in ("startDate", "endDate"))
    period = current(properties["timeGrain"], start, end, at_s)
    if period is None:
        return None
    wanted = properties.get("filter")
    found = charges(azure, scope(budget), period.start_s, period.end_s)
    actual = sum(charge.cost_usd for charge in found if not wanted or keeps(azure, wanted, charge))
    return Spend(period, actual, period.forecast(actual, at_s))


def scope(budget: Resource) -> str:
    """What the budget watches: the scope that its id stands behind."""
    return budget.id[: budget.id.lower().rindex("/providers/microsoft.consumption/")]


class Budgets:
    """Watches every budget; ``run`` evaluates them and fires alerts into the same history as the rules'."""

    def __init__(self, azure: "Azure", alerts: Alerts, notifier: Notifier) -> None:
        self._azure = azure
        self._alerts = alerts
        self._notifier = notifier
        self._states: dict[str, _State] = {}
        self._evaluated_s = 0.0

    def is_due(self, now_s: float) -> bool:
        """True when a minute has passed, or a budget is gone whose alerts still stand."""
        budgets = self._azure.resources.of_type(TYPE)
        gone = self._states.keys() - {budget.id.lower() for budget in budgets}
        return bool(gone) or (bool(budgets) and _minute(now_s) > self._evaluated_s)

    def run(self, now_s: float) -> None:
        """Evaluate every budget as of the last full minute, and once more at the end of a period that is over."""
        budgets = {budget.id.lower(): budget for budget in self._azure.resources.of_type(TYPE)}
        for id in [id for id, state in self._states.items() if not _is_same(state, budgets.get(id))]:
            self._end(self._states.pop(id), now_s, "The budget was deleted.")
        at_s = _minute(now_s)
        for id, budget in budgets.items():
            self._roll_over(id, budget, at_s)
            if budget.created_at_s <= at_s:
                self._evaluate(id, budget, at_s)
        self._evaluated_s = at_s

    def _roll_over(self, id: str, budget: Resource, at_s: float) -> None:
        """Close the period that has ended since the last evaluation, with a last look at it."""
        state = self._states.get(id)
        if state is None or at_s < state.end_s:
            return
        if self._evaluated_s < state.end_s - _EVERY_S:
            self._evaluate(id, budget, state.end_s - _EVERY_S)
        self._end(self._states.pop(id), state.end_s, "The budget's period has ended.")

    def _evaluate(self, id: str, budget: Resource, at_s: float) -> None:
        stands = spend(self._azure, budget, at_s)
        if stands is None:
            return
        period = stands.period
        state = self._states.setdefault(id, _State(budget.created_at_s, period.start_s, period.end_s))
        for name, notification in budget.properties.get("notifications", {}).items():
            if name not in state.fired and notification["enabled"] and _passed(budget, notification, stands):
                state.fired[name] = self._fire(budget, notification, stands, at_s).id

    def _fire(self, budget: Resource, notification: Document, stands: Spend, at_s: float) -> Alert:
        data = _alert_data(budget, notification, stands)
        source = Source(budget.id, budget.name, "", "Cost", COST_ALERTS, _description(data))
        context = {"AlertCategory": "budgets", "AlertData": data}
        alert = self._alerts.fire(source, scope(budget) or "/", (), context, at_s)
        for email in notification.get("contactEmails") or ():
            self._notifier.would_send(alert, at_s, channel="email", to=str(email))
        for role in notification.get("contactRoles") or ():
            self._notifier.would_send(alert, at_s, channel="role", to=str(role))
        self._notifier.tell([str(id) for id in notification.get("contactGroups") or ()], alert, at_s)
        return alert

    def _end(self, state: _State, at_s: float, reason: str) -> None:
        for alert_id in state.fired.values():
            alert = self._alerts.get(alert_id)
            if alert is not None and alert.resolved_at_s is None:
                self._alerts.resolve(alert, at_s, reason)

    def dump(self) -> dict[str, Any]:
        """Which notifications went out in which period, as plain data for a state file."""
        return {"evaluated_s": self._evaluated_s, "states": {id: asdict(state) for id, state in self._states.items()}}

    def load(self, data: dict[str, Any]) -> None:
        """Take up what ``dump`` gave."""
        self._evaluated_s = data["evaluated_s"]
        self._states.update((id, _State(**fields)) for id, fields in data["states"].items())


def _minute(now_s: float) -> float:
    return now_s // _EVERY_S * _EVERY_S


def _is_same(state: _State, budget: Resource | None) -> bool:
    return budget is not None and budget.created_at_s == state.created_at_s


def _passed(budget: Resource, notification: Document, stands: Spend) -> bool:
    amount_usd = stands.forecast_usd if notification["thresholdType"] == "Forecasted" else stands.actual_usd
    percent, threshold = amount_usd / budget.properties["amount"] * 100, notification["threshold"]
    if notification["operator"] == "GreaterThan":
        return bool(percent > threshold)
    if notification["operator"] == "GreaterThanOrEqualTo":
        return bool(percent >= threshold)
    return bool(round(percent, 2) == round(threshold, 2))


def _alert_data(budget: Resource, notification: Document, stands: Spend) -> Document:
    """What the common schema says of a budget (Microsoft Learn, alerts-common-schema-test-action-definitions)."""
    properties = budget.properties
    amount = properties["amount"]
    data = {
        "Scope": f"{scope(budget)}/",
        "ThresholdType": notification["thresholdType"],
        "BudgetType": properties["category"],
        "BudgetThreshold": dollars(amount),
        "NotificationThresholdAmount": dollars(amount * notification["threshold"] / 100),
        "BudgetName": budget.name,
        "BudgetId": budget.id,
        "BudgetStartDate": properties["timePeriod"]["startDate"][:10],
        "BudgetCreator": "",
        "Unit": _UNIT,
        "SpentAmount": dollars(stands.actual_usd),
    }
    if notification["thresholdType"] == "Forecasted":
        data["ForecastedTotalForPeriod"] = dollars(stands.forecast_usd)
    return data


def _description(data: Document) -> str:
    if data["ThresholdType"] == "Forecasted":
        return (
            f"The total spend for your budget, {data['BudgetName']}, is forecasted to reach "
            f"{data['ForecastedTotalForPeriod']} before the end of the period. This amount exceeds your specified "
            f"budget threshold of {data['NotificationThresholdAmount']}."
        )
    return (
        f"Your spend for budget {data['BudgetName']} is now {data['SpentAmount']} exceeding your specified threshold "
        f"{data['NotificationThresholdAmount']}."
    )


def dollars(amount: float) -> str:
    """``amount`` as the service writes it, $1,111.32; below a dollar with six decimals, for calls cost so little."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.6f}"
