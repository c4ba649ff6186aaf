"""Counts what calls take: time, tokens and US dollars, by deployment, model, user and day."""

from labkit.metering.meter import MOST_DAYS, OTHER_USERS, UsageMeter, latency_s
from labkit.metering.totals import Totals, steady
from labkit.metering.usage import Usage, answered_by, cost_usd, usage, user_tag

__all__ = [
    "MOST_DAYS",
    "OTHER_USERS",
    "Totals",
    "Usage",
    "UsageMeter",
    "answered_by",
    "cost_usd",
    "latency_s",
    "steady",
    "usage",
    "user_tag",
]
