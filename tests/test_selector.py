"""The session's scoring over today's catalogue, demands that exclude, and monthly costs."""

from datetime import date
from itertools import product
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from labkit.catalog import MODELS
from labkit.errors import InvalidRequestError, NoConnectionError
from labkit.localazure import LocalAzure
from labkit.selector import ModelSelector

# The session's table, as its listing has it: window, strengths, cost tier, latency.
SESSION_TABLE: dict[str, tuple[int, list[str], str, str]] = {
    "gpt-4-turbo": (128000, ["complex reasoning", "code generation", "analysis"], "high", "medium"),
    "gpt-35-turbo": (16385, ["fast response", "cost effective", "general purpose"], "low", "low"),
    "gpt-4-vision": (128000, ["image understanding", "multimodal", "visual analysis"], "high", "medium"),
    "text-embedding-ada-002": (8192, ["semantic similarity", "search", "clustering"], "very_low", "very_low"),
}
# The session's prices, US dollars per 1,000 tokens.
SESSION_PRICES = {
    "gpt-4-turbo": (0.01, 0.03),
    "gpt-35-turbo": (0.0005, 0.0015),
    "gpt-4-vision": (0.01, 0.03),
    "text-embedding-ada-002": (0.0001, 0),
}
GRID = list(
    product(
        (None, "low", "high"),
        (None, "slow", "fast"),
        (None, "low", "high"),
        (None, 0, 4000, 8192, 8193, 16385, 16386, 128000, 128001),
        (None, ["code generation"], ["search", "clustering"], ["fast response", "analysis", "no such strength"]),
    )
)


def session_says(requirements: dict[str, Any]) -> list[tuple[str, int, list[str]]]:
    """What the session's rules give, written down a second time; models whose window is too small are left out."""
    found = []
    for name, (window, strengths, cost_tier, latency) in SESSION_TABLE.items():
        complexity, context = requirements.get("task_complexity"), requirements.get("context_length")
        rules = [
            (complexity == "high" and "complex reasoning" in strengths, 3, "excellent for complex reasoning"),
            (requirements.get("response_time") == "fast" and latency == "low", 2, "fast response times"),
            (requirements.get("cost_sensitivity") == "high" and cost_tier in ("low", "very_low"), 2, "cost effective"),
            (context and context <= window, 1, "supports required context length"),
            *((wanted in strengths, 2, f"supports {wanted}") for wanted in requirements.get("features") or []),
        ]
        kept = [(points, reason) for holds, points, reason in rules if holds]
        if kept and not (context and context > window):
            found.append((name, sum(points for points, _ in kept), [reason for _, reason in kept]))
    return sorted(found, key=lambda row: -row[1])


def rows(requirements: dict[str, Any]) -> list[tuple[str, int, list[str]]]:
    """What the selector recommends, reduced to name, score and reasons."""
    found = ModelSelector().recommend_model(requirements)
    return [(row["model"], row["score"], row["reasons"]) for row in found]


def names(requirements: dict[str, Any]) -> list[str]:
    """The recommended names, best first."""
    return [name for name, _, _ in rows(requirements)]


def test_the_sessions_four_models_score_as_in_the_session() -> None:
    """Over a grid of requirements: same scores, same reasons, same order for the session's models."""
    keys = ("task_complexity", "response_time", "cost_sensitivity", "context_length", "features")
    assert len(GRID) == 972
    for values in GRID:
        requirements = {key: value for key, value in zip(keys, values, strict=True) if value is not None}
        ours = [row for row in rows(requirements) if row[0] in SESSION_TABLE]
        assert ours == session_says(requirements), requirements


@pytest.mark.parametrize("name", SESSION_TABLE)
def test_capabilities_are_the_sessions(name: str) -> None:
    """The session's table is there under the session's keys, word for word."""
    window, strengths, cost_tier, latency = SESSION_TABLE[name]
    capabilities = ModelSelector().model_capabilities[name]
    assert capabilities["max_tokens"] == window
    assert capabilities["strengths"] == strengths
    assert (capabilities["cost_tier"], capabilities["latency"]) == (cost_tier, latency)
    assert len(capabilities["best_for"]) == 3


