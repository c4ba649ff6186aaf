"""Usage: every call is counted once, by the minute and by the day, at the catalogue's prices."""

import pytest

from labkit.catalog import model
from labkit.localazure.journal import Entry
from labkit.localazure.usage import Usage, cost_usd
from tests.localazure.asking import BIG, SMALL, Asker

DAY_S = 86_400


def entry(at_s: float, **changes: object) -> Entry:
    """A chat completion of 100 prompt tokens, 40 of them cached, and 10 answer tokens."""
    counted = {"prompt_tokens": 100, "cached_tokens": 40, "completion_tokens": 10, "simulated_ms": 50.0}
    made = Entry(at_s, "inference", "POST", "/", "chat.completions", 200, deployment="d", model=BIG, account="a")
    for name, value in (counted | changes).items():
        setattr(made, name, value)
    return made


def test_minutes_are_counted_apart() -> None:
    """Two calls in one minute share a cell, a third a minute later has its own."""
    usage = Usage()
    for at_s, took_ms in ((60.0, 50.0), (119.9, 70.0), (120.0, 10.0)):
        usage.note(entry(at_s, simulated_ms=took_ms))
    first, second = sorted(usage.minutes(0, 1_000), key=lambda pair: pair[0])
    assert (first[0].start_s, first[1].requests, first[1].prompt_tokens) == (60, 2, 200)
    assert (first[1].total_ms, first[1].min_ms, first[1].max_ms) == (120.0, 50.0, 70.0)
    assert (second[0].start_s, second[1].requests) == (120, 1)
    assert [key.start_s for key, _ in usage.minutes(60, 120)] == [60]


@pytest.mark.parametrize("change", [{"status": 429}, {"deployment": "e"}, {"model": SMALL}, {"stream": True}])
def test_outcomes_are_counted_apart(change: dict[str, object]) -> None:
    """A refused call, another deployment, another model or a stream has a cell of its own."""
    usage = Usage()
    usage.note(entry(0))
    usage.note(entry(0, **change))
    assert len(list(usage.minutes(0, 60))) == 2


def test_old_minutes_become_days_and_nothing_is_lost() -> None:
    """When there is no more room the oldest minutes are kept by the day; the sums stay exact."""
    usage = Usage(capacity=20)
    for minute in range(100):
        usage.note(entry(minute * 60))
    assert len(list(usage.minutes(0, DAY_S))) <= 20
    (cell,) = usage.days().values()
    assert (cell.requests, cell.prompt_tokens, cell.completion_tokens) == (100, 10_000, 1_000)


def test_cost_is_the_catalogues() -> None:
    """Fresh, cached and answer tokens each at their price."""
    usage = Usage()
    usage.note(entry(0))
    (pair,) = usage.minutes(0, 60)
    price = model(BIG).price
    assert cost_usd(*pair) == pytest.approx((60 * price.input + 40 * price.cached_input + 10 * price.output) / 1e6)


def test_what_was_restored_counts_in_its_day() -> None:
    """A server that starts again goes on with the sums of the day."""
    before, after = Usage(), Usage()
    before.note(entry(10))
    for key, cell in before.days().items():
        after.restore(key, cell)
    after.note(entry(20))
    (cell,) = after.days().values()
    assert cell.requests == 2


def test_real_calls_are_counted_with_their_account(ask: Asker) -> None:
    """Tokens as the answer's usage says them; a call to a deployment there is not is counted, too."""
    used = ask.chat("What is the capital of Poland?").json["usage"]
    ask.chat("Hello", deployment="nowhere")
    cells = {(key.account, key.deployment, key.model, key.status): cell for key, cell in ask.azure.usage.days().items()}
    answered = cells["aoai-session13", BIG, BIG, 200]
    assert (answered.prompt_tokens, answered.completion_tokens) == (used["prompt_tokens"], used["completion_tokens"])
    assert cells["aoai-session13", "nowhere", "", 404].requests == 1
