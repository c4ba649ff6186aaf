import math

import matplotlib
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib import pyplot as plt

from labkit.errors import InvalidRequestError
from labkit.slo import Measured, chart, is_refusal, requests_to_show, scorecard, share_interval
from labkit.validation import ContentFilteredError
from tests.scripted import filtered_prompt, refused, sdk_error

matplotlib.use("agg")
GOOD = Measured(requests=1000, failed=2, calls=600, latency_s=900.0, cache_hits=400, cost_usd=0.8)


def test_the_four_metrics_with_target_verdict_and_sample():
    """A small table that reads by itself."""
    table = scorecard(GOOD, baseline_usd_per_request=0.001)
    assert list(table.index) == ["availability_share", "mean_latency_s", "cache_hit_share", "cost_saving_share"]
    assert table["measured"].tolist() == pytest.approx([0.998, 1.5, 0.4, 0.2])
    assert table["target"].tolist() == ["> 0.995", "< 3", "> 0.3", ">= 0.2"]
    assert table["met"].tolist() == [True, True, True, True]
    assert table["sample"].tolist() == [1000, 600, 1000, 1000]
    assert list(table.columns) == ["measured", "target", "met", "sample", "low", "high", "verdict"]


@pytest.mark.parametrize(
    ("measured", "metric", "met"),
    [
        pytest.param(Measured(1000, 5), "availability_share", False, id="exactly 99.5 % is not above it"),
        pytest.param(Measured(1000, 4), "availability_share", True, id="99.6 %"),
        pytest.param(Measured(1, 0, calls=1, latency_s=3.0), "mean_latency_s", False, id="exactly 3 s"),
        pytest.param(Measured(1, 0, calls=1, latency_s=2.99), "mean_latency_s", True, id="2.99 s"),
        pytest.param(Measured(10, 0, cache_hits=3), "cache_hit_share", False, id="exactly 30 %"),
        pytest.param(Measured(10, 0, cost_usd=0.0081), "cost_saving_share", False, id="19 % saved"),
        pytest.param(Measured(10, 0, cost_usd=0.008), "cost_saving_share", True, id="exactly 20 % saved"),
        pytest.param(Measured(10, 0, cost_usd=0.02), "cost_saving_share", False, id="dearer than before"),
    ],
)
def test_targets_at_their_edges(measured, metric, met):
    """Above 99.5 %, below 3 s, above 30 %, by 20 %: as the session words them."""
    assert scorecard(measured, baseline_usd_per_request=0.001).loc[metric, "met"] is met


@pytest.mark.parametrize(
    ("measured", "baseline"),
    [
        pytest.param(Measured(0, 0, cache_hits=0, cost_usd=0.0), 0.001, id="no request yet"),
        pytest.param(Measured(5, 5, refused=0), None, id="no answer, no cache, no price"),
        pytest.param(Measured(5, 0, cost_usd=math.nan, cache_hits=0), 0.001, id="price unknown"),
    ],
)
def test_what_was_not_measured_has_no_verdict(measured, baseline):
    """None, neither met nor missed."""
    table = scorecard(measured, baseline_usd_per_request=baseline)
    assert table.loc["cost_saving_share", "met"] is None
    assert table.loc["mean_latency_s", "met"] is None


def test_refused_requests_say_nothing_about_availability():
    """Of four, one could not be answered by anyone, and one of the other three was not."""
    measured = Measured(requests=4, failed=1, refused=1)
    assert measured.availability_share == pytest.approx(2 / 3)
    assert scorecard(measured).loc["availability_share", "sample"] == 3


