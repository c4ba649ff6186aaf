"""What a use case demands of a model: which demands there are, which models meet them, and why the others do not."""

import warnings
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from numbers import Real
from typing import Any, NamedTuple, TypedDict

from labkit.catalog import MODELS, Model
from labkit.errors import InvalidRequestError

REQUIREMENTS = (
    *("task_complexity", "response_time", "cost_sensitivity", "context_length", "features"),
    *("required_features", "modality", "max_monthly_cost_usd", "monthly_usage", "available_only"),
    *("supported_until", "region", "sku"),
)
_USAGE = ("input_tokens", "output_tokens")
# What a use case calls its input -> the catalogue's feature.
_MODALITIES = {"text": "chat", "image": "vision", "embedding": "embeddings"}

# A model of the catalogue -> the SKUs it is offered with in one region.
Offered = Mapping[str, Collection[str]]


class Capabilities(TypedDict):
    """What the session's table says of a model; ``max_tokens`` is the context window (prompt and answer together)."""

    max_tokens: int
    strengths: list[str]
    best_for: list[str]
    cost_tier: str
    latency: str


class Demand(NamedTuple):
    """Whether a model meets one demand; ``reason`` when it does (a wish's own needs none), ``failure`` when not."""

    met: bool
    reason: str
    failure: str


def demands(
    name: str, capabilities: Capabilities, requirements: Mapping[str, Any], offered: Offered
) -> Iterator[Demand]:
    """Each demand among ``requirements``, as the model ``name`` meets it."""
    model = MODELS.get(name)  # None for a model that the reader added to ``model_capabilities``
    yield from _of_abilities(model, capabilities, requirements)
    yield from _of_cost(model, requirements)
    yield from _of_life(model, requirements)
    region, sku = requirements.get("region"), requirements.get("sku")
    if region is not None or sku is not None:
        yield _of_place(offered.get(name, ()), region, sku)


def check(requirements: Mapping[str, Any], models: Mapping[str, Capabilities]) -> None:
    """Raises ``InvalidRequestError`` for a value that cannot be right, and warns of a name that is no requirement."""
    _warn_of_unknown("requirement", requirements, REQUIREMENTS)
    context = requirements.get("context_length")
    if context is not None and not _is_count(context):
        raise InvalidRequestError(f"context_length is a number of tokens, not {context!r}: write 16000, for example.")
    modality = requirements.get("modality")
    if modality is not None and modality not in _MODALITIES:
        raise InvalidRequestError(f"modality is one of {', '.join(_MODALITIES)}, not {modality!r}.")
    for key, example in (("region", "swedencentral"), ("sku", "Standard")):
        value = requirements.get(key)
        if value is not None and (not isinstance(value, str) or not value.strip()):
            raise InvalidRequestError(f"{key} is a name such as {example!r}, not {value!r}.")
    _until(requirements)
    _check_features(requirements, models)
    _check_budget(requirements)


def check_usage(monthly_usage: Mapping[str, int]) -> None:
    """Raises ``InvalidRequestError`` for a number of tokens that is none, and warns of another name."""
    _warn_of_unknown("usage", monthly_usage, _USAGE)
    for key in _USAGE:
        count = monthly_usage.get(key, 0)
        if not _is_count(count):
            raise InvalidRequestError(f"{key} is a number of tokens, 0 or more, not {count!r}.")


def tokens(monthly_usage: Mapping[str, int]) -> tuple[int, int]:
    """The input and output tokens of a month; one that is not given counts as 0, as in the session."""
    return monthly_usage.get("input_tokens", 0), monthly_usage.get("output_tokens", 0)


def _of_abilities(model: Model | None, capabilities: Capabilities, requirements: Mapping[str, Any]) -> Iterator[Demand]:
    features = model.features if model else ()
    if context := requirements.get("context_length"):
        window = capabilities["max_tokens"]
        yield Demand(context <= window, "", f"its window of {window:,} tokens is smaller than {context:,}")
    for feature in requirements.get("required_features") or ():
        has = feature in features or feature in capabilities["strengths"]
        yield Demand(has, f"has {feature}", f"lacks {feature}")
    if modality := requirements.get("modality"):
        yield Demand(_MODALITIES[modality] in features, f"made for {modality}", f"not made for {modality}")


