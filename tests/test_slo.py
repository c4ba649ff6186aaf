import math

import pytest

from labkit.errors import InvalidRequestError
from labkit.slo import Measured, is_refusal, scorecard
from labkit.validation import ContentFilteredError
from tests.scripted import filtered_prompt, refused, sdk_error

GOOD = Measured(requests=1000, failed=2, calls=600, latency_s=900.0, cache_hits=400, cost_usd=0.8)


def test_the_four_metrics_with_target_verdict_and_sample():
    """A small table that reads by itself."""
    table = scorecard(GOOD, baseline_usd_per_request=0.001)
    assert list(table.index) == ["availability_share", "mean_latency_s", "cache_hit_share", "cost_saving_share"]
    assert table["measured"].tolist() == pytest.approx([0.998, 1.5, 0.4, 0.2])
    assert table["target"].tolist() == ["> 0.995", "< 3", "> 0.3", ">= 0.2"]
    assert table["met"].tolist() == [True, True, True, True]
    assert table["sample"].tolist() == [1000, 600, 1000, 1000]


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
