"""Scripted faults: queued, matched, used up, and told apart by who set them."""

import threading

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


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("kind", "explode"),
        ("kind", ["drop"]),
        ("times", 0),
        ("times", 1.5),
        ("times", True),
        ("status", 200),
        ("status", 600),
        ("status", "429"),
        ("retry_after_s", -1),
        ("retry_after_s", 90_000),
        ("retry_after_s", "soon"),
        ("delay_ms", -1),
        ("delay_ms", 10**9),
        ("deployment", 7),
        ("contains", 7),
        ("contains", "x" * 1_001),
    ],
)
def test_impossible_faults_say_what_is_wrong(field: str, value: object) -> None:
    """The message has the field, what was given and what is allowed."""
    with pytest.raises(ValueError, match=rf"A fault's {field} cannot be .*: it is ") as refused:
        Fault(**{field: value})  # type: ignore[arg-type]
    assert repr(value) in str(refused.value)


def test_number_of_waiting_faults_is_bounded() -> None:
    """A loop in a notebook cannot fill the memory."""
    faults = Faults(ManualClock())
    for _ in range(1_000):
        faults.add(Fault())
    with pytest.raises(ValueError, match="clear some first"):
        faults.add(Fault())


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
