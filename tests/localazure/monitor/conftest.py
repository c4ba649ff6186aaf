"""Rules on a clock moved by hand, and metrics that a test sets."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.monitor import metric_rules
from labkit.localazure.resources import GROUP_ID
from tests.localazure.conftest import ACCOUNT_ID, Answer, Caller

Arm = Callable[..., Answer]
RULE = "Microsoft.Insights/metricAlerts/slow"
GROUP = "Microsoft.Insights/actionGroups/ag"
GROUP_PATH = f"{GROUP_ID}/providers/{GROUP}"


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at noon on 25 November 2026."""
    return ManualClock(datetime(2026, 11, 25, 12, tzinfo=UTC).timestamp())


@pytest.fixture
def history(call: Caller) -> Callable[[], dict[str, Any]]:
    """What ``GET /labkit/alerts`` answers."""

    def read() -> dict[str, Any]:
        answer = call("GET", "/labkit/alerts", headers={"x-labkit-key": call.azure.lab_key})
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json
        return found

    return read


class Metrics:
    """What a metric's windows hold: ``values`` by dimensions, in the last window; ``past`` in those before it."""

    def __init__(self) -> None:
        self.values: dict[tuple[tuple[str, str], ...], float | None] = {}
        self.of_metric: dict[str, dict[tuple[tuple[str, str], ...], float | None]] = {}
        self.past: list[float | None] = []
        self.asked: list[float] = []

    def __call__(
        self, azure: object, resource_id: str, condition: dict[str, Any], *, end_s: float, window_s: int, count: int
    ) -> dict[tuple[tuple[str, str], ...], list[float | None]]:
        self.asked.append(end_s)
        values = self.of_metric.get(condition["metricName"], self.values)
        return {dims: [*[value] * count, *self.past, value][-count:] for dims, value in values.items()}


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    """Metrics set by the test instead of measured."""
    made = Metrics()
    monkeypatch.setattr(metric_rules, "windows", made)
    return made


def condition(name: str = "slow", **changes: Any) -> dict[str, Any]:
    """One static condition of a metric alert: more than 3."""
    return {
        "name": name,
        "metricName": "AzureOpenAITimeToResponse",
        "timeAggregation": "Average",
        "operator": "GreaterThan",
        "threshold": 3,
        **changes,
    }


def metric_alert(*conditions: dict[str, Any], **changes: Any) -> dict[str, Any]:
    """The body of a metric alert's PUT: every minute, over five."""
    properties = {
        "severity": 2,
        "enabled": True,
        "description": "Answers are slow.",
        "scopes": [ACCOUNT_ID],
        "evaluationFrequency": "PT1M",
        "windowSize": "PT5M",
        "criteria": {
            "odata.type": "Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria",
            "allOf": list(conditions) or [condition()],
        },
        **changes,
    }
    return {"location": "global", "properties": properties}


def action_group(*uris: str, **properties: Any) -> dict[str, Any]:
    """The body of an action group's PUT, with a webhook for each of ``uris`` in the common schema."""
    webhooks = [
        {"name": f"hook{number}", "serviceUri": uri, "useCommonAlertSchema": True} for number, uri in enumerate(uris)
    ]
    return {
        "location": "Global",
        "properties": {"groupShortName": "ag", "enabled": True, "webhookReceivers": webhooks, **properties},
    }
