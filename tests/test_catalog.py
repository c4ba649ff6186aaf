"""The catalogue: complete, sourced, and consistent with itself."""

from datetime import date

import pytest

from labkit import catalog
from labkit.catalog import MODELS, Model, Price
from labkit.errors import LabkitError, UnknownModelError

OF_THE_SESSION = ("gpt-4-turbo", "gpt-35-turbo", "gpt-4-vision", "text-embedding-ada-002")
OF_TODAY = ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini", "gpt-5", "gpt-5-mini", "text-embedding-3-small")


@pytest.fixture(params=MODELS.values(), ids=lambda model: model.name)
def model(request: pytest.FixtureRequest) -> Model:
    """Each model of the catalogue."""
    found: Model = request.param
    return found


def test_catalogue_has_the_sessions_models_and_todays() -> None:
    """The four of the session are there, and the families that replaced them."""
    assert set(OF_THE_SESSION + OF_TODAY) <= MODELS.keys()


def test_numbers_have_a_source_and_a_date(model: Model) -> None:
    """Prices and life cycle say where they come from and when they were read."""
    for fact in (model.price, model.life):
        assert len(fact.source) > 10
        assert date(2026, 1, 1) <= fact.read <= date(2026, 12, 31)


def test_life_cycle_leads_somewhere(model: Model) -> None:
    """A retired model names a successor that is available or at least known."""
    assert model.life.status in ("available", "legacy", "retired")
    if model.life.status == "retired":
        assert model.life.successor in MODELS
    if model.life.successor is not None:
        assert model.life.successor in MODELS


def test_simulation_makes_sense(model: Model) -> None:
    """Quality falls with difficulty and stays between 0 and 1; time and limits are positive."""
    quality = model.simulated.quality
    assert len(quality) == 3
    assert list(quality) == sorted(quality, reverse=True)
    assert all(0 <= share <= 1 for share in quality)
    assert model.simulated.first_token_ms > 0
    assert model.context_tokens >= model.max_output_tokens >= 0
    assert model.quota_ktpm > 0
    assert model.rpm_per_ktpm > 0


def test_kind_fits_the_other_fields(model: Model) -> None:
    """Embedding models have dimensions and no output; reasoning models say how they refuse a temperature."""
    assert model.kind in ("chat", "reasoning", "embedding")
    assert model.is_embedding == (model.dimensions is not None) == (model.max_output_tokens == 0)
    assert model.is_reasoning == (model.reasoning_temperature_error is not None)
    assert model.encoding in ("cl100k_base", "o200k_base")


def test_names_are_unique() -> None:
    """No two models answer under the same name and version, or as the same snapshot."""
    assert len({(m.azure_name, m.azure_version) for m in MODELS.values()}) == len(MODELS)
    assert len({m.snapshot for m in MODELS.values()}) == len(MODELS)


def test_model_is_found_by_azures_name(model: Model) -> None:
    """Name and version lead back to the model; the name alone to the first one listed under it."""
    assert catalog.by_azure(model.azure_name, model.azure_version) is model
    first = catalog.by_azure(model.azure_name)
    assert first is not None
    assert first.azure_name == model.azure_name


@pytest.mark.parametrize(("name", "version"), [("gpt-9", None), ("gpt-4", "0001"), ("gpt-4-turbo", None)])
def test_azure_does_not_know_everything(name: str, version: str | None) -> None:
    """Unknown names and versions give None; the course's own name is not Azure's."""
    assert catalog.by_azure(name, version) is None


def test_unknown_model_lists_the_known_ones() -> None:
    """The error is labkit's own, a KeyError too, and its message is not put in quotes."""
    with pytest.raises(UnknownModelError) as caught:
        catalog.model("gpt-9")
    assert isinstance(caught.value, LabkitError)
    assert isinstance(caught.value, KeyError)
    assert str(caught.value).startswith("The catalogue has no model 'gpt-9'. It knows: gpt-4-turbo, ")


def test_catalogue_cannot_be_changed() -> None:
    """Everybody reads the same catalogue."""
    with pytest.raises(TypeError):
        MODELS["mine"] = MODELS["gpt-4o"]  # type: ignore[index]


def test_cost_counts_cached_tokens_once() -> None:
    """Cached tokens are part of the prompt and are billed at their own price."""
    price = Price(input=2.0, cached_input=0.5, output=8.0, source="made up for this test", read=date(2026, 1, 1))
    assert price.cost_usd(1_000_000, 0) == 2.0
    assert price.cost_usd(1_000_000, 500_000, cached_tokens=1_000_000) == 0.5 + 4.0
    assert price.cost_usd(0, 0) == 0.0
