"""Which model fits a use case, and what it would cost in a month: the session's scoring over today's catalogue."""

import warnings
from collections.abc import Collection, Iterator, Mapping
from numbers import Real
from typing import Any, TypedDict

from labkit.catalog import MODELS, Model
from labkit.errors import InvalidRequestError

_REQUIREMENTS = (
    *("task_complexity", "response_time", "cost_sensitivity", "context_length", "features"),
    *("required_features", "modality", "max_monthly_cost_usd", "monthly_usage", "available_only"),
)
_USAGE = ("input_tokens", "output_tokens")
# What a use case calls its input -> the catalogue's feature.
_MODALITIES = {"text": "chat", "image": "vision", "embedding": "embeddings"}


class Capabilities(TypedDict):
    """What the session's table says of a model; ``max_tokens`` is the context window (prompt and answer together)."""

    max_tokens: int
    strengths: list[str]
    best_for: list[str]
    cost_tier: str
    latency: str


class Recommendation(TypedDict):
    """A model, its score and why."""

    model: str
    score: int
    reasons: list[str]
    capabilities: Capabilities


class CostBreakdown(TypedDict):
    """Where a month's cost comes from, in US dollars."""

    input_cost: float
    output_cost: float
    input_tokens: int
    output_tokens: int


class CostEstimate(TypedDict):
    """A month's cost in US dollars, with the source of the price and the day it was read."""

    model: str
    monthly_cost: float
    breakdown: CostBreakdown
    currency: str
    price_source: str
    price_read: str


class CostError(TypedDict):
    """Why there is no estimate."""

    error: str


class ModelSelector:
    """Recommends models of the catalogue for a use case and estimates their monthly cost."""

    def __init__(self) -> None:
        self.model_capabilities: dict[str, Capabilities] = {
            name: _capabilities(model) for name, model in MODELS.items()
        }

    def recommend_model(self, use_case_requirements: Mapping[str, Any]) -> list[Recommendation]:
        """The models that fit, best first, each with its score, the reasons and its capabilities.

        Wishes add to the score, as in the session: ``task_complexity="high"`` (3), ``response_time="fast"`` (2),
        ``cost_sensitivity="high"`` (2), ``context_length`` in tokens (1), each of ``features`` among the strengths (2).
        A model that scores nothing is left out.

        Demands exclude a model: a window smaller than ``context_length``, ``required_features`` (features or
        strengths), ``modality`` (text, image or embedding), ``max_monthly_cost_usd`` for ``monthly_usage``,
        ``available_only=True`` (neither legacy nor retired on Azure). When no wish scores anything, all the models that
        meet the demands come back, with score 0.

        ``InvalidRequestError`` when a value cannot be right; a requirement of another name is ignored with a warning.
        """
        requirements = dict(use_case_requirements)
        _validate(requirements, self.model_capabilities)
        fitting: list[Recommendation] = []
        for name, capabilities in self.model_capabilities.items():
            demands = list(_demands(name, capabilities, requirements))
            if not all(met for met, _ in demands):
                continue
            wishes = list(_wishes(capabilities, requirements))
            reasons = [reason for _, reason in (*wishes, *demands) if reason]
            score = sum(points for points, _ in wishes)
            fitting.append({"model": name, "score": score, "reasons": reasons, "capabilities": capabilities})
        # The sort is stable: equals keep the catalogue's order, as in the session.
        fitting.sort(key=lambda recommendation: recommendation["score"], reverse=True)
        scored = [recommendation for recommendation in fitting if recommendation["score"] > 0]
        return scored or [recommendation for recommendation in fitting if recommendation["reasons"]]

    def calculate_cost_estimate(self, model_name: str, monthly_usage: Mapping[str, int]) -> CostEstimate | CostError:
        """The cost of ``input_tokens`` and ``output_tokens`` a month in US dollars, at the catalogue's list prices.

        A model without a price comes back as ``{"error": …}``, as in the session; a token count that is negative or no
        number raises ``InvalidRequestError``.
        """
        model = MODELS.get(model_name)
        if model is None:
            return {"error": f"Model pricing not available for {model_name!r}. Known: {', '.join(MODELS)}."}
        _validate_usage(monthly_usage)
        input_tokens, output_tokens = _tokens(monthly_usage)
        input_cost, output_cost = model.price.cost_usd(input_tokens, 0), model.price.cost_usd(0, output_tokens)
        return {
            "model": model_name,
            "monthly_cost": input_cost + output_cost,
            "breakdown": {
                "input_cost": input_cost,
                "output_cost": output_cost,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
            },
            "currency": "USD",
            "price_source": model.price.source,
            "price_read": model.price.read.isoformat(),
        }


def _capabilities(model: Model) -> Capabilities:
    return {
        "max_tokens": model.context_tokens,
        "strengths": list(model.strengths),
        "best_for": list(model.best_for),
        "cost_tier": model.cost_tier,
        "latency": model.latency,
    }


