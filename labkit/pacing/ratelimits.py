"""Reads what the service says about its limits: ``x-ratelimit-*`` headers, and which limit a 429 was about."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["call", "token"]

# The policy that refused, and the words of the message (openai/openai-python#937, 2023-12; vanderschaarlab/climb#1,
# 2025-01). Older answers have only the message.
_POLICIES: dict[str, Kind] = {"deploymentratelimit-call": "call", "deploymentratelimit-token": "token"}
_WORDS: dict[str, Kind] = {"exceeded call rate limit": "call", "exceeded token rate limit": "token"}


@dataclass(frozen=True, slots=True)
class RateLimits:
    """The limits an answer names, per minute, and what it says is left of them; None where it says nothing."""

    rpm: float | None = None
    tpm: float | None = None
    remaining_requests: float | None = None
    remaining_tokens: float | None = None


def rate_limits(headers: Mapping[str, str] | None) -> RateLimits:
    """What ``headers`` say. Azure has sent limits of -1 with nothing left (openai/openai-dotnet#838): no news."""
    if not headers:
        return RateLimits()
    rpm, remaining_requests = _limit(headers, "requests")
    tpm, remaining_tokens = _limit(headers, "tokens")
    return RateLimits(rpm, tpm, remaining_requests, remaining_tokens)


def emptied(error: Exception) -> Kind | None:
    """Which limit the 429 ``error`` was about; None when it does not tell, as when the service is overloaded."""
    headers = headers_of(error)
    policy = _POLICIES.get(headers.get("policy-id", "").lower())
    if policy is not None:
        return policy
    words = str(getattr(error, "message", error)).lower()
    said = {kind for phrase, kind in _WORDS.items() if phrase in words}
    if len(said) == 1:
        return said.pop()
    limits = rate_limits(headers)
    if limits.remaining_tokens == 0:
        return "token"
    return "call" if limits.remaining_requests == 0 else None


def stated_wait_s(error: Exception) -> tuple[float, float] | None:
    """The wait that ``error`` states and how much of it may be rounding, in seconds; None when it states none."""
    headers = headers_of(error)
    exact_ms = _number(headers.get("retry-after-ms"))
    if exact_ms is not None:
        return exact_ms / 1000, 0.001
    for name in ("retry-after", "x-ratelimit-reset-tokens", "x-ratelimit-reset-requests"):
        whole_s = _number(headers.get(name))
        if whole_s is not None:
            return whole_s, 1.0
    return None


def headers_of(error: Exception) -> Mapping[str, str]:
    """The headers of the answer that ``error`` is about; empty when there was none."""
    headers: Mapping[str, str] = getattr(getattr(error, "response", None), "headers", {})
    return headers


def _limit(headers: Mapping[str, str], what: str) -> tuple[float | None, float | None]:
    limit = _number(headers.get(f"x-ratelimit-limit-{what}"))
    remaining = _number(headers.get(f"x-ratelimit-remaining-{what}"))
    if limit is not None and limit <= 0:
        return None, None
    return limit, remaining if remaining is not None and remaining >= 0 else None


def _number(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if math.isfinite(value) else None
