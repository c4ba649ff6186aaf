"""A budget in front of an optimizer: what a call may cost is held before it is sent."""

import asyncio

import openai
import pytest

from labkit.budget import Budget, BudgetExceededError
from labkit.errors import UnknownModelError
from tests.scripted import COLD, answered, ask, filtered_prompt, optimizer, refused, service

# gpt-4o: 20 tokens of prompt at 2.5 and 5 of the answer at 10 US dollars per million, as tests/scripted.py answers.
COST_USD = (20 * 2.5 + 5 * 10) / 1e6
# What a call with max_tokens=50 is held for: the prompt as counted offline, and 50 tokens.
MOST_USD = (14 * 2.5 + 50 * 10) / 1e6


async def test_a_call_is_held_for_the_most_it_can_cost_and_spends_what_it_did():
    """While it is under way, its limit is held; afterwards only its cost is spent."""
    fake, budget = service(), Budget(1.0)
    fake.gate = asyncio.Event()
    call = asyncio.create_task(optimizer(fake, budget=budget).optimized_completion(ask(), **COLD))
    while not fake.sent:
        await asyncio.sleep(0.001)
    assert budget.held_usd == pytest.approx(MOST_USD)
    fake.gate.set()
    await call
    assert (budget.held_usd, budget.spent_usd) == (0, pytest.approx(COST_USD))


async def test_what_does_not_fit_is_not_sent_and_says_so():
    """The error names the sums; availability is not touched, since no service was asked."""
    fake = service()
    subject = optimizer(fake, budget=Budget(MOST_USD * 0.9))
    with pytest.raises(BudgetExceededError, match="max_tokens"):
        await subject.optimized_completion(ask(), **COLD)
    measured = subject.measured()
    assert (fake.sent, measured.requests, measured.failed, measured.refused) == ([], 1, 0, 1)


async def test_concurrent_callers_do_not_overshoot_together():
    """Twenty at once, room for three holds: three are sent, although all twenty would fit by what they really cost."""
    fake, budget = service(), Budget(3.5 * MOST_USD)
    subject = optimizer(fake, budget=budget)
    calls = [subject.optimized_completion(ask(f"Question {number:02}?"), **COLD) for number in range(20)]
    fake.gate = asyncio.Event()
    together = asyncio.gather(*calls, return_exceptions=True)
    while len(fake.sent) < 3:
        await asyncio.sleep(0.001)
    fake.gate.set()
    results = await together
    assert sum(isinstance(result, BudgetExceededError) for result in results) == 20 - len(fake.sent)
    assert len(fake.sent) == 3
    assert budget.spent_usd == pytest.approx(3 * COST_USD)


async def test_a_kept_answer_costs_nothing():
    """A hit is served from the cache when the budget is used up, too."""
    fake, budget = service(), Budget(MOST_USD)
    subject = optimizer(fake, budget=budget)
    for _ in range(5):
        await subject.optimized_completion(ask(), **COLD)
    assert budget.spent_usd == pytest.approx(COST_USD)
    with pytest.raises(BudgetExceededError):
        await subject.optimized_completion(ask("Another question?"), **COLD)


@pytest.mark.parametrize(
    ("reply", "billed"),
    [
        pytest.param(refused(400), False, id="refused"),
        pytest.param(filtered_prompt(), True, id="filtered: Azure bills these"),
    ],
)
async def test_a_call_that_fails_spends_what_may_be_billed(reply, billed):
    """A refusal costs nothing; what the service may have billed counts as spent in full."""
    budget = Budget(1.0)
    with pytest.raises(openai.BadRequestError):
        await optimizer(service(reply), budget=budget).optimized_completion(ask(), **COLD)
    assert (budget.held_usd, budget.spent_usd) == (0, pytest.approx(MOST_USD if billed else 0))


async def test_a_cancelled_call_leaves_no_hold():
    """Whoever leaves does not learn what the call did cost: it counts in full."""
    fake, budget = service(), Budget(1.0)
    fake.gate = asyncio.Event()
    call = asyncio.create_task(optimizer(fake, budget=budget).optimized_completion(ask(), **COLD))
    while not fake.sent:
        await asyncio.sleep(0.001)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.sleep(0)
    assert (budget.held_usd, budget.spent_usd) == (0, pytest.approx(MOST_USD))


async def test_a_budget_needs_to_know_the_model_beforehand():
    """A deployment's name that says nothing is an error that says what to write, not a guess."""
    fake = service()
    with pytest.raises(UnknownModelError, match="Say it with model=…"):
        await optimizer(fake, "chat", budget=Budget(1.0)).optimized_completion(ask(), **COLD)
    await optimizer(fake, "chat", budget=Budget(1.0), model="gpt-4o").optimized_completion(ask(), **COLD)
    assert len(fake.sent) == 1


async def test_one_budget_may_be_shared_by_deployments():
    """Both spend from it, each at its own price."""
    budget = Budget(1.0)
    await optimizer(service(), "gpt-4o", budget=budget).optimized_completion(ask(), **COLD)
    mini = service(answered(model="gpt-4o-mini-2024-07-18"))
    await optimizer(mini, "gpt-4o-mini", budget=budget).optimized_completion(ask(), **COLD)
    assert budget.spent_usd == pytest.approx(COST_USD + (20 * 0.15 + 5 * 0.6) / 1e6)


async def test_the_users_tag_of_a_request_is_metered():
    """Hits and calls, each under its user."""
    subject = optimizer(service())
    for user in ("ada", "ada", "eve"):
        await subject.optimized_completion(ask(), user=user, **COLD)
    table = subject.meter.frame(by=("user",))
    assert (table.loc["ada", "calls"], table.loc["ada", "cache_hits"], table.loc["eve", "cache_hits"]) == (1, 1, 1)


async def test_a_snapshot_is_held_at_its_own_price():
    """Once an answer has named gpt-4o-2024-05-13, the next call is held at its price: twice that of gpt-4o."""
    fake, budget = service(answered(model="gpt-4o-2024-05-13")), Budget(1.0)
    subject = optimizer(fake, budget=budget)
    await subject.optimized_completion(ask("First?"), **COLD)
    before, fake.gate = budget.spent_usd, asyncio.Event()
    call = asyncio.create_task(subject.optimized_completion(ask(), **COLD))
    while len(fake.sent) < 2:
        await asyncio.sleep(0.001)
    assert budget.held_usd == pytest.approx((14 * 5 + 50 * 15) / 1e6)
    fake.gate.set()
    await call
    assert budget.spent_usd == pytest.approx(before + (20 * 5 + 5 * 15) / 1e6)


async def test_the_model_that_the_caller_names_stays_the_one_that_is_held():
    """Whatever the answers name: it is the price that the meter goes by, too."""
    fake, budget = service(answered(model="gpt-4o-mini-2024-07-18")), Budget(1.0)
    subject = optimizer(fake, "chat", budget=budget, model="gpt-4o")
    await subject.optimized_completion(ask("First?"), **COLD)
    fake.gate = asyncio.Event()
    call = asyncio.create_task(subject.optimized_completion(ask(), **COLD))
    while len(fake.sent) < 2:
        await asyncio.sleep(0.001)
    assert budget.held_usd == pytest.approx(MOST_USD)
    fake.gate.set()
    await call
    assert budget.spent_usd == pytest.approx(2 * COST_USD)
