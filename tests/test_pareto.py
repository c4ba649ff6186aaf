"""The Pareto view: who dominates whom, how sure that is, and what the picture shows."""

import math

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from labkit import pareto
from labkit.errors import InvalidRequestError
from labkit.manager import AzureOpenAIManager


def table(**rows: tuple[float, float, float]) -> pd.DataFrame:
    """A comparison of 50 calls each: share of right answers, cost of all calls, median latency."""
    columns = ["right_share", "cost_usd", "latency_p50_s"]
    return pd.DataFrame.from_dict(rows, orient="index", columns=columns).assign(calls=50).rename_axis("deployment")


MEASURED = table(dear=(0.9, 0.50, 1.0), cheap=(0.7, 0.05, 0.5), bad=(0.8, 0.60, 1.0), quick=(0.7, 0.10, 0.1))


def test_a_deployment_is_dominated_by_what_is_as_good_in_everything():
    """The worse and dearer one is; the one whose only merit is its speed is not."""
    found = pareto.frontier(MEASURED)
    assert list(found.index) == ["dear", "bad", "cheap", "quick"]
    assert found["dominated_by"].to_dict() == {"dear": (), "bad": ("dear",), "cheap": (), "quick": ()}


def test_costs_are_for_a_thousand_calls_and_shares_have_an_interval():
    """From the calls that were made: 45 of 50 right is 79 to 96 %."""
    row = pareto.frontier(MEASURED).loc["dear"]
    assert row["cost_usd_per_1000"] == pytest.approx(10.0)
    assert (row["right_low"], row["right_high"]) == (pytest.approx(0.786, abs=1e-3), pytest.approx(0.957, abs=1e-3))


def test_equals_do_not_dominate_each_other():
    """Two that measured alike are both worth choosing."""
    found = pareto.frontier(table(one=(0.9, 0.5, 1.0), two=(0.9, 0.5, 1.0)))
    assert found["dominated_by"].tolist() == [(), ()]


def test_what_is_not_known_takes_no_part():
    """No price, or no questions with known answers: neither better nor worse than anything."""
    found = pareto.frontier(table(free=(0.99, math.nan, 0.1), mute=(math.nan, 0.01, 0.1), bad=(0.5, 9.0, 9.0)))
    assert found["dominated_by"].tolist() == [(), (), ()]


def test_a_latency_that_is_not_known_leaves_quality_and_cost():
    """A deployment is still beaten in what was measured."""
    found = pareto.frontier(table(good=(0.9, 0.1, math.nan), bad=(0.8, 0.2, 1.0)))
    assert found.loc["bad", "dominated_by"] == ("good",)


NUMBERS = st.tuples(st.sampled_from([0.2, 0.5, 0.9]), st.sampled_from([0.1, 0.2, 0.3]), st.sampled_from([0.5, 1.0]))


@given(st.lists(NUMBERS, min_size=1, max_size=7))
def test_something_is_always_worth_choosing_and_beats_all_the_rest(measured):
    """Each dominated deployment is dominated by one that is not; domination never goes both ways."""
    found = pareto.frontier(table(**{f"d{place}": numbers for place, numbers in enumerate(measured)}))
    beaten_by = found["dominated_by"].to_dict()
    chosen = {name for name, others in beaten_by.items() if not others}
    assert chosen
    assert all(not others or chosen & set(others) for others in beaten_by.values())
    assert all(name not in beaten_by[other] for name, others in beaten_by.items() for other in others)


def test_a_table_of_something_else_is_refused():
    """The message says which columns are missing and where they come from."""
    with pytest.raises(InvalidRequestError, match="lacks cost_usd, latency_p50_s; AzureOpenAIManager"):
        pareto.frontier(MEASURED.drop(columns=["cost_usd", "latency_p50_s"]))


def test_the_picture_shows_every_deployment_and_joins_those_worth_choosing():
    """Dominated ones in grey, the quick one aside of the line, and what the bars mean."""
    (axes,) = pareto.plot(MEASURED).axes
    names = [text.get_text().split("\n")[0] for text in axes.texts]
    assert names[:4] == ["dear", "bad", "cheap", "quick"]
    assert "from 50 calls" in axes.texts[4].get_text()
    line = axes.lines[0]
    assert (line.get_xdata().tolist(), line.get_ydata().tolist()) == (pytest.approx([1.0, 10.0]), [0.7, 0.9])
    markers = {line.get_marker() for line in axes.lines if len(line.get_xdata()) == 1}
    assert markers == {"o", "X"}
    assert axes.get_xscale() == "log"


@pytest.mark.parametrize(
    ("rows", "left_out"),
    [
        pytest.param({"one": (0.9, 0.5, 1.0)}, "", id="one"),
        pytest.param({"one": (0.9, 0.5, 1.0), "two": (0.9, 0.4, 1.0)}, "", id="close together"),
        pytest.param({"free": (0.9, math.nan, 1.0)}, "unknown: free", id="nothing known"),
        pytest.param({"one": (1.0, 0.5, math.nan), "free": (0.9, 0.0, 1.0)}, "unknown: free", id="no latency"),
    ],
)
def test_small_tables_have_a_picture_too(rows, left_out):
    """It is drawn, and names what it cannot show."""
    figure = pareto.plot(table(**rows))
    figure.canvas.draw()
    assert left_out in figure.axes[0].texts[-1].get_text()


def test_a_comparison_on_the_local_azure_has_a_frontier(local):
    """What ``compare`` gives is what ``frontier`` reads."""
    manager = AzureOpenAIManager()
    for name in ("gpt-4-turbo", "gpt-4.1"):
        manager.deploy_language_model(name, name.replace(".", ""), 100)
    found = pareto.frontier(manager.compare(["gpt-4-turbo", "gpt-41"]))
    assert found["dominated_by"].to_dict() == {"gpt-41": (), "gpt-4-turbo": ("gpt-41",)}
    assert found["model"].to_dict() == {"gpt-41": "gpt-4.1", "gpt-4-turbo": "gpt-4-turbo"}
