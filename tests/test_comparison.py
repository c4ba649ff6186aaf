"""The comparison's table: percentiles, tokens, costs and shares, from answers made up here."""

import math

import pytest

from labkit import bank, comparison
from labkit.catalog import model
from labkit.comparison import Answered, Contender, most_frequent, observations, observe, summary
from labkit.errors import InvalidRequestError
from labkit.metering import Usage

BIG = Contender("big", "gpt-4-turbo", model("gpt-4-turbo"))
UNPRICED = Contender("next", "gpt-9", None)


def answered(latency_s: float, right: bool | None = True) -> Answered:
    """An answer of 100 prompt and 10 completion tokens."""
    return Answered(latency_s=latency_s, usage=Usage(prompt_tokens=100, completion_tokens=10), right=right)


def test_a_row_sums_up_the_calls_of_a_deployment() -> None:
    """Percentiles of the latency, sums of the tokens, cost at the model's list price, share of right answers."""
    table = summary({BIG: [*(answered(second) for second in (1, 2, 3)), answered(4, right=False)]})
    assert list(table.columns) == [
        "model",
        "calls",
        "errors",
        "latency_p50_s",
        "latency_p95_s",
        "prompt_tokens",
        "completion_tokens",
        "cost_usd",
        "right_share",
    ]
    row = table.loc["big"]
    assert table.index.name == "deployment"
    assert (row["model"], row["calls"], row["errors"]) == ("gpt-4-turbo", 4, 0)
    assert (row["latency_p50_s"], row["latency_p95_s"]) == (2.5, pytest.approx(3.85))
    assert (row["prompt_tokens"], row["completion_tokens"]) == (400, 40)
    assert row["cost_usd"] == pytest.approx((400 * 10 + 40 * 30) / 1e6)
    assert row["right_share"] == 0.75


def test_a_call_that_failed_has_no_time_and_no_right_answer() -> None:
    """It counts as an error, and lowers the share of right answers: it gave none."""
    row = summary({BIG: [answered(1), Answered(error="429", right=False)]}).loc["big"]
    assert (row["calls"], row["errors"], row["latency_p95_s"], row["right_share"]) == (2, 1, 1.0, 0.5)


def test_questions_that_nobody_knows_the_answer_of_have_no_share() -> None:
    """Not 0, which would look like a model that is always wrong."""
    assert math.isnan(summary({BIG: [answered(1, right=None)]}).loc["big", "right_share"])


def test_a_deployment_whose_calls_all_failed_still_has_a_row() -> None:
    """Its latencies are not numbers, its cost is nothing."""
    row = summary({BIG: [Answered(error="500")]}).loc["big"]
    assert math.isnan(row["latency_p50_s"])
    assert row["cost_usd"] == 0


def test_an_unknown_price_is_not_a_low_one() -> None:
    """A model without a price costs nan, which sorts last."""
    table = summary({UNPRICED: [answered(1)], BIG: [answered(1)]})
    assert math.isnan(table.loc["next", "cost_usd"])
    assert list(table.sort_values("cost_usd").index) == ["big", "next"]


def test_the_default_questions_have_every_level_and_language() -> None:
    """Eight of each level, so that an easy half does not hide a weak model."""
    questions = comparison.default_questions()
    assert [question.level for question in questions] == [1] * 8 + [2] * 8 + [3] * 8
    assert {question.language for question in questions} == set(bank.LANGUAGES)
    assert questions == comparison.default_questions()


@pytest.mark.parametrize(
    ("texts", "place", "share"),
    [
        pytest.param(["42"], 0, 1.0, id="one"),
        pytest.param(["a", "42", "42.", " 42 "], 1, 0.75, id="majority"),
        pytest.param(["Paris", "PARIS!", "paris"], 0, 1.0, id="case and signs"),
        pytest.param(["3.5", "35", "-35"], 0, 1 / 3, id="numbers differ"),
        pytest.param(["a", "b"], 0, 0.5, id="tie"),
        pytest.param(["", ""], 0, 1.0, id="nothing said"),
    ],
)
def test_the_most_frequent_answer_is_found_by_its_words(texts, place, share):
    """Upper case and full stops do not tell answers apart, signs and points of numbers do."""
    assert most_frequent(texts) == (place, share)


def test_observations_have_a_row_for_each_answer():
    """The question beside what was said, whether it was right, and what it cost."""
    answers = [Answered(latency_s=1, usage=Usage(100, 10), right=True, text="42"), Answered(error="500", right=False)]
    table = observations(["One?", "Two?"], {BIG: answers})
    assert table["question"].tolist() == ["One?", "Two?"]
    assert table.loc[0, ["deployment", "model", "answer", "right", "samples", "agreement"]].tolist() == [
        *("big", "gpt-4-turbo", "42", True, 1, 1.0),
    ]
    assert table.loc[0, "cost_usd"] == pytest.approx((100 * 10 + 10 * 30) / 1e6)
    assert table.loc[1, "error"] == "500"
    assert math.isnan(table.loc[1, "latency_s"])


@pytest.mark.parametrize("samples", [0, 129, True, 1.5])
def test_a_number_of_samples_that_the_service_would_refuse_is_refused(samples):
    """Before anything is sent."""
    with pytest.raises(InvalidRequestError, match="from 1 to 128"):
        observe(None, [BIG], ["One?"], samples=samples)
