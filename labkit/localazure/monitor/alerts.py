"""Alert instances: what has fired, what was resolved, and what people did about it."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, Literal
from uuid import NAMESPACE_URL, uuid5

import orjson

from labkit.localazure.resources import SUBSCRIPTION_ID

Condition = Literal["Fired", "Resolved"]
UserState = Literal["New", "Acknowledged", "Closed"]
USER_STATES: tuple[UserState, ...] = ("New", "Acknowledged", "Closed")

# Alerts are kept for 30 days: Microsoft Learn, alerts-overview (2025-05-08), read 2026-11-25.
RETENTION_S = 30 * 86_400
# What the service has no need of: one process serves a class, and a rule may fire every minute.
_CAPACITY = 1_000
_CAPACITY_BYTES = 8 * 2**20
_MODIFICATIONS = 50
# "An upper size limit of 256 KB per alert": Microsoft Learn, alerts-payload-samples (2026-07-08), read 2026-11-25.
_ALERT_BYTES = 256 * 1024
_SYSTEM = "System"


@dataclass(frozen=True, slots=True)
class Modification:
    """One line of an alert's history, in the words of the Alerts Management API."""

    event: str
    at_s: float
    by: str
    old: str = ""
    new: str = ""
    comments: str = ""


@dataclass(frozen=True, slots=True)
class Source:
    """What an alert comes from: a rule (or budget) and the service that watches it."""

    rule_id: str
    rule_name: str
    severity: str
    signal_type: str
    service: str
    description: str = ""


@dataclass(slots=True)
class Alert:
    """One alert instance. ``dimensions`` name the time series that fired; ``context`` is why, as webhooks get it."""

    id: str
    source: Source
    target: str
    dimensions: tuple[tuple[str, str], ...]
    fired_at_s: float
    context: dict[str, Any]
    resolved_at_s: float | None = None
    state: UserState = "New"
    changed_at_s: float = 0.0
    changed_by: str = _SYSTEM
    history: list[Modification] = field(default_factory=list)
    size_bytes: int = 0

    @property
    def condition(self) -> Condition:
        """``Fired`` until the monitoring service resolves it."""
        return "Fired" if self.resolved_at_s is None else "Resolved"

    @property
    def resource_id(self) -> str:
        """The alert's own id in the control plane."""
        return f"/subscriptions/{SUBSCRIPTION_ID}/providers/Microsoft.AlertsManagement/alerts/{self.id}"

    def note(self, change: Modification) -> None:
        """Add a line to the history; the first lines stay, the middle goes when there are too many."""
        self.changed_at_s, self.changed_by = change.at_s, change.by
        self.history.append(change)
        if len(self.history) > _MODIFICATIONS:
            del self.history[_MODIFICATIONS // 2]


class Alerts:
    """The alerts of the last 30 days, oldest first; not more than ``capacity``, the oldest go first."""

    def __init__(self, capacity: int = _CAPACITY, capacity_bytes: int = _CAPACITY_BYTES) -> None:
        self._alerts: dict[str, Alert] = {}
        self._count = 0
        self._bytes = 0
        self._capacity = capacity
        self._capacity_bytes = capacity_bytes

    def __iter__(self) -> Iterator[Alert]:
        # A copy in one step, for readers in other threads.
        return iter(tuple(self._alerts.values()))

    def __len__(self) -> int:
        return len(self._alerts)

    def get(self, id: str) -> Alert | None:
        """The alert with the GUID ``id``, or None."""
        return self._alerts.get(id.lower())

    def fire(
        self,
        source: Source,
        target: str,
        dimensions: tuple[tuple[str, str], ...],
        context: dict[str, Any],
        at_s: float,
    ) -> Alert:
        """A new alert, fired at ``at_s``. Its id is the same in every run that fires the same alerts."""
        self._count += 1
        id = str(uuid5(NAMESPACE_URL, f"{source.rule_id.lower()}#{dimensions}#{self._count}"))
        size = len(orjson.dumps([context, source.description, dimensions]))
        if size > _ALERT_BYTES:
            context, size = {}, 0
        alert = Alert(id, source, target, dimensions, at_s, context, size_bytes=size)
        alert.note(Modification("AlertCreated", at_s, _SYSTEM, new="Fired"))
        self._keep(alert)
        return alert

    def resolve(self, alert: Alert, at_s: float, comments: str = "") -> None:
        """Set the condition to Resolved; what the user said of the alert stays."""
        alert.resolved_at_s = at_s
        alert.note(Modification("MonitorConditionChange", at_s, _SYSTEM, "Fired", "Resolved", comments))

    def change_state(self, alert: Alert, state: UserState, at_s: float, by: str, comments: str) -> None:
        """Set what the user says of the alert; saying the same again changes nothing."""
        if state == alert.state:
            return
        old, alert.state = alert.state, state
        alert.note(Modification("StateChange", at_s, by, old, state, comments))

    def forget_older(self, than_s: float) -> None:
        """Drop the alerts that were fired before ``than_s``."""
        for alert in self:
            if alert.fired_at_s >= than_s:
                break
            self._drop(alert.id)

    def dump(self) -> dict[str, Any]:
        """Everything as plain data, for a state file."""
        return {"count": self._count, "alerts": [asdict(alert) for alert in self]}

    def load(self, data: dict[str, Any]) -> None:
        """Take up what ``dump`` gave; alerts that are here already stay."""
        self._count = max(self._count, data["count"])
        for fields in data["alerts"]:
            self._keep(
                Alert(
                    **{
                        **fields,
                        "source": Source(**fields["source"]),
                        "dimensions": tuple((name, value) for name, value in fields["dimensions"]),
                        "history": [Modification(**line) for line in fields["history"]],
                    }
                )
            )

    def _keep(self, alert: Alert) -> None:
        self._alerts[alert.id] = alert
        self._bytes += alert.size_bytes
        while len(self._alerts) > self._capacity or self._bytes > self._capacity_bytes:
            self._drop(next(iter(self._alerts)))

    def _drop(self, id: str) -> None:
        self._bytes -= self._alerts.pop(id).size_bytes
