import logging
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse

from labkit.catalog import MODELS, Price
from labkit.errors import InvalidRequestError, UnknownModelError
from labkit.metering import (
    MOST_DAYS,
    OTHER_USERS,
    Usage,
    UsageMeter,
    answered_by,
    cost_usd,
    latency_s,
    usage,
    user_tag,
)
from tests.scripted import completion

DAY_S = 86_400
COUNTS = ["calls", "cache_hits", "prompt_tokens", "cached_tokens", "completion_tokens", "reasoning_tokens"]


class Clock:
    """Seconds since 1970, put where a test wants them."""

    def __init__(self, *when):
        self.now_s = datetime(*when, tzinfo=UTC).timestamp()

    def __call__(self):
        return self.now_s


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
        "it is: UsageMeter(models={'mine': name}), with a name from labkit.prices.known() or a labkit.catalog.Price."
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


def test_a_model_that_the_catalogue_lacks_has_a_price_too():
    """By its snapshot; one at a price of its own keeps its own name."""
    meter = UsageMeter()
    meter.record("new", completion(model="gpt-5.1-2025-11-13", prompt_tokens=100, completion_tokens=10), 1.0)
    meter.record("old", completion(model="gpt-4o-2024-05-13", prompt_tokens=100, completion_tokens=10), 1.0)
    totals = meter.totals()
    assert totals["new"]["cost_usd"] == pytest.approx((100 * 1.25 + 10 * 10) / 1e6)
    assert totals["old"]["cost_usd"] == pytest.approx((100 * 5 + 10 * 15) / 1e6)
    assert totals["old"]["model"] == "gpt-4o-2024-05-13"
    assert Usage(prompt_tokens=10**6).cost_usd("o1") == 15


def test_a_deployments_price_can_be_handed_in():
    """A model of the catalogue, or the price itself, for models that nobody lists."""
    price = Price(input=1.0, cached_input=0.5, output=2.0, source="contract", read=date(2026, 11, 25))
    meter = UsageMeter({"ours": price, "mini": MODELS["gpt-4o-mini"]})
    meter.record("ours", completion(model="phi-9", prompt_tokens=100, completion_tokens=10), 1.0)
    meter.record("mini", completion(model="", prompt_tokens=100, completion_tokens=10), 1.0)
    assert meter.totals()["ours"]["cost_usd"] == pytest.approx((100 + 20) / 1e6)
    assert [each["model"] for each in meter.totals().values()] == ["phi-9", "gpt-4o-mini"]


def test_the_cost_of_one_answer_is_that_of_its_deployment():
    """What a budget is settled with: the same price as in the sums, nan when unknown, and nothing is recorded."""
    meter = UsageMeter({"mine": "gpt-4o"})
    answer = completion(model="phi-9")
    assert meter.cost_of("mine", answer) == pytest.approx((20 * 2.5 + 5 * 10) / 1e6)
    assert math.isnan(meter.cost_of("other", answer))
    assert meter.totals() == {}


@pytest.mark.parametrize(
    ("params", "tag"),
    [
        pytest.param({"user": "ann"}, "ann", id="user"),
        pytest.param({"safety_identifier": "4f2a"}, "4f2a", id="what replaces it"),
        pytest.param({"user": "ann", "safety_identifier": "4f2a"}, "4f2a", id="both"),
        pytest.param({"safety_identifier": "", "user": "ann"}, "ann", id="an empty one"),
        pytest.param({"user": None}, None, id="None"),
        pytest.param({"user": 7}, None, id="no text"),
        pytest.param({}, None, id="neither"),
    ],
)
def test_a_request_says_who_it_is_for(params, tag):
    """By the parameters that the chat completion has for it."""
    assert user_tag(params) == tag


def test_calls_are_told_apart_by_model_user_and_day():
    """One row for each combination that occurred; days are those of UTC."""
    clock = Clock(2026, 5, 1, 23, 59)
    meter = UsageMeter(clock=clock)
    meter.record("big", completion(), 1.0, user="ann")
    meter.record("big", completion(), 3.0, user="ann", cached=True)
    clock.now_s += 120
    meter.record("big", completion(model="gpt-4.1-2025-04-14"), 3.0, user="ben")
    meter.record("small", completion(), 1.0)
    table = meter.frame(by=("user", "day"))
    assert list(table.index) == [
        ("ann", pd.Timestamp("2026-05-01")),
        ("ben", pd.Timestamp("2026-05-02")),
        ("", pd.Timestamp("2026-05-02")),
    ]
    assert list(table["calls"]) == [1, 1, 1]
    assert list(table["cache_hits"]) == [1, 0, 0]
    assert list(table["model"]) == ["gpt-4o", "gpt-4.1", "gpt-4o"]
    assert meter.frame().loc["big", "model"] == "gpt-4o, gpt-4.1"
    assert list(meter.frame(by="model").index) == ["gpt-4o", "gpt-4.1"]
    assert meter.frame(by="model").loc["gpt-4.1", "cost_usd"] == pytest.approx((20 * 2 + 5 * 8) / 1e6)


