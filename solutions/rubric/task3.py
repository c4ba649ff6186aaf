"""Task 3, monitoring: scored by the telemetry and the resources that arrived, and by hidden inputs."""

from labkit import catalog
from labkit.grading.rubric import Evidence, Probe, Score, choose, number, part, share

TASK = "task3"
INSIGHTS, METRICS, DASHBOARD, ALERTS = "task3-1-insights", "task3-2-metrics", "task3-3-dashboard", "task3-4-alerts"

_MODELS = {"main": "gpt-4-turbo", "spare": "gpt-35-turbo"}

_RECORD = """
    from types import SimpleNamespace

    class Instrument:
        def __init__(self, name, unit):
            self.name, self.unit, self.rows = name, unit, []

        def add(self, value, attributes=None, **ignored):
            self.rows.append([value, dict(attributes or {})])

        record = add

    class Meter:
        def __init__(self):
            self.instruments = []

        def create_counter(self, name, unit="", description="", **ignored):
            return self.made("counter", name, unit)

        def create_histogram(self, name, unit="", description="", **ignored):
            return self.made("histogram", name, unit)

        def made(self, kind, name, unit):
            self.instruments.append([kind, Instrument(name, unit)])
            return self.instruments[-1][1]

    meter = Meter()
    record = make_recorder(meter, models)
    for deployment, prompt, completion, reason in answers:
        usage = SimpleNamespace(prompt_tokens=prompt, completion_tokens=completion, total_tokens=prompt + completion)
        record(deployment, SimpleNamespace(usage=usage, choices=[SimpleNamespace(finish_reason=reason)]))
    return {one.name: {"kind": kind, "unit": one.unit, "rows": one.rows} for kind, one in meter.instruments}
"""


def probes(secret: str) -> list[Probe]:
    """Hidden answers to record and hidden rows for the dashboard."""
    return [
        Probe("3.1", INSIGHTS, "create_insights(insights, azure)"),
        Probe("3.2", METRICS, _RECORD, {"answers": _answers(secret), "models": _MODELS}),
        Probe("3.3", DASHBOARD, _TABLE, {"rows": _rows(secret)}),
        Probe("3.4", ALERTS, "create_alerts(monitor, azure, account_id)"),
    ]


_TABLE = """
    table = dashboard_table(rows)
    columns = list(table.columns)
    cells = {name: [None if pd.isna(value) else float(value) for value in row] for name, row in table.T.items()}
    return {"columns": columns, "cells": cells, "empty": list(dashboard_table([]).columns)}
"""


def score(evidence: Evidence) -> list[Score]:
    """The four exercises."""
    return [_insights(evidence), _metrics(evidence), _dashboard(evidence), _alerts(evidence)]


def _insights(evidence: Evidence) -> Score:
    written = evidence.calls(cell="task3-1-insights-check", operation="components.write")
    component = evidence.resource("Microsoft.Insights/components", "appi-session13") or {}
    properties = component.get("properties", {})
    spans = evidence.calls(cell="task3-1-insights-check", operation="track")
    place = [component.get("location"), properties.get("Application_Type")]
    made = any(call.status < 300 for call in written)
    return share(
        INSIGHTS,
        {
            "the component was created, where the account is": part(
                made and place == ["swedencentral", "web"], weight=2, seen=place
            ),
            "the service's spans arrived with its connection string": part(
                any(call.status == 200 for call in spans), weight=2
            ),
            "the connection string is the component's": part(
                evidence.value("3.1", str).startswith(f"InstrumentationKey={properties.get('InstrumentationKey')};"),
                weight=2,
            ),
        },
    )


def _metrics(evidence: Evidence) -> Score:
    told = evidence.probe("3.2")
    answers = _answers(evidence.secret)
    cost, size = ("llm.cost", "counter", "USD"), ("llm.answer.tokens", "histogram", "{token}")
    kinds = [
        (name, told.get(name, "kind", kind=str, default=""), told.get(name, "unit", kind=str, default=""))
        for name, _, _ in (cost, size)
    ]
    costs = [
        [catalog.model(_MODELS[deployment]).price.cost_usd(prompt, completion), {"deployment": deployment}]
        for deployment, prompt, completion, _ in answers
    ]
    sizes = [
        [completion, {"deployment": deployment, "finish_reason": reason}]
        for deployment, _, completion, reason in answers
    ]
    arrived = {row["name"] for row in evidence.telemetry.get("customMetrics", ())}
    return share(
        METRICS,
        {
            "llm.cost is a counter in USD, llm.answer.tokens a histogram of tokens": part(
                kinds == [cost, size], seen=kinds
            ),
            "llm.cost adds the price of each answer, by deployment": part(
                _same(told.get("llm.cost", "rows", kind=list, default=[]), costs), weight=2
            ),
            "llm.answer.tokens records its tokens, by deployment and finish_reason": part(
                _same(told.get("llm.answer.tokens", "rows", kind=list, default=[]), sizes), weight=2
            ),
            "both arrived in Application Insights": part({"llm.cost", "llm.answer.tokens"} <= arrived, weight=2),
        },
    )