@pytest.mark.parametrize(
    ("measured", "metric", "verdict"),
    [
        pytest.param(Measured(50, 0), "availability_share", "too few to tell", id="none of 50 failed"),
        pytest.param(Measured(1000, 0), "availability_share", "met", id="none of 1,000 failed"),
        pytest.param(Measured(400, 40), "availability_share", "missed", id="40 of 400 failed"),
        pytest.param(Measured(3, 0, cache_hits=3), "cache_hit_share", "met", id="3 of 3 are surely above 30 %"),
        pytest.param(Measured(10, 0, cache_hits=4), "cache_hit_share", "too few to tell", id="4 hits of 10"),
        pytest.param(Measured(10, 0, cache_hits=0), "cache_hit_share", "missed", id="no hit in 10"),
        pytest.param(Measured(9, 0), "cache_hit_share", "not measured", id="no cache"),
        pytest.param(Measured(9, 0, calls=9, latency_s=9.0), "mean_latency_s", "met in this run", id="only a sum"),
        pytest.param(
            Measured(2, 0, calls=2, latency_s=5.0, latencies_s=(0.5, 4.5)),
            "mean_latency_s",
            "too few to tell",
            id="two calls that scatter",
        ),
        pytest.param(
            Measured(9, 0, calls=9, latency_s=9.0, latencies_s=(0.9, 1.1, 1.0)), "mean_latency_s", "met", id="steady"
        ),
        pytest.param(Measured(10, 0, cost_usd=0.02), "cost_saving_share", "missed in this run", id="dearer"),
        pytest.param(Measured(10, 0, cost_usd=math.nan), "cost_saving_share", "not measured", id="price unknown"),
    ],
)
def test_a_small_sample_is_not_sold_as_proof(measured, metric, verdict):
    """The verdict says whether the target is met beyond chance, or only that it is in this run."""
    assert scorecard(measured, baseline_usd_per_request=0.001).loc[metric, "verdict"] == verdict


def test_the_interval_is_wilsons():
    """Compared with values worked out by hand from his formula."""
    assert share_interval(50, 50) == pytest.approx((0.92865, 1.0), abs=1e-5)
    assert share_interval(15, 50) == pytest.approx((0.19103, 0.43750), abs=1e-4)
    assert all(math.isnan(end) for end in share_interval(0, 0))
    with pytest.raises(InvalidRequestError, match="3 of 2"):
        share_interval(3, 2)


@given(st.integers(1, 10**6).flatmap(lambda total: st.tuples(st.integers(0, total), st.just(total))))
def test_an_interval_holds_the_share_and_mirrors_its_opposite(sample):
    """From 0 to 1 with the share inside; the share of failures has the mirrored one."""
    successes, total = sample
    low, high = share_interval(successes, total)
    assert 0 <= low <= successes / total <= high <= 1
    assert share_interval(total - successes, total) == pytest.approx((1 - high, 1 - low), abs=1e-12)


@given(st.floats(0, 0.9999))
def test_the_sample_that_shows_a_share_is_the_smallest(share):
    """One request fewer would be too few to tell."""
    needed = requests_to_show(share)
    assert share_interval(needed, needed)[0] > share - 1e-12
    assert needed == 1 or share_interval(needed - 1, needed - 1)[0] <= share + 1e-12


def test_how_many_requests_show_the_target():
    """765 without a failure; the size of load test to plan."""
    assert requests_to_show(0.995) == 765
    assert scorecard(Measured(764, 0)).loc["availability_share", "verdict"] == "too few to tell"
    assert scorecard(Measured(765, 0)).loc["availability_share", "verdict"] == "met"
    with pytest.raises(InvalidRequestError, match=r"such as 0\.995"):
        requests_to_show(1.0)


COUNTS = st.integers(0, 1000)


@st.composite
def measurements(draw):
    """What one optimizer or service may have measured."""
    latencies_s = draw(st.lists(st.floats(0, 100), max_size=5))
    known = draw(st.booleans())
    return Measured(
        requests=draw(COUNTS) + 1,
        failed=draw(COUNTS),
        refused=draw(COUNTS),
        calls=len(latencies_s),
        latency_s=sum(latencies_s),
        cache_hits=draw(COUNTS) if known else None,
        cost_usd=draw(st.integers(0, 100)) / 4 if known else None,
        latencies_s=tuple(latencies_s),
    )


