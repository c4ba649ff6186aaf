import asyncio
import gc
import logging
import math
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta, timezone

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import APIConnectionError, APITimeoutError

from labkit.budget import Budget, BudgetExceededError, Hold, estimate_usd
from labkit.budget.billing import may_be_billed
from labkit.catalog import MODELS
from labkit.errors import InvalidRequestError
from labkit.prices import price_of
from labkit.retry import WaitTooLongError
from labkit.validation import ContentFilteredError, EmptyAnswerError
from tests.scripted import REQUEST, filtered_prompt, refused, sdk_error


class Clock:
    """A clock that stands where it is put."""

    def __init__(self, *when: int) -> None:
        self.now = datetime(*when, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


def caused(error, cause):
    """``error`` as it is raised from ``cause``."""
    error.__cause__ = cause
    return error


def test_a_hold_keeps_room_until_the_call_ends():
    """While a call is under way its estimate is held; then its cost is spent and the rest is free again."""
    budget = Budget(1.0)
    hold = budget.reserve(0.6)
    assert (budget.spent_usd, budget.held_usd, budget.remaining_usd) == (0.0, 0.6, 0.4)
    hold.settle(0.1)
    assert (budget.spent_usd, budget.held_usd, budget.remaining_usd) == (0.1, 0.0, 0.9)


def test_what_does_not_fit_is_refused_with_the_sums_and_the_way_out():
    """The error says what was asked, the limit, spent, held, until when, and what to do; nothing is held by it."""
    budget = Budget(1.0, period="month", now=Clock(2026, 12, 30, 13))
    budget.reserve(0.3).settle(0.3)
    hold = budget.reserve(0.5)
    with pytest.raises(BudgetExceededError) as caught:
        budget.reserve(0.25)
    error = caught.value
    assert (error.asked_usd, error.limit_usd, error.spent_usd, error.held_usd) == (0.25, 1.0, 0.3, 0.5)
    assert (error.period, error.ends) == ("month", datetime(2027, 1, 1, tzinfo=UTC))
    assert str(error) == (
        "The call may cost up to 0.25 USD, which the budget of 1.00 USD a month has no room for: 0.30 USD are spent "
        "and 0.50 USD held for calls under way. Set a smaller max_tokens (it is what a call is held for), use a "
        "cheaper model, raise the limit, or wait until 2027-01-01 00:00 UTC."
    )
    assert budget.held_usd == 0.5
    hold.release()
    budget.reserve(0.25).release()


def test_a_budget_without_a_period_never_comes_back():
    """Its error gives no time to wait for."""
    budget = Budget(0)
    with pytest.raises(BudgetExceededError, match=r"raise the limit\.$"):
        budget.reserve(1e-6)
    assert budget.ends is None


@pytest.mark.parametrize("end", [lambda hold: hold.settle(0.3), lambda hold: hold.release()], ids=["settle", "release"])
def test_ending_twice_is_harmless(end):
    """Only the first end counts, whichever comes after."""
    budget = Budget(1.0)
    hold = budget.reserve(0.5)
    end(hold)
    sums = budget.spent_usd, budget.held_usd
    hold.settle(0.4)
    hold.release()
    hold.fail(TimeoutError())
    assert (budget.spent_usd, budget.held_usd) == sums


def test_an_unknown_cost_is_taken_to_be_the_estimate():
    """A model without a price costs nan; a budget that took that for nothing would be none."""
    budget = Budget(1.0)
    budget.reserve(0.5).settle(math.nan)
    assert budget.spent_usd == 0.5


def test_sums_are_exact():
    """Ten dimes are a dollar: the eleventh does not fit, the tenth does, which floats would get wrong."""
    budget = Budget(1.0)
    for _ in range(10):
        budget.reserve(0.1).settle(0.1)
    assert budget.remaining_usd == 0.0
    with pytest.raises(BudgetExceededError):
        budget.reserve(1e-12)


@pytest.mark.parametrize(
    ("period", "before", "after", "ends"),
    [
        ("day", (2026, 2, 28, 23, 59), (2026, 3, 1), datetime(2026, 3, 2, tzinfo=UTC)),
        ("month", (2026, 12, 31, 23, 59), (2027, 1, 1), datetime(2027, 2, 1, tzinfo=UTC)),
        ("month", (2028, 1, 31), (2028, 2, 1), datetime(2028, 3, 1, tzinfo=UTC)),
    ],
)
def test_a_new_period_begins_with_nothing_spent(period, before, after, ends):
    """At midnight UTC what is spent is forgotten; what is under way is held on, and spent when it ends."""
    clock = Clock(*before)
    budget = Budget(1.0, period=period, now=clock)
    budget.reserve(0.7).settle(0.7)
    hold = budget.reserve(0.2)
    assert budget.ends == datetime(*after, tzinfo=UTC)
    clock.now = datetime(*after, tzinfo=UTC)
    assert (budget.spent_usd, budget.held_usd) == (0.0, 0.2)
    hold.settle(0.15)
    assert (budget.spent_usd, budget.ends) == (0.15, ends)


def test_days_are_those_of_utc():
    """Half past midnight in Warsaw is still yesterday; a clock set back gives nothing back."""
    warsaw = timezone(timedelta(hours=1))
    clock = Clock(2026, 5, 1, 12)
    budget = Budget(1.0, period="day", now=clock)
    budget.reserve(0.4).settle(0.4)
    clock.now = datetime(2026, 5, 2, 0, 30, tzinfo=warsaw)
    assert budget.spent_usd == 0.4
    clock.now = datetime(2026, 4, 30, 12, tzinfo=UTC)
    assert budget.spent_usd == 0.4
    clock.now = datetime(2026, 5, 2, 1, 30, tzinfo=warsaw)
    assert budget.spent_usd == 0.0


def test_a_context_manager_ends_the_hold():
    """Told the cost it spends that; told nothing, the estimate; after a refusal, nothing."""
    budget = Budget(10.0)
    with budget.reserve(1.0) as hold:
        hold.settle(0.25)
    with budget.reserve(1.0):
        pass
    with pytest.raises(Exception, match="No"), budget.reserve(1.0):
        raise sdk_error(refused(429))
    assert (budget.spent_usd, budget.held_usd) == (1.25, 0.0)


def test_a_cancelled_call_may_have_been_billed():
    """Whoever presses Stop does not learn what the call cost: its estimate is spent, and nothing stays held."""

    async def call(budget):
        with budget.reserve(0.5):
            await asyncio.Event().wait()

    async def main(budget):
        task = asyncio.create_task(call(budget))
        await asyncio.sleep(0)
        assert budget.held_usd == 0.5
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    budget = Budget(1.0)
    asyncio.run(main(budget))
    assert (budget.spent_usd, budget.held_usd) == (0.5, 0.0)


@pytest.mark.parametrize(
    ("error", "billed"),
    [
        pytest.param(sdk_error(refused(429)), False, id="rate limit"),
        pytest.param(sdk_error(refused(401)), False, id="wrong key"),
        pytest.param(sdk_error(refused(404, "DeploymentNotFound")), False, id="no deployment"),
        pytest.param(sdk_error(refused(503)), False, id="unavailable"),
        pytest.param(sdk_error(refused(400)), False, id="bad request"),
        pytest.param(sdk_error(refused(408)), True, id="timed out there"),
        pytest.param(sdk_error(filtered_prompt()), True, id="filtered prompt"),
        pytest.param(APITimeoutError(REQUEST), True, id="timed out here"),
        pytest.param(caused(APIConnectionError(request=REQUEST), httpx2.ConnectError("no")), False, id="unreachable"),
        pytest.param(caused(APIConnectionError(request=REQUEST), httpx2.ReadError("cut")), True, id="cut"),
        pytest.param(InvalidRequestError("no messages"), False, id="not sent"),
        pytest.param(
            BudgetExceededError(1, limit_usd=0, spent_usd=0, held_usd=0, period=None, ends=None), False, id="no money"
        ),
        pytest.param(EmptyAnswerError("nothing in it"), True, id="empty answer"),
        pytest.param(ContentFilteredError("the answer"), True, id="filtered answer"),
        pytest.param(caused(ContentFilteredError("the prompt"), sdk_error(filtered_prompt())), True, id="clear filter"),
        pytest.param(caused(WaitTooLongError(900), sdk_error(refused(429))), False, id="told to wait too long"),
        pytest.param(asyncio.CancelledError(), True, id="cancelled"),
    ],
)
def test_only_calls_that_may_have_been_worked_on_cost(error, billed):
    """Refusals are free; where nobody can say, the estimate is spent, so that the limit holds."""
    assert may_be_billed(error) is billed
    budget = Budget(1.0)
    budget.reserve(0.5).fail(error)
    assert (budget.spent_usd, budget.held_usd) == (0.5 if billed else 0.0, 0.0)


def test_a_hold_that_is_dropped_counts_as_spent(caplog):
    """It would be held for ever otherwise; a warning says how to end one by itself."""
    budget = Budget(1.0)
    budget.reserve(0.5)
    gc.collect()
    with caplog.at_level(logging.WARNING, logger="labkit"):
        assert (budget.spent_usd, budget.held_usd) == (0.5, 0.0)
    assert "with budget.reserve" in caplog.text


def test_thresholds_ring_once_a_period():
    """Each share rings when it is reached, also several at once, and again in the next period."""
    rung = []
    clock = Clock(2026, 1, 1)
    budget = Budget(
        1.0,
        period="day",
        thresholds=(0.8, 0.5),
        on_threshold=lambda share, of: rung.append((share, of.spent_usd)),
        now=clock,
    )
    budget.reserve(0.4).settle(0.4)
    assert rung == []
    budget.reserve(0.1).settle(0.1)
    budget.reserve(0.1).settle(0.1)
    assert rung == [(0.5, 0.5)]
    clock.now = datetime(2026, 1, 2, tzinfo=UTC)
    budget.reserve(0.9).settle(0.9)
    assert rung == [(0.5, 0.5), (0.5, 0.9), (0.8, 0.9)]


def test_a_threshold_without_a_callback_is_logged(caplog):
    """The warning says how much of what is spent."""
    budget = Budget(2.0, thresholds=(0.5,))
    with caplog.at_level(logging.WARNING, logger="labkit"):
        budget.reserve(1.0).settle(1.0)
    assert caplog.messages == ["50 % of the budget are spent: Budget(2.00 USD: 1.00 spent, 0.00 held)"]


def test_a_failing_callback_loses_no_answer(caplog):
    """The call is paid for; what the alarm raised is logged."""
    budget = Budget(1.0, thresholds=(0.5,), on_threshold=lambda *_: 1 / 0)
    budget.reserve(1.0).settle(1.0)
    assert budget.spent_usd == 1.0
    assert "ZeroDivisionError" in caplog.text


@pytest.mark.parametrize("wrong", [-1, math.nan, math.inf, "5", None, True])
def test_a_sum_must_be_one(wrong):
    """A limit or an estimate that is no sum is refused at once; nan would compare as fitting."""
    with pytest.raises(InvalidRequestError, match="sum in US dollars"):
        Budget(wrong)
    with pytest.raises(InvalidRequestError, match="sum in US dollars"):
        Budget(1.0).reserve(wrong)


def test_period_and_thresholds_are_checked():
    """A typo must not become a budget that never resets, or an alarm that never rings."""
    with pytest.raises(InvalidRequestError, match="'day', 'month'"):
        Budget(1.0, period="week")
    with pytest.raises(InvalidRequestError, match="share of the limit"):
        Budget(1.0, thresholds=(80,))


def test_it_says_in_one_line_where_it_stands():
    """What a notebook shows, also for fractions of a cent."""
    budget = Budget(1.5, period="month", now=Clock(2026, 11, 25))
    budget.reserve(0.0012).settle(0.0012)
    hold = budget.reserve(0.25)
    assert repr(budget) == "Budget(1.50 USD a month: 0.0012 spent, 0.25 held, until 2026-12-01)"
    hold.release()


MONEY = st.integers(0, 60).map(lambda cents: cents / 100)


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("reserve"), MONEY, st.none()),
            st.tuples(st.just("settle"), MONEY, st.integers(0, 30)),
            st.tuples(st.sampled_from(["release", "fail", "drop"]), st.none(), st.integers(0, 30)),
        ),
        max_size=60,
    )
)
def test_no_order_of_events_overshoots_by_more_than_the_estimates_erred(events):
    """Reserve, settle, release, fail and lose in any order: spent + held stays within the limit plus the errors."""
    budget, holds, ended, errors_usd = Budget(1.0), [], set(), 0.0
    for event, usd, which in events:
        if event == "reserve":
            try:
                holds.append((budget.reserve(usd), usd))
            except BudgetExceededError:
                assert budget.spent_usd + budget.held_usd + usd > 1.0 - 1e-9
        elif holds:
            place = which % len(holds)
            hold, estimate = holds[place]
            if event == "settle":
                hold.settle(usd)
                errors_usd += max(usd - estimate, 0.0) if place not in ended else 0.0
            elif event == "drop":
                holds[place] = (Budget(1.0).reserve(0), 0.0)
                del hold
            else:
                hold.release() if event == "release" else hold.fail(TimeoutError())
            ended.add(place)
        assert budget.spent_usd + budget.held_usd <= 1.0 + errors_usd + 1e-9
        still_held = sum(estimate for place, (_, estimate) in enumerate(holds) if place not in ended)
        assert budget.held_usd == pytest.approx(still_held)
        assert budget.spent_usd >= 0
    del holds