def test_every_model_of_the_catalogue_has_the_sessions_fields() -> None:
    """Today's families carry exactly the fields that the session's four have."""
    capabilities = ModelSelector().model_capabilities
    assert list(capabilities) == list(MODELS)
    fields = {"max_tokens", "strengths", "best_for", "cost_tier", "latency"}
    assert all(set(row) == fields for row in capabilities.values())


def test_a_recommendation_has_the_sessions_keys() -> None:
    """Model, score, reasons and capabilities, and nothing else."""
    best = ModelSelector().recommend_model({"task_complexity": "high"})[0]
    assert set(best) == {"model", "score", "reasons", "capabilities"}
    assert best["model"] == "gpt-4-turbo"
    assert best["capabilities"] == ModelSelector().model_capabilities["gpt-4-turbo"]


def test_nothing_asked_is_nothing_recommended() -> None:
    """Without a requirement no model scores, as in the session."""
    assert rows({}) == []


def test_a_window_too_small_excludes_however_well_the_rest_fits() -> None:
    """A model that cannot hold the prompt is no recommendation, whatever its other points."""
    wanted = {"cost_sensitivity": "high", "response_time": "fast", "context_length": 16386}
    assert "gpt-35-turbo" not in names(wanted)
    assert "gpt-35-turbo" in names({**wanted, "context_length": 16385})


@pytest.mark.parametrize(
    ("demand", "expected"),
    [
        pytest.param({"modality": "embedding"}, {"embedding"}, id="embedding"),
        pytest.param({"modality": "text"}, {"chat", "reasoning"}, id="text"),
        pytest.param({"required_features": ["reasoning"]}, {"reasoning"}, id="feature"),
    ],
)
def test_demands_alone_recommend_what_meets_them(demand: dict[str, Any], expected: set[str]) -> None:
    """With demands only, every model that meets them comes back, with score 0 and the demand as its reason."""
    found = rows(demand)
    assert {MODELS[name].kind for name, _, _ in found} == expected
    assert all(score == 0 and reasons for _, score, reasons in found)


def test_wishes_order_what_demands_leave() -> None:
    """Among the models that see pictures, the wish for reasoning decides who comes first."""
    found = ModelSelector().recommend_model({"modality": "image", "task_complexity": "high", "features": ["analysis"]})
    assert all("vision" in MODELS[row["model"]].features for row in found)
    assert found[0]["score"] == 5
    assert found[0]["reasons"] == [
        "excellent for complex reasoning",
        "supports analysis",
        "made for image",
    ]


def test_a_wish_that_nobody_grants_does_not_empty_the_list_of_a_demand() -> None:
    """ "low" complexity scores nothing in the session; the models that see pictures still come back."""
    assert "gpt-4o" in names({"modality": "image", "task_complexity": "low"})


def test_required_features_may_be_strengths() -> None:
    """A strength of the session's table can be demanded, too."""
    assert set(names({"required_features": ["long context"]})) == {"gpt-4.1", "gpt-4.1-mini"}


def test_a_budget_excludes_what_costs_more_in_a_month() -> None:
    """2 M input and 1 M output tokens: gpt-4-turbo costs 50 USD, gpt-35-turbo 2.50."""
    usage = {"input_tokens": 2_000_000, "output_tokens": 1_000_000}
    found = names({"max_monthly_cost_usd": 2.5, "monthly_usage": usage, "modality": "text"})
    assert "gpt-35-turbo" in found
    assert "gpt-4-turbo" not in found
    costs = [MODELS[name].price.cost_usd(2_000_000, 1_000_000) for name in found]
    assert max(costs) <= 2.5


def test_available_only_leaves_out_retired_and_legacy_models() -> None:
    """What Azure no longer offers to new projects is not recommended for one."""
    assert names({"task_complexity": "high", "available_only": True})[0] == "gpt-4o"
    statuses = {MODELS[name].life.status for name in names({"available_only": True})}
    assert statuses == {"available"}


def test_a_model_the_reader_adds_takes_part() -> None:
    """``model_capabilities`` is a plain dictionary, as in the session; demands the catalogue answers exclude it."""
    selector = ModelSelector()
    selector.model_capabilities["mine"] = {
        "max_tokens": 1_000,
        "strengths": ["complex reasoning"],
        "best_for": [],
        "cost_tier": "low",
        "latency": "low",
    }
    found = selector.recommend_model({"task_complexity": "high", "response_time": "fast", "cost_sensitivity": "high"})
    assert (found[0]["model"], found[0]["score"]) == ("mine", 7)
    assert "mine" not in [row["model"] for row in selector.recommend_model({"available_only": True})]


