"""What was used and what it cost: sums for the console's table, over all time and today (UTC)."""

from dataclasses import asdict, dataclass
from typing import Any

from labkit.localazure.usage import DAY_S, Cell, Key, Usage, cost_usd


@dataclass(slots=True)
class Sum:
    """Requests by how they ended, tokens and cost of some of the usage."""

    requests: int = 0
    throttled: int = 0
    failed: int = 0
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float = 0.0
    answered_ms: float = 0.0

    def add(self, key: Key, cell: Cell) -> None:
        """Count the cell."""
        self.requests += cell.requests
        if key.status == 429:
            self.throttled += cell.requests
        elif key.status != 200:
            self.failed += cell.requests
        else:
            self.answered_ms += cell.total_ms
        self.prompt_tokens += cell.prompt_tokens
        self.cached_tokens += cell.cached_tokens
        self.completion_tokens += cell.completion_tokens
        self.cost_usd += cost_usd(key, cell)

    def as_dict(self) -> dict[str, Any]:
        """The sums as plain data for JSON; ``mean_ms`` is the simulated latency of the answered, None without any."""
        answered = self.requests - self.throttled - self.failed
        fields = asdict(self)
        total_ms = fields.pop("answered_ms")
        return {**fields, "mean_ms": total_ms / answered if answered else None}


def spending(usage: Usage, now_s: float) -> dict[str, Any]:
    """``total`` and ``today``, and ``deployments``: the sums over all time of each that was ever called by its name."""
    total, today = Sum(), Sum()
    deployments: dict[tuple[str, str, str], Sum] = {}
    for key, cell in usage.days().items():
        total.add(key, cell)
        if key.start_s == int(now_s) // DAY_S * DAY_S:
            today.add(key, cell)
        if key.deployment:
            deployments.setdefault((key.account, key.deployment, key.model), Sum()).add(key, cell)
    return {
        "total": total.as_dict(),
        "today": today.as_dict(),
        "deployments": [
            {"account": account, "deployment": deployment, "model": model, **found.as_dict()}
            for (account, deployment, model), found in sorted(deployments.items())
        ],
    }
