"""Alert rules as the evaluation needs them, read from what is stored of metric alerts and scheduled query rules."""

from dataclasses import dataclass
from math import ceil
from typing import Any

from labkit.localazure.monitor.alerts import Source
from labkit.localazure.resources import Document, Resource
from labkit.localazure.timespan import duration_s

METRIC_TYPE = "microsoft.insights/metricalerts"
LOG_TYPE = "microsoft.insights/scheduledqueryrules"
_TEXT = 1_000
_PROPERTIES = 20
_HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Rule:
    """One enabled rule.

    ``resolve_after`` is how many evaluations in a row must find the condition gone before an alert is resolved.
    ``properties`` are the author's own, for the payload. ``mute_s`` keeps the actions quiet after an alert.
    """

    id: str
    type: str
    source: Source
    stored: Document
    scopes: tuple[str, ...]
    frequency_s: int
    window_s: int
    auto_mitigate: bool
    resolve_after: int
    group_ids: tuple[str, ...]
    properties: dict[str, str] | None
    mute_s: int
    created_at_s: float
    changed_at_s: float

    @property
    def conditions(self) -> list[Document]:
        """The conditions that must all hold."""
        conditions: list[Document] = self.stored["criteria"]["allOf"]
        return conditions


def read(resource: Resource) -> Rule | None:
    """The rule in ``resource``; None when it is disabled or no rule."""
    type = resource.type.lower()
    if type not in (METRIC_TYPE, LOG_TYPE) or resource.properties.get("enabled") is False:
        return None
    stored = resource.properties
    frequency_s = _seconds(stored["evaluationFrequency"])
    groups, own = _metric_actions(stored) if type == METRIC_TYPE else _log_actions(stored)
    return Rule(
        id=resource.id.lower(),
        type=type,
        source=_source(resource, type),
        stored=stored,
        scopes=tuple(stored["scopes"]),
        frequency_s=frequency_s,
        window_s=_seconds(stored["windowSize"]),
        auto_mitigate=stored["autoMitigate"],
        resolve_after=3 if type == METRIC_TYPE else _log_resolve_after(stored, frequency_s),
        group_ids=groups,
        properties=own,
        mute_s=_seconds(stored.get("muteActionsDuration")),
        created_at_s=resource.created_at_s,
        changed_at_s=resource.changed_at_s,
    )


def _seconds(stored: str | None) -> int:
    """A stored duration; 0 when the rule has none."""
    return int(duration_s(stored)) if stored else 0


def _source(resource: Resource, type: str) -> Source:
    is_metric = type == METRIC_TYPE
    return Source(
        rule_id=resource.id,
        rule_name=resource.name,
        severity=f"Sev{resource.properties['severity']}",
        signal_type="Metric" if is_metric else "Log",
        service="Platform" if is_metric else "Log Alerts V2",
        description=str(resource.properties.get("description") or "")[:_TEXT],
    )


def _metric_actions(stored: Document) -> tuple[tuple[str, ...], dict[str, str] | None]:
    actions = stored["actions"]
    own: dict[str, Any] = {}
    for action in actions:
        if isinstance(action.get("webHookProperties"), dict):
            own |= action["webHookProperties"]
    return tuple(action["actionGroupId"] for action in actions), _texts(own)


def _log_actions(stored: Document) -> tuple[tuple[str, ...], dict[str, str] | None]:
    actions = stored["actions"]
    return tuple(actions["actionGroups"]), _texts(actions["customProperties"])


def _texts(given: dict[str, Any]) -> dict[str, str] | None:
    pairs = list(given.items())[:_PROPERTIES]
    return {name[:_TEXT]: str(value)[:_TEXT] for name, value in pairs} or None


def _log_resolve_after(stored: Document, frequency_s: int) -> int:
    """How many evaluations: a rule's own timeToResolve, or else by its frequency.

    Metric alerts are resolved after three checks in a row, log search alerts after 10 minutes when evaluated every
    minute, after three periods up to 15 minutes, two up to 11 hours, then one: Microsoft Learn, alerts-overview
    (2025-05-08), read 2026-11-25.
    """
    own_s = _seconds((stored.get("resolveConfiguration") or {}).get("timeToResolve"))
    if own_s:
        return ceil(own_s / frequency_s)
    if frequency_s < 300:
        return ceil(600 / frequency_s)
    if frequency_s <= 900:
        return 3
    return 2 if frequency_s <= 11 * _HOUR_S else 1
