"""The monitor: evaluates every rule when it is due, fires and resolves alerts, and has action groups told."""

import sys
import threading
import time
import traceback
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from labkit.localazure.costs.budgets import Budgets
from labkit.localazure.errors import AzureError
from labkit.localazure.monitor import log_rules, metric_rules, metric_values, rules, schedule
from labkit.localazure.monitor.alerts import RETENTION_S, Alerts, Modification
from labkit.localazure.monitor.conditions import SERIES_LIMIT, Dimensions, Finding
from labkit.localazure.monitor.notifier import Notifier
from labkit.localazure.monitor.rules import LOG_TYPE, METRIC_TYPE, Rule

if TYPE_CHECKING:
    from labkit.localazure.state import Azure

_Key = tuple[str, Dimensions]
# In real seconds: a student's rules must not keep others waiting for ever.
_RUN_S = 10.0


@dataclass(slots=True)
class _Series:
    """A time series that has fired: its standing alert, and how often in a row it was found healthy since."""

    alert_id: str
    healthy: int = 0
    muted_until_s: float = 0.0


@dataclass(slots=True)
class _State:
    """How far a rule has been evaluated, and which of its time series have fired. ``error`` is the last failure."""

    created_at_s: float
    evaluated_s: float
    series: dict[_Key, _Series] = field(default_factory=dict)
    error: str = ""