@pytest.mark.parametrize(
    ("requirements", "said"),
    [
        pytest.param({"context_length": "long"}, "number of tokens", id="context-not-a-number"),
        pytest.param({"context_length": -1}, "-1", id="context-negative"),
        pytest.param({"features": "search"}, r"write \['search'\]", id="features-as-text"),
        pytest.param({"required_features": ["telepathy"]}, "json_schema", id="unknown-feature"),
        pytest.param({"modality": "smell"}, "text, image, embedding", id="unknown-modality"),
        pytest.param({"region": 5}, "name such as 'swedencentral'", id="region-not-a-name"),
        pytest.param({"sku": " "}, "name such as 'Standard'", id="sku-empty"),
        pytest.param({"supported_until": "soon"}, "date such as '2027-03-31', not 'soon'", id="no-date"),
        pytest.param({"max_monthly_cost_usd": 5}, "monthly_usage", id="budget-without-usage"),
        pytest.param({"max_monthly_cost_usd": "5", "monthly_usage": {}}, "US dollars", id="budget-as-text"),
        pytest.param(
            {"max_monthly_cost_usd": 5, "monthly_usage": {"input_tokens": -1}}, "input_tokens", id="negative-usage"
        ),
    ],
)
def test_a_value_that_cannot_be_right_is_refused(requirements: dict[str, Any], said: str) -> None:
    """The message names what was given and what is allowed."""
    with pytest.raises(InvalidRequestError, match=said):
        ModelSelector().recommend_model(requirements)


def test_an_unknown_requirement_is_ignored_aloud() -> None:
    """A misspelt requirement does not pass in silence."""
    with pytest.warns(UserWarning, match="'complexity' is ignored. Known: task_complexity"):
        ModelSelector().recommend_model({"complexity": "high"})


@pytest.mark.parametrize("name", SESSION_PRICES)
def test_costs_are_the_sessions(name: str) -> None:
    """The session's four models cost what its price list says, under the session's keys."""
    estimate: Any = ModelSelector().calculate_cost_estimate(name, {"input_tokens": 123_456, "output_tokens": 7_890})
    input_price, output_price = SESSION_PRICES[name]
    assert estimate["model"] == name
    assert estimate["breakdown"] == {
        "input_cost": pytest.approx(123.456 * input_price),
        "output_cost": pytest.approx(7.890 * output_price),
        "input_tokens": 123_456,
        "output_tokens": 7_890,
    }
    assert estimate["monthly_cost"] == pytest.approx(123.456 * input_price + 7.890 * output_price)
    assert estimate["price_source"]
    assert estimate["price_read"] == "2026-11-22"
    assert estimate["currency"] == "USD"


def test_usage_not_given_counts_as_nothing() -> None:
    """An empty month costs nothing, as in the session."""
    estimate: Any = ModelSelector().calculate_cost_estimate("gpt-4-turbo", {})
    assert estimate["monthly_cost"] == 0


def test_an_unknown_model_has_no_estimate_and_says_which_have() -> None:
    """The session's ``error`` key comes back, with the known names."""
    estimate: Any = ModelSelector().calculate_cost_estimate("gpt-9", {"input_tokens": 1})
    assert set(estimate) == {"error"}
    assert "'gpt-9'" in estimate["error"]
    assert "gpt-35-turbo" in estimate["error"]


@pytest.mark.parametrize("tokens", [-1, "many", None, float("nan"), True], ids=repr)
def test_tokens_that_are_no_count_are_refused(tokens: Any) -> None:
    """A negative month would make money; it is refused with the name of the field."""
    with pytest.raises(InvalidRequestError, match="output_tokens"):
        ModelSelector().calculate_cost_estimate("gpt-4-turbo", {"output_tokens": tokens})


def test_unknown_usage_is_ignored_aloud() -> None:
    """Tokens under another name would otherwise cost nothing."""
    with pytest.warns(UserWarning, match="'prompt_tokens' is ignored. Known: input_tokens"):
        ModelSelector().calculate_cost_estimate("gpt-4-turbo", {"prompt_tokens": 5})


