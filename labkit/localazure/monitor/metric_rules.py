"""Metric alerts: each condition's metric over the rule's window, one time series a combination of dimension values.

A window without data is no reason to fire, and counts as healthy. Dynamic thresholds are simpler here than the
service's, which learn from days of history: the mean of the last 30 windows of the same length, plus and minus one
(High sensitivity), two (Medium) or three (Low) standard deviations; with fewer than five windows of data nothing fires.
"""

from collections.abc import Sequence
from datetime import datetime
from statistics import fmean, pstdev
from typing import TYPE_CHECKING

from labkit.localazure.clock import iso
from labkit.localazure.monitor.conditions import (
    OPERATORS,
    Dimensions,
    Document,
    Finding,
    Measured,
    joined,
    selects,
    shown,
)
from labkit.localazure.monitor.metric_values import windows
from labkit.localazure.monitor.rules import Rule

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_DEVIATIONS = {"High": 1.0, "Medium": 2.0, "Low": 3.0}
_HISTORY = 30
_LEAST_HISTORY = 5


def evaluate(azure: "Azure", rule: Rule, at_s: float) -> list[Finding]:
    """What the rule's conditions say at ``at_s`` of each time series of each resource in its scope."""
    findings = []
    for scope in rule.scopes:
        measured = [_measure(azure, rule, scope, condition, at_s) for condition in rule.conditions]
        for dimensions, met, entries in joined(measured):
            findings.append(Finding(scope, dimensions, met, _context(rule, entries, at_s)))
    return findings


def _measure(azure: "Azure", rule: Rule, scope: str, condition: Document, at_s: float) -> list[Measured]:
    dynamic = condition.get("criterionType") == "DynamicThresholdCriterion"
    count = _HISTORY + int(condition["failingPeriods"]["numberOfEvaluationPeriods"]) if dynamic else 1
    found = windows(azure, scope, condition, end_s=at_s, window_s=rule.window_s, count=count)
    wanted = condition.get("dimensions") or ()
    kept = {
        dims: values for dims, values in found.items() if selects(wanted, {name.lower(): value for name, value in dims})
    }
    if dynamic:
        first_s = at_s - count * rule.window_s
        return [
            _dynamic(condition, dims, _since(condition, values, first_s, rule.window_s))
            for dims, values in kept.items()
        ]
    return [_static(condition, dims, values[-1]) for dims, values in kept.items()]


def _static(condition: Document, dimensions: Dimensions, value: float | None) -> Measured:
    met = value is not None and OPERATORS[condition["operator"]](value, float(condition["threshold"]))
    return Measured(dimensions, met, _entry(condition, dimensions, value, str(condition["threshold"])))


def _dynamic(condition: Document, dimensions: Dimensions, values: Sequence[float | None]) -> Measured:
    history = [value for value in values[:_HISTORY] if value is not None]
    recent = values[_HISTORY:]
    own = {name: condition.get(name) for name in ("alertSensitivity", "failingPeriods", "ignoreDataBefore")}
    if len(history) < _LEAST_HISTORY:
        return Measured(dimensions, False, own | _entry(condition, dimensions, recent[-1], None))
    spread = _DEVIATIONS[condition["alertSensitivity"]] * pstdev(history)
    low, high = fmean(history) - spread, fmean(history) + spread
    failing = [value for value in recent if value is not None and _is_outside(condition["operator"], value, low, high)]
    met = len(failing) >= condition["failingPeriods"]["minFailingPeriodsToAlert"]
    threshold = low if condition["operator"] == "LessThan" else high
    return Measured(dimensions, met, own | _entry(condition, dimensions, recent[-1], f"{threshold:.6g}"))


def _is_outside(operator: str, value: float, low: float, high: float) -> bool:
    return (operator != "GreaterThan" and value < low) or (operator != "LessThan" and value > high)


def _since(
    condition: Document, values: Sequence[float | None], first_s: float, window_s: int
) -> Sequence[float | None]:
    """``values`` without those of windows that begin before the condition's ``ignoreDataBefore``."""
    if not condition.get("ignoreDataBefore"):
        return values
    since_s = datetime.fromisoformat(condition["ignoreDataBefore"]).timestamp()
    return [value if first_s + place * window_s >= since_s else None for place, value in enumerate(values)]


def _entry(condition: Document, dimensions: Dimensions, value: float | None, threshold: str | None) -> Document:
    return {
        "metricName": condition["metricName"],
        "metricNamespace": condition.get("metricNamespace"),
        "operator": condition["operator"],
        "threshold": threshold,
        "timeAggregation": condition["timeAggregation"],
        "dimensions": shown(dimensions),
        "metricValue": value,
        "webTestName": None,
    }


def _context(rule: Rule, entries: list[Document], at_s: float) -> Document:
    kinds = {condition.get("criterionType") for condition in rule.conditions}
    kind = rule.stored["criteria"]["odata.type"].removeprefix("Microsoft.Azure.Monitor.")
    return {
        "properties": rule.properties,
        "conditionType": "DynamicThresholdCriteria" if "DynamicThresholdCriterion" in kinds else kind,
        "condition": {
            "windowSize": rule.stored["windowSize"],
            "allOf": entries,
            "windowStartTime": iso(at_s - rule.window_s),
            "windowEndTime": iso(at_s),
        },
    }
