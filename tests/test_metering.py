import logging
import math

import pytest
from openai.types import CreateEmbeddingResponse

from labkit.errors import UnknownModelError
from labkit.metering import Usage, UsageMeter, answered_by, cost_usd, latency_s, usage
from tests.scripted import completion


@pytest.mark.parametrize(
    ("headers", "expected_s"),
    [
        pytest.param({"openai-processing-ms": "840"}, 0.84, id="the service says"),
        pytest.param({"openai-processing-ms": "0"}, 0.0, id="zero is an answer too"),
        pytest.param({}, 2.5, id="it does not say"),
        pytest.param(None, 2.5, id="no headers: the connection broke"),
        pytest.param({"openai-processing-ms": "soon"}, 2.5, id="not a number"),
        pytest.param({"openai-processing-ms": "nan"}, 2.5, id="nan"),
        pytest.param({"openai-processing-ms": "-3"}, 2.5, id="negative"),
    ],
)
def test_latency_is_the_services_own_where_it_is_said(headers, expected_s):
    """The wall clock counts only where the service does not say how long it took."""
    assert latency_s(headers, 2.5) == expected_s


def test_usage_reads_every_kind_of_token():
    """Cached tokens are part of the prompt, reasoning tokens of the completion."""
    used = usage(completion(prompt_tokens=100, completion_tokens=50, cached_tokens=64, reasoning_tokens=30))
    assert used == Usage(prompt_tokens=100, completion_tokens=50, cached_tokens=64, reasoning_tokens=30)
    assert used.total_tokens == 150


def test_usage_of_an_answer_without_usage_is_zero():
    """A stream without ``include_usage`` and some gateways leave it out."""
    answer = completion()
    answer.usage = None
    assert usage(answer) == Usage()


def test_usage_of_embeddings_has_no_completion():
    """An embeddings answer is metered by the same function."""
    answer = CreateEmbeddingResponse.model_validate(
        {
            "object": "list",
            "model": "text-embedding-3-small",
            "data": [],
            "usage": {"prompt_tokens": 9, "total_tokens": 9},
        }
    )
    assert usage(answer) == Usage(prompt_tokens=9)
    assert cost_usd(answer) == pytest.approx(9 * 0.02 / 1e6)


@pytest.mark.parametrize(
    ("said", "known"),
    [
        ("gpt-4-turbo-2024-04-09", "gpt-4-turbo"),
        ("gpt-35-turbo-0125", "gpt-35-turbo"),
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("gpt-4o-2099-01-01", "gpt-4o"),
        ("gpt-4o-mini", "gpt-4o-mini"),
        # "gpt-4" alone could be a model at three times the price.
        ("gpt-4", None),
        ("phi-9", None),
        ("", None),
    ],
)
def test_the_model_is_known_by_what_the_answer_says(said, known):
    """A deployment can be called anything; the snapshot in the answer tells the model, also a newer date of it."""
    found = answered_by(completion(model=said))
    assert (found.name if found else None) == known


def test_cost_counts_cached_input_at_its_own_price():
    """gpt-4o: 2.50 a million fresh, 1.25 cached, 10 out."""
    answer = completion(prompt_tokens=1000, cached_tokens=400, completion_tokens=100)
    assert cost_usd(answer) == pytest.approx((600 * 2.5 + 400 * 1.25 + 100 * 10) / 1e6)


def test_cost_of_an_unknown_model_names_the_known_ones():
    """The error lists what the catalogue has, and a name given by hand is taken."""
    with pytest.raises(UnknownModelError, match="gpt-4-turbo"):
        cost_usd(completion(model="phi-9"))
    assert cost_usd(completion(model="phi-9"), "gpt-4o") > 0


def test_meter_adds_up_each_deployment():
    """Calls, tokens, time and money are kept apart by deployment."""
    meter = UsageMeter()
    meter.record("big", completion(prompt_tokens=10, completion_tokens=4), 1.0)
    meter.record("big", completion(prompt_tokens=30, completion_tokens=6), 3.0)
    meter.record("small", completion(model="gpt-35-turbo-0125"), 0.5)
    big = meter.totals()["big"]
    assert (big["model"], big["calls"], big["prompt_tokens"], big["completion_tokens"]) == ("gpt-4o", 2, 40, 10)
    assert big["mean_latency_s"] == pytest.approx(2.0)
    assert big["cost_usd"] == pytest.approx((40 * 2.5 + 10 * 10) / 1e6)
    assert meter.cost_usd == pytest.approx(big["cost_usd"] + meter.totals()["small"]["cost_usd"])


def test_sums_do_not_depend_on_the_order_of_the_calls():
    """Concurrent calls end in any order; a stored output must not change with it, not even in its last digit."""
    answers = [completion(prompt_tokens=7 * n, completion_tokens=3 * n, cached_tokens=n) for n in range(1, 200)]
    calls = [(answer, number * 0.137) for number, answer in enumerate(answers)]
    seen = set()
    for order in (calls, calls[::-1], calls[100:] + calls[:100]):
        meter = UsageMeter()
        for answer, seconds in order:
            meter.record("big", answer, seconds)
        seen.add((meter.cost_usd, meter.totals()["big"]["mean_latency_s"]))
    assert len(seen) == 1


def test_a_cached_answer_costs_nothing():
    """It counts as a hit, and adds neither a call nor tokens nor money nor time."""
    meter = UsageMeter()
    meter.record("big", completion(), 2.0)
    before = meter.totals()["big"]
    meter.record("big", completion(), 0.0, cached=True)
    after = meter.totals()["big"]
    assert (after["calls"], after["cache_hits"]) == (1, 1)
    unchanged = ("prompt_tokens", "completion_tokens", "cost_usd", "mean_latency_s")
    assert [after[key] for key in unchanged] == [before[key] for key in unchanged]


def test_an_unknown_price_makes_the_cost_unknown(caplog):
    """Tokens still count; the cost is nan rather than too small, and one warning says how to name the model."""
    meter = UsageMeter()
    with caplog.at_level(logging.WARNING, logger="labkit"):
        meter.record("mine", completion(model="phi-9"), 1.0)
        meter.record("mine", completion(model="phi-9"), 1.0)
    assert meter.totals()["mine"]["prompt_tokens"] == 40
    assert math.isnan(meter.cost_usd)
    assert [record.getMessage() for record in caplog.records] == [
        "No price for model 'phi-9' behind deployment 'mine': its cost is unknown (nan) from here on. Say which model "
        "it is: UsageMeter(models={'mine': name}), with a name from labkit.catalog.MODELS."
    ]


def test_a_deployments_model_can_be_said():
    """For answers that name no known model; a wrong name is refused at once."""
    meter = UsageMeter({"mine": "gpt-4o"})
    meter.record("mine", completion(model="phi-9"), 1.0)
    assert meter.totals()["mine"]["model"] == "gpt-4o"
    with pytest.raises(UnknownModelError):
        UsageMeter({"mine": "phi-9"})


def test_totals_are_a_copy():
    """Changing what was handed out does not change the meter."""
    meter = UsageMeter()
    meter.record("big", completion(), 1.0)
    meter.totals()["big"]["calls"] = 99
    assert meter.totals()["big"]["calls"] == 1


def test_frame_has_one_row_a_deployment():
    """The table has the totals' names as columns, also when nothing was recorded yet."""
    meter = UsageMeter()
    assert list(meter.frame().columns) == list(UsageMeter().frame().columns)
    assert len(meter.frame()) == 0
    meter.record("big", completion(), 1.0)
    table = meter.frame()
    assert table.index.name == "deployment"
    assert table.loc["big", "prompt_tokens"] == 20