def test_a_table_by_days_is_fit_for_a_chart():
    """Its index is of dates, also before the first call."""
    meter = UsageMeter()
    assert list(meter.frame(by="day").columns) == list(meter.frame().columns)
    meter.record("big", completion(), 1.0)
    assert pd.api.types.is_datetime64_any_dtype(meter.frame(by="day").index)


@pytest.mark.parametrize("by", ["hour", (), ("deployment", "team")])
def test_only_known_dimensions_make_a_table(by):
    """The error names them."""
    with pytest.raises(InvalidRequestError, match="deployment, model, user, day"):
        UsageMeter().frame(by=by)


def test_user_tags_do_not_fill_the_memory(caplog):
    """Whoever sends a new tag with each call is counted with others after the first ones; one warning says so."""
    meter = UsageMeter(max_users=2)
    with caplog.at_level(logging.WARNING, logger="labkit"):
        for number in range(50):
            meter.record("big", completion(), 1.0, user=f"user-{number}")
    meter.record("big", completion(), 1.0, user="user-1")
    assert meter.frame(by="user")["calls"].to_dict() == {"user-0": 1, "user-1": 2, OTHER_USERS: 48}
    assert len(caplog.records) == 1
    assert "max_users" in caplog.text


def test_a_long_tag_is_cut():
    """128 characters are the most an identifier has; a hostile one has a million."""
    meter = UsageMeter()
    meter.record("big", completion(), 1.0, user="x" * 10**6)
    meter.record("big", completion(), 1.0, user="x" * 10**6)
    assert meter.frame(by="user")["calls"].to_dict() == {"x" * 128: 2}


def test_old_days_are_counted_together():
    """A service that runs for years keeps the last days apart; nothing is lost from the totals."""
    clock = Clock(2026, 1, 1)
    meter = UsageMeter(clock=clock)
    for _ in range(MOST_DAYS + 60):
        meter.record("big", completion(), 1.0, user="ann")
        meter.record("big", completion(), 1.0)
        clock.now_s += DAY_S
    table = meter.frame(by="day")
    assert len(table) == MOST_DAYS + 1
    assert table.loc[table.index.isna(), "calls"].item() == 120
    assert table["calls"].sum() == meter.totals()["big"]["calls"] == 2 * (MOST_DAYS + 60)
    clock.now_s -= 200 * DAY_S
    meter.record("big", completion(), 1.0)
    assert len(meter.frame(by="day")) == MOST_DAYS + 1


RECORDS = st.lists(
    st.tuples(
        st.sampled_from(["big", "small"]),
        st.sampled_from(["gpt-4o-2024-08-06", "gpt-4.1-nano-2025-04-14", "o1", "phi-9"]),
        st.sampled_from([None, "ann", "ben", "eve"]),
        st.integers(0, 200),  # days
        st.booleans(),
        st.integers(0, 5000),
    ),
    max_size=40,
)


@given(RECORDS, st.sets(st.sampled_from(["deployment", "model", "user", "day"]), min_size=1).map(sorted))
def test_every_table_adds_up_to_the_totals(records, by):
    """However rows are grouped and days folded, calls, hits and tokens are those that were recorded; costs, too."""
    clock = Clock(2026, 1, 1)
    meter, began_s = UsageMeter(max_users=2, clock=clock), clock.now_s
    for deployment, model, user, day, cached, tokens in records:
        clock.now_s = began_s + day * DAY_S
        answer = completion(model=model, prompt_tokens=tokens, cached_tokens=tokens // 3)
        meter.record(deployment, answer, 0.1, cached=cached, user=user)
    table, totals = meter.frame(by=by), list(meter.totals().values())
    assert {name: int(table[name].sum()) for name in COUNTS} == {
        name: sum(each[name] for each in totals) for name in COUNTS
    }
    assert table["calls"].sum() + table["cache_hits"].sum() == len(records)
    assert table.index.is_unique
    unknown = any(model == "phi-9" and not cached for _, model, _, _, cached, _ in records)
    assert math.isnan(meter.cost_usd) == table["cost_usd"].isna().any() == unknown
    if not unknown:
        assert table["cost_usd"].sum() == pytest.approx(meter.cost_usd)


def test_threads_share_a_meter():
    """No call is lost and none counted twice."""
    meter = UsageMeter()
    with ThreadPoolExecutor(8) as pool:
        for user in "abcdefgh":
            pool.submit(lambda tag: [meter.record("big", completion(), 0.5, user=tag) for _ in range(200)], user)
    assert meter.totals()["big"]["calls"] == 1600
    assert list(meter.frame(by="user")["calls"]) == [200] * 8