def _wishes(capabilities: Capabilities, requirements: Mapping[str, Any]) -> Iterator[tuple[int, str]]:
    """The points of each wish that ``capabilities`` grant, with the session's reason, in the session's order."""
    strengths = capabilities["strengths"]
    if requirements.get("task_complexity") == "high" and "complex reasoning" in strengths:
        yield 3, "excellent for complex reasoning"
    if requirements.get("response_time") == "fast" and capabilities["latency"] == "low":
        yield 2, "fast response times"
    if requirements.get("cost_sensitivity") == "high" and capabilities["cost_tier"] in ("low", "very_low"):
        yield 2, "cost effective"
    if requirements.get("context_length") and requirements["context_length"] <= capabilities["max_tokens"]:
        yield 1, "supports required context length"
    for feature in requirements.get("features") or ():
        if feature in strengths:
            yield 2, f"supports {feature}"


def _demands(name: str, capabilities: Capabilities, requirements: Mapping[str, Any]) -> Iterator[tuple[bool, str]]:
    """Each demand: whether the model meets it, and the reason to give when it does (a wish's own needs none)."""
    model = MODELS.get(name)  # None for a model that the reader added to ``model_capabilities``
    features = model.features if model else ()
    if context := requirements.get("context_length"):
        yield context <= capabilities["max_tokens"], ""
    for feature in requirements.get("required_features") or ():
        yield feature in features or feature in capabilities["strengths"], f"has {feature}"
    if modality := requirements.get("modality"):
        yield _MODALITIES[modality] in features, f"made for {modality}"
    if (limit_usd := requirements.get("max_monthly_cost_usd")) is not None:
        cost_usd = model.price.cost_usd(*_tokens(requirements["monthly_usage"])) if model else float("inf")
        yield cost_usd <= limit_usd, f"costs {cost_usd:,.2f} USD a month, at most {limit_usd:,.2f} wanted"
    if requirements.get("available_only"):
        yield model is not None and model.life.status == "available", "available on Azure today"


def _validate(requirements: Mapping[str, Any], models: Mapping[str, Capabilities]) -> None:
    _warn_of_unknown("requirement", requirements, _REQUIREMENTS)
    context = requirements.get("context_length")
    if context is not None and not _is_count(context):
        raise InvalidRequestError(f"context_length is a number of tokens, not {context!r}: write 16000, for example.")
    modality = requirements.get("modality")
    if modality is not None and modality not in _MODALITIES:
        raise InvalidRequestError(f"modality is one of {', '.join(_MODALITIES)}, not {modality!r}.")
    _validate_features(requirements, models)
    _validate_budget(requirements)


def _validate_features(requirements: Mapping[str, Any], models: Mapping[str, Capabilities]) -> None:
    for key in ("features", "required_features"):
        if isinstance(requirements.get(key), str):
            raise InvalidRequestError(f"{key} is a list of names, not one text: write [{requirements[key]!r}].")
    offered = {feature for model in MODELS.values() for feature in model.features}
    offered.update(strength for capabilities in models.values() for strength in capabilities["strengths"])
    for feature in requirements.get("required_features") or ():
        if feature not in offered:
            raise InvalidRequestError(f"No model has {feature!r}. Ask for one of: {', '.join(sorted(offered))}.")


def _validate_budget(requirements: Mapping[str, Any]) -> None:
    limit_usd, usage = requirements.get("max_monthly_cost_usd"), requirements.get("monthly_usage")
    if limit_usd is not None and not _is_count(limit_usd):
        raise InvalidRequestError(f"max_monthly_cost_usd is a sum in US dollars, not {limit_usd!r}.")
    if limit_usd is not None and usage is None:
        raise InvalidRequestError(
            "max_monthly_cost_usd needs monthly_usage to compare with: "
            'add "monthly_usage": {"input_tokens": …, "output_tokens": …}.'
        )
    if usage is not None:
        _validate_usage(usage)


def _validate_usage(monthly_usage: Mapping[str, int]) -> None:
    _warn_of_unknown("usage", monthly_usage, _USAGE)
    for key in _USAGE:
        tokens = monthly_usage.get(key, 0)
        if not _is_count(tokens):
            raise InvalidRequestError(f"{key} is a number of tokens, 0 or more, not {tokens!r}.")


def _tokens(monthly_usage: Mapping[str, int]) -> tuple[int, int]:
    """The input and output tokens of a month; one that is not given counts as 0, as in the session."""
    return monthly_usage.get("input_tokens", 0), monthly_usage.get("output_tokens", 0)


def _is_count(value: object) -> bool:
    # Floats (3e6) and numpy's numbers (a column's sum) are welcome; True is an int to Python, but no number of tokens.
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) >= 0


def _warn_of_unknown(what: str, given: Collection[str], known: Collection[str]) -> None:
    for key in given:
        if key not in known:
            warnings.warn(f"Unknown {what} {key!r} is ignored. Known: {', '.join(known)}.", stacklevel=4)