@given(measurements(), measurements(), measurements())
def test_measurements_add_up_in_any_order(one, two, three):
    """Counts are summed; what one of them did not measure, the sum does not know; nothing changes nothing."""
    total = sum([one, two, three])
    again = three + (one + two)
    for field in ("requests", "failed", "refused", "calls", "cache_hits", "cost_usd"):
        parts = [getattr(each, field) for each in (one, two, three)]
        assert getattr(total, field) == getattr(again, field) == (None if None in parts else sum(parts))
    assert total.latency_s == pytest.approx(again.latency_s)
    assert sorted(total.latencies_s) == sorted(again.latencies_s)
    assert one + Measured(0, 0) == Measured(0, 0) + one == one


def test_only_measurements_are_added():
    """A number is none."""
    with pytest.raises(TypeError):
        _ = GOOD + 1
    with pytest.raises(TypeError):
        _ = 1 + GOOD


def test_percentiles_of_single_latencies():
    """As numpy works them out; unknown where only the sum was kept."""
    measured = Measured(5, 0, latencies_s=(5.0, 1.0, 2.0, 3.0, 4.0))
    found = [measured.latency_percentile_s(percent) for percent in (0, 50, 90, 95, 100)]
    assert found == pytest.approx([1.0, 3.0, 4.6, 4.8, 5.0])
    assert math.isnan(GOOD.latency_percentile_s(95))
    with pytest.raises(InvalidRequestError, match="such as 95"):
        measured.latency_percentile_s(101)


def test_the_chart_says_what_the_table_says():
    """A panel for each metric with target, value, sample and verdict in words, and its limits as a line."""
    card = scorecard(Measured(50, 0, calls=20, latency_s=14.0, cache_hits=30), baseline_usd_per_request=0.001)
    figure = chart(card)
    texts = [{text.get_text() for text in axes.texts} for axes in figure.axes]
    assert texts == [
        {"availability", "target > 99.5 %", "? 100.0 %", "too few to tell, n = 50"},
        {"mean latency", "target < 3 s", "\u2713 0.70 s", "met in this run, n = 20"},
        {"cache hit rate", "target > 30 %", "\u2713 60.0 %", "met, n = 50"},
        {"saved per request", "target \u2265 20 %", "\u2013 ", "not measured, n = 50"},
    ]
    availability = figure.axes[0]
    limits = [line.get_xdata() for line in availability.lines if len(line.get_xdata()) == 2]
    assert list(card.loc["availability_share", ["low", "high"]]) in [list(ends) for ends in limits]
    shown_from, shown_to = availability.get_xlim()
    assert shown_from < card.loc["availability_share", "low"]
    assert shown_to == 1


@pytest.mark.parametrize(
    "measured",
    [
        Measured(0, 0),
        Measured(10, 10, cache_hits=0, cost_usd=0.5, calls=1, latency_s=900.0),
        Measured(3, 0, refused=3, cost_usd=math.nan),
    ],
    ids=["nothing", "all bad", "all refused"],
)
def test_any_table_can_be_drawn_once(measured):
    """Also an empty one; the figure is closed, so that a notebook shows it once, and its texts fit into it."""
    figure = chart(scorecard(measured, baseline_usd_per_request=0.001))
    assert plt.get_fignums() == []
    figure.canvas.draw()
    box = figure.bbox
    for text in (text for axes in figure.axes for text in axes.texts):
        extent = text.get_window_extent()
        assert box.x0 <= extent.x0
        assert extent.x1 <= box.x1


@pytest.mark.parametrize(
    ("error", "refusal"),
    [
        (InvalidRequestError("x"), True),
        (ContentFilteredError("x"), True),
        (sdk_error(filtered_prompt()), True),
        (sdk_error(refused(422)), True),
        (sdk_error(refused(429)), False),
        (sdk_error(refused(404)), False),
        (sdk_error(refused(503)), False),
        (TimeoutError(), False),
    ],
)
def test_a_refusal_is_the_fault_of_the_request(error, refusal):
    """A limit or a missing deployment is not: the user got no answer."""
    assert is_refusal(error) is refusal
