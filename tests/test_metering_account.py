"""What a meter learns from the control plane, and what writing to a cache costs."""

import math

import pytest

from labkit import AzureOpenAIManager, clients
from labkit.catalog import MODELS
from labkit.metering import (
    UsageMeter,
    cost_usd,
    usage,
)
from tests.scripted import ask, completion


@pytest.fixture
def misnamed(local):
    """Two deployments, each called after the other one's model."""
    manager = AzureOpenAIManager()
    manager.deploy_language_model("gpt-4.1-nano", "gpt-4o", capacity=100)
    manager.deploy_language_model("gpt-4o", "gpt-4.1-nano", capacity=100)


@pytest.mark.usefixtures("misnamed")
@pytest.mark.parametrize(("deployment", "runs"), [("gpt-4o", "gpt-4.1-nano"), ("gpt-4.1-nano", "gpt-4o")])
@pytest.mark.parametrize("said", ["the snapshot", "nothing", "the deployment's name"])
def test_a_deployments_name_never_hides_its_price(deployment, runs, said):
    """The answer's snapshot tells the model, else the control plane; the name of the deployment never does."""
    answer = clients.openai().chat.completions.create(model=deployment, messages=ask(), max_tokens=20)
    assert answer.model == MODELS[runs].snapshot
    answer.model = {"the snapshot": answer.model, "nothing": "", "the deployment's name": deployment}[said]
    meter = UsageMeter.of_account()
    meter.record(deployment, answer, 1.0)
    (totals,) = meter.totals().values()
    assert totals["model"] == runs
    assert totals["cost_usd"] == pytest.approx(usage(answer).cost_usd(runs))
    assert meter.cost_of(deployment, answer) == totals["cost_usd"]


@pytest.mark.usefixtures("misnamed")
def test_without_the_control_plane_a_name_is_no_price(caplog):
    """An answer that names no model is of unknown cost, even where the deployment is called like one."""
    answer = clients.openai().chat.completions.create(model="gpt-4o", messages=ask(), max_tokens=20)
    answer.model = ""
    meter = UsageMeter()
    meter.record("gpt-4o", answer, 1.0)
    assert math.isnan(meter.cost_usd)
    assert "No price for model ''" in caplog.text


def test_writing_to_the_services_cache_has_a_price_of_its_own():
    """Where a model has one: gpt-5.6-luna takes 0.25 a million for it, 0.20 for other input, 0.02 for cached."""
    answer = completion(model="gpt-5.6-luna", prompt_tokens=1000, cached_tokens=200, completion_tokens=0)
    answer.usage.prompt_tokens_details.cache_write_tokens = 300
    assert usage(answer).cache_write_tokens == 300
    assert cost_usd(answer) == pytest.approx((500 * 0.2 + 200 * 0.02 + 300 * 0.25) / 1e6)
