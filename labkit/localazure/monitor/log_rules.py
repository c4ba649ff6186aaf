"""Log search alerts: each condition's KQL over the rule's window, its rows split by dimensions and aggregated.

The query is run once for each of the condition's periods, over exactly that window (the service runs it once over all
of them and cuts the rows by their time). Without rows Count is 0, and any other aggregation has nothing to compare.
"""

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

import orjson

from labkit.localazure.clock import iso
from labkit.localazure.errors import AzureError
from labkit.localazure.monitor.conditions import (
    OPERATORS,
    SERIES_LIMIT,
    Dimensions,
    Document,
    Finding,
    Measured,
    joined,
    selects,
    shown,
)
from labkit.localazure.monitor.rules import Rule
from labkit.localazure.telemetry import scopes
from labkit.localazure.telemetry.kqlerrors import QueryError, QueryLimitError

if TYPE_CHECKING:
    from labkit.localazure.state import Azure
    from labkit.localazure.telemetry.queries import QueryResult

_COMPONENTS = "microsoft.insights/components"
_VALUE_CHARACTERS = 500
# The window ends before the moment of the evaluation; a query's bounds are both included.
_MICROSECOND_S = 1e-6
# Rules are evaluated again and again: a query that takes longer is one for a person to wait for.
_QUERY_LIMIT_S = 5.0


class _Split(NamedTuple):
    """What the rows of one window belong to: a resource ("" when the query names none) and dimension values."""

    target: str
    dimensions: Dimensions


def is_scope(azure: "Azure", id: str) -> bool:
    """True for what a rule can watch: a component, a workspace, or a resource group or subscription with components."""
    return scopes.resource(azure, id) is not None


def check(azure: "Azure", scope: str, condition: Document) -> None:
    """``AzureError`` 400 when the condition's query is wrong, with the place, or lacks a column that it names."""
    result = _query(azure, scope, condition["query"], 0.0, 0.0)
    columns = {name for name, _ in result.columns}
    named = [dimension["name"] for dimension in condition.get("dimensions") or ()]
    named += [condition[name] for name in ("metricMeasureColumn", "resourceIdColumn") if condition.get(name)]
    missing = [name for name in named if name not in columns]
    if missing:
        raise AzureError(
            400,
            "BadRequest",
            f"The query has no column {', '.join(map(repr, missing))}. It has: {', '.join(sorted(columns))[:1_000]}.",
        )


def evaluate(azure: "Azure", rule: Rule, at_s: float) -> list[Finding]:
    """What the rule's conditions say at ``at_s``, for each resource and each combination of dimension values."""
    by_target: dict[str, list[list[Measured]]] = {}
    conditions = rule.conditions
    for place, condition in enumerate(conditions):
        for split, measured in _measure(azure, rule, condition, at_s):
            found = by_target.setdefault(split.target or rule.scopes[0], [[] for _ in conditions])
            found[place].append(measured)
    return [
        Finding(target, dimensions, met, _context(rule, entries, at_s))
        for target, measured in by_target.items()
        for dimensions, met, entries in joined(measured)
    ]


def _measure(azure: "Azure", rule: Rule, condition: Document, at_s: float) -> list[tuple[_Split, Measured]]:
    periods = condition["failingPeriods"]
    windows = [
        _window(azure, rule, condition, at_s - (number + 1) * rule.window_s, at_s - number * rule.window_s)
        for number in range(int(periods["numberOfEvaluationPeriods"]))
    ]
    splits = dict.fromkeys(split for window in windows for split in window)
    found = []
    for split in list(splits)[:SERIES_LIMIT]:
        values = [window.get(split, _nothing(condition)) for window in windows]
        failing = sum(_fails(condition, value) for value in values)
        met = failing >= periods["minFailingPeriodsToAlert"]
        found.append((split, Measured(split.dimensions, met, _entry(rule, condition, split, values[0], at_s))))
    return found


def _window(
    azure: "Azure", rule: Rule, condition: Document, start_s: float, end_s: float
) -> dict[_Split, float | None]:
    """The aggregated value of each split of the rows between ``start_s`` and ``end_s``."""
    result = _query(azure, rule.scopes[0], condition["query"], start_s, end_s - _MICROSECOND_S, now_s=end_s)
    names = [name for name, _ in result.columns]
    grouped: dict[_Split, list[dict[str, Any]]] = {}
    for values in result.rows:
        row = dict(zip(names, values, strict=True))
        split = _split(condition, row)
        if selects(condition.get("dimensions") or (), {name.lower(): value for name, value in split.dimensions}):
            grouped.setdefault(split, []).append(row)
    if not grouped and not condition.get("dimensions") and not condition.get("resourceIdColumn"):
        return {_Split("", ()): _nothing(condition)}
    return {split: _aggregate(condition, rows) for split, rows in grouped.items()}


