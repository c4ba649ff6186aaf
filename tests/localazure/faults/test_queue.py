"""The faults that wait: matched, used up, counted, drawn, timed, and told apart by who set them."""

import threading
from typing import Any

import pytest

from labkit.localazure.clock import ManualClock
from labkit.localazure.faults import Fault, Faults


def test_fault_is_used_up_after_its_times() -> None:
    """Two times means the next two calls."""
    faults = Faults(ManualClock())
    added = faults.add(Fault(times=2, status=503))
    assert faults.take("big") == (added,)
    assert faults.waiting()[0]["times_left"] == 1
    assert faults.take("big") == (added,)
    assert faults.take("big") == ()
    assert faults.waiting() == []


@pytest.mark.parametrize(
    ("fault", "deployment", "prompt", "hit"),
    [
        (Fault(), "big", "", True),
        (Fault(deployment="big"), "big", "", True),
        (Fault(deployment="big"), "small", "", False),
        (Fault(contains="Kraków"), "big", "Where is Kraków?", True),
        (Fault(contains="Kraków"), "big", "Where is Gdynia?", False),
        (Fault(deployment="big", contains="x"), "small", "x", False),
    ],
    ids=["any", "deployment", "other deployment", "text", "other text", "both must match"],
)
def test_fault_hits_what_it_names(fault: Fault, deployment: str, prompt: str, hit: bool) -> None:
    """A deployment, a piece of the prompt, both or anything; what is not hit is not used up."""
    faults = Faults(ManualClock())
    faults.add(fault)
    assert bool(faults.take(deployment, prompt)) is hit
    assert (faults.waiting() == []) is hit


def test_oldest_matching_fault_comes_first() -> None:
    """In the order they were set, past those that do not match."""
    faults = Faults(ManualClock())
    first = faults.add(Fault(deployment="small"))
    second = faults.add(Fault(status=500))
    third = faults.add(Fault(kind="drop"))
    assert (first.id, second.id, third.id) == ("f1", "f2", "f3")
    assert [faults.take("big") for _ in range(3)] == [(second,), (third,), ()]
    assert faults.take("small") == (first,)


def test_clearing_is_by_owner() -> None:
    """The lab's faults go without the admin's, or all of them."""
    faults = Faults(ManualClock())
    faults.add(Fault(by="admin"))
    faults.add(Fault(by="lab"))
    assert [fault["id"] for fault in faults.waiting("lab")] == ["f2"]
    assert faults.clear("lab") == 1
    assert [fault["by"] for fault in faults.waiting()] == ["admin"]
    assert faults.clear() == 1
    assert faults.take("big") == ()


def test_number_of_waiting_faults_is_bounded() -> None:
    """A loop in a notebook cannot fill the memory, nor keep the teacher out; too many at once are not added in part."""
    faults = Faults(ManualClock())
    for _ in range(999):
        faults.add(Fault(by="lab"))
    with pytest.raises(ValueError, match="999 do; clear some first"):
        faults.add_all([Fault(by="lab")] * 2)
    faults.add(Fault(by="lab"))
    faults.add(Fault(by="admin"))
    assert len(faults.waiting("lab")) == 1_000


def hits(faults: Faults, calls: int, **call: Any) -> list[int]:
    """Which of so many calls, counted from 1, run into a fault."""
    return [number for number in range(1, calls + 1) if faults.take("big", **call)]


def test_every_kth_call_until_cleared() -> None:
    """Calls that do not match are not counted; there is no end."""
    faults = Faults(ManualClock())
    faults.add(Fault(deployment="big", every=3))
    faults.take("small")
    assert hits(faults, 10) == [3, 6, 9]
    assert faults.waiting()[0]["times_left"] is None


def test_every_kth_call_so_many_times() -> None:
    """``times`` counts the calls that are hit."""
    faults = Faults(ManualClock())
    faults.add(Fault(every=2, times=2))
    assert hits(faults, 10) == [2, 4]
    assert faults.waiting() == []


@pytest.mark.parametrize(("share", "expected"), [(0, 0), (0.0, 0), (1, 500), (1.0, 500)])
def test_share_of_none_and_of_all(share: float, expected: int) -> None:
    """0 never hits, 1 always does."""
    faults = Faults(ManualClock())
    faults.add(Fault(share=share))
    assert len(hits(faults, 500)) == expected


def test_share_is_drawn_from_the_seed() -> None:
    """The same calls in every run of one seed, others in another's; about as many as asked for."""

    def drawn(seed: int) -> list[int]:
        faults = Faults(ManualClock(), seed)
        faults.add(Fault(share=0.2))
        return hits(faults, 1_000)

    assert drawn(13) == drawn(13) != drawn(14)
    assert drawn(13)[:5] == [5, 8, 16, 17, 22]
    assert 160 <= len(drawn(13)) <= 240