def why_not(requirements: dict[str, Any], **options: Any) -> dict[str, list[str]]:
    """What excludes each model."""
    return {row["model"]: row["reasons"] for row in ModelSelector(**options).exclusions(requirements)}


@pytest.mark.parametrize(
    ("demand", "model", "reason"),
    [
        pytest.param(
            {"context_length": 16_386},
            "gpt-35-turbo",
            "its window of 16,385 tokens is smaller than 16,386",
            id="window",
        ),
        pytest.param({"required_features": ["vision"]}, "gpt-35-turbo", "lacks vision", id="feature"),
        pytest.param({"modality": "embedding"}, "gpt-4o", "not made for embedding", id="modality"),
        pytest.param(
            {"max_monthly_cost_usd": 5, "monthly_usage": {"input_tokens": 1_000_000}},
            "gpt-4-turbo",
            "costs 10.00 USD a month, at most 5.00 wanted",
            id="budget",
        ),
        pytest.param(
            {"available_only": True}, "gpt-35-turbo", "retired on Azure; its successor is gpt-4.1-mini", id="life"
        ),
        pytest.param(
            {"supported_until": "2028-01-01"},
            "gpt-4o",
            "available on Azure, retires on 2027-04-14; its successor is gpt-5",
            id="until",
        ),
    ],
)
def test_an_excluded_model_says_why(demand: dict[str, Any], model: str, reason: str) -> None:
    """The number that was found beside the one that was wanted."""
    assert why_not(demand)[model] == [reason]


def test_every_failed_demand_is_named() -> None:
    """A model that fails two demands has two reasons, so that one is not lifted in vain."""
    reasons = why_not({"modality": "image", "available_only": True})["gpt-35-turbo"]
    assert len(reasons) == 2


@pytest.mark.parametrize(
    "requirements",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"context_length": 100_000, "modality": "text", "available_only": True}, id="three"),
        pytest.param({"supported_until": date(2027, 3, 1), "task_complexity": "high"}, id="date"),
    ],
)
def test_a_model_is_either_excluded_or_meets_every_demand(requirements: dict[str, Any]) -> None:
    """No model is in both lists, and with a wish that all get, none is in neither."""
    excluded = set(why_not(requirements))
    recommended = set(names({**requirements, "context_length": requirements.get("context_length", 1)}))
    assert excluded | recommended == set(MODELS)
    assert not excluded & recommended


OFFERED = {"gpt-4o": ("Standard", "GlobalStandard"), "gpt-4.1": ("GlobalStandard",)}


def test_region_and_sku_are_demands() -> None:
    """What the region does not offer is excluded, and what it offers otherwise says how."""
    asked: list[str | None] = []

    def offered(region: str | None) -> dict[str, tuple[str, ...]]:
        asked.append(region)
        return OFFERED

    selector = ModelSelector(offered=offered)
    found = selector.recommend_model({"region": "westeurope", "sku": "Standard"})
    assert [(row["model"], row["reasons"]) for row in found] == [("gpt-4o", ["offered in westeurope as Standard"])]
    reasons = why_not({"region": "westeurope", "sku": "Standard"}, offered=offered)
    assert reasons["gpt-4.1"] == ["offered in westeurope as GlobalStandard, not as Standard"]
    assert reasons["gpt-5"] == ["not offered in westeurope"]
    assert why_not({"sku": "GlobalStandard"}, offered=offered)["gpt-5"] == ["not offered in the account's region"]
    assert asked == ["westeurope", "westeurope", None]


def test_the_control_plane_is_asked_only_when_it_matters() -> None:
    """Without a region or SKU among the demands no connection is needed."""
    assert names({"task_complexity": "high"})
    with pytest.raises(NoConnectionError, match="connect"):
        names({"region": "swedencentral"})


def test_the_region_answers_for_itself(local: LocalAzure) -> None:
    """Over the real SDK: all the local Azure's models, in its SKUs; an unknown region's error lists the known ones."""
    assert set(names({"sku": "GlobalStandard"})) == set(MODELS)
    reasons = why_not({"region": "swedencentral", "sku": "ProvisionedManaged"})
    assert reasons["gpt-4o"] == [
        "offered in swedencentral as Standard, GlobalStandard, DataZoneStandard, not as ProvisionedManaged"
    ]
    with pytest.raises(HttpResponseError, match="polandcentral"):
        names({"region": "mars"})