def test_threads_share_a_budget():
    """Many at once: every dollar is spent once, none is lost, and no moment shows more than the limit."""
    budget = Budget(1.0)

    def work(_):
        refused, most_usd = 0, 0.0
        for _ in range(200):
            try:
                hold: Hold = budget.reserve(0.01)
            except BudgetExceededError as error:
                refused += 1
                most_usd = max(most_usd, error.spent_usd + error.held_usd)
                continue
            hold.settle(0.002)
        return refused, most_usd

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(work, range(8)))
    sent = 8 * 200 - sum(refused for refused, _ in results)
    assert budget.held_usd == 0.0
    assert budget.spent_usd == pytest.approx(0.002 * sent)
    assert max(most for _, most in results) <= 1.0
    assert budget.remaining_usd < 0.01


def test_the_estimate_is_the_most_a_call_can_cost():
    """Nothing of the prompt comes from the service's cache, and every answer is as long as it may be."""
    price = MODELS["gpt-4o"].price
    assert estimate_usd(1000, 200, price) == pytest.approx((1000 * 2.5 + 200 * 10) / 1e6)
    assert estimate_usd(1000, 200, price, n=3) == pytest.approx((1000 * 2.5 + 600 * 10) / 1e6)
    # Where writing the prompt to the cache costs more than reading it afresh, that may happen.
    assert estimate_usd(1000, 0, price_of("gpt-5.6-luna")) == pytest.approx(1000 * 0.25 / 1e6)
