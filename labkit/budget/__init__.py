"""A cost budget: what a call may cost is held before it is sent, and what it did cost is spent when it ends."""

from labkit.budget.budget import Budget, BudgetExceededError, Hold, estimate_usd

__all__ = ["Budget", "BudgetExceededError", "Hold", "estimate_usd"]