class Monitor:
    """All that Azure Monitor's alerts and Cost Management's budgets do on their own."""

    def __init__(self, azure: "Azure") -> None:
        self._azure = azure
        self.alerts = Alerts()
        self.notifier = Notifier(azure)
        self.budgets = Budgets(azure, self.alerts, self.notifier)
        self._states: dict[str, _State] = {}
        self._lock = threading.Lock()

    def is_due(self) -> bool:
        """True when ``run`` has something to do. Costs next to nothing."""
        now = self._azure.clock.now()
        enabled = self._rules()
        states = tuple(self._states.items())  # another thread may be running
        if any(id not in enabled and state.series for id, state in states):
            return True
        if any(schedule.due(rule.frequency_s, self._evaluated_s(rule), now) for rule in enabled.values()):
            return True
        retry_s = self.notifier.webhooks.next_retry_s
        return self.budgets.is_due(now) or (retry_s is not None and retry_s <= now)

    @property
    def is_busy(self) -> bool:
        """True while an evaluation or a webhook is under way."""
        return self._lock.locked() or self.notifier.webhooks.is_posting

    def run(self) -> None:
        """Evaluate everything that is due up to the clock's now, in the order it was due. From any thread.

        Queries may take a while, so a server calls this outside its event loop. What is not done after ten seconds is
        left for the next time.
        """
        with self._lock:
            now = self._azure.clock.now()
            enabled = self._rules()
            self._end_others(enabled, now)
            due = [
                (at_s, id)
                for id, rule in enabled.items()
                for at_s in schedule.due(rule.frequency_s, self._at(rule), now)
            ]
            began = time.monotonic()
            for at_s, id in sorted(due):
                if time.monotonic() - began > _RUN_S:
                    break
                self._evaluate(enabled[id], at_s)
            self.budgets.run(now)
            self.alerts.forget_older(now - RETENTION_S)
            self.notifier.webhooks.retry_due()

    def errors(self) -> dict[str, str]:
        """The rules whose last evaluation failed, by the rule's id, and why."""
        return {id: state.error for id, state in tuple(self._states.items()) if state.error}

    # -- what a metric alert may ask for, for the control plane ----------------------------------------------------

    def metric_names(self, resource_id: str, namespace: str) -> list[str]:
        """The metrics that the resource has; in the namespace of custom metrics those that were sent."""
        return metric_values.names(self._azure, resource_id, namespace)

    def check_metric(self, resource_id: str, condition: dict[str, Any]) -> None:
        """``AzureError`` 400 when the condition names a namespace or a dimension that the resource does not have."""
        at_s = self._azure.clock.now()
        metric_values.windows(self._azure, resource_id, condition, end_s=at_s, window_s=60, count=1)

    # -- rules --------------------------------------------------------------------------------------------------

    def _rules(self) -> dict[str, Rule]:
        stored = [r for r in self._azure.resources if r.type.lower() in (METRIC_TYPE, LOG_TYPE)]
        return {rule.id: rule for rule in map(rules.read, stored) if rule is not None}

    def _evaluated_s(self, rule: Rule) -> float:
        """When the rule was last evaluated. A new one, or one just switched on, has been as of its last change."""
        state = self._states.get(rule.id)
        return state.evaluated_s if state is not None else rule.changed_at_s

    def _at(self, rule: Rule) -> float:
        state = self._states.get(rule.id)
        if state is None:
            state = self._states[rule.id] = _State(rule.created_at_s, rule.changed_at_s)
        return state.evaluated_s

    def _end_others(self, enabled: dict[str, Rule], now_s: float) -> None:
        """Resolve the alerts of rules that are gone, switched off, or made anew; nobody is told."""
        for id, state in list(self._states.items()):
            rule = enabled.get(id)
            if rule is not None and rule.created_at_s == state.created_at_s:
                continue
            for series in state.series.values():
                alert = self.alerts.get(series.alert_id)
                if alert is not None and alert.resolved_at_s is None:
                    self.alerts.resolve(alert, now_s, "The rule was deleted or disabled.")
            del self._states[id]

    def _evaluate(self, rule: Rule, at_s: float) -> None:
        state = self._states[rule.id]
        state.evaluated_s = at_s
        evaluate = metric_rules.evaluate if rule.type == METRIC_TYPE else log_rules.evaluate
        try:
            findings = evaluate(self._azure, rule, at_s)
        except AzureError as refused:  # such as a query over a table that does not exist any more
            state.error = refused.message[:1_000]
            return
        except Exception as failure:
            state.error = f"The evaluation failed ({type(failure).__name__})."
            traceback.print_exc(file=sys.stderr)
            return
        state.error = ""
        self._weigh_all(rule, state, findings, at_s)

    def _weigh_all(self, rule: Rule, state: _State, findings: list[Finding], at_s: float) -> None:
        for finding in findings:
            self._weigh(rule, state, finding, at_s)
        seen = {(finding.target, finding.dimensions) for finding in findings}
        for target, dimensions in sorted(state.series.keys() - seen):  # no data any more: the condition is not met
            self._weigh(rule, state, Finding(target, dimensions, False, {}), at_s)

    def _weigh(self, rule: Rule, state: _State, finding: Finding, at_s: float) -> None:
        """Fire, stay or resolve. A stateless rule (autoMitigate false) fires anew every time and never resolves.

        Microsoft Learn, alerts-overview ("Alerts and state", 2025-05-08), read 2026-11-25.
        """
        key = finding.target, finding.dimensions
        series = state.series.get(key)
        if finding.met and (series is None or not rule.auto_mitigate):
            if series is not None or len(state.series) < SERIES_LIMIT:
                self._fire(rule, state, finding, at_s)
        elif finding.met and series is not None:
            series.healthy = 0
        elif series is not None and rule.auto_mitigate:
            series.healthy += 1
            if series.healthy >= rule.resolve_after:
                del state.series[key]
                self._resolve(rule, series, finding, at_s)

    def _fire(self, rule: Rule, state: _State, finding: Finding, at_s: float) -> None:
        alert = self.alerts.fire(rule.source, finding.target, finding.dimensions, finding.context, at_s)
        series = state.series.setdefault((finding.target, finding.dimensions), _Series(alert.id))
        series.alert_id, series.healthy = alert.id, 0
        if at_s < series.muted_until_s:
            alert.note(Modification("ActionsSuppressed", at_s, "System", comments="muteActionsDuration"))
            return
        if rule.mute_s:
            series.muted_until_s = at_s + rule.mute_s
        self.notifier.tell(rule.group_ids, alert, at_s)

    def _resolve(self, rule: Rule, series: _Series, finding: Finding, at_s: float) -> None:
        alert = self.alerts.get(series.alert_id)
        if alert is not None and alert.resolved_at_s is None:
            self.alerts.resolve(alert, at_s)
            self.notifier.tell(rule.group_ids, alert, at_s, finding.context)

    # -- state file ---------------------------------------------------------------------------------------------

    def dump(self) -> dict[str, Any]:
        """All alerts, notifications and what rules and budgets have fired, as plain data for a state file."""
        with self._lock:
            states = {
                id: {
                    "created_at_s": state.created_at_s,
                    "evaluated_s": state.evaluated_s,
                    "series": [[target, dims, asdict(one)] for (target, dims), one in state.series.items()],
                }
                for id, state in self._states.items()
            }
            return {
                "alerts": self.alerts.dump(),
                "outbox": self.notifier.outbox.dump(),
                "rules": states,
                "budgets": self.budgets.dump(),
            }

    def load(self, data: dict[str, Any]) -> None:
        """Take up what ``dump`` gave, before anything was evaluated; JSON on the way is fine."""
        with self._lock:
            self.alerts.load(data["alerts"])
            self.notifier.outbox.load(data["outbox"])
            self.budgets.load(data["budgets"])
            for id, fields in data["rules"].items():
                state = _State(fields["created_at_s"], fields["evaluated_s"])
                for target, dimensions, one in fields["series"]:
                    state.series[target, tuple((name, value) for name, value in dimensions)] = _Series(**one)
                self._states[id] = state
