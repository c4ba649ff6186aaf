"""The local Azure's clock: read, and moved forward within bounds."""

from collections.abc import Callable

import pytest

from labkit.localazure.clock import ManualClock
from tests.localazure.asking import BIG, Asker
from tests.localazure.conftest import Answer, Caller


def test_clock_is_read_and_moved_by_both_keys(
    admin: Callable[..., Answer], lab: Callable[..., Answer], clock: ManualClock
) -> None:
    """The answer is the time afterwards, in seconds and as Azure writes it."""
    start_s = clock.now()
    assert lab("GET", "clock").json["now_s"] == start_s
    assert lab("POST", "clock", {"advance_s": 90}).json["now_s"] == start_s + 90
    moved = admin("POST", "clock", {"advance_s": 0.5}).json
    assert (moved["now_s"], moved["now"][-1]) == (start_s + 90.5, "Z")
    assert clock.now() == start_s + 90.5


def test_moving_the_clock_is_in_the_journal(call: Caller, lab: Callable[..., Answer]) -> None:
    """A rubric sees which minutes really passed, and whose key skipped the others."""
    lab("POST", "clock", {"advance_s": 60})
    (entry,) = call.azure.journal.after(face="lab")
    assert (entry.operation, entry.params, entry.auth) == ("clock.advance", {"advance_s": 60.0}, "lab")


def test_a_minute_that_is_skipped_frees_the_rate_limit(ask: Asker, call: Caller) -> None:
    """What the deployment had used up is free again, as if the minute had passed."""
    limited = [ask.chat(max_tokens=4_000).status for _ in range(300)]
    assert limited[-1] == 429
    headers = {"x-labkit-key": call.azure.lab_key}
    assert call("POST", "/labkit/clock", {"advance_s": 61}, headers=headers).status == 200
    assert ask.chat(max_tokens=4_000, deployment=BIG).status == 200


def test_tokens_survive_a_month_that_is_skipped(call: Caller, lab: Callable[..., Answer]) -> None:
    """The clients' clocks stay where they are, so their tokens must stay good."""
    token = call.azure.identity.issue("https://management.azure.com")["access_token"]
    assert lab("POST", "clock", {"advance_s": 31 * 86_400}).status == 200
    answer = call(
        "GET", "/subscriptions", headers={"Authorization": f"Bearer {token}"}, **{"api-version": "2022-12-01"}
    )
    assert answer.status == 200


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"advance_s": -1},
        {"advance_s": 31 * 86_400 + 1},
        {"advance_s": "5"},
        {"advance_s": True},
        {"advance": 5},
        [],
    ],
    ids=["nothing", "back", "too far", "text", "true", "misspelt", "list"],
)
def test_impossible_moves_are_refused(lab: Callable[..., Answer], clock: ManualClock, document: object) -> None:
    """400 says what is allowed; the clock stays."""
    start_s = clock.now()
    assert lab("POST", "clock", document).error == (400, "BadRequest")
    assert clock.now() == start_s


def test_the_clock_has_an_end(lab: Callable[..., Answer], clock: ManualClock) -> None:
    """A loop in a notebook does not move it to where dates cannot be written."""
    clock.advance(4_102_444_800 - clock.now() - 60)
    assert lab("POST", "clock", {"advance_s": 60}).status == 200
    assert lab("POST", "clock", {"advance_s": 1}).error == (400, "BadRequest")
