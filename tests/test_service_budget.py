"""A budget behind a service: each deployment that is asked is held at its own price."""

import openai
import pytest

from labkit.budget import Budget, BudgetExceededError
from labkit.validation import ContentFilteredError
from tests.scripted import answered, ask, filtered_prompt, refused, service
from tests.streamed import Stream, events
from tests.test_optimizer_budget import COST_USD, MOST_USD
from tests.test_service import production

LIMIT = {"max_tokens": 50}


async def test_an_answer_spends_what_it_did_cost():
    """Held while it was under way, settled by its usage."""
    budget = Budget(1.0)
    subject, _ = production(service(), "gpt-4o", budget=budget)
    await subject.safe_completion(ask(), **LIMIT)
    assert (budget.held_usd, budget.spent_usd) == (0, pytest.approx(COST_USD))


async def test_what_does_not_fit_is_not_sent_and_is_no_outage():
    """The circuit stays closed, no fallback is asked, and availability is untouched."""
    fake = service()
    subject, _ = production(fake, "gpt-4o", fallbacks=["gpt-4o-mini"], budget=Budget(MOST_USD / 2))
    with pytest.raises(BudgetExceededError):
        await subject.safe_completion(ask(), **LIMIT)
    measured = subject.measured()
    assert (fake.sent, measured.failed, measured.refused) == ([], 0, 1)
    assert subject.breakers["gpt-4o"].state == "closed"


async def test_a_fallback_is_held_at_its_own_price():
    """The first deployment's failure gives its hold back: what is spent is the fallback's answer."""
    fake, budget = service(refused(503), answered(model="gpt-4o-mini-2024-07-18")), Budget(1.0)
    subject, _ = production(fake, "gpt-4o", fallbacks=["gpt-4o-mini"], budget=budget)
    await subject.safe_completion(ask(), max_retries=0, **LIMIT)
    assert fake.deployments == ["gpt-4o", "gpt-4o-mini"]
    assert (budget.held_usd, budget.spent_usd) == (0, pytest.approx((20 * 0.15 + 5 * 0.6) / 1e6))


@pytest.mark.parametrize(
    ("reply", "error", "spent_usd"),
    [
        pytest.param(refused(401), openai.AuthenticationError, 0, id="refused"),
        pytest.param(filtered_prompt(), ContentFilteredError, MOST_USD, id="filtered: Azure bills these"),
    ],
)
async def test_an_error_leaves_no_hold(reply, error, spent_usd):
    """It costs nothing, or its estimate where the service may have billed it."""
    budget = Budget(1.0)
    subject, _ = production(service(reply), "gpt-4o", budget=budget)
    with pytest.raises(error):
        await subject.safe_completion(ask(), **LIMIT)
    assert (budget.held_usd, budget.spent_usd) == (0, pytest.approx(spent_usd))


async def test_a_stream_is_settled_by_the_usage_in_its_last_chunk():
    """Read to its end, it costs what a whole answer costs."""
    budget = Budget(1.0)
    subject, _ = production(service(Stream(events("War", "saw."))), "gpt-4o", budget=budget)
    async with subject.stream_completion(ask(), **LIMIT) as chunks:
        seen = [budget.held_usd async for _ in chunks]
    assert seen[0] == pytest.approx(MOST_USD)
    assert (budget.held_usd, budget.spent_usd) == (0, pytest.approx(COST_USD))


async def test_a_stream_that_is_left_spends_its_estimate():
    """Nobody learns what it cost. The hold ends with it, not with Python's next tidying up."""
    budget = Budget(1.0)
    subject, _ = production(service(Stream(events("War", "saw."))), "gpt-4o", budget=budget)
    async with subject.stream_completion(ask(), **LIMIT) as chunks:
        async for _ in chunks:
            break
    assert (budget.held_usd, budget.spent_usd) == (0, pytest.approx(MOST_USD))