def _split(condition: Document, row: dict[str, Any]) -> _Split:
    column = condition.get("resourceIdColumn")
    target = str(row.get(column) or "") if column else ""
    dimensions = [(one["name"], str(row.get(one["name"]))) for one in condition.get("dimensions") or ()]
    cut = tuple(sorted((name, value[:_VALUE_CHARACTERS]) for name, value in dimensions))
    return _Split(target[:_VALUE_CHARACTERS] if target.startswith("/") else "", cut)


def _aggregate(condition: Document, rows: list[dict[str, Any]]) -> float | None:
    measure = condition.get("metricMeasureColumn")
    if not measure:
        return float(len(rows))
    values = [float(row[measure]) for row in rows if isinstance(row.get(measure), int | float)]
    if condition["timeAggregation"] == "Count":
        return float(len(values))
    if not values:
        return None
    return {
        "Average": sum(values) / len(values),
        "Minimum": min(values),
        "Maximum": max(values),
        "Total": sum(values),
    }[condition["timeAggregation"]]


def _nothing(condition: Document) -> float | None:
    return 0.0 if condition["timeAggregation"] == "Count" else None


def _fails(condition: Document, value: float | None) -> bool:
    return value is not None and OPERATORS[condition["operator"]](value, float(condition["threshold"]))


def _query(
    azure: "Azure", scope: str, kql: str, start_s: float, end_s: float, *, now_s: float | None = None
) -> "QueryResult":
    """The rows of ``kql`` over the scope's telemetry; ``AzureError`` 400 in the words of the service when it is wrong.

    The service packs the query engine's own error, as JSON text, into the message: Azure/azure-cli-extensions#3002
    (2021-02), CDCgov/prime-reportstream#11773 (2023-10).
    """
    asked = scopes.resource(azure, scope)
    if asked is None:
        raise AzureError(400, "ResourceNotFound", f"The resource '{scope}' in the alert's scopes was not found.")
    try:
        return azure.telemetry.query(
            kql,
            component=asked.components,
            workspace=asked.workspace,
            start_s=start_s,
            end_s=end_s,
            now_s=now_s,
            limit_s=_QUERY_LIMIT_S,
        )
    except QueryError as wrong:
        error = {"message": "The request had some invalid properties", "code": "BadArgumentError"}
        packed = orjson.dumps({"error": {**error, "innererror": wrong.inner()}}, option=orjson.OPT_INDENT_2).decode()
        raise AzureError(400, "BadRequest", packed) from None
    except QueryLimitError as much:
        raise AzureError(400, "BadRequest", str(much)) from None


def _entry(rule: Rule, condition: Document, split: _Split, value: float | None, at_s: float) -> Document:
    link = _link(rule, condition, at_s)
    return {
        "searchQuery": condition["query"],
        "metricMeasureColumn": condition.get("metricMeasureColumn"),
        "targetResourceTypes": str(rule.stored.get("targetResourceTypes") or [_COMPONENTS]),
        "operator": condition["operator"],
        "threshold": f"{condition['threshold']:g}",
        "timeAggregation": condition["timeAggregation"],
        "dimensions": shown(split.dimensions),
        "metricValue": value,
        "failingPeriods": condition["failingPeriods"],
        "linkToSearchResultsAPI": link,
        "linkToFilteredSearchResultsAPI": link,
    }


def _link(rule: Rule, condition: Document, at_s: float) -> str:
    """Where the Log Analytics API answers the same query; the local Azure serves it under its own address."""
    span = quote(f"{iso(at_s - rule.window_s)}/{iso(at_s)}", safe="")
    return f"/v1{rule.scopes[0]}/query?query={quote(condition['query'], safe='')}&timespan={span}"


def _context(rule: Rule, entries: list[Document], at_s: float) -> Document:
    return {
        "properties": rule.properties,
        "conditionType": "LogQueryCriteria",
        "condition": {
            "windowSize": rule.stored["windowSize"],
            "allOf": entries,
            "windowStartTime": iso(at_s - rule.window_s),
            "windowEndTime": iso(at_s),
        },
    }
