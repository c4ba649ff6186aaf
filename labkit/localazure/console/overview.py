"""``GET /labkit/overview``: all that the console shows besides the journal's rows, in one document."""

from collections import Counter
from typing import Any

from labkit import __version__
from labkit.localazure.admin.asked import Asked
from labkit.localazure.console.rules import rules
from labkit.localazure.console.spending import spending
from labkit.localazure.management.providers import budgets, models
from labkit.localazure.resources import RESOURCE_GROUP, Account, Deployment, Resource
from labkit.localazure.state import Azure
from labkit.localazure.wire import Reply, json_reply

_BUDGETS = 100


async def read(azure: Azure, asked: Asked) -> Reply:
    """What this local Azure is, holds and did. Cheap enough to be asked for every second."""
    now_s = azure.clock.now()
    azure.recent.read(azure.journal, now_s)
    return json_reply(
        {
            "service": _service(azure, now_s),
            "caller": asked.by,
            "accounts": _accounts(azure, now_s),
            "quotas": _quotas(azure),
            "usage": spending(azure.usage, now_s),
            "last_minute": azure.recent.minute(now_s),
            "recent": azure.recent.series(),
            "rules": rules(azure.resources),
            "budgets": [_budget(azure, budget) for budget in azure.resources.of_type(budgets.TYPE)[:_BUDGETS]],
            "journal": {"last_id": azure.journal.last_id, "dropped": azure.journal.dropped},
        }
    )


def _service(azure: Azure, now_s: float) -> dict[str, Any]:
    return {
        "version": __version__,
        "run": azure.recent.run,
        "now_s": now_s,
        "seed": azure.seed,
        "latency_scale": azure.latency_scale,
        "resource_group": RESOURCE_GROUP,
    }


def _accounts(azure: Azure, now_s: float) -> list[dict[str, Any]]:
    let_in = azure.recent.let_in(now_s)
    return [
        {
            "name": account.name,
            "location": account.location,
            "keys_allowed": not account.local_auth_disabled,
            "deployments": [
                _deployment(azure, account, deployment, let_in, now_s)
                for deployment in azure.resources.deployments(account)
            ],
        }
        for account in azure.resources.accounts()
    ]


def _deployment(
    azure: Azure, account: Account, deployment: Deployment, let_in: Counter[tuple[str, str]], now_s: float
) -> dict[str, Any]:
    """What the deployment may do in a minute and what it did in the last one; tokens as the limiter estimates them."""
    limiter = azure.limits.of(deployment)
    return {
        "name": deployment.name,
        "model": deployment.model.name,
        "version": deployment.model.azure_version,
        "sku": deployment.sku,
        "capacity_ktpm": deployment.capacity_ktpm,
        "state": "Creating" if deployment.ready_at_s > now_s else "Succeeded",
        "tpm": {"used": limiter.used_tokens(now_s), "limit": limiter.tpm},
        "rpm": {"used": let_in[account.name, deployment.name], "limit": limiter.rpm},
    }


def _quotas(azure: Azure) -> list[dict[str, Any]]:
    """The quotas of which something is used, in thousands of tokens per minute."""
    held = {
        (account.location, deployment.sku, deployment.model.name): deployment.model
        for account in azure.resources.accounts()
        for deployment in azure.resources.deployments(account)
    }
    return [
        {
            "location": location,
            "sku": sku,
            "model": name,
            "used_ktpm": models.used_ktpm(azure, location, sku, model),
            "limit_ktpm": models.quota_ktpm(azure, model),
        }
        for (location, sku, name), model in sorted(held.items())
    ]


def _budget(azure: Azure, resource: Resource) -> dict[str, Any]:
    """The budget as the control plane shows it, the console's part of it."""
    shown = budgets.show(azure, resource)["properties"]
    wanted = ("amount", "timeGrain", "currentSpend", "forecastSpend", "notifications")
    return {"name": resource.name, "scope": resource.id.partition("/providers/Microsoft.Consumption")[0]} | {
        name: shown.get(name) for name in wanted
    }