def _same(seen: list, expected: list) -> bool:
    """True when both hold the same (value, attributes), values within rounding."""
    try:
        pairs = [(float(value), attributes) for value, attributes in seen]
    except (TypeError, ValueError):
        return False
    return len(pairs) == len(expected) and all(
        abs(value - wanted) < 1e-9 and attributes == named
        for (value, attributes), (wanted, named) in zip(pairs, expected, strict=True)
    )


def _dashboard(evidence: Evidence) -> Score:
    told = evidence.probe("3.3")
    expected = _expected_table(_rows(evidence.secret))
    cells = told.get("cells", kind=dict, default={})
    columns = ["calls", "failed", "success_rate", "p95_ms"]
    right = {name: [row[place] for row in expected.values()] for place, name in enumerate(columns)}

    def holds(column: str) -> bool:
        place = columns.index(column)
        seen = [row[place] if isinstance(row, list) and len(row) == 4 else -1 for row in cells.values()]
        return list(cells) == list(expected) and all(_close(a, b) for a, b in zip(seen, right[column], strict=True))

    return share(
        DASHBOARD,
        {
            "the columns are as agreed, also without rows": told.get("columns", kind=list, default=[])
            == columns
            == told.get("empty", kind=list, default=[]),
            "calls and failures are counted by deployment": part(holds("calls") and holds("failed"), weight=2),
            "success_rate is a share": part(holds("success_rate"), weight=2),
            "p95_ms looks at successful calls only": part(holds("p95_ms"), weight=2),
        },
    )


def _close(seen: object, expected: float | None) -> bool:
    if expected is None or not isinstance(seen, int | float):
        return seen is expected
    return abs(seen - expected) < 1e-6


def _alerts(evidence: Evidence) -> Score:
    rule = evidence.resource("Microsoft.Insights/metricAlerts", "alert-latency") or {}
    group = evidence.resource("Microsoft.Insights/actionGroups", "ag-oncall") or {}
    properties = rule.get("properties", {})
    criteria = (properties.get("criteria", {}).get("allOf") or [{}])[0]
    seen = [criteria.get(key) for key in ("metricName", "timeAggregation", "operator", "threshold")]
    timing = [properties.get(key) for key in ("windowSize", "evaluationFrequency", "severity", "enabled")]
    scopes = [str(scope).lower() for scope in properties.get("scopes", [])]
    actions = [str(action.get("actionGroupId", "")).lower() for action in properties.get("actions") or []]
    mails = [mail.get("emailAddress") for mail in group.get("properties", {}).get("emailReceivers") or []]
    wanted = ["AzureOpenAITimeToResponse", "Average", "GreaterThan", 3000]
    return share(
        ALERTS,
        {
            "the rule watches the mean time to response above 3,000 ms": part(
                seen == wanted, weight=2, seen=seen, expected=wanted
            ),
            "window, frequency, severity and enabled are as asked": part(
                timing == ["PT5M", "PT1M", 2, True], seen=timing
            ),
            "it watches the account": len(scopes) == 1 and scopes[0].endswith("/accounts/aoai-session13"),
            "it calls ag-oncall, which mails the one on call": actions == [str(group.get("id", "none")).lower()]
            and mails == ["oncall@example.com"],
        },
    )


def _answers(secret: str) -> list[list]:
    """Deployment, prompt tokens, completion tokens and finish reason of six answers."""
    return [
        [
            choose(secret, f"who{k}", list(_MODELS))[0],
            number(secret, f"prompt{k}", 10, 900),
            number(secret, f"completion{k}", 10, 900),
            choose(secret, f"why{k}", ["stop", "length"])[0],
        ]
        for k in range(6)
    ]


def _rows(secret: str) -> list[dict]:
    """Calls of three deployments; one of them never succeeds."""
    rows = []
    for k in range(60):
        name = "abc"[number(secret, f"name{k}", 0, 2)]
        fails = name == "c" or number(secret, f"fails{k}", 0, 3) == 0
        duration = number(secret, f"quick{k}", 1, 9) if fails else number(secret, f"slow{k}", 100, 5000)
        rows.append({"success": not fails, "duration": float(duration), "customDimensions": {"deployment": name}})
    return rows


def _expected_table(rows: list[dict]) -> dict[str, list[float | None]]:
    table: dict[str, list[float | None]] = {}
    for name in sorted({row["customDimensions"]["deployment"] for row in rows}):
        mine = [row for row in rows if row["customDimensions"]["deployment"] == name]
        times = sorted(row["duration"] for row in mine if row["success"])
        table[name] = [len(mine), len(mine) - len(times), len(times) / len(mine), _p95(times)]
    return table


def _p95(times: list[float]) -> float | None:
    """The 95th percentile with linear interpolation, as pandas computes it."""
    if not times:
        return None
    place = 0.95 * (len(times) - 1)
    low = int(place)
    high = min(low + 1, len(times) - 1)
    return times[low] + (place - low) * (times[high] - times[low])
