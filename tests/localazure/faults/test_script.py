"""Scripts: faults set and cleared by the clock, evaluated when a call asks."""

from typing import Any

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.faults import Fault, Faults, scripted

CLASS = [
    {"at_s": 0, "fault": {"status": 429, "share": 1}},
    {"at_s": 60, "clear": True},
    {"at_s": 600, "fault": {"deployment": "big", "status": 503, "for_s": 120}},
    {"at_s": 660, "fault": {"kind": "reset", "deployment": "big"}},
]


def status_at(*times_s: float, script: list[dict[str, Any]] = CLASS, call: str = "big") -> list[int | str | None]:
    """What a call meets at each of the times: a status, a kind of fault, or nothing."""
    clock = ManualClock(1_000_000.0)
    faults = Faults(clock)
    clock.advance(5_000)  # loaded at any time
    faults.add_all(scripted(script))
    seen: list[int | str | None] = []
    now_s = 0.0
    for at_s in times_s:
        clock.advance(at_s - now_s)
        now_s = at_s
        met = faults.take(call)
        seen.append((met[0].status if met[0].kind == "status" else met[0].kind) if met else None)
    return seen


def test_script_follows_the_clock() -> None:
    """Events are due in seconds from loading; the outage at minute 10 lasts two minutes."""
    seen = status_at(0, 59, 60, 599, 600, 719, 720, 721)
    assert seen == [429, 429, None, None, 503, 503, "reset", None]


def test_script_needs_no_call_at_its_events() -> None:
    """Nothing runs between calls: what began and ended in between leaves no trace, what still waits is there."""
    assert status_at(650, script=CLASS[:3]) == [503]
    assert status_at(1_000, script=CLASS[:3]) == [None]
    assert status_at(1_000) == ["reset"]


def test_script_leaves_other_deployments_alone() -> None:
    """Fields of its faults hold as ever."""
    assert status_at(30, 650, call="small") == [429, None]


def test_clear_ends_what_the_script_set_and_nothing_else() -> None:
    """Faults set by hand stay, later ones of the script too; a fault that would begin later does not come."""
    clock = ManualClock()
    faults = Faults(clock)
    by_hand = faults.add(Fault(every=1, kind="slow", delay_ms=5))
    faults.add_all(
        scripted(
            [
                {"at_s": 0, "fault": {"status": 500, "after_s": 100}},
                {"at_s": 0, "fault": {"status": 503, "for_s": 200}},
                {"at_s": 0, "fault": {"status": 502, "for_s": 10}},
                {"at_s": 50, "clear": True},
            ]
        )
    )
    assert [(f["status"], f["starts_in_s"], f["ends_in_s"]) for f in faults.waiting()[1:]] == [
        (503, 0, 50),
        (502, 0, 10),
    ]
    clock.advance(120)
    assert faults.take("big") == (by_hand,)


def test_events_may_come_in_any_order() -> None:
    """They are sorted by their times."""
    assert scripted([{"at_s": 9, "clear": True}, {"at_s": 4, "fault": {}}], "lab") == [
        Fault(times=1, after_s=4, for_s=5, by="lab")
    ]


@pytest.mark.parametrize(
    ("events", "said"),
    [
        ([], "list of 1 to 1000 events"),
        ("clear", "list of 1 to 1000 events"),
        (5, "list of 1 to 1000 events"),
        ([{"at_s": 0, "clear": True}] * 1_001, "list of 1 to 1000 events"),
        ([{"at_s": 0, "clear": True}, 5], "Event 2 .* an event has at_s"),
        ([{"at_s": 0}], "Event 1 .* an event has at_s"),
        ([{"at_s": -1, "clear": True}], "Event 1 .* an event has at_s"),
        ([{"at_s": True, "clear": True}], "Event 1 .* an event has at_s"),
        ([{"at_s": 0, "clear": False}], "Event 1 .* an event has at_s"),
        ([{"at_s": 0, "fault": {}, "clear": True}], "Event 1 .* an event has at_s"),
        ([{"at_s": 0, "fault": []}], "Event 1 .* an event has at_s"),
        ([{"at_s": 0, "fault": {"status": 200}}], "Event 1 .* A fault's status cannot be 200"),
        ([{"at_s": 0, "fault": {"by": "admin"}}], "Event 1 .* A fault has no by"),
        ([{"at_s": 5, "fault": {"after_s": 2_678_399}}], "Event 1 .* after_s"),
    ],
)
def test_impossible_scripts_name_the_event(events: Any, said: str) -> None:
    """Nothing of such a script is set."""
    with pytest.raises(ValueError, match=said):
        scripted(events)