def test_two_shares_are_drawn_apart() -> None:
    """Two faults with the same share do not hit the same calls."""
    faults = Faults(ManualClock())
    faults.add(Fault(deployment="big", share=0.5))
    faults.add(Fault(deployment="small", share=0.5))
    pairs = [(bool(faults.take("big")), bool(faults.take("small"))) for _ in range(50)]
    assert len(set(pairs)) == 4


@pytest.mark.parametrize(
    ("at_s", "hit"),
    [(0, False), (29.9, False), (30, True), (149.9, True), (150, False), (9_999, False)],
)
def test_window_on_the_clock(at_s: float, hit: bool) -> None:
    """From its beginning up to its end, the end not included; any number of calls."""
    clock = ManualClock(1_000.0)
    faults = Faults(clock)
    faults.add(Fault(status=503, after_s=30, for_s=120))
    clock.advance(at_s)
    assert hits(faults, 3) == ([1, 2, 3] if hit else [])


def test_window_that_is_over_is_forgotten() -> None:
    """Calls then cost what they cost without faults, and the list is empty."""
    clock = ManualClock(0.0)
    faults = Faults(clock)
    faults.add(Fault(after_s=30, for_s=120))
    assert [(f["starts_in_s"], f["ends_in_s"]) for f in faults.waiting()] == [(30, 150)]
    clock.advance(100)
    assert [(f["starts_in_s"], f["ends_in_s"]) for f in faults.waiting()] == [(0, 50)]
    clock.advance(50)
    assert faults.waiting() == []
    assert faults.clear() == 0


def test_delayed_fault_without_an_end_waits_for_its_calls() -> None:
    """``after_s`` alone: the next call from then on."""
    clock = ManualClock()
    faults = Faults(clock)
    faults.add(Fault(after_s=30))
    assert hits(faults, 2) == []
    clock.advance(30)
    assert hits(faults, 2) == [1]


@pytest.mark.parametrize(
    ("operation", "hit"),
    [("chat.completions", ["chat"]), ("embeddings", ["embeddings"]), ("responses", ["responses"])],
)
def test_fault_for_an_operation(operation: str, hit: list[str]) -> None:
    """Named as telemetry names it, met under the journal's name."""
    faults = Faults(ManualClock())
    for name in ("chat", "embeddings", "responses"):
        faults.add(Fault(operation=name))
    assert [fault.operation for fault in faults.take("big", operation=operation)] == hit
    assert faults.take("big", operation=operation) == ()


def test_slow_stream_waits_for_a_stream() -> None:
    """A plain answer has no chunks to slow down, so it does not use the fault up."""
    faults = Faults(ManualClock())
    faults.add(Fault(kind="slow_stream", factor=2))
    assert faults.take("big") == ()
    assert len(faults.take("big", stream=True)) == 1


def test_a_failure_comes_alone_and_slowness_adds_up() -> None:
    """A call that fails uses up nothing else; one that is answered meets one fault of each kind."""
    faults = Faults(ManualClock())
    faults.add(Fault(kind="latency", factor=10, every=1))
    faults.add(Fault(kind="slow", delay_ms=1))
    faults.add(Fault(kind="slow", delay_ms=2))
    faults.add(Fault(kind="reset"))
    assert [fault.kind for fault in faults.take("big")] == ["reset"]
    assert [(fault.kind, fault.delay_ms) for fault in faults.take("big")] == [("latency", 0), ("slow", 1)]
    assert [(fault.kind, fault.delay_ms) for fault in faults.take("big")] == [("latency", 0), ("slow", 2)]
    assert [fault.kind for fault in faults.take("big")] == ["latency"]


def test_one_fault_is_seen_and_removed_by_its_id() -> None:
    """By its owner, or by the admin who asks for no owner."""
    faults = Faults(ManualClock())
    for by in ("lab", "admin"):
        faults.add(Fault(by=by))  # type: ignore[arg-type]
    assert faults.waiting("lab", "f2") == []
    assert faults.clear("lab", "f2") == 0
    assert [fault["by"] for fault in faults.waiting(id="f2")] == ["admin"]
    assert faults.clear(id="f2") == 1
    assert [fault["id"] for fault in faults.waiting()] == ["f1"]


def test_faults_are_taken_once_whatever_thread_asks() -> None:
    """The server takes them while a test or a grader adds them."""
    faults = Faults(ManualClock())
    faults.add(Fault(times=100))
    taken: list[Fault] = []

    def take() -> None:
        for _ in range(50):
            taken.extend(faults.take("big"))

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == 100