def _of_cost(model: Model | None, requirements: Mapping[str, Any]) -> Iterator[Demand]:
    limit_usd = requirements.get("max_monthly_cost_usd")
    if limit_usd is None:
        return
    if model is None:
        yield Demand(False, "", "its price is not known")
        return
    cost_usd = model.price.cost_usd(*tokens(requirements["monthly_usage"]))
    costs = f"costs {cost_usd:,.2f} USD a month, at most {limit_usd:,.2f} wanted"
    yield Demand(cost_usd <= limit_usd, costs, costs)


def _of_life(model: Model | None, requirements: Mapping[str, Any]) -> Iterator[Demand]:
    if requirements.get("available_only"):
        yield Demand(model is not None and model.life.status == "available", "available on Azure today", _stands(model))
    until = _until(requirements)
    if until is not None:
        retires = model.life.retires if model else None
        stays = model is not None and model.life.status != "retired" and (retires is None or retires >= until)
        yield Demand(stays, f"supported until {until.isoformat()}", _stands(model))


def _stands(model: Model | None) -> str:
    """Where a model stands in its life, in words, with what follows it."""
    if model is None:
        return "its life cycle is not known"
    life = model.life
    date_known = f", retires on {life.retires.isoformat()}" if life.retires and life.status != "retired" else ""
    return f"{life.status} on Azure{date_known}" + (f"; its successor is {life.successor}" if life.successor else "")


def _of_place(skus: Collection[str], region: str | None, sku: str | None) -> Demand:
    where = f"in {region}" if region else "in the account's region"
    if not skus:
        return Demand(False, "", f"not offered {where}")
    if sku is None:
        return Demand(True, f"offered {where}", "")
    return Demand(sku in skus, f"offered {where} as {sku}", f"offered {where} as {', '.join(skus)}, not as {sku}")


def _until(requirements: Mapping[str, Any]) -> date | None:
    until = requirements.get("supported_until")
    if until is None or isinstance(until, date):
        return until
    try:
        return date.fromisoformat(until)
    except (TypeError, ValueError) as error:
        raise InvalidRequestError(f"supported_until is a date such as '2027-03-31', not {until!r}.") from error


def _check_features(requirements: Mapping[str, Any], models: Mapping[str, Capabilities]) -> None:
    for key in ("features", "required_features"):
        if isinstance(requirements.get(key), str):
            raise InvalidRequestError(f"{key} is a list of names, not one text: write [{requirements[key]!r}].")
    offered = {feature for model in MODELS.values() for feature in model.features}
    offered.update(strength for capabilities in models.values() for strength in capabilities["strengths"])
    for feature in requirements.get("required_features") or ():
        if feature not in offered:
            raise InvalidRequestError(f"No model has {feature!r}. Ask for one of: {', '.join(sorted(offered))}.")


def _check_budget(requirements: Mapping[str, Any]) -> None:
    limit_usd, usage = requirements.get("max_monthly_cost_usd"), requirements.get("monthly_usage")
    if limit_usd is not None and not _is_count(limit_usd):
        raise InvalidRequestError(f"max_monthly_cost_usd is a sum in US dollars, not {limit_usd!r}.")
    if limit_usd is not None and usage is None:
        raise InvalidRequestError(
            "max_monthly_cost_usd needs monthly_usage to compare with: "
            'add "monthly_usage": {"input_tokens": …, "output_tokens": …}.'
        )
    if usage is not None:
        check_usage(usage)


def _is_count(value: object) -> bool:
    # Floats (3e6) and numpy's numbers (a column's sum) are welcome; True is an int to Python, but no number of tokens.
    return isinstance(value, Real) and not isinstance(value, bool) and float(value) >= 0


def _warn_of_unknown(what: str, given: Collection[str], known: Collection[str]) -> None:
    for key in given:
        if key not in known:
            warnings.warn(f"Unknown {what} {key!r} is ignored. Known: {', '.join(known)}.", stacklevel=4)
