"""``/labkit/alerts`` and ``/labkit/costs``: what fired, who was told, and what was spent.

``GET /labkit/alerts`` answers ``{"alerts": […], "notifications": […], "last_id": n, "errors": {…}}``. An alert has
``id``, ``rule``, ``rule_id``, ``service`` ("Platform" for metric alerts, "Log Alerts V2", "CostAlerts" for budgets),
``severity``, ``condition`` (Fired or Resolved), ``state`` (what people said of it), ``target``, ``dimensions``,
``fired_at_s``, ``resolved_at_s``, ``description``, ``context`` and ``history``. A notification has the fields of
``monitor.outbox.Notification``: channel, receiver, outcome and so on; ``after`` leaves out those up to that id.
``errors`` says of rules, by id, why they could not be evaluated. Everything due on the clock is evaluated first.

``GET /labkit/costs`` answers ``{"costs": […]}``: one row a day, deployment and model, with tokens and cost.
"""

from dataclasses import asdict
from typing import Any

from labkit.localazure.admin.asked import Asked
from labkit.localazure.costs.charges import charges
from labkit.localazure.monitor.alerts import Alert
from labkit.localazure.resources import SUBSCRIPTION_ID
from labkit.localazure.state import Azure
from labkit.localazure.wire import Reply, json_reply

_SCOPE = f"/subscriptions/{SUBSCRIPTION_ID}"


async def read(azure: Azure, asked: Asked) -> Reply:
    """Every alert that is kept, oldest first, and the notifications newer than ``after``."""
    await azure.catch_up()
    monitor = azure.monitor
    notifications = [asdict(one) for one in monitor.notifier.outbox.after(asked.whole("after", 0))]
    return json_reply(
        {
            "alerts": [_shown(alert) for alert in monitor.alerts],
            "notifications": notifications,
            "last_id": monitor.notifier.outbox.last_id,
            "errors": monitor.errors(),
        }
    )


async def costs(azure: Azure, asked: Asked) -> Reply:
    """What each deployment cost on each day (UTC), by the catalogue's prices."""
    rows: dict[tuple[int, str, str, str], dict[str, Any]] = {}
    for charge in charges(azure, _SCOPE, 0.0, float("inf")):
        key = charge.day_s, charge.account, charge.deployment, charge.model
        row = rows.setdefault(
            key,
            {
                "day_s": charge.day_s,
                "account": charge.account,
                "deployment": charge.deployment,
                "model": charge.model,
                "tokens": 0,
                "cost_usd": 0.0,
            },
        )
        row["tokens"] += charge.tokens
        row["cost_usd"] += charge.cost_usd
    return json_reply({"costs": [rows[key] for key in sorted(rows)]})


def _shown(alert: Alert) -> dict[str, Any]:
    return {
        "id": alert.id,
        "rule": alert.source.rule_name,
        "rule_id": alert.source.rule_id,
        "service": alert.source.service,
        "severity": alert.source.severity,
        "condition": alert.condition,
        "state": alert.state,
        "target": alert.target,
        "dimensions": dict(alert.dimensions),
        "fired_at_s": alert.fired_at_s,
        "resolved_at_s": alert.resolved_at_s,
        "description": alert.source.description,
        "context": alert.context,
        "history": [asdict(line) for line in alert.history],
    }
