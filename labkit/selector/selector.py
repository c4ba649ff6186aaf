"""Which model fits a use case, and what it would cost in a month: the session's scoring over today's catalogue."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypedDict

from labkit.catalog import MODELS, Model
from labkit.selector.requirements import Capabilities, Offered, check, check_usage, demands, tokens


class Recommendation(TypedDict):
    """A model, its score and why."""

    model: str
    score: int
    reasons: list[str]
    capabilities: Capabilities


class Exclusion(TypedDict):
    """A model that does not meet the demands, and each demand it fails."""

    model: str
    reasons: list[str]


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
    """Recommends models of the catalogue for a use case and estimates their monthly cost.

    ``offered`` says what a region offers: by default the control plane of the current connection does.
    """

    def __init__(self, *, offered: Callable[[str | None], Offered] | None = None) -> None:
        self._offered = offered
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
        ``available_only=True`` (neither legacy nor retired on Azure), ``supported_until`` (a date, or its text as
        2027-03-31), ``region`` ("swedencentral") and ``sku`` ("Standard") in which it is offered; a ``sku`` alone
        means the account's region. When no wish scores anything, all the models that meet the demands come back,
        with score 0. ``exclusions`` says which models do not, and why.

        ``InvalidRequestError`` when a value cannot be right; a requirement of another name is ignored with a warning.
        """
        requirements = dict(use_case_requirements)
        check(requirements, self.model_capabilities)
        offered = self._offered_for(requirements)
        fitting: list[Recommendation] = []
        for name, capabilities in self.model_capabilities.items():
            met = list(demands(name, capabilities, requirements, offered))
            if not all(demand.met for demand in met):
                continue
            wishes = list(_wishes(capabilities, requirements))
            reasons = [*(reason for _, reason in wishes), *(demand.reason for demand in met if demand.reason)]
            score = sum(points for points, _ in wishes)
            fitting.append({"model": name, "score": score, "reasons": reasons, "capabilities": capabilities})
        # The sort is stable: equals keep the catalogue's order, as in the session.
        fitting.sort(key=lambda recommendation: recommendation["score"], reverse=True)
        scored = [recommendation for recommendation in fitting if recommendation["score"] > 0]
        return scored or [recommendation for recommendation in fitting if recommendation["reasons"]]

    def exclusions(self, use_case_requirements: Mapping[str, Any]) -> list[Exclusion]:
        """The models that ``recommend_model`` leaves out because of a demand, each with every demand it fails."""
        requirements = dict(use_case_requirements)
        check(requirements, self.model_capabilities)
        offered = self._offered_for(requirements)
        found: list[Exclusion] = []
        for name, capabilities in self.model_capabilities.items():
            reasons = [each.failure for each in demands(name, capabilities, requirements, offered) if not each.met]
            if reasons:
                found.append({"model": name, "reasons": reasons})
        return found

    def calculate_cost_estimate(self, model_name: str, monthly_usage: Mapping[str, int]) -> CostEstimate | CostError:
        """The cost of ``input_tokens`` and ``output_tokens`` a month in US dollars, at the catalogue's list prices.

        A model without a price comes back as ``{"error": …}``, as in the session; a token count that is negative or no
        number raises ``InvalidRequestError``.
        """
        model = MODELS.get(model_name)
        if model is None:
            return {"error": f"Model pricing not available for {model_name!r}. Known: {', '.join(MODELS)}."}
        check_usage(monthly_usage)
        input_tokens, output_tokens = tokens(monthly_usage)
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

    def _offered_for(self, requirements: Mapping[str, Any]) -> Offered:
        """What the demanded region offers; the control plane is asked only when region or SKU is a demand."""
        region, sku = requirements.get("region"), requirements.get("sku")
        if region is None and sku is None:
            return {}
        if self._offered is not None:
            return self._offered(region)
        from labkit.selector.availability import offered_skus

        return offered_skus(region)


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
